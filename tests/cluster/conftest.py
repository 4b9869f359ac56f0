"""A Dask cluster of two worker processes on this machine, and a frame whose parts are told apart."""

from __future__ import annotations

import dask.dataframe
import pandas as pd
import pytest
from distributed import Client, LocalCluster

import nbfiles


@pytest.fixture(scope="package")  # no longer: it looks at its processes all the time, and others count open files
def cluster():
    """Two workers, with a nanny each that starts another where one is killed."""
    two = LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address="127.0.0.1:0")
    with two, Client(two) as client:
        yield client


@pytest.fixture
def files(shared_api):
    """A client of the module's local Files API, with a key of its own."""
    return nbfiles.Files(base_url=shared_api.base_url, api_key=shared_api.api_key)


def parts(count, rows=10):
    """Return a Dask frame of `count` partitions, each of which says which one it is."""

    def make(number):
        return pd.DataFrame({"part": [number] * rows, "row": range(rows)})

    return dask.dataframe.from_map(make, range(count), meta=make(0))


def kept(client, name="nbfiles-"):
    """Return what the scheduler keeps of uploads: tasks (they go a little later), events, semaphores, plugins."""

    def look(dask_scheduler):
        events, leases = dask_scheduler.extensions["events"], dask_scheduler.extensions["semaphores"]
        names = [*dask_scheduler.tasks, *events._events, *leases.max_leases, *dask_scheduler.worker_plugins]
        return [str(one) for one in names if name in str(one)]

    return client.run_on_scheduler(look)

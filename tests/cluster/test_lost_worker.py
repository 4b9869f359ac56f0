"""A worker is killed in the middle of its uploads: every partition is at the server, once."""

from __future__ import annotations

import os
import random
import signal
import threading
import time

import pandas as pd
import pytest
from distributed import Client, LocalCluster

from nbfiles._events import Done

from .conftest import parts

TRIALS = 10 if os.getenv("NBFILES_TRIALS") == "full" else 1
COUNT = 16


@pytest.fixture
def own_cluster():
    """Two workers that may be killed."""
    two = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0")
    with two, Client(two) as client:
        yield client


@pytest.mark.parametrize("trial", range(TRIALS))
def test_kill_9(own_cluster, files, shared_api, trial):
    """kill -9 of one of two workers costs no partition and stores none twice, whatever that worker was doing."""
    seed = int(os.getenv("NBFILES_SEED", "0")) or random.randrange(1 << 30)
    chance = random.Random(seed + trial)
    victim = chance.choice([info["pid"] for info in own_cluster.run(lambda: {"pid": os.getpid()}).values()])
    kill_at, wait = chance.randrange(2, COUNT // 2), chance.random() * 0.3
    done = []

    class Killing:
        def __call__(self, event):
            if isinstance(event, Done):
                done.append(event.transfer)
                if len(done) == kill_at:
                    threading.Timer(wait, os.kill, (victim, signal.SIGKILL)).start()

    def slow(part):
        time.sleep(0.15)  # so that the job is not over before the kill
        return part

    frame = parts(COUNT, rows=20_000)
    before = shared_api.stored_ids()
    table = files.upload_many(frame.map_partitions(slow, meta=frame._meta), jobs=2, progress=Killing())
    with pytest.raises(ProcessLookupError):
        os.kill(victim, 0)
    said = f"NBFILES_SEED={seed}"
    there = files.list_files(match=f"data-{table['filename'][0].split('-')[1]}-*")
    assert sorted(table["id"]) == sorted(there["id"]), said
    assert set(table["id"]) == shared_api.stored_ids() - before, said
    for number, one in enumerate(table["id"]):
        rows = pd.read_csv(shared_api.blob(one))
        assert ({number}, 20_000) == (set(rows["part"]), len(rows)), said

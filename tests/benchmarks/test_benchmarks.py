"""The benchmark itself: that it runs, verifies, and that memory does not depend on the size of the file."""

from __future__ import annotations

import os

import pytest

from . import cluster, memory, places


@pytest.mark.parametrize("size", [50_000_000, 500_000_000])
def test_memory_is_flat(size):
    """An upload costs at most 16 MiB over its baseline, whatever its size, and every byte arrives."""
    assert memory.run(size, verify=True) <= 16 * memory.MIB


@pytest.mark.parametrize("place", places.PLACES)
def test_a_store_is_not_kept_in_memory(place):
    """An object in a store is streamed: it costs the kernel less than 32 MB, and every byte arrives."""
    size = 300_000_000 if os.getenv("NBFILES_TRIALS") == "full" else 40_000_000
    assert places.run(size, place) < 32_000_000


def test_a_cluster_leaves_the_notebook_alone():
    """A frame of 3 GB (in CI a tenth) over two workers costs the notebook less than 100 MB, and arrives whole."""
    said = cluster.run(3_000_000_000 if os.getenv("NBFILES_TRIALS") == "full" else 300_000_000)
    assert said["growth"] < 100_000_000
    assert said["peak"] < 600_000_000

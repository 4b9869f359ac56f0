"""What places and clusters cost the notebook's memory, at a size that could not be missed; CI runs a tenth."""

from __future__ import annotations

import os

import pytest

from . import cluster, places

FULL = os.getenv("NBFILES_TRIALS") == "full"


@pytest.mark.parametrize("place", places.PLACES)
def test_a_store_is_not_kept_in_memory(place):
    """An object in a store is streamed: it costs the kernel less than 32 MB, and every byte arrives."""
    assert places.run(300_000_000 if FULL else 40_000_000, place) < 32_000_000


@pytest.mark.timeout(1800 if FULL else 300)
def test_a_cluster_leaves_the_notebook_alone():
    """A frame of 3 GB over two workers costs the notebook less than 100 MB, and arrives whole."""
    said = cluster.run(3_000_000_000 if FULL else 300_000_000)
    assert said["growth"] < 100_000_000
    assert said["peak"] < 600_000_000

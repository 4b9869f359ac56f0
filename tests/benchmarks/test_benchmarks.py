"""The benchmark itself: that it runs, verifies, and that memory does not depend on the size of the file."""

from __future__ import annotations

import pytest

from . import memory


@pytest.mark.parametrize("size", [50_000_000, 500_000_000])
def test_memory_is_flat(size):
    """An upload costs at most 16 MiB over its baseline, whatever its size, and every byte arrives."""
    assert memory.run(size, verify=True) <= 16 * memory.MIB

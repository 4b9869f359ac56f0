"""What a large Dask frame costs the notebook: it is sent by two worker processes to the local Files API.

``python -m tests.benchmarks.cluster [GIGABYTES]`` uploads a frame of that size (3 without a number), which no process
holds as a whole, and prints the notebook's peak memory (``VmHWM``) and how much of it the upload cost. Every partition
is read back from the local API's disk and compared with what was meant. Linux only.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .memory import MIB, Peak, peak

ROWS = 2_000_000  # of two columns of 8 bytes: 32 MB a partition
_SIZE = ROWS * 16


def part(number: int) -> Any:
    """Return partition `number`: numbers that no compression shortens, and that its number alone decides."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(number)
    return pd.DataFrame({"a": random.integers(1 << 62, size=ROWS), "b": random.random(ROWS)})


def run(size: int) -> dict[str, Any]:
    """Upload a frame of `size` bytes from a process of its own; return what that process said of itself.

    Raises
    ------
    AssertionError
        If what is stored is not what was meant, each partition once.
    """
    import json

    said = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.cluster", "--client", str(-(-size // _SIZE))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(said.stdout.splitlines()[-1])


def measure(count: int) -> dict[str, Any]:
    """Upload `count` partitions; return bytes sent, the notebook's peak and growth in bytes, and seconds."""
    from distributed import Client, LocalCluster

    import nbfiles

    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"NBFILES_LOCAL_DIR": f"{folder}/files", "NBFILES_LEDGER": f"{folder}/ledger.sqlite"}
        two = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=0)
        with two, Client(two):
            files = nbfiles.Files(local=True)
            files.upload_many(_frame(2), name="warm.parquet", progress=False)
            grown, began = Peak(), time.monotonic()
            table = files.upload_many(_frame(count), name="sales.parquet", progress=False)
            seconds, growth, top = time.monotonic() - began, grown.growth(), peak()
        _compare(Path(folder) / "files", table, count)
        there = files.list_files(match="sales-*")
        assert sorted(there["id"]) == sorted(table["id"])
    sent = int(table["size_bytes"].sum())
    return {"files": count, "sent": sent, "peak": top, "growth": growth, "seconds": seconds}


def _frame(count: int) -> Any:
    import dask.dataframe
    import pandas as pd

    meta = pd.DataFrame({"a": pd.Series(dtype="int64"), "b": pd.Series(dtype="float64")})
    return dask.dataframe.from_map(part, range(count), meta=meta)  # no part is ever made in the notebook


def _compare(folder: Path, table: Any, count: int) -> None:
    import pandas as pd

    assert [f"sales-{number:05d}-of-{count:05d}.parquet" for number in range(count)] == list(table["filename"])
    blobs = {path.name: path for path in folder.rglob("*") if path.is_file()}
    for number, one in enumerate(table["id"]):
        stored = blobs[one.removeprefix("file_local_")].read_bytes()
        pd.testing.assert_frame_equal(part(number), pd.read_parquet(io.BytesIO(stored)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        import json

        print(json.dumps(measure(int(sys.argv[2]))))
    else:
        said = run(int(float((sys.argv[1:] or ["3"])[0]) * 1e9))
        print(
            f"{said['files']} files, {said['sent'] / 1e9:.2f} GB in {said['seconds']:.0f} s: the notebook's peak is "
            f"{said['peak'] / MIB:.0f} MiB, {said['growth'] / MIB:.1f} MiB of it for the upload"
        )

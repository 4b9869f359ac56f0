"""P7 to P10: what a DataFrame costs on its way into a CSV and to the API, against ``DataFrame.to_csv``.

P7 is CPU: the whole of ours (the look for loss, the encoding, the digest, the temporary file) against ``to_csv`` into a
file; both files must be the same bytes. pyarrow and polars write files that are not, and are there to be seen. P8 is
what encoding adds to the peak of memory. P9 is the way from the frame to the uploaded file against ``to_csv`` into a
``BytesIO`` that is then uploaded. P10 are the dtypes that pyarrow does not write as pandas does, the smaller of nine
for each side.

As a program, ``python -m tests.benchmarks.frames WHAT ...``, it is the client: it works after the imports and a first
small frame, and prints what the work cost.
"""

from __future__ import annotations

import datetime as dt
import decimal
import hashlib
import io
import json
import os
import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import nbfiles
from nbfiles import sources

from .clients import KEY
from .measure import Figures, window
from .report import Row, row

if TYPE_CHECKING:
    from collections.abc import Callable

    from .measure import Bench

ROWS = 300_000
LONG_ROWS = 5_000_000
CARE_ROWS = 100_000
_TURNS = 9
_CLIENT = "tests.benchmarks.frames"
_WARM = 25_000  # rows of the first frame: more than one chunk, so that every way is taken that is taken later


# -- the frames --------------------------------------------------------------------------------------------------------


def numbers(rows: int) -> pd.DataFrame:
    """Return ten columns of numbers: keys, counts, prices, measurements, gaps."""
    random = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "count": random.integers(0, 500, rows),
            "balance": random.integers(-(10**12), 10**12, rows),
            "code": random.integers(0, 100_000, rows, dtype="int32"),
            "price": random.integers(100, 100_000, rows) / 100,
            "steps": random.integers(0, 10**6, rows).astype("float64"),
            "signal": random.normal(size=rows),
            "gaps": np.where(random.random(rows) < 0.1, np.nan, random.normal(size=rows) * 1e4),
            "single": random.normal(size=rows).astype("float32"),
            "share": random.random(rows),
        }
    )


def mixed(rows: int) -> pd.DataFrame:
    """Return ten columns of texts, days, times, times with a zone, categories, bools and numbers."""
    random = np.random.default_rng(1)
    start = pd.Timestamp("2024-01-01")
    return pd.DataFrame(
        {
            "id": np.arange(rows),
            "name": _words(random, rows, 2),
            "remark": _words(random, rows, 4),
            "day": start + pd.to_timedelta(random.integers(0, 700, rows), unit="D"),
            "time": start + pd.to_timedelta(random.integers(0, 10**7, rows), unit="s"),
            "stamp": (start + pd.to_timedelta(random.integers(0, 10**13, rows), unit="us")).tz_localize("UTC"),
            "colour": pd.Categorical(random.choice(["red", "green", "blue"], rows)),
            "price": random.integers(100, 100_000, rows) / 100,
            "paid": random.random(rows) < 0.5,
            "score": random.normal(size=rows),
        }
    )


def texts(rows: int) -> pd.DataFrame:
    """Return five columns of texts: keys, words, some that need quotes, some that are missing."""
    random = np.random.default_rng(2)
    remarks = _words(random, rows, 6)
    return pd.DataFrame(
        {
            "key": [f"user-{number:08}" for number in range(rows)],
            "name": _words(random, rows, 2),
            "city": _words(random, rows, 1),
            "remark": remarks.where(random.random(rows) > 0.1, remarks + ', "so called"'),
            "maybe": _words(random, rows, 3).where(random.random(rows) > 0.2),
        }
    )


def _words(random: np.random.Generator, rows: int, count: int) -> pd.Series:
    words = np.array(["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"])
    return pd.Series([" ".join(each) for each in words[random.integers(0, len(words), (rows, count))]])


def care(dtype: str, rows: int) -> pd.DataFrame:
    """Return two columns of a dtype that needs care."""
    random = np.random.default_rng(3)
    whole = random.integers(0, 10**6, rows)
    made: dict[str, Callable[[], Any]] = {
        "timedelta": lambda: pd.to_timedelta(whole, unit="s"),
        "Period": lambda: pd.period_range("2000", periods=rows, freq="h"),
        "Interval": lambda: pd.arrays.IntervalArray.from_breaks(np.arange(rows + 1)),
        "Decimal": lambda: [decimal.Decimal(int(number)) / 100 for number in whole],
        "date": lambda: [dt.date(2020, 1, 1) + dt.timedelta(int(number) % 999) for number in whole],
        "complex": lambda: whole * 1.5j,
        "float16": lambda: random.normal(size=rows).astype("float16"),
        "list": lambda: pd.Series([[int(number), "x"] for number in whole], dtype=object),
        "mixed object": lambda: pd.Series([1, "x", 2.5, None] * (rows // 4), dtype=object),
    }
    return pd.DataFrame({"a": made[dtype](), "b": made[dtype]()})


FRAMES = {"numbers": numbers, "mixed": mixed, "texts": texts}
CARE = ("timedelta", "Period", "Interval", "Decimal", "date", "complex", "float16", "list", "mixed object")


# -- the rows of the table ---------------------------------------------------------------------------------------------


def encoding(bench: Bench, size: int = ROWS) -> list[Row]:
    """P7: CPU of to_csv by ours; a row for each frame, and for their median."""
    made, ratios = [], []
    for name in FRAMES:
        digests: dict[str, str] = {}
        runs = {who: _Encoding(bench, name, who, size, digests) for who in (WRITERS if not bench.short else EQUALS)}
        costs = bench.compare(f"P7 {name}, {size:,} rows", runs)
        if digests["nbfiles"] != digests["to_csv"]:
            raise AssertionError(f"the file of {name} is not what to_csv writes")
        if bench.verify:
            bench.run("-m", _CLIENT, "verify", name, size)
        theirs = costs["to_csv"].cpu
        peers = {who: theirs / cost.cpu for who, cost in costs.items() if who not in EQUALS}
        ratios.append(theirs / costs["nbfiles"].cpu)
        made.append(row(f"P7 to_csv's CPU by ours, {name}", ratios[-1], "x", peers=peers))
    return [*made, row("P7 to_csv's CPU by ours, median of frames", statistics.median(ratios), "x", least=9)]


class _Encoding:
    """A run of one writer; its file's digest goes into `digests`."""

    def __init__(self, bench: Bench, frame: str, who: str, size: int, digests: dict[str, str]) -> None:
        self._bench, self._digests, self._who = bench, digests, who
        self._command = ("-m", _CLIENT, "encode", frame, who, str(size))

    def __call__(self) -> Figures:
        said = json.loads(self._bench.run(*self._command))
        self._digests[self._who] = said.pop("digest")
        return Figures(**said)


def uploading(bench: Bench, size: int = LONG_ROWS) -> list[Row]:
    """P8 and P9: memory of the encoder; wall and memory of the way from a frame to its file."""
    came: dict[str, object] = {}
    with bench.sink("http") as sink:

        def run(what: str, who: str) -> Figures:
            sink.report()
            said = json.loads(bench.run("-m", _CLIENT, what, sink.url, who, size))
            if "arrived" in said:
                came[who] = (sink.report()["bytes"], said.pop("arrived"))
            return Figures(**said)

        runs: dict[str, Callable[[], Figures]] = {
            "nbfiles": lambda: run("upload", "nbfiles"),
            "to_csv, then upload": lambda: run("upload", "to_csv"),
            "nbfiles, encoding alone": lambda: run("memory", "nbfiles"),
        }
        costs = bench.compare(f"P8 P9 {size:,} rows of 10 columns", runs)
    if came["nbfiles"] != came["to_csv"]:
        raise AssertionError("what arrived is not what to_csv writes")
    ours, theirs = costs["nbfiles"], costs["to_csv, then upload"]
    return [
        row("P8 peak memory of the encoder", costs["nbfiles, encoding alone"].memory, "MiB", most=24),
        row("P9 frame to file, wall vs to_csv", ours.wall / theirs.wall, "x", most=0.12, note=sink.note),
        row("P9 peak memory over the frame", ours.memory, "MiB", most=64, peers={"to_csv": theirs.memory}),
    ]


def with_care(bench: Bench, size: int = CARE_ROWS) -> list[Row]:
    """P10: CPU of ours by to_csv, for each dtype that needs care."""
    ratios = {dtype: json.loads(bench.run("-m", _CLIENT, "care", dtype, size)) for dtype in CARE}
    return [row(f"P10 CPU of ours by to_csv, {dtype}", ratio, "x", most=1.05) for dtype, ratio in ratios.items()]


# -- the client --------------------------------------------------------------------------------------------------------


def _by_nbfiles(frame: pd.DataFrame) -> tuple[Path, Callable[[], object]]:
    """Write `frame` as it is written for an upload; return the file and what removes it."""
    made = sources.payloads(frame, sources.Request())
    with made.items[0].open() as reader:
        return Path(reader.name), made.close


def _by_pandas(frame: pd.DataFrame) -> tuple[Path, Callable[[], object]]:
    return _by(lambda path: frame.to_csv(path, index=False, lineterminator="\n"))


def _by_pyarrow(frame: pd.DataFrame) -> tuple[Path, Callable[[], object]]:
    import pyarrow as pa
    import pyarrow.csv

    return _by(lambda path: pyarrow.csv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), path))


def _by_polars(frame: pd.DataFrame) -> tuple[Path, Callable[[], object]]:
    import polars as pl

    return _by(lambda path: pl.from_pandas(frame).write_csv(path))


def _by(write: Callable[[Path], object]) -> tuple[Path, Callable[[], object]]:
    """Let `write` fill a temporary file; return it and what removes it."""
    handle, name = tempfile.mkstemp()
    os.close(handle)
    path = Path(name)
    write(path)
    return path, path.unlink


EQUALS = {"nbfiles": _by_nbfiles, "to_csv": _by_pandas}
WRITERS = EQUALS | {"pyarrow": _by_pyarrow, "polars": _by_polars}


def encode(name: str, who: str, size: str) -> dict[str, Any]:
    """Write a frame into a file once; return what that cost, and the file's digest."""
    write = WRITERS[who]
    write(FRAMES[name](_WARM))[1]()
    frame = FRAMES[name](int(size))
    written = []
    cost = window(lambda: written.append(write(frame)))
    ((path, remove),) = written
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    remove()
    return {**asdict(cost), "digest": digest}


def verify(name: str, size: str) -> bool:
    """Compare what ``read_csv`` makes of both files, dtypes included."""
    frame = FRAMES[name](int(size))
    read = []
    for write in EQUALS.values():
        path, remove = write(frame)
        read.append(pd.read_csv(path))
        remove()
    pd.testing.assert_frame_equal(*read)
    return True


def upload(url: str, who: str, size: str) -> dict[str, Any]:
    """Upload a long frame; return what that cost, and what the sink says of the file."""
    files = nbfiles.Files(base_url=url, api_key=KEY, config=nbfiles.NbFiles(max_file_size=1 << 31))

    def by_nbfiles(frame: pd.DataFrame) -> Any:
        return files.upload(frame, name="frame.csv", fresh=True, progress=False)

    def by_pandas(frame: pd.DataFrame) -> Any:
        content = io.BytesIO()
        frame.to_csv(content, index=False, lineterminator="\n")
        return files.upload(content.getvalue(), name="frame.csv", fresh=True, progress=False)

    send = {"nbfiles": by_nbfiles, "to_csv": by_pandas}[who]
    send(numbers(_WARM))
    frame = numbers(int(size))
    sent = []
    cost = window(lambda: sent.append(send(frame)))
    return {**asdict(cost), "arrived": sent[0].metadata.extra.get("sha256")}


def memory(_url: str, who: str, size: str) -> dict[str, Any]:
    """Encode a long frame; return what that cost."""
    write = WRITERS[who]
    write(numbers(_WARM))[1]()
    frame = numbers(int(size))
    written = []
    cost = window(lambda: written.append(write(frame)))
    written[0][1]()
    return asdict(cost)


def care_of(dtype: str, size: str) -> float:
    """Write a frame in turns by ours and by pandas; return the ratio of the smallest CPU times."""
    frame = care(dtype, int(size))
    best: dict[str, float] = {}
    for _ in range(_TURNS + 1):  # the first is to get warm
        for who, write in EQUALS.items():
            written: list[tuple[Path, Callable[[], object]]] = []
            cost = window(lambda write=write, written=written: written.append(write(frame))).cpu
            written[0][1]()
            best[who] = min(best.get(who, cost), cost)
    return best["nbfiles"] / best["to_csv"]


if __name__ == "__main__":
    work: dict[str, Callable[..., object]] = {
        "encode": encode, "verify": verify, "upload": upload, "memory": memory, "care": care_of,
    }  # fmt: skip
    print(json.dumps(work[sys.argv[1]](*sys.argv[2:])))

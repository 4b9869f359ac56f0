"""P7 to P10: what a DataFrame costs on its way into a CSV and to the API, against ``DataFrame.to_csv``.

P7 is CPU: the whole of ours (the look for loss, the encoding, the digest, the temporary file) against ``to_csv`` into a
file; both files must be the same bytes. P8 is what encoding adds to the peak of memory. P9 is the way from the frame to
the uploaded file against ``to_csv`` into a ``BytesIO`` that is then uploaded. P10 are the dtypes that pyarrow does not
write as pandas does, the smaller of nine for each side.

Every figure is of a process of its own (``python -m tests.benchmarks.frames child ...``), after the imports and a first
small frame, and ours take turns with pandas'. Linux only: the peak is reset through ``/proc``.
"""

from __future__ import annotations

import datetime as dt
import decimal
import hashlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import nbfiles
from nbfiles import sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1 << 20
SHORT_ROWS = 300_000
LONG_ROWS = 5_000_000
CARE_ROWS = 20_000
_TURNS = 9
_WARM = 25_000  # rows of the first frame: more than one chunk, so that every way is taken that is taken later
_ROOT = Path(__file__).parents[2]


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
GOALS = ("P7", "P8", "P9", "P10")


# -- the rows of the table ---------------------------------------------------------------------------------------------


def rows(*, verify: bool, repeat: int, goals: tuple[str, ...] = GOALS) -> list[dict[str, Any]]:
    """Measure; return a row for each figure of `goals`.

    Parameters
    ----------
    verify : bool
        Also compare what ``read_csv`` makes of the files (P7), and what arrived at the sink (P9).
    repeat : int
        How often each is measured; the median counts.
    goals : tuple of str, default ("P7", "P8", "P9", "P10")
        What to measure; P8 is measured together with P9.
    """
    made: list[dict[str, Any]] = []
    if "P7" in goals:
        made += _encoding(verify=verify, repeat=repeat)
    if "P8" in goals or "P9" in goals:
        made += [row for row in _uploading(verify=verify, repeat=repeat) if row["what"].split()[0] in goals]
    if "P10" in goals:
        made += _with_care()
    return made


def _encoding(*, verify: bool, repeat: int) -> list[dict[str, Any]]:
    """P7: CPU of to_csv by ours; one row a frame, and their median."""
    ratios = {}
    for name in FRAMES:
        found = []
        for _ in range(repeat):
            ours, theirs = _child("encode", name, "nbfiles"), _child("encode", name, "to_csv")
            if ours["digest"] != theirs["digest"]:
                raise AssertionError(f"the file of {name} is not what to_csv writes")
            found.append(theirs["cpu"] / ours["cpu"])
        if verify and not _child("verify", name)["equal"]:
            raise AssertionError(f"read_csv of {name} differs")
        ratios[name] = statistics.median(found)
    median = statistics.median(ratios.values())
    made = [_row(f"P7 CPU of to_csv by ours, {name}", ratio, "x", least=9.0) for name, ratio in ratios.items()]
    return [*made, _row("P7 CPU of to_csv by ours, median of frames", median, "x", least=9.0)]


def _uploading(*, verify: bool, repeat: int) -> list[dict[str, Any]]:
    """P8 and P9: memory of the encoder; wall and memory of the way from a frame to its file."""
    encoder, walls, grown = [], [], []
    with _sink(verify=verify) as base_url:
        for _ in range(repeat):
            ours, theirs = _child("upload", base_url, "nbfiles"), _child("upload", base_url, "to_csv")
            if ours["sha256"] != theirs["sha256"]:
                raise AssertionError("what arrived is not what to_csv writes")
            encoder.append(ours["encoder"] / MIB)
            grown.append(ours["growth"] / MIB)
            walls.append(ours["wall"] / theirs["wall"])
    what = f"{LONG_ROWS:,} rows"
    return [
        _row(f"P8 peak memory of the encoder, {what}", statistics.median(encoder), "MiB", most=24.0),
        _row(f"P9 frame to file, wall vs to_csv, {what}", statistics.median(walls), "x", most=0.12),
        _row(f"P9 peak memory over the frame, {what}", statistics.median(grown), "MiB", most=64.0),
    ]


def _with_care() -> list[dict[str, Any]]:
    """P10: CPU of ours by to_csv for each dtype that needs care."""
    return [_row(f"P10 CPU of ours by to_csv, {name}", _child("care", name)["ratio"], "x", most=1.05) for name in CARE]


def _row(
    what: str, value: float, unit: str, *, least: float | None = None, most: float | None = None
) -> dict[str, Any]:
    goal = f">= {least:g}" if least is not None else f"<= {most:g}"
    met = value >= least if least is not None else value <= most
    return {"what": what, "value": value, "unit": unit, "goal": goal, "met": met}


@contextmanager
def _sink(*, verify: bool) -> Iterator[str]:
    """Run a sink; yield its address."""
    command = [sys.executable, str(Path(__file__).with_name("sink.py")), *(["--verify"] if verify else [])]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield json.loads(process.stdout.readline())["base_url"]
        process.stdin.close()


def _child(*arguments: str) -> dict[str, Any]:
    """Return what a process of its own has measured."""
    command = [sys.executable, "-m", "tests.benchmarks.frames", "child", *arguments]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=_ROOT).stdout
    return json.loads(said.splitlines()[-1])


# -- in a process of its own -------------------------------------------------------------------------------------------


def encode(name: str, who: str) -> dict[str, Any]:
    """Write a frame into a file once; return what that cost, and the file's digest."""
    write = {"nbfiles": _by_nbfiles, "to_csv": _by_pandas}[who]
    write(FRAMES[name](_WARM))
    frame = FRAMES[name](SHORT_ROWS)
    with _measured() as cost:
        path, remove = write(frame)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    remove()
    return {**cost, "digest": digest}


def verify(name: str) -> dict[str, Any]:
    """Return whether ``read_csv`` makes the same of both files, dtypes included."""
    frame = FRAMES[name](SHORT_ROWS)
    read = []
    for write in (_by_nbfiles, _by_pandas):
        path, remove = write(frame)
        read.append(pd.read_csv(path))
        remove()
    pd.testing.assert_frame_equal(*read)
    return {"equal": True}


def upload(base_url: str, who: str) -> dict[str, Any]:
    """Upload a long frame; return what that cost and what arrived, and for ours what the encoder alone costs."""
    files = nbfiles.Files(base_url=base_url, api_key="benchmark")

    def by_nbfiles(frame: pd.DataFrame) -> Any:
        return files.upload(frame, name="frame.csv", fresh=True, progress=False)

    def by_pandas(frame: pd.DataFrame) -> Any:
        content = io.BytesIO()
        frame.to_csv(content, index=False, lineterminator="\n")
        return files.upload(content.getvalue(), name="frame.csv", fresh=True, progress=False)

    send = {"nbfiles": by_nbfiles, "to_csv": by_pandas}[who]
    send(numbers(_WARM))
    frame = numbers(LONG_ROWS)
    encoder = {"growth": 0}
    if who == "nbfiles":
        with _measured() as encoder:
            _, remove = _by_nbfiles(frame)
        remove()
    with _measured() as cost:
        file_id = send(frame)
    return {**cost, "encoder": encoder["growth"], "sha256": file_id.metadata.extra["sha256"]}


def with_care(dtype: str) -> dict[str, Any]:
    """Write a frame in turns by ours and by pandas; return the ratio of the smallest CPU times."""
    frame = care(dtype, CARE_ROWS)
    best: dict[Any, float] = {}
    for _ in range(_TURNS + 1):  # the first is to get warm
        for write in (_by_nbfiles, _by_pandas):
            with _measured() as cost:
                _, remove = write(frame)
            remove()
            best[write] = min(best.get(write, cost["cpu"]), cost["cpu"])
    return {"ratio": best[_by_nbfiles] / best[_by_pandas]}


def _by_nbfiles(frame: pd.DataFrame) -> tuple[Path, Callable[[], object]]:
    """Write `frame` as it is written for an upload; return the file and what removes it."""
    made = sources.payloads(frame, sources.Request())
    with made.items[0].open() as reader:
        return Path(reader.name), made.close


def _by_pandas(frame: pd.DataFrame) -> tuple[Path, Callable[[], object]]:
    """Write `frame` by to_csv; return the file and what removes it."""
    handle, name = tempfile.mkstemp()
    os.close(handle)
    path = Path(name)
    frame.to_csv(path, index=False, lineterminator="\n")
    return path, path.unlink


@contextmanager
def _measured() -> Iterator[dict[str, float]]:
    """Fill what is yielded with wall and CPU in seconds, and what the peak of memory grew by in bytes."""
    cost: dict[str, float] = {}
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before, wall, cpu = _peak(), time.perf_counter(), time.process_time()
    yield cost
    cost |= {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "growth": _peak() - before}


def _peak() -> int:
    """Return the largest resident size since the last reset, in bytes (``VmHWM``)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    measures = {"encode": encode, "verify": verify, "upload": upload, "care": with_care}
    if sys.argv[1:2] == ["child"]:
        print(json.dumps(measures[sys.argv[2]](*sys.argv[3:])))
    else:
        chosen = tuple(sys.argv[1:]) or GOALS
        for row in rows(verify=True, repeat=3, goals=chosen):
            verdict = "" if row["met"] else "missed"
            print(f"{row['what']:60} {row['value']:>8.3f} {row['unit']:4} {row['goal']:9} {verdict}")

"""P5 and P6: many small files to a server that takes its time, at several numbers of workers.

Ideal is that nothing but the server's latency takes time: `k` workers then send k / latency files a second.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .report import Row, row

if TYPE_CHECKING:
    from pathlib import Path

    from .measure import Bench, Figures, Sink

COUNT, SIZE = 1000, 10_000  # files, bytes
LATENCY = 0.05  # seconds
GOALS = {16: 92, 32: 90, 64: 80}  # workers, percent of the ideal
_IN_A_LOOP = 20  # files that are enough to see how fast a loop is
_SINK_PACE = 2000  # files a second that a sink must reach which is not to be what is measured


def rows(bench: Bench, count: int = COUNT) -> list[Row]:
    """Measure P5 and P6."""
    files = bench.samples(count, SIZE)
    found = [_pace(bench, files)]
    costs: dict[int, dict[str, Figures]] = {}
    notes: dict[int, str] = {}
    for k, goal in GOALS.items():
        if bench.short and k == 32:
            continue
        costs[k], notes[k] = _compare(bench, files, k)
        shares = {name: 100 * count / cost.wall / (k / LATENCY) for name, cost in costs[k].items()}
        what = f"P5 {count} files of 10 KB, k = {k}: share of the ideal"
        found.append(row(what, shares.pop("nbfiles"), "%", least=goal, peers=shares, note=notes[k]))
    if not bench.short:
        found.append(_loop(bench, files[:_IN_A_LOOP]))
    per_file = {name: cost.cpu * 1000 / count for name, cost in costs[16].items()}  # where the SDK is at its best
    ours, sdk = per_file.pop("nbfiles"), per_file.pop("async SDK")
    what = f"P6 CPU per small file, {ours:.2f} ms / async SDK's, {sdk:.2f} ms"
    peers = {name: each / sdk for name, each in per_file.items()}
    return [*found, row(what, ours / sdk, "x", most=0.42, peers=peers, note=notes[16])]


def _compare(bench: Bench, files: list[Path], k: int) -> tuple[dict[str, Figures], str]:
    def upload(client: str, sink: Sink) -> Figures:
        return bench.upload(client, sink, files, jobs=k)

    with bench.sink("http", "--latency", str(LATENCY)) as sink:
        what = f"P5 {len(files)} files of 10 KB, latency 50 ms, k = {k}"
        clients = ["nbfiles", "async SDK", *([] if bench.short else ["aiohttp"])]
        costs = bench.compare(what, {name: partial(upload, name, sink) for name in clients})
    return costs, sink.note


def _loop(bench: Bench, files: list[Path]) -> Row:
    """Measure the SDK as most people use it."""
    with bench.sink("http", "--latency", str(LATENCY)) as sink:
        cost = bench.upload("SDK, path", sink, files)
    return row("P5 for comparison, files a second: SDK in a loop", len(files) / cost.wall, "1/s", note=sink.note)


def _pace(bench: Bench, files: list[Path]) -> Row:
    """Measure the sink, by bare sockets and without latency."""
    with bench.sink("http") as sink:
        cost = bench.upload("raw socket", sink, files, jobs=max(GOALS))
    what = "P5 the sink itself, files a second from raw sockets"
    return row(what, len(files) / cost.wall, "1/s", least=_SINK_PACE, note=sink.note)

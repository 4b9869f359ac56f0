"""P1, P1b, P2 and P3: one large file, its time against curl's and its memory, over https and http."""

from __future__ import annotations

import shutil
from functools import partial
from typing import TYPE_CHECKING

from .report import Row, failure, row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .measure import Bench, Figures, Sink

LARGE, MEDIUM = 500_000_000, 50_000_000  # bytes
HTTPS = "P1 500 MB over https"
BARE, DEFAULT = "nbfiles, no ledger", "nbfiles"


def https(bench: Bench, size: int = LARGE) -> list[Row]:
    """Measure P1, the transfer alone, and P1b, everything that is on by default."""
    clients = ["curl", BARE, DEFAULT, "SDK, path", "SDK, file"]
    clients += [] if bench.short else ["aiohttp", "toolbelt", "raw socket"]
    costs, note = _compare(bench, HTTPS, "https", clients, size)
    return [
        _against_curl(f"{HTTPS}, no ledger: wall / curl's", costs, BARE, _wall, 1.00, note),
        _against_curl(f"{HTTPS}, no ledger: CPU / curl's", costs, BARE, _cpu, 0.95, note),
        _against_curl("P1b the same as it comes: wall / curl's", costs, DEFAULT, _wall, 1.10, note),
        _against_curl("P1b the same as it comes: CPU / curl's", costs, DEFAULT, _cpu, 1.10, note),
    ]


def http(bench: Bench, size: int = LARGE) -> list[Row]:
    """Measure P2."""
    what = "P2 500 MB over http"
    costs, note = _compare(bench, what, "http", ["curl", BARE, "SDK, path", "requests", "raw socket"], size)
    return [
        _against_curl(f"{what}, no ledger: wall / curl's", costs, BARE, _wall, 0.90, note),
        _against_curl(f"{what}, no ledger: CPU / curl's", costs, BARE, _cpu, None, note),
    ]


def memory(bench: Bench, size: int = LARGE, smaller: int = MEDIUM) -> list[Row]:
    """Measure P3."""
    peers = ["SDK, path"] if bench.short else ["SDK, path", "async SDK", "requests"]
    less, note = _compare(bench, "P3 50 MB over https", "https", [DEFAULT], smaller)
    more, later = _compare(bench, "P3 500 MB over https", "https", [DEFAULT, *peers], size)
    grown = {name: cost.memory for name, cost in more.items()}
    ours = grown.pop(DEFAULT)
    return [
        row("P3 peak memory of 50 MB over that of 1 MiB", less[DEFAULT].memory, "MiB", most=6, note=note),
        row("P3 peak memory of 500 MB over that of 1 MiB", ours, "MiB", most=6, peers=grown, note=later),
    ]


def _compare(bench: Bench, what: str, scheme: str, clients: list[str], size: int) -> tuple[dict[str, Figures], str]:
    """Let `clients` that are there take turns; return what each cost, and what to know of it."""
    file = bench.sample(size)

    def upload(client: str, sink: Sink) -> Figures:
        return bench.upload(client, sink, [file])

    present = [name for name in clients if name != "curl" or shutil.which("curl")]
    with bench.sink(scheme) as sink:
        costs = bench.compare(what, {name: partial(upload, name, sink) for name in present})
    return costs, sink.note


def _wall(cost: Figures) -> float:
    return cost.wall


def _cpu(cost: Figures) -> float:
    return cost.cpu


def _against_curl(
    what: str,
    costs: Mapping[str, Figures],
    ours: str,
    figure: Callable[[Figures], float],
    most: float | None,
    note: str,
) -> Row:
    """Return the row of a figure of `ours` over curl's; without curl, of a goal missed."""
    if "curl" not in costs:
        missing = "curl is not on this machine (apt-get install curl), so there is nothing to compare with"
        return failure(what, missing, "-" if most is None else f"<= {most:g}")
    curl = figure(costs["curl"])
    peers = {name: figure(cost) / curl for name, cost in costs.items() if name not in ("curl", BARE, DEFAULT)}
    return row(what, figure(costs[ours]) / curl, "x", most=most, peers=peers, note=note)

"""The command line of the benchmarks: every goal of speed and memory, against its peers in the same run.

rows:
  P1 P1b  500 MB over https: wall and CPU against curl's; nbfiles without its ledger, and as it comes
  P2      the same over http
  P3      peak memory of an upload, 50 and 500 MB
  P4      the longest time for which a real kernel's event loop is held meanwhile
  P5 P6   1000 files of 10 KB to a server with 50 ms of latency: share of the ideal at 16, 32 and 64 workers; CPU a file
  P7      CPU of a DataFrame's CSV against to_csv's, for the same bytes
  P8 P9   5,000,000 rows: memory of the encoder; from the frame to the uploaded file against to_csv, wall and memory
  P10     CPU against to_csv's for the dtypes that need care
  P11     %load_ext nbfiles in a kernel that is up, against import httpx
  list    50,000 files listed through their pages
  P12 P13 the upload widget in a real JupyterLab (or: widget); only where it is named, it needs Chromium
  browser the file browser at 50,000 files, likewise

Peers are curl (Debian's), the official SDK, aiohttp, requests, requests-toolbelt, pandas, pyarrow and polars, each
for the rows where it is named in the table. They take turns with nbfiles, every repetition in a new process, and the
medians count: compare figures of one run only. Wall and CPU are those of the upload with a new client, after the
imports and a first upload of 1 MiB; memory is what the upload adds to the peak of that first one (of curl, the whole
process). Certificates are verified by everybody. The exit code is 1 if a goal is missed or a row could not be
measured. Linux only.
"""

from __future__ import annotations

import argparse
import json
import platform
import shutil
import subprocess
import traceback
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from . import frames, imports, kernel, large, listing, plot, report, small
from .measure import Bench

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .report import Row

SHORT = ("P1", "P3", "P5", "P7", "P11")
_SHORT_REPEAT, _REPEAT = 3, 5
_PEERS = ("anthropic", "httpx", "aiohttp", "requests", "requests-toolbelt", "pandas", "pyarrow", "polars")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print two tables, write what is asked for; return 1 if a goal is missed or a measurement failed."""
    parser = _parser()
    options = parser.parse_args(arguments)
    names = options.rows or (SHORT if options.short else [name for name in MEASURES if name not in _NAMED_ONLY])
    strangers = set(names) - MEASURES.keys()
    if strangers:
        parser.error(f"there is no row {', '.join(sorted(strangers))}; there are {', '.join(MEASURES)}")
    repeat = options.repeat or (_SHORT_REPEAT if options.short else _REPEAT)
    measures = dict.fromkeys(MEASURES[name] for name in names)  # P1 and P1b are one measurement
    if options.plot and large.https not in measures:
        parser.error("--plot draws P1: name it too")
    rows: list[Row] = []
    with Bench(verify=options.verify, repeat=repeat, short=options.short) as bench:
        for measure in measures:
            try:
                rows += measure(bench)
            except Exception as error:  # noqa: BLE001  # whatever broke one row, the others are still to be had
                traceback.print_exc()
                what = " ".join(name for name in names if MEASURES[name] is measure)
                rows.append(report.failure(f"{what} was not measured", str(error)))
    marked = "VERIFYING RUN: every byte was compared; times are not those of a plain run.\n" if bench.verify else ""
    print(*report.figures(bench.figures), *report.verdicts(rows), marked, sep="\n")
    if options.json:
        options.json.write_text(json.dumps(_facts(bench, rows), indent=2), encoding="utf-8")
    if options.plot:
        plot.draw(bench.figures[large.HTTPS], options.plot)
    return int(not all(row.get("met", True) for row in rows))


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description=__doc__, formatter_class=formatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="which; none: all but those that need Chromium")
    parser.add_argument("--short", action="store_true", help=f"{' '.join(SHORT)} with fewer peers, in under 3 minutes")
    parser.add_argument("--verify", action="store_true", help="have every byte of every client compared; slower")
    parser.add_argument("--repeat", type=int, help=f"repetitions; {_REPEAT}, or {_SHORT_REPEAT} with --short")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw P1 there, as .png or .svg")
    return parser


def _facts(bench: Bench, rows: list[Row]) -> dict[str, object]:
    """Return everything that was found, and on what."""
    curl = shutil.which("curl")
    versions = {name: version(name) for name in _PEERS} | {"python": platform.python_version()}
    if curl:
        versions["curl"] = subprocess.run(
            [curl, "--version"], capture_output=True, text=True, check=True
        ).stdout.split()[1]
    return {
        "machine": platform.platform(),
        "versions": versions,
        "verify": bench.verify,
        "repeat": bench.repeat,
        "figures": {what: {name: asdict(one) for name, one in each.items()} for what, each in bench.figures.items()},
        "rows": rows,
    }


def _widget(bench: Bench) -> list[Row]:
    from . import widget  # looks for a browser

    return widget.rows(verify=bench.verify, repeat=bench.repeat)


def _browser(bench: Bench) -> list[Row]:
    from . import browser  # likewise

    return browser.rows(verify=bench.verify, repeat=bench.repeat)


_NAMED_ONLY = {"P12", "P13", "widget", "browser"}
MEASURES: dict[str, Callable[[Bench], list[Row]]] = {
    "P1": large.https,
    "P1b": large.https,
    "P2": large.http,
    "P3": large.memory,
    "P4": kernel.rows,
    "P5": small.rows,
    "P6": small.rows,
    "P7": frames.encoding,
    "P8": frames.uploading,
    "P9": frames.uploading,
    "P10": frames.with_care,
    "P11": imports.rows,
    "list": listing.rows,
    **dict.fromkeys(("P12", "P13", "widget"), _widget),
    "browser": _browser,
}

if __name__ == "__main__":
    raise SystemExit(main())

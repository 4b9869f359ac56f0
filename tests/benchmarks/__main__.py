"""The command line: ``python -m tests.benchmarks [memory] [widget] [--verify] [--repeat N] [--json FILE]``."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from pathlib import Path
from typing import Any

from . import memory

_GOAL = 6.0  # MiB


def main() -> None:
    """Measure, print a table, write JSON; exit with 1 if a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("what", nargs="*", help="memory, widget; nothing: both. widget needs Chromium")
    parser.add_argument("--verify", action="store_true", help="hash what arrives and compare (slower)")
    parser.add_argument("--repeat", type=int, default=3, help="how often each is measured; the median counts")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    rows = []
    for what in options.what or _MEASURES:
        rows += _MEASURES[what](verify=options.verify, repeat=options.repeat)
    print(f"{'':60} {'median':>12}  goal")
    for row in rows:
        verdict = "" if row.get("met", True) else "  missed"
        print(f"{row['what']:60} {row['value']:>7.2f} {row['unit']:4}  {row['goal']}{verdict}")
    if options.json:
        options.json.write_text(json.dumps({"machine": platform.platform(), "rows": rows}, indent=2), encoding="utf-8")
    raise SystemExit(any(not row.get("met", True) for row in rows))


def _memory(*, verify: bool, repeat: int) -> list[dict[str, Any]]:
    rows = []
    for size in (50_000_000, 500_000_000):
        grown = [memory.run(size, verify=verify) / memory.MIB for _ in range(repeat)]
        median = statistics.median(grown)
        what = f"P3 peak memory, {size // 1_000_000} MB upload"
        rows.append({"what": what, "value": median, "unit": "MiB", "goal": f"<= {_GOAL:g}", "met": median <= _GOAL})
    return rows


def _widget(*, verify: bool, repeat: int) -> list[dict[str, Any]]:
    from . import widget  # needs a browser

    return widget.rows(verify=verify, repeat=repeat)


_MEASURES = {"memory": _memory, "widget": _widget}

if __name__ == "__main__":
    main()

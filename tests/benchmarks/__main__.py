"""The command line: ``python -m tests.benchmarks [--verify] [--repeat N] [--json FILE]``."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
from pathlib import Path

from . import memory

_GOAL = 6.0  # MiB


def main() -> None:
    """Measure, print a table, write JSON; exit with 1 if a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--verify", action="store_true", help="hash what arrives and compare (slower)")
    parser.add_argument("--repeat", type=int, default=3, help="fresh processes for each figure; the median counts")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    rows = []
    for size in (50_000_000, 500_000_000):
        grown = [memory.run(size, verify=options.verify) / memory.MIB for _ in range(options.repeat)]
        what = f"P3 peak memory, {size // 1_000_000} MB upload"
        rows.append({"what": what, "MiB": round(statistics.median(grown), 2)})
    print(f"{'':40} {'median':>8}  goal")
    for row in rows:
        print(f"{row['what']:40} {row['MiB']:>4.2f} MiB  <= {_GOAL:.0f} MiB")
    if options.json:
        options.json.write_text(json.dumps({"machine": platform.platform(), "rows": rows}, indent=2), encoding="utf-8")
    raise SystemExit(any(row["MiB"] > _GOAL for row in rows))


if __name__ == "__main__":
    main()

"""The command line: ``python -m tests.faults [ROW ...] [--trials N|full] [--seed S] [--out FILE]``."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

# As under pytest: the folder of the tests is on the path, and this package is `faults`.
sys.path.insert(0, str(Path(__file__).parents[1]))

from workbench import hear_ctrl_c

from faults.report import problems, table
from faults.rows import ROWS
from faults.trials import first_seed, run


def main() -> None:
    """Run rows, write a JSON line for each trial, print the report; exit with 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"{', '.join(ROWS)}; nothing: all")
    parser.add_argument("--trials", help="so many of each row, or full; default: as in continuous integration")
    parser.add_argument("--seed", type=int, help="begin here; alone: this one trial")
    parser.add_argument("--out", type=Path, help="where the JSON lines go")
    options = parser.parse_args()
    hear_ctrl_c()
    chosen = [ROWS[name] for name in options.rows or ROWS]
    asked = {each.name: _count(options.trials, each.full, each.ci, options.seed) for each in chosen}
    first = first_seed() if options.seed is None else options.seed
    records = []
    with options.out.open("w", encoding="utf-8") if options.out else nullcontext() as out:
        for each in chosen:
            for record in run(each, range(first, first + asked[each.name])):
                records.append(record)
                if out is not None:
                    out.write(json.dumps(asdict(record)) + "\n")
    wrong = problems(records, asked)
    print("\n".join([table(records), *wrong]))
    raise SystemExit(bool(wrong))


def _count(trials: str | None, full: int, ci: int, seed: int | None) -> int:
    if trials is None:
        return ci if seed is None else 1
    return full if trials == "full" else int(trials)


if __name__ == "__main__":
    main()

"""The report of a run: for each row its trials, its outcomes and its failures; short where too few trials were run."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .trials import Record


def problems(records: Sequence[Record], asked: Mapping[str, int]) -> list[str]:
    """Return a line for each trial that failed, and for each row that ran fewer trials than were asked for."""
    ran = Counter(record.row for record in records)
    found = [
        f"{name}: {ran[name]} trials were run, {count} were asked for"
        for name, count in asked.items()
        if ran[name] < count
    ]
    return found + [
        f"{record.row}: seed {record.seed}: {record.outcome}\n{record.detail}" for record in records if record.failed
    ]


def table(records: Sequence[Record]) -> str:
    """Return the report as text: trials, failures, the median and the longest time, and the outcomes by number.

    With no failure in n trials, fewer than 3/n fail, at 95 % (the rule of three).
    """
    lines = [f"{'row':8} {'trials':>6} {'failed':>6} {'bound':>7} {'p50 ms':>8} {'max ms':>8}  outcomes"]
    for name in dict.fromkeys(record.row for record in records):
        of_row = [record for record in records if record.row == name]
        failed = sum(record.failed for record in of_row)
        times = sorted(record.ms for record in of_row)
        outcomes = Counter(record.outcome for record in of_row)
        bound = "" if failed else f"{min(1.0, 3 / len(of_row)):.1%}"
        said = ", ".join(f"{outcome} {count}" for outcome, count in outcomes.most_common())
        middle = times[math.ceil(len(times) / 2) - 1]
        lines.append(f"{name:8} {len(of_row):>6} {failed:>6} {bound:>7} {middle:>8.0f} {times[-1]:>8.0f}  {said}")
    return "\n".join(lines)

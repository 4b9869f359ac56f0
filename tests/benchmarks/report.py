"""``Row``: one figure with its goal and its peers'; and the tables in which rows are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .measure import Figures


class Row(TypedDict, total=False):
    """A figure of ours; None where there is none to be had. Without `met` it has no goal and is there to be seen."""

    what: str
    value: float | None
    unit: str
    goal: str
    met: bool
    peers: dict[str, float]
    note: str


def row(
    what: str,
    value: float,
    unit: str,
    *,
    most: float | None = None,
    least: float | None = None,
    peers: Mapping[str, float] | None = None,
    note: str = "",
) -> Row:
    """Return a row whose goal is `most` or `least`, in `unit`; `peers` are the others' values, in the same unit."""
    made = Row(what=what, value=value, unit=unit, goal="-", peers=dict(peers or {}), note=note)
    if most is not None:
        made |= Row(goal=f"<= {most:g}", met=value <= most)
    if least is not None:
        made |= Row(goal=f">= {least:g}", met=value >= least)
    return made


def failure(what: str, why: str, goal: str = "-") -> Row:
    """Return the row of what could not be measured, which is a goal missed."""
    return Row(what=what, value=None, unit="", goal=goal, met=False, peers={}, note=why)


def figures(groups: Mapping[str, Mapping[str, Figures]]) -> list[str]:
    """Return the lines of the table of what each run of each client cost."""
    lines = []
    for what, clients in groups.items():
        lines.append(f"{what:50} {'wall s':>8} {'CPU s':>8} {'peak MiB':>9} {'sink CPU s':>11}")
        for name, cost in clients.items():
            mark = "  the sink was busier than the client" if cost.sink > cost.cpu else ""
            lines.append(f"    {name:46} {cost.wall:8.3f} {cost.cpu:8.3f} {cost.memory:9.1f} {cost.sink:11.3f}{mark}")
        lines.append("")
    return lines


def verdicts(rows: Sequence[Row]) -> list[str]:
    """Return the lines of the table of figures and goals; a note is said once for the rows that it is of."""
    width = max(len(row["what"]) for row in rows)
    lines = [f"{'':{width}} {'nbfiles':>9}       {'goal':9}         peers"]
    for row, after in zip(rows, [*rows[1:], Row()], strict=True):
        value = "-" if row["value"] is None else f"{row['value']:.2f}"
        verdict = {True: "met", False: "missed"}.get(row.get("met"), "")
        peers = ", ".join(f"{name} {figure:.2f}" for name, figure in row.get("peers", {}).items())
        lines.append(f"{row['what']:{width}} {value:>9} {row['unit']:5} {row['goal']:9} {verdict:7} {peers}".rstrip())
        note = row.get("note")
        if note and note != after.get("note"):
            lines.append(f"    {note}")
    return lines

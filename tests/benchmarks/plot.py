"""The plot: what 500 MB over https cost each client, beside curl."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .large import BARE, DEFAULT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .measure import Figures

_INK = "#7a7a7a"  # in the middle between white and black: read on either
_OURS = ("#2f81d7", "#1aa37a")  # wall, CPU
_THEIRS = ("#9aa4b2", "#b9a27a")
_LABELS = {
    BARE: "nbfiles, no ledger",
    DEFAULT: "nbfiles",
    "curl": "curl",
    "SDK, path": "SDK, Path",
    "SDK, file": "SDK, open file",
    "aiohttp": "aiohttp",
    "toolbelt": "requests-toolbelt",
}


def draw(costs: Mapping[str, Figures], path: Path) -> None:
    """Draw wall and CPU over curl's, and peak memory, to `path`; transparent, for light and dark pages."""
    from matplotlib.figure import Figure

    curl = costs["curl"]
    names = [name for name in _LABELS if name in costs]
    figure = Figure(figsize=(9, 0.62 * len(names) + 1), layout="constrained")
    times, memory = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    for at, name in enumerate(names):
        colours = _OURS if name in (BARE, DEFAULT) else _THEIRS
        cost = costs[name]
        for value, colour, offset, label in zip(
            (cost.wall / curl.wall, cost.cpu / curl.cpu), colours, (-0.2, 0.2), ("wall", "CPU"), strict=True
        ):
            times.barh(at + offset, value, 0.36, color=colour)
            times.annotate(
                f"{value:.2f} {label}",
                (max(value, 1), at + offset),  # beside the line of curl, not on it
                (4, 0),
                textcoords="offset points",
                va="center",
                color=_INK,
                size=8,
            )
        memory.barh(at, cost.memory, 0.5, color=colours[0])
        memory.annotate(
            f"{cost.memory:.0f} MiB",
            (cost.memory, at),
            (4, 0),
            textcoords="offset points",
            va="center",
            color=_INK,
            size=8,
        )
    times.axvline(1, color=_INK, linewidth=0.8, linestyle=":")
    times.set_yticks(range(len(names)), [_LABELS[name] for name in names])
    times.invert_yaxis()
    times.set_title("500 MB over https: time, curl = 1, less is better", color=_INK, size=10)
    memory.set_title("memory over that of 1 MiB (curl: all of it)", color=_INK, size=10)
    for axes in (times, memory):
        axes.margins(x=0.25)
        axes.patch.set_alpha(0)
        axes.tick_params(colors=_INK, length=0, labelsize=9)
        axes.spines[:].set_visible(False)
        axes.xaxis.set_visible(False)
    figure.savefig(path, transparent=True, dpi=160)

"""Figures of matplotlib, and what carries one: axes, an array of axes, a seaborn grid. A picture, or a drawing.

Known by what they can do: a figure has ``savefig``, and what carries one has it as ``figure`` or ``fig``.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from nbfiles._payload import Payloads
from nbfiles.sources._format import Family, Format, Thing

if TYPE_CHECKING:
    from nbfiles._payload import Spool
    from nbfiles.sources._request import Request

_OPTIONS = frozenset({"dpi", "bbox_inches", "pad_inches", "transparent", "facecolor", "edgecolor"})


def matches(obj: Any) -> bool:
    """Whether `obj` is a figure or carries one; never imports matplotlib."""
    return "matplotlib" in sys.modules and _figure_of(obj) is not None


def payloads(obj: Any, request: Request) -> Payloads:
    """Return the one payload of the figure."""
    return Payloads([_FAMILY.payload(_figure_of(obj), request)], many=False)


def _figure_of(obj: Any) -> Any:
    """Return the figure that `obj` is or carries, or None."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(obj, numpy.ndarray):  # plt.subplots(2, 2)[1]
        obj = obj.flat[0] if obj.dtype == object and obj.size else None
    for _ in range(4):  # axes in a figure in a figure
        if isinstance(obj, type) or obj is None:
            return None
        if callable(getattr(type(obj), "savefig", None)) and hasattr(obj, "canvas"):
            return obj
        obj = getattr(obj, "figure", None) or getattr(obj, "fig", None)
    return None


def _write(job: Thing, spool: Spool, format_: str) -> tuple[str, ...]:
    import matplotlib as mpl

    # Cut to what is drawn, as a notebook shows it. No time and no random ids inside: the same figure is the same file.
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(format_)
    with mpl.rc_context({"svg.hashsalt": "nbfiles"}), spool.path.open("wb") as file:
        job.value.savefig(file, format=format_, **{"bbox_inches": "tight", "metadata": metadata, **job.options})
    spool.adopt()
    return ()


_FAMILY = Family(
    "a figure",
    Format("png", (".png",), _OPTIONS, partial(_write, format_="png")),
    Format("jpg", (".jpg", ".jpeg"), _OPTIONS, partial(_write, format_="jpg")),
    Format("webp", (".webp",), _OPTIONS, partial(_write, format_="webp")),
    Format("pdf", (".pdf",), _OPTIONS, partial(_write, format_="pdf")),
    Format("svg", (".svg",), _OPTIONS, partial(_write, format_="svg")),
)

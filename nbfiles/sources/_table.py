"""``Table``: a frame on its way into a file, with everything an encoder must know."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nbfiles._errors import InputError

if TYPE_CHECKING:
    import pandas as pd

CELLS = 100_000  # cells encoded in one go: as many as pandas itself takes; keeps memory flat


@dataclass(slots=True)
class Table:
    """A frame on its way into a file.

    Parameters
    ----------
    frame : pandas.DataFrame
        The rows to write, all of them.
    index : bool
        Whether the index is written.
    options : dict, default {}
        Options of the writer, checked.
    lossy : bool, default False
        Write what the format would lose as well as it goes.
    sheets : dict or None, default None
        For a workbook, the tables of its sheets; `frame` is the first one's then.
    """

    frame: pd.DataFrame
    index: bool
    options: dict[str, Any] = field(default_factory=dict)
    lossy: bool = False
    sheets: dict[str, Table] | None = None

    @property
    def rows_at_once(self) -> int:
        """How many rows make a chunk."""
        return max(1, CELLS // max(1, len(self.frame.columns)))


def need(package: str, format_: str) -> Any:
    """Import `package`, which `format_` needs and nbfiles does not.

    Raises
    ------
    InputError
        If it is not installed; says how to.
    """
    try:
        return importlib.import_module(package)
    except ImportError:
        raise InputError(
            f"{format_} needs the package {package}, which is not installed", f"Install it: %pip install {package}"
        ) from None


def unique(names: list[str]) -> list[str]:
    """Return `names` with ``.1``, ``.2`` after those that came before, as ``read_csv`` does."""
    made: list[str] = []
    for name in names:
        new, number = name, 0
        while new in made:
            number += 1
            new = f"{name}.{number}"
        made.append(new)
    return made

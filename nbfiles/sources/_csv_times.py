"""``Fineness``: how many digits the times of a whole column need, which pandas decides anew for every call of to_csv.

A column of days is written as days only if every time in it is a midnight; else all of it has as many digits of a
second as its finest value. A chunk cannot know that, so it is found once over the column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbfiles.sources._columns import STEP

if TYPE_CHECKING:
    import pandas as pd

PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
MISSING = -(2**63)  # NaT as a number


@dataclass(frozen=True, slots=True)
class Fineness:
    """How finely a column of times must be written.

    Parameters
    ----------
    place : int
        The row of a value that needs the most digits.
    unit : {"ns", "us", "ms", "s", "D"}
        The longest unit of which every value is a multiple, on the wall's clock.
    """

    place: int
    unit: str


def fineness(values: pd.Series[Any]) -> Fineness | None:
    """Return how finely `values` must be written; None if they are no times."""
    import numpy as np
    import pandas as pd

    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if values.dtype.kind not in "mM" or isinstance(values.dtype, pd.ArrowDtype):
        return None
    own = unit_of(values)
    steps = _steps(own)
    place = 0
    for start in range(0, len(values), STEP):
        counts = np.asarray(on_the_wall(values.iloc[start : start + STEP])).view("i8")
        for number, (_, length) in enumerate(steps):  # from the finest; what is coarser than the best is no news
            uneven = (counts % length != 0) & (counts != MISSING)
            if uneven.any():
                place, steps = start + int(uneven.argmax()), steps[:number]
                break
    # What is left are the steps that were not needed: every value is a multiple of the next finer unit.
    names = [own, *(name for name, _ in _steps(own))]
    return Fineness(place, names[len(steps)])


def unit_of(values: pd.Series[Any]) -> str:
    """Return the unit in which NumPy counts the times `values`."""
    import numpy as np

    return str(np.datetime_data(np.asarray(on_the_wall(values.iloc[:0])).dtype)[0])


def on_the_wall(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return times as the clock on the wall shows them, without their zone."""
    return values if getattr(values.dtype, "tz", None) is None else values.dt.tz_localize(None)


def _steps(unit: str) -> list[tuple[str, int]]:
    """Return the units longer than `unit` from the finest on, and how many of `unit` each is."""
    per_second = PER_SECOND[unit]
    lengths = [(name, per_second // PER_SECOND[name]) for name in ("us", "ms", "s")]
    return [(name, length) for name, length in lengths if length > 1] + [("D", per_second * 86_400)]

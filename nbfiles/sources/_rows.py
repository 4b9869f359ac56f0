"""Which rows of a table are asked for: all, the first so many, or so many at random."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from nbfiles._errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbfiles.sources._request import Request

SEED = 0  # the same rows every time: the same sample is the same file


def chosen(total: int, request: Request) -> tuple[Sequence[int] | None, tuple[str, ...]]:
    """Return the places of the rows that are asked for of `total`, in their order, and what to note about them.

    Returns
    -------
    places : sequence of int or None
        None for all of them.
    notes : tuple of str
        How many of how many, if some are left out.

    Raises
    ------
    InputError
        If there are rows, and none of them is asked for.
    """
    places: Sequence[int] = range(total)
    how = "the first"
    if request.sample is not None and request.sample < total:
        places = sorted(random.Random(SEED).sample(places, request.sample))  # noqa: S311 - no secret
        how = "at random"
    if request.max_rows is not None and request.max_rows < len(places):
        places = places[: request.max_rows]
    if len(places) == total:
        return None, ()
    if not places:
        raise InputError("no row is left to upload", "Ask for at least one.")
    return places, (f"{len(places):,} of {total:,} rows, {how}",)

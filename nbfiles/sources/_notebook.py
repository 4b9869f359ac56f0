"""The notebook itself: its file as it was saved last, and its cells as they were run.

``--cells 1-5`` means ``In[1]`` to ``In[5]``, as IPython's own ``%save`` and ``%history`` count.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nbfiles._errors import InputError, SourceError
from nbfiles._names import visible
from nbfiles._payload import CHUNK, Payload, Payloads, file_payload
from nbfiles.sources import _text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbfiles.sources._request import Request

# The key of the API: a file is seen by everybody in the workspace, and by Claude.
_KEY = re.compile(rb"sk-ant-[\w-]{16,}")
_LONGEST = 256  # bytes of a key, which may lie across two pieces of a file


def notebook_file(path: str | None, request: Request) -> Payloads:
    """Return the one payload of the notebook's file.

    Parameters
    ----------
    path : str or None
        Where the front end says that it is; None if it does not.
    request : Request

    Raises
    ------
    SourceError
        If nobody knows where it is, or it holds what looks like an API key.
    """
    if path is None:
        raise SourceError(
            "this front end does not say which file the notebook is", "Name it: %upload notebook.ipynb as nb."
        )
    payload = file_payload(path, name=request.name, **request.mime)
    saved = datetime.fromtimestamp(Path(path).stat().st_mtime).astimezone()
    if _holds_key(payload):
        raise SourceError(
            f"{visible(payload.name)} holds what looks like an API key",
            "Take it out of the cell or its output, and save; by its path the file is sent as it is.",
        )
    payload.notes = (f"{visible(payload.name)} as it was saved at {saved:%H:%M:%S on %d %b %Y}",)
    return Payloads([payload], many=False)


def cells(ranges: str, inputs: Sequence[str], request: Request) -> Payloads:
    """Return the one payload of some cells, as a Python script.

    Parameters
    ----------
    ranges : str
        Which: ``1-5,8``; they are in this order in the file.
    inputs : sequence of str
        What was typed into each cell that was run; the first is number 0, and no cell.
    request : Request

    Raises
    ------
    InputError
        If one of them was not run, or holds what looks like an API key.
    """
    numbers = list(dict.fromkeys(_numbers(ranges, len(inputs))))
    for number in numbers:
        if _KEY.search(inputs[number].encode("utf-8", "replace")):
            raise InputError(f"cell {number} holds what looks like an API key", "Leave that cell out.")
    script = "\n\n".join(f"# In[{number}]:\n{inputs[number].strip()}" for number in numbers)
    return _text.payloads(_text.text(f"{script}\n", request.name or "cells.py"), replace(request, label="the cells"))


def _numbers(ranges: str, count: int) -> list[int]:
    """Return the numbers in `ranges`, all of them below `count`."""
    found: list[int] = []
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        end = int(last or first)
        if end >= count:
            raise InputError(f"cell {end} was not run", f"The last one is {count - 1}.")
        found += range(int(first), end + 1)
    return found


def _holds_key(payload: Payload) -> bool:
    before = b""
    with payload.open() as file:
        while piece := file.read(CHUNK):
            if _KEY.search(before + piece):
                return True
            before = piece[-_LONGEST:]
    return False

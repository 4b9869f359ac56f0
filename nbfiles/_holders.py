"""Holders: which names of a notebook hold which file id, each as one would type it.

``report_id``, ``csv_ids[0]``, ``ids['north']``. Values are looked into one level deep and never changed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nbfiles._models import FileId

if TYPE_CHECKING:
    from collections.abc import Iterator

Holders = Mapping[str, tuple[str, ...]]
# IPython's own histories, which hold every id that was ever shown.
_HISTORIES = frozenset({"In", "Out"})
# A text that a person typed or an SDK gave, and not the name of a file: ids are opaque, but those of today look so.
_ID = re.compile(r"file_(local_)?[A-Za-z0-9]{16,}")
_MOST = 100_000  # items of one list: whoever holds more holds something else


def holders(names: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return what holds which id.

    Parameters
    ----------
    names : Mapping
        The notebook's namespace; names that begin with ``_`` are IPython's own and do not count.

    Returns
    -------
    dict of str to tuple of str
        By id, in the order in which the names were bound: plain names first, then places in lists and dicts.
    """
    plain, inside = dict[str, list[str]](), dict[str, list[str]]()
    for name, value in list(names.items()):
        if name.startswith("_") or name in _HISTORIES:
            continue
        if _is_id(value):
            plain.setdefault(str(value), []).append(name)
        else:
            for key, item in _items(value):
                if _is_id(item):
                    inside.setdefault(str(item), []).append(f"{name}[{key!r}]")
    return {one: (*plain.get(one, ()), *inside.get(one, ())) for one in {**plain, **inside}}


def variables(names: Mapping[str, Any]) -> dict[str, str]:
    """Return what holds which id as one text, ``"report_id, csv_ids[0]"``, for a cell of a table."""
    return {one: ", ".join(held) for one, held in holders(names).items()}


def notebook_names() -> dict[str, Any]:
    """Return the namespace of the notebook around us; an empty one where there is none. IPython is not imported."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return {} if shell is None else shell.user_ns


def _is_id(value: object) -> bool:
    """Whether `value` is an id: one of ours, or a text that looks like one."""
    return isinstance(value, FileId) or (type(value) is str and _ID.fullmatch(value) is not None)


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield keys and items of a list, tuple or dict whose first item is an id; of anything else, nothing."""
    kind = type(value)
    if kind not in {list, tuple, dict} or not 0 < len(value) <= _MOST:
        return
    pairs = list(value.items() if kind is dict else enumerate(value))
    if _is_id(pairs[0][1]):
        yield from pairs

"""Sources: the open family of what a user may name, and `payloads`, the door behind which they are all alike.

One private module a kind; each answers ``matches(obj)`` and ``payloads(obj, request)``. Kinds are asked in this order,
the first that matches takes it, and what is registered later is asked earlier.
"""

from __future__ import annotations

from nbfiles.sources import (
    _arrays,
    _arrow_tables,
    _awaitables,
    _bytes,
    _charts,
    _displayed,
    _figures,
    _frames,
    _geo,
    _lists,
    _partitioned,
    _paths,
    _pictures,
    _records,
    _stores,
    _streams,
    _styled,
    _text,
    _urls,
    _xarray,
)
from nbfiles.sources._awaitables import await_
from nbfiles.sources._notebook import cells, notebook_file
from nbfiles.sources._partitioned import matches as is_partitioned
from nbfiles.sources._paths import file, folder, glob_
from nbfiles.sources._registry import payloads, register, unregister
from nbfiles.sources._request import Kind, Request
from nbfiles.sources._sieve import TOOLS, is_private
from nbfiles.sources._text import Text, text
from nbfiles.sources._urls import in_store

__all__ = [
    "TOOLS",
    "Kind",
    "Request",
    "Text",
    "await_",
    "cells",
    "file",
    "folder",
    "glob_",
    "in_store",
    "is_partitioned",
    "is_private",
    "notebook_file",
    "payloads",
    "register",
    "text",
    "unregister",
]

for _kind in reversed(
    (
        _text,
        _urls,
        _paths,
        _stores,
        _partitioned,
        _bytes,
        _styled,
        _geo,
        _xarray,
        _frames,
        _figures,
        _pictures,  # before Arrow: a picture offers its pixels there
        _arrays,
        _arrow_tables,
        _charts,
        _awaitables,
        _streams,
        _records,
        _lists,
        _displayed,
    )
):
    register(_kind)

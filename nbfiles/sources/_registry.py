"""The registry: the kinds of source in the order in which they are asked, and the door that asks them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nbfiles._errors import LossError, SourceError
from nbfiles._names import visible
from nbfiles.sources._request import Kind, Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbfiles._payload import Payloads

_kinds: list[Kind] = []


def register(kind: Kind) -> None:
    """Add `kind` to what can be uploaded. It is asked before all that are there already.

    Parameters
    ----------
    kind : Kind
        An object or a module with ``matches(obj) -> bool`` and ``payloads(obj, request) -> Payloads``.
    """
    _kinds.insert(0, kind)


def unregister(kind: Kind) -> None:
    """Take `kind` out again; nothing happens if it is not there."""
    if kind in _kinds:
        _kinds.remove(kind)


def payloads(obj: Any, request: Request | None = None) -> Payloads:
    """Return the payloads of `obj`, which may be anything a user can name.

    Parameters
    ----------
    obj : object
        A path, glob, folder, bytes, open file, frame, coroutine, or a list of these; or what `register` has added.
    request : Request, optional
        What was asked for beside it; all defaults if left out.

    Returns
    -------
    Payloads
        The files in the order in which their ids will be bound. Close it: temporary files go with it.

    Raises
    ------
    SourceError
        If `obj` cannot be uploaded, or cannot be read.
    LossError
        If the format would change or merge its values.
    InputError
        If what was asked for does not fit it.
    """
    request = Request() if request is None else request
    kind = kind_of(obj)
    if kind is not None:
        return kind.payloads(obj, request)
    raise SourceError(
        f"{named(request, 'this')} is {type_name(obj)}, which cannot be uploaded",
        "What can: a path, glob or folder, bytes, an open binary file, a DataFrame or Series, an Arrow table, "
        "an array, a figure or picture, a dict, records, or a list of these.",
    )


def kind_of(obj: Any) -> Kind | None:
    """Return the kind of source that takes `obj`, or None."""
    return next((kind for kind in _kinds if kind.matches(obj)), None)


def named(request: Request, otherwise: str) -> str:
    """Return how messages call the source: its label, or `otherwise`."""
    label = request.label if len(request.label) <= 60 else f"{request.label[:57]}..."
    return visible(label) or otherwise


@contextmanager
def naming(request: Request) -> Iterator[None]:
    """Put the source's label in front of a loss that is found inside."""
    try:
        yield
    except LossError as error:
        if not request.label:
            raise
        raise LossError(f"{named(request, '')}: {error.cause}", error.way_out) from None


def type_name(obj: Any) -> str:
    """Return the type of `obj` for a message, such as ``a numpy.ndarray``."""
    if obj is None:
        return "None"
    kind = type(obj)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {visible(name)}"

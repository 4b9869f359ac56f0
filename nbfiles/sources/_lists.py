"""A list or tuple of sources as many payloads, in the order given; and why a set or a generator is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, ValuesView
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

from nbfiles._errors import SourceError
from nbfiles._payload import Payload, Payloads
from nbfiles.sources._registry import named, type_name
from nbfiles.sources._registry import payloads as payloads_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbfiles.sources._request import Request


def matches(obj: Any) -> bool:
    """Whether `obj` holds several things."""
    return isinstance(obj, list | tuple | Mapping | AbstractSet | Iterator | ValuesView)


def payloads(obj: Any, request: Request) -> Payloads:
    """Return the payloads of all members; globs and folders among them stand for their files.

    If one member fails or Ctrl-C arrives, the payloads made so far are closed.
    """
    if not isinstance(obj, list | tuple):
        raise _unordered(obj, request)
    if not obj:
        raise SourceError(f"{named(request, 'the list')} is empty", "There is nothing to upload.")
    request.refuse_name(named(request, "a list"))
    made: list[Payload] = []
    try:
        for number, member in enumerate(obj):
            made += _member(member, request.member(number))
    except BaseException:
        Payloads(made, many=True).close()
        raise
    return Payloads(made, many=True)


def _member(member: Any, request: Request) -> Sequence[Payload]:
    if isinstance(member, list | tuple):
        raise SourceError(
            f"{named(request, 'a member')} is a list inside a list", "One name binds one flat list; join them with +."
        )
    return payloads_of(member, request).items


def _unordered(obj: Any, request: Request) -> SourceError:
    what = named(request, "this")
    if isinstance(obj, Mapping):
        return SourceError(
            f"{what} is {type_name(obj)}, and only a dict can be uploaded (as JSON; a dict of DataFrames as one .xlsx)",
            "Upload dict(x), or list(x.values()).",
        )
    return SourceError(
        f"{what} is {type_name(obj)}, which has no order that its ids could keep",
        "Make it a list: sorted(x), or list(x).",
    )

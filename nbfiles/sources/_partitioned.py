"""A Dask frame: known by sight, and sent by a cluster's workers (``_cluster``), never as one source among others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from nbfiles._errors import SourceError
from nbfiles.sources._registry import named

if TYPE_CHECKING:
    from nbfiles.sources._request import Request


def matches(obj: Any) -> bool:
    """Whether `obj` is a Dask DataFrame or Series; imports nothing."""
    return type(obj).__module__.startswith("dask.dataframe.") and hasattr(type(obj), "to_delayed")


def payloads(obj: Any, request: Request) -> NoReturn:  # noqa: ARG001  # the protocol's
    """Refuse it: whoever knows the cluster has not asked for it here."""
    raise SourceError(
        f"{named(request, 'this')} is a Dask frame among other sources", "Upload it by itself, or x.compute() it."
    )

"""What a Python caller may say of an upload or a listing: the options, checked, and shared out to who needs them.

The words are the magic's (`_options.py`), so ``--max-rows 5`` is ``max_rows=5``.
"""

from __future__ import annotations

import difflib
import inspect
import sys
import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ParamSpec, TypedDict, TypeVar, cast

from nbfiles import _options
from nbfiles._cluster import Spread, spread
from nbfiles._errors import InputError
from nbfiles._fit import fits
from nbfiles._listing import SORTS, Listing
from nbfiles._payload import Payloads
from nbfiles._progress import observer
from nbfiles._session import How, Session
from nbfiles.sources import Request, is_partitioned, payloads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nbfiles._events import Observer
    from nbfiles._payload import Payload

P = ParamSpec("P")
R = TypeVar("R")


class UploadOptions(TypedDict, total=False):
    """The options of an upload, in the magic's words; each may be left out."""

    name: str | None
    type: str | None
    format: str | None
    for_: str
    expires: int | str | timedelta | None
    fresh: bool
    retry: bool
    jobs: int | None
    timeout: float | None
    index: bool | None
    max_rows: int | None
    sample: int | None
    opt: dict[str, Any]
    include: str | Sequence[str]
    exclude: str | Sequence[str]
    lossy: bool
    zip: bool
    split: int | str | None
    one: bool
    on: Any
    storage_options: Mapping[str, Any]
    progress: bool | Observer


class ListOptions(TypedDict, total=False):
    """The filters and the order of a listing, in the magic's words; each may be left out."""

    match: str | None
    type: str | None
    larger: int | str | None
    older: int | str | timedelta | None
    newer: int | str | timedelta | None
    expiring: int | str | timedelta | None
    duplicates: bool
    mine: bool
    sort: str
    reverse: bool
    limit: int | None


class PruneOptions(TypedDict, total=False):
    """What to delete, in the magic's words; each may be left out, but not all of the filters."""

    match: str | None
    type: str | None
    larger: int | str | None
    older: int | str | timedelta | None
    newer: int | str | timedelta | None
    expiring: int | str | timedelta | None
    duplicates: bool
    all: bool
    dry_run: bool


UPLOAD_DEFAULTS: dict[str, Any] = {
    "name": None,
    "type": None,
    "format": None,
    "for_": "auto",
    "expires": None,
    "fresh": False,
    "retry": True,
    "jobs": None,
    "timeout": None,
    "index": None,
    "max_rows": None,
    "sample": None,
    "opt": {},
    "include": (),
    "exclude": (),
    "lossy": False,
    "zip": False,
    "split": None,
    "one": False,
    "on": None,
    "storage_options": {},
    "progress": True,
}
LIST_DEFAULTS: dict[str, Any] = {
    "match": None,
    "type": None,
    "larger": None,
    "older": None,
    "newer": None,
    "expiring": None,
    "duplicates": False,
    "mine": False,
    "sort": "created",
    "reverse": False,
    "limit": None,
}

_HOW_TO_PRUNE: dict[str, Any] = {"all": False, "dry_run": False}
_NOT_FOR_PRUNE = ("mine", "sort", "reverse", "limit")
PRUNE_DEFAULTS = {key: value for key, value in LIST_DEFAULTS.items() if key not in _NOT_FOR_PRUNE} | _HOW_TO_PRUNE


def spelled_out(defaults: dict[str, Any]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Show every option in the verb's signature, for ``help()``, completion and ``?``."""

    def spell(verb: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(verb)
        kept = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        options = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value) for name, value in defaults.items()
        ]
        verb.__signature__ = signature.replace(parameters=[*kept, *options])  # type: ignore[attr-defined]  # inspect reads it
        return verb

    return spell


class Chosen:
    """The options of one upload, checked, and shared out among those who need them."""

    def __init__(self, session: Session, options: UploadOptions) -> None:
        given = _checked(cast("dict[str, Any]", options), UPLOAD_DEFAULTS)
        self._session = session
        self._name = given["name"]
        self.request = Request(
            name=given["name"],
            type=given["type"],
            for_=_option("for", given["for_"]),
            format=_option("format", given["format"]),
            opt=tuple(dict(given["opt"]).items()),
            index=given["index"],
            max_rows=given["max_rows"],
            sample=given["sample"],
            include=_globs(given["include"]),
            exclude=_globs(given["exclude"]),
            lossy=given["lossy"],
            zip=given["zip"],
            storage_options=given["storage_options"],
        )
        self.how = How(
            expires=self._expires(given["expires"]),
            jobs=given["jobs"],
            timeout=given["timeout"],
            retry=given["retry"],
            fresh=given["fresh"],
        )
        self._cluster = {"on": given["on"], "split": _read("split", given["split"]), "one": given["one"]}
        progress = given["progress"]
        self.display: Any = progress if callable(progress) else observer(quiet=not progress)

    def _expires(self, given: Any) -> int | None:
        """Return seconds: None takes the setting, ``"never"`` undoes it."""
        if given is None:
            return self._session.config.expires
        seconds: int | None = _seconds("expires", given)
        return seconds

    def spreads(self, source: Any) -> bool:
        """Whether `source` is one that a cluster's workers send."""
        return is_partitioned(source) or any(self._cluster.values())

    def spread(self, source: Any, *, many: bool) -> Spread | None:
        """Return `source` as something that a cluster's workers send; None if it is sent from here.

        Raises
        ------
        InputError
            If it is many files where one is wanted.
        """
        self._session.find()  # no key: say so before anything is met or computed
        made = spread(source, self.request, self._session, **self._cluster)
        if made is not None and made.many and not many:
            made.close()
            raise InputError(
                "upload sends one file, and this source is many: a partitioned frame or a glob",
                "Use upload_many, which returns a table, or one=True.",
            )
        return made

    def payloads(self, sources: Sequence[Any], *, many: bool) -> Payloads:
        """Turn `sources` into payloads that may all be sent; on an error nothing is left behind.

        Raises
        ------
        InputError
            If one cannot be sent, or is many files where one is wanted.
        """
        self._session.find()  # no key: say so before anything is read or written
        made: list[Payload] = []
        try:
            for source in sources:
                found = payloads(source, self.request)
                made.extend(found)
                self._check_form(found, many=many)
            self._check_name(made)
            for note in self._session.check(made):
                warn(note)
            for each in fits(made, self.request.for_):
                for words in each.warnings:
                    warn(words)
        except BaseException:
            Payloads(made, many=many).close()
            raise
        return Payloads(made, many=many)

    def _check_form(self, found: Payloads, *, many: bool) -> None:
        if found.many and not many:
            raise InputError(
                "upload sends one file, and this source is a list, a folder or a glob",
                "Use upload_many, which returns a table.",
            )

    def _check_name(self, made: Sequence[Payload]) -> None:
        if self._name is not None and len(made) != 1:
            raise InputError(f"name is for one file, and there are {len(made)}", "Leave it out.")


def _checked(given: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return `given` with `defaults` beneath.

    Raises
    ------
    InputError
        If an option is not one.
    """
    for name in given:
        if name not in defaults:
            near = difflib.get_close_matches(name, defaults, 1)
            raise InputError(f"there is no option {name}", f"Did you mean {near[0]}?" if near else "See help().")
    return defaults | given


def _option(key: str, value: Any) -> Any:
    """Return `value` as the magic's option `key` reads it; None stays None."""
    option = next(option for option in _options.OPTIONS if option.key == key)
    return None if value is None else option.accept(value)


def _read(key: str, value: Any) -> Any:
    """Return a number: ``"7d"`` or ``"64MB"`` is read as the magic does."""
    return _option(key, value) if isinstance(value, str) else value


def _seconds(key: str, value: Any) -> Any:
    """Return a length of time in seconds."""
    return int(value.total_seconds()) if isinstance(value, timedelta) else _read(key, value)


def _globs(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def listing(filters: ListOptions) -> Listing:
    given = _checked(cast("dict[str, Any]", filters), LIST_DEFAULTS)
    if given["sort"] not in SORTS:
        raise InputError(f"cannot sort by {given['sort']!r}", f"There are {', '.join(SORTS)}.")
    given["larger"] = _read("larger", given["larger"])
    for key in ("older", "newer", "expiring"):
        given[key] = _seconds(key, given[key])
    return Listing(**given)


def pruned(options: PruneOptions) -> tuple[Listing, bool, bool]:
    """Return what `options` choose, whether everyone's files are meant, and whether nothing is to be deleted."""
    given = _checked(cast("dict[str, Any]", options), PRUNE_DEFAULTS)
    everyone, dry_run = (given.pop(key) for key in _HOW_TO_PRUNE)
    return listing(cast("ListOptions", given)), everyone, dry_run


def warn(words: str) -> None:
    """Warn, pointing at the line of the caller's own that led here."""
    warnings.warn(words, stacklevel=_outside())


def _outside() -> int:
    """Count the frames up to the caller's own code, so that a warning points there."""
    frame, level = sys._getframe(1), 1  # noqa: SLF001  # the documented way to a stacklevel
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("nbfiles."):
        frame, level = frame.f_back, level + 1
    return level

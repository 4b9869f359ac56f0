"""The objects of the Files API: ``FileMetadata``, ``DeletedFile``, ``Page``, and ``FileId``, the string people keep.

Parsing is tolerant of what is new (unknown fields are kept in ``extra``) and strict about what is promised: a missing
or mistyped required field is an error, so that no login page and no empty object is ever bound to a variable.
Field names, types and bounds: https://platform.claude.com/docs/en/api/files-metadata and the official SDK's
``types/file_metadata.py``.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, cast

from nbfiles._errors import InputError, ResponseError
from nbfiles._names import BLOCKS, Block, blocks_for, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

LOCAL_PREFIX = "file_local_"
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class FileMetadata:
    """One file as the Files API describes it.

    Parameters
    ----------
    id : str
        Opaque; its form and length may change.
    type : str
        ``"file"``.
    filename : str
        1 to 500 characters.
    mime_type : str
        1 to 255 characters.
    size_bytes : int
        Bytes, 0 or more.
    created_at : datetime.datetime
        With its time zone, always UTC.
    downloadable : bool or None, default None
        Whether ``GET .../content`` may be asked for; False for what was uploaded. None: the server did not say.
    expires_at : datetime.datetime or None, default None
        When the file ends; None means never (or that the server's surface does not say).
    scope : Mapping or None, default None
        ``{"id": ..., "type": "session"}`` for files of a managed-agent session.
    extra : Mapping, default {}
        Fields of the answer that this version does not know, unaltered.
    """

    id: str
    type: str
    filename: str
    mime_type: str
    size_bytes: int
    created_at: datetime
    downloadable: bool | None = None
    expires_at: datetime | None = None
    scope: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=lambda: _NOTHING, hash=False)

    @classmethod
    def parse(cls, body: object) -> FileMetadata:
        """Read the JSON object `body`.

        Raises
        ------
        ResponseError
            If a required field is missing, of the wrong type or out of its bounds. The message names the field and
            never repeats the answer's text.
        """
        fields = _object(body, "file")
        get = fields.get
        downloadable, expires_at, scope = get("downloadable"), get("expires_at"), get("scope")
        known = fields.keys() <= _FIELDS
        return cls(  # by position: a page has a thousand
            _text(get("id"), "id", 1, 10_000),
            _text(get("type"), "type", 1, 255),
            _text(get("filename"), "filename", 1, 500),
            _text(get("mime_type"), "mime_type", 1, 255),
            _count(get("size_bytes")),
            _time(get("created_at"), "created_at"),
            None if downloadable is None else _flag(downloadable, "downloadable"),
            None if expires_at is None else _time(expires_at, "expires_at"),
            None if scope is None else _object(scope, "scope"),
            _NOTHING if known else MappingProxyType({name: fields[name] for name in fields if name not in _FIELDS}),
        )

    def __reduce__(self) -> tuple[Callable[..., FileMetadata], tuple[dict[str, Any]]]:
        """Pickle as plain values: a mappingproxy cannot be pickled."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return _rebuild, (values | {"extra": dict(self.extra)},)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The content blocks the file can stand in, the best first (see `FileId.block`)."""
        return blocks_for(self.filename, self.mime_type, self.size_bytes)


_FIELDS = frozenset(FileMetadata.__slots__) - {"extra"}


@dataclass(frozen=True, slots=True)
class DeletedFile:
    """The answer to a delete: the id that is gone.

    Parameters
    ----------
    id : str
        The id that was deleted.
    type : str, default "file_deleted"
        Constant.
    """

    id: str
    type: str = "file_deleted"

    @classmethod
    def parse(cls, body: object) -> DeletedFile:
        """Read the JSON object `body`; see `FileMetadata.parse` for what is raised."""
        fields = _object(body, "deleted file")
        kind = fields.get("type", "file_deleted")
        return cls(id=_text(fields.get("id"), "id", 1, 10_000), type=_text(kind, "type", 1, 255))


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing, of either shape.

    Parameters
    ----------
    files : tuple of FileMetadata
        Newest first; may be empty although more pages follow.
    next : Mapping
        The query parameters that ask for the next page; empty after the last one. The shape is told from the body
        (``next_page`` or ``has_more`` and ``last_id``), never from what was asked for.
    """

    files: tuple[FileMetadata, ...]
    next: Mapping[str, str]

    @classmethod
    def parse(cls, body: object) -> Page:
        """Read the JSON object `body`; see `FileMetadata.parse` for what is raised."""
        data = _object(body, "list of files").get("data")
        if not isinstance(data, list):
            raise _wrong("data", "a list")
        return cls(files=tuple([FileMetadata.parse(item) for item in data]), next=cls.following(body))

    @staticmethod
    def count(body: object) -> int:
        """Read only how many files there are; see `FileMetadata.parse` for what is raised."""
        data = _object(body, "list of files").get("data")
        return len(data) if isinstance(data, list) else 0

    @staticmethod
    def following(body: object) -> Mapping[str, str]:
        """Read only what asks for the next page; see `FileMetadata.parse` for what is raised."""
        fields = _object(body, "list of files")
        following: dict[str, str] = {}
        if "next_page" in fields:
            if fields["next_page"]:
                following["page"] = _text(fields["next_page"], "next_page", 1, 100_000)
        elif fields.get("has_more") and fields.get("last_id"):
            following["after_id"] = _text(fields["last_id"], "last_id", 1, 10_000)
        return MappingProxyType(following)


class FileId(str):
    """A file id: a plain ``str`` everywhere (JSON, the SDK, an f-string) that knows its file.

    Parameters
    ----------
    value : str
        The id.
    metadata : FileMetadata or None, default None
        What the server said when the id was made. Never looked up behind your back.

    Examples
    --------
    >>> report_id = FileId("file_011CNha8iCJcU1wXNR6q4V8w")
    >>> report_id
    'file_011CNha8iCJcU1wXNR6q4V8w'
    >>> report_id.block("document")
    {'type': 'document', 'source': {'type': 'file', 'file_id': 'file_011CNha8iCJcU1wXNR6q4V8w'}}
    """

    __slots__ = ("metadata",)

    metadata: FileMetadata | None

    def __new__(cls, value: str, metadata: FileMetadata | None = None) -> Self:
        self = super().__new__(cls, value)
        self.metadata = metadata
        return self

    @classmethod
    def of(cls, metadata: FileMetadata) -> FileId:
        """Return the id of `metadata`, knowing it."""
        return cls(metadata.id, metadata)

    def __getnewargs__(self) -> tuple[str, FileMetadata | None]:  # type: ignore[override]  # str declares one element
        """Copy and pickle the metadata with the id."""
        return str(self), self.metadata

    def block(
        self,
        kind: Block | None = None,
        *,
        title: str | None = None,
        context: str | None = None,
        citations: bool = False,
        cache: bool | str = False,
    ) -> dict[str, Any]:
        """Return the Messages content block that holds this file.

        Parameters
        ----------
        kind : {"document", "image", "container_upload"} or None, default None
            None takes the best block for the file's name, type and size, or ``document`` where `title`, `context` or
            `citations` ask for one. ``container_upload`` needs the code execution tool among the request's tools (see
            `nbfiles.content`).
        title, context : str or None, default None
            What Claude is told of a document beside its text, and does not cite.
        citations : bool, default False
            Whether Claude may cite from the document.
        cache : bool or {"5m", "1h"}, default False
            Whether the prompt up to here is cached; True for the API's own 5 minutes.

        Returns
        -------
        dict
            For ``messages.create(messages=[{"role": "user", "content": [...]}])``.

        Raises
        ------
        InputError
            If `kind` does not fit the file's MIME type (the API would refuse it only when the message is sent), is
            left out for an id that knows no file, or cannot have what else was given.

        Warns
        -----
        UserWarning
            If the id is of the local Files API, so that Claude cannot see it, or the file has expired or expires
            within a day.

        Notes
        -----
        Block shapes: https://platform.claude.com/docs/en/build-with-claude/files, "Using a file in messages".
        """
        made = make_block(self, kind, title=title, context=context, citations=citations, cache=cache)
        for words in cautions([self]):
            warnings.warn(words, stacklevel=2)
        return made


def make_block(
    file_id: FileId,
    kind: Block | None = None,
    *,
    title: str | None = None,
    context: str | None = None,
    citations: bool = False,
    cache: bool | str = False,
) -> dict[str, Any]:
    """Make the block that `FileId.block` returns, without its warnings."""
    about: dict[str, Any] = {"title": title, "context": context, "citations": {"enabled": True} if citations else None}
    given = {name: value for name, value in about.items() if value is not None}
    chosen = _choose(file_id, kind, document=bool(given))
    if given and chosen != "document":
        raise InputError(
            f"{' and '.join(given)} {'goes' if len(given) == 1 else 'go'} with a document, and this is {chosen}",
            "Leave it out, or make a document: .block('document').",
        )
    block: dict[str, Any] = {"type": chosen}
    if chosen == "container_upload":
        block["file_id"] = str(file_id)
    else:
        block["source"] = {"type": "file", "file_id": str(file_id)}
    block |= given
    if cache:
        if cache is not True and cache not in _CACHES:
            raise InputError(f"cache cannot be {cache!r}", "There are True, '5m' and '1h'.")
        block["cache_control"] = {"type": "ephemeral"} | ({} if cache is True else {"ttl": cache})
    return block


# How long a prompt is cached: https://platform.claude.com/docs/en/build-with-claude/prompt-caching
_CACHES = ("5m", "1h")


def _choose(file_id: FileId, kind: Block | None, *, document: bool) -> Block:
    """Return the block to make; `document` if what only a document has was asked for."""
    if kind is not None and kind not in BLOCKS:
        raise InputError(f"there is no block {kind!r}", f"There are {', '.join(BLOCKS)}.")
    metadata = file_id.metadata
    if metadata is None:
        if kind is None:
            raise InputError(
                f"{visible(file_id)} carries no metadata, so its block cannot be chosen",
                "Name one: .block('document'), or fetch it: nbfiles.get_file(id).",
            )
        return kind
    possible = metadata.blocks
    if kind is None:
        return "document" if document and "document" in possible else possible[0]
    if kind not in possible:
        raise InputError(
            f"{visible(metadata.filename)} is {metadata.mime_type}, which cannot be used as {kind}",
            f"It can be used as {' or '.join(possible)}.",
        )
    return kind


def cautions(ids: Iterable[FileId]) -> list[str]:
    """Say why Claude may not see some of `ids`: they are stored here, or they end."""
    here, said, now = list[FileId](), list[str](), datetime.now(UTC)
    for one in ids:
        if one.startswith(LOCAL_PREFIX):
            here.append(one)
        ends = None if one.metadata is None else one.metadata.expires_at
        if one.metadata is not None and ends is not None and ends < now + timedelta(days=1):
            name = visible(one.metadata.filename)
            hours = (ends - now).total_seconds() / 3600
            said.append(
                f"{name} {'has expired' if hours <= 0 else f'expires within {math.ceil(hours)} h'}; upload it again"
            )
    if here:
        which, it = (f"{visible(here[0])} is", "it") if len(here) == 1 else (f"{len(here)} of these files are", "them")
        said.append(
            f"{which} stored on this machine only, so Claude cannot see {it}; upload {it} after "
            "%files use anthropic (nbfiles.use('anthropic'))"
        )
    return said


def _rebuild(values: dict[str, Any]) -> FileMetadata:
    """Make the `FileMetadata` that was pickled."""
    return FileMetadata(**values | {"extra": MappingProxyType(values["extra"])})


def _wrong(name: str, wanted: str) -> ResponseError:
    return ResponseError(
        f"the answer is not the Files API's: {name} is not {wanted}",
        "Nothing was bound. Look at ANTHROPIC_BASE_URL and at proxies between here and there.",
    )


def _object(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):  # as JSON's are
        raise _wrong(name, "an object")
    return cast("Mapping[str, Any]", value)


def _text(value: object, name: str, least: int, most: int) -> str:
    if not isinstance(value, str) or not least <= len(value) <= most:
        raise _wrong(name, f"a text of {least} to {most} characters")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _wrong("size_bytes", "a number of bytes")
    return value


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(name, "true or false")
    return value


# RFC 3339: a date, a time, a zone. `fromisoformat` alone would take a bare date or a time without zone.
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def _time(value: object, name: str) -> datetime:
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise _wrong(name, "an RFC 3339 time")
    try:
        moment = datetime.fromisoformat(value.upper())
        return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _wrong(name, "an RFC 3339 time") from None

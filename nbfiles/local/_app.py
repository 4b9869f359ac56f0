"""The five routes of the Files API, over a `Store`.

::

    POST   /v1/files                UploadForm -> FileMetadata
    GET    /v1/files                list, in the shape of the surface
    GET    /v1/files/{id}           FileMetadata
    GET    /v1/files/{id}/content   bytes, of files made by code execution only
    DELETE /v1/files/{id}           DeletedFile

The header ``anthropic-beta: files-api-2025-04-14`` selects the legacy surface, its absence the GA surface; the query
``beta=true`` selects nothing (https://platform.claude.com/docs/en/build-with-claude/files).
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from nbfiles._names import visible
from nbfiles.local._gate import Gate, answer_refusal, log
from nbfiles.local._parser import MAX_FILE_SIZE, MAX_OVERHEAD, UploadForm, too_large
from nbfiles.local._refusal import Refusal
from nbfiles.local._store import PREFIX, DamagedError, StoredFile, is_full, is_key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import BinaryIO

    from starlette.types import ASGIApp

    from nbfiles.local._incoming import Incoming
    from nbfiles.local._store import Store

LEGACY = "files-api-2025-04-14"
PIECE = 1 << 20  # bytes written, and read back, at a time
MAX_IDS = 100


def build(store: Store, api_key: str, port: int) -> ASGIApp:
    """Return the application.

    Parameters
    ----------
    store : Store
        Where the files are.
    api_key : str
        What every request must hold.
    port : int
        The port it is served at, which the ``Host`` header must name.
    """
    api = FilesAPI(store)
    app = Starlette(
        routes=[
            _route("/v1/files", POST=api.upload, GET=api.list),
            _route("/v1/files/{file_id}", GET=api.metadata, DELETE=api.delete),
            _route("/v1/files/{file_id}/content", GET=api.content),
        ],
        exception_handlers={
            Refusal: answer_refusal,
            HTTPException: _answer_routing,
            OSError: _answer_storage,
            sqlite3.Error: _answer_storage,
            DamagedError: _answer_storage,
            Exception: _answer_fault,
        },
    )
    app.router.redirect_slashes = False  # a redirect would leave the contract, and repeat the Host header
    return Gate(app, api_key, port)


def _route(path: str, **operations: Callable[[Request], Awaitable[Response]]) -> Route:
    """Return one route for all methods of `path`, so that 405 can name them all."""

    async def operate(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await operations[method](request)

    return Route(path, operate, methods=list(operations))


class FilesAPI:
    """The five operations.

    Parameters
    ----------
    store : Store
        Where the files are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def upload(self, request: Request) -> Response:
        """Store the file of a form; answer when it is durable."""
        legacy = _is_legacy(request)
        _Query(request, set())
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > MAX_FILE_SIZE + MAX_OVERHEAD:
            raise too_large()
        form = UploadForm(request.headers.get("content-type", ""), expiry=not legacy)
        with self._store.receive() as incoming:
            await _receive(request, form, incoming)
            stored = await asyncio.to_thread(
                self._store.publish, incoming, form.filename, form.mime_type, lifetime=form.lifetime
            )
        return JSONResponse(_describe(stored, legacy=legacy))

    async def list(self, request: Request) -> Response:
        """List files, newest first, in the shape of the surface."""
        legacy = _is_legacy(request)
        query = _Query(request, {"after_id", "before_id"} if legacy else {"page", "ids[]"})
        body = await asyncio.to_thread(self._list_legacy if legacy else self._list, query)
        return JSONResponse(body)

    def _list(self, query: _Query) -> dict[str, Any]:
        ids = set(query.ids)
        if ids:
            if query.given & {"page", "limit"}:
                raise Refusal(400, "ids[]: Cannot be combined with page or limit")
            if len(ids) > MAX_IDS:
                raise Refusal(400, f"ids[]: List should have at most {MAX_IDS} items after removing duplicates")
            files, more = self._store.some(ids), False
        else:
            files, more = self._store.page(query.limit, after=query.key("page", "page_"))
        return {
            "data": query.visible([_describe(stored, legacy=False) for stored in files]),
            "next_page": f"page_{files[-1].key}" if more and not query.scoped else None,
        }

    def _list_legacy(self, query: _Query) -> dict[str, Any]:
        after, before = query.key("after_id", PREFIX), query.key("before_id", PREFIX)
        if after and before:
            raise Refusal(400, "after_id: Cannot be combined with before_id")
        files, more = self._store.page(query.limit, after=after, before=before)
        data = query.visible([_describe(stored, legacy=True) for stored in files])
        return {
            "data": data,
            "has_more": more and not query.scoped,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
        }

    async def metadata(self, request: Request) -> Response:
        """Describe one file."""
        legacy = _is_legacy(request)
        _Query(request, set())
        return JSONResponse(_describe(await self._find(request), legacy=legacy))

    async def content(self, request: Request) -> Response:
        """Send the bytes of a file that code execution made."""
        _Query(request, set())
        stored = await self._find(request)
        if stored.expired:
            raise Refusal(404, f"File `{stored.id}` has expired.", "file_expired")
        if not stored.downloadable:
            raise Refusal(400, f"File `{stored.id}` is not downloadable.", "file_not_downloadable")
        content = await asyncio.to_thread(self._store.open_content, stored)
        return StreamingResponse(
            _pieces_of(content),
            media_type=stored.mime_type,
            headers={
                "content-length": str(stored.size_bytes),
                "content-disposition": f"attachment; filename*=UTF-8''{quote(stored.filename, safe='')}",
                "x-content-type-options": "nosniff",
            },
        )

    async def delete(self, request: Request) -> Response:
        """Remove one file."""
        _Query(request, set())
        file_id = request.path_params["file_id"]
        if not await asyncio.to_thread(self._store.delete, file_id):
            raise _not_found(file_id)
        return JSONResponse({"id": file_id, "type": "file_deleted"})

    async def _find(self, request: Request) -> StoredFile:
        file_id = request.path_params["file_id"]
        stored = await asyncio.to_thread(self._store.get, file_id)
        if stored is None:
            raise _not_found(file_id)
        return stored


class _Query:
    """The query of a request, refused if it holds what the surface does not know.

    Parameters
    ----------
    request : Request
        With the query.
    known : set of str
        Names of parameters beside ``beta``, and beside ``limit`` and ``scope_id`` where anything is listed.
    """

    def __init__(self, request: Request, known: set[str]) -> None:
        pairs = request.query_params.multi_items()
        names = [name for name, _ in pairs]
        self.given = set(names)
        listing = {"limit", "scope_id"} if known else set()
        for name in names:
            if name not in known | listing | {"beta"}:
                raise Refusal(400, f"{visible(name[:60])}: Extra inputs are not permitted")
            if name != "ids[]" and names.count(name) > 1:
                raise Refusal(400, f"{name}: Given more than once")
        self._values = dict(pairs)
        self.ids = [value for name, value in pairs if name == "ids[]"]

    @property
    def limit(self) -> int:
        """How many files a page may have."""
        text = self._values.get("limit", "20")
        if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= 1000:
            raise Refusal(400, "limit: Input should be a whole number from 1 to 1000")
        return int(text)

    def key(self, name: str, prefix: str) -> str | None:
        """Return the key that the parameter `name` holds after `prefix`, or None if it is not given."""
        text = self._values.get(name)
        if text is None:
            return None
        key = text.removeprefix(prefix)
        if key == text or not is_key(key):
            raise Refusal(400, f"{name}: Not a value that this server gave out")
        return key

    @property
    def scoped(self) -> bool:
        """Whether the files of one managed-agent session are asked for; here there are no sessions."""
        return "scope_id" in self.given

    def visible(self, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return what of `data` belongs to the scope that was asked for."""
        return [] if self.scoped else data


async def _receive(request: Request, form: UploadForm, incoming: Incoming) -> None:
    """Bring the file of `form` to `incoming`: one piece is hashed and written while the next one arrives."""
    writing = asyncio.ensure_future(asyncio.sleep(0))
    try:
        async for chunk in request.stream():
            form.feed(chunk)
            if form.waiting >= PIECE:
                await writing
                writing = asyncio.ensure_future(asyncio.to_thread(incoming.write, form.take()))
        form.finish()
    except ClientDisconnect:
        raise Refusal(400, "The connection ended before the body did.") from None
    finally:
        await writing
    await asyncio.to_thread(incoming.write, form.take())


def _describe(stored: StoredFile, *, legacy: bool) -> dict[str, Any]:
    """Return the FileMetadata of `stored`; legacy leaves ``expires_at`` out where the file has none."""
    body: dict[str, Any] = {
        "id": stored.id,
        "type": "file",
        "filename": stored.filename,
        "mime_type": stored.mime_type,
        "size_bytes": stored.size_bytes,
        "created_at": _time(stored.created_at),
        "downloadable": stored.downloadable,
    }
    if stored.expires_at is not None:
        body["expires_at"] = _time(stored.expires_at)
    elif not legacy:
        body["expires_at"] = None
    return body


def _time(microseconds: int) -> str:
    """Write a time as RFC 3339 with microseconds and Z."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:06d}Z"


def _is_legacy(request: Request) -> bool:
    """Whether the header selects the legacy surface, in a list of betas or on a line of its own."""
    values = ",".join(request.headers.getlist("anthropic-beta"))
    return LEGACY in {value.strip() for value in values.split(",")}


def _not_found(file_id: str) -> Refusal:
    return Refusal(404, f"File `{visible(file_id[:100])}` not found.")


async def _pieces_of(content: BinaryIO) -> AsyncIterator[bytes]:
    """Read `content` without holding up the loop, and close it."""
    with content:
        while piece := await asyncio.to_thread(content.read, PIECE):
            yield piece


def _answer_routing(request: Request, error: Exception) -> Response:
    """Answer what Starlette refuses itself: a path or a method that is not there."""
    assert isinstance(error, HTTPException)  # noqa: S101  # see answer_refusal
    headers = dict(error.headers or {})
    return answer_refusal(request, Refusal(error.status_code, f"{error.detail}.", headers=headers))


def _answer_storage(request: Request, error: Exception) -> Response:
    """Answer that the disk is full (507, which nothing is gained by repeating) or fails (500), and log it."""
    log.error("%s %s: %s", request.method, visible(request.url.path[:200]), visible(str(error)[:500]))
    if is_full(error):
        refusal = Refusal(507, "There is no room left on this machine.", headers={"x-should-retry": "false"})
    else:
        refusal = Refusal(500, "The file could not be stored or read on this machine; the server's log says why.")
    return answer_refusal(request, refusal)


def _answer_fault(request: Request, _error: Exception) -> Response:
    """Answer a fault of ours; the gate logs it."""
    return answer_refusal(request, Refusal(500, "Internal server error"))

"""``Client``: the five verbs of the Files API, on both surfaces, for one thread.

What is sent is made by pure functions (``build_*``), what comes back is read by pure functions (`_answers.py`
and the models' ``parse``), so both can be tested without a socket. No redirect is followed: a body and a key go to the
host they were meant for, or nowhere. Contract: https://platform.claude.com/docs/en/api/files-create and the pages
beside it.
"""

from __future__ import annotations

import logging
import ssl
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlsplit

import httpx

from nbfiles._answers import api_error, http_date, parse_json
from nbfiles._config import ANSWER_TIMEOUT, CONNECT_TIMEOUT, STALL_TIMEOUT, Place
from nbfiles._connection import HTTP_LOG, connect
from nbfiles._errors import CertificateError, ConnectionFailedError, Error, InputError, NotFoundError, ResponseError
from nbfiles._models import DeletedFile, FileMetadata, Page
from nbfiles._names import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from nbfiles._connection import Trace
    from nbfiles._credentials import Credential
    from nbfiles._multipart import Multipart

VERSION = "2023-06-01"
FILES_BETA = "files-api-2025-04-14"
LARGEST_ANSWER = 32 << 20  # bytes; 1000 files of a full page are below 1 MiB
LARGEST_PAGE = 1000
_PIECE = 1 << 20  # bytes of a download at a time


@dataclass(frozen=True, slots=True)
class Call:
    """One request, before it meets a socket. Holds no key.

    Parameters
    ----------
    method, path : str
    params : tuple of (str, str)
        The query.
    headers : Mapping of str to str
    """

    method: str
    path: str
    params: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]


def build_upload(place: Place, multipart: Multipart, *, expires: int | None = None) -> Call:
    """``POST /v1/files``; `expires` (seconds) makes it the GA surface, which alone knows expiry."""
    call = _build(place, "POST", "/v1/files", ga=expires is not None)
    body = {"content-type": multipart.content_type, "content-length": str(multipart.content_length)}
    return Call(call.method, call.path, call.params, {**call.headers, **body})


def build_list(
    place: Place, cursor: Mapping[str, str], *, limit: int = LARGEST_PAGE, ids: tuple[str, ...] = ()
) -> Call:
    """``GET /v1/files``; `ids` (at most 100) makes it the GA surface and excludes `cursor` and `limit`."""
    if ids:
        return _build(place, "GET", "/v1/files", ga=True, params=tuple(("ids[]", one) for one in ids))
    return _build(place, "GET", "/v1/files", params=(("limit", str(limit)), *cursor.items()))


def build_metadata(place: Place, file_id: str) -> Call:
    """``GET /v1/files/{file_id}``."""
    return _build(place, "GET", _path(file_id))


def build_download(place: Place, file_id: str) -> Call:
    """``GET /v1/files/{file_id}/content``, unpacked by nobody on the way."""
    call = _build(place, "GET", f"{_path(file_id)}/content")
    return replace(call, headers={**call.headers, "accept": "application/binary", "accept-encoding": "identity"})


def build_delete(place: Place, file_id: str) -> Call:
    """``DELETE /v1/files/{file_id}``."""
    return _build(place, "DELETE", _path(file_id))


def _path(file_id: str) -> str:
    if not file_id or not isinstance(file_id, str):
        raise InputError("the file id is empty", "Name an id or a variable that holds one.")
    if len(file_id) > 1000 or file_id in {".", ".."} or visible(file_id) != file_id:
        raise InputError(f"{visible(file_id[:60])} is not a file id", "An id looks like file_011CNha8iCJcU1wXNR6q4V8w.")
    return f"/v1/files/{quote(file_id, safe='')}"


def _build(place: Place, method: str, path: str, *, ga: bool = False, params: tuple[tuple[str, str], ...] = ()) -> Call:
    """Add what every request has: the version, the betas, the workspace, and the surface."""
    headers = {"accept": "application/json", "anthropic-version": VERSION}
    betas = place.betas
    if place.surface == "beta" and not ga:
        params = (("beta", "true"), *params)
        betas = (FILES_BETA, *(beta for beta in betas if beta != FILES_BETA))
    else:
        betas = tuple(beta for beta in betas if beta != FILES_BETA)
    if betas:
        headers["anthropic-beta"] = ",".join(betas)
    if place.workspace_id:
        headers["anthropic-workspace-id"] = place.workspace_id
    return Call(method, path, params, headers)


class Gate(Protocol):
    """What every request passes, if a client has one."""

    def before(self) -> None:
        """Wait until a request may leave; raise if that is never."""

    def refused(self, error: Error) -> None:
        """Take note of an answer that was not a success."""


class Client:
    """The five verbs, on one connection that is kept warm. One thread may use it at a time.

    Parameters
    ----------
    place : Place
        Where, and how.
    credential : Credential
        Goes into one header, at the moment of sending.
    trace : callable or None, default None
        Told of the steps of a new connection (httpx's ``trace`` extension); it finds the socket to cut.

    Attributes
    ----------
    gate : Gate or None
        Passed by every request; None lets all pass.

    Raises
    ------
    InputError
        If the place's `ca_bundle`, its address, or a proxy that the environment names cannot be used.
    """

    def __init__(self, place: Place, credential: Credential, *, trace: Trace | None = None) -> None:
        self._place = place
        self._who = place.who
        self._credential = credential
        self.gate: Gate | None = None
        self._date = ""
        self._trace = trace
        self._connection = connect(place, self._told)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @property
    def date(self) -> datetime | None:
        """When the server sent its latest answer, on its own clock; None if it did not say."""
        return http_date(self._date)

    def _told(self, step: str, info: dict[str, Any]) -> None:
        """Pass a step of the connection on, then take the key out of what httpcore is about to log of it.

        At DEBUG that is every header of an answer, and whatever could not be read as one.
        """
        if self._trace is not None:
            self._trace(step, info)
        if step.endswith(("response_headers.complete", ".failed")) and HTTP_LOG.isEnabledFor(logging.DEBUG):
            for name, value in info.items():
                shown = repr(value)
                hidden = self._credential.secret.hide(shown)
                if hidden != shown:
                    info[name] = hidden

    def upload(self, multipart: Multipart, body: Iterator[bytes], *, expires: int | None = None) -> FileMetadata:
        """Send the file and return what the server made of it; `body` are `multipart`'s chunks, watched by the caller.

        Raises
        ------
        APIError, ResponseError, ConnectionFailedError
            As the server, or nobody, answered. Whether bytes had left by then, the caller knows: it owns `body`.
        """
        return FileMetadata.parse(self._json(build_upload(self._place, multipart, expires=expires), body))

    def page(self, cursor: Mapping[str, str], *, limit: int = LARGEST_PAGE) -> Page:
        """Return one page of files, newest first."""
        return Page.parse(self.unread_page(cursor, limit=limit))

    def unread_page(self, cursor: Mapping[str, str], *, limit: int = LARGEST_PAGE) -> object:
        """Return the JSON of one page, for `Page` to read."""
        return self._json(build_list(self._place, cursor, limit=limit))

    def by_ids(self, ids: tuple[str, ...]) -> tuple[FileMetadata, ...]:
        """Return those of at most 100 `ids` that are there (the GA surface's ``ids[]``); the others are left out."""
        return Page.parse(self._json(build_list(self._place, {}, ids=ids))).files

    def known(self, file_id: str) -> FileMetadata | None:
        """Return one file if it is still there: by ``ids`` on the GA surface, which says when it ends; else None."""
        if self._place.surface == "ga":
            return next(iter(self.by_ids((file_id,))), None)
        try:
            return self.metadata(file_id)
        except NotFoundError:
            return None

    def metadata(self, file_id: str) -> FileMetadata:
        """Return what the server knows of one file."""
        return FileMetadata.parse(self._json(build_metadata(self._place, file_id)))

    def delete(self, file_id: str) -> DeletedFile:
        """Delete one file, for good."""
        return DeletedFile.parse(self._json(build_delete(self._place, file_id)))

    @contextmanager
    def download(self, file_id: str) -> Iterator[Iterator[bytes]]:
        """Open the content of a file that Claude made; yields an iterator of its bytes."""
        response = self._send(build_download(self._place, file_id))
        try:
            yield self._pieces(response)
        finally:
            response.close()

    def _pieces(self, response: httpx.Response) -> Iterator[bytes]:
        failure: Error | None = None
        try:
            yield from response.iter_raw(_PIECE)
        except (httpx.HTTPError, httpx.StreamError) as error:
            failure = self._unreached(error)
        if failure is not None:  # outside the except block: the error must not carry httpx's request, nor its headers
            raise failure

    def _json(self, call: Call, body: Iterator[bytes] | None = None) -> object:
        response = self._send(call, body)
        try:
            return parse_json(self._read(response), self._who)
        finally:
            response.close()

    def _send(self, call: Call, body: Iterator[bytes] | None = None) -> httpx.Response:
        """Send `call` and return its answer, to be closed, if it is a success; anything else is raised as an error."""
        if self.gate is not None:
            self.gate.before()
        failure: Error | None = None
        response: httpx.Response | None = None
        try:
            response = self._connection.send(call.method, call.path, call.params, partial(self._headers, call), body)
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ssl.SSLError, OSError) as error:
            failure = self._unreached(error)
        if response is None:
            raise failure or ConnectionFailedError(f"{self._who} did not answer")
        self._date = response.headers.get("date", "")
        if response.status_code == 200:
            return response
        try:
            refusal = self._refusal(response)
        finally:
            response.close()
        if self.gate is not None:
            self.gate.refused(refusal)
        raise refusal

    def _headers(self, call: Call) -> list[tuple[str, str]]:
        """Return the headers of `call`; the key goes in here, and nowhere before."""
        general = {"host": self._connection.host, "accept-encoding": "gzip, deflate", "user-agent": "nbfiles"}
        return [*{**general, **call.headers}.items(), self._credential.header()]

    def _refusal(self, response: httpx.Response) -> Error:
        """Return the error that an answer other than 200 means; its status counts even if its body breaks off."""
        try:
            body = self._read(response)
        except Error:
            body = b""
        return api_error(response.status_code, response.headers, body, place=self._place, credential=self._credential)

    def _read(self, response: httpx.Response) -> bytes:
        """Return the whole answer, unless it is longer than any answer of the Files API."""
        parts: list[bytes] = []
        size = 0
        failure: Error | None = None
        try:
            packed = "content-encoding" in response.headers
            for part in response.iter_bytes() if packed else response.iter_raw():
                size += len(part)
                if size > LARGEST_ANSWER:
                    failure = ResponseError(f"{self._who} sent an answer of over {LARGEST_ANSWER >> 20} MiB")
                    break
                parts.append(part)
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            failure = self._unreached(error)
        if failure is not None:
            raise failure
        return b"".join(parts)

    def _unreached(self, error: Exception) -> Error:
        """Say in our words, naming no more than the host, why no answer came."""
        host = visible(urlsplit(self._place.base_url).netloc)
        certificate = _certificate_problem(error)
        if certificate:
            return CertificateError(
                f"the certificate of {host} is not trusted: {visible(certificate)}",
                "Nothing was sent. If your company signs its own, name its file in NbFiles.ca_bundle or SSL_CERT_FILE.",
            )
        way_out = "Look at the network, at proxies, and at ANTHROPIC_BASE_URL, then run the line again."
        if self._place.local:
            way_out = "Run %files use local again to start it anew."
        match error:
            case httpx.ProxyError():
                return ConnectionFailedError(f"the proxy before {host} refused", way_out)
            case httpx.ConnectTimeout():
                return ConnectionFailedError(f"{host} did not answer within {CONNECT_TIMEOUT:.0f} s", way_out)
            case httpx.ConnectError():
                return ConnectionFailedError(f"{host} could not be reached ({_reason(error)})", way_out)
            case httpx.WriteTimeout():
                return ConnectionFailedError(f"{host} took no byte for {STALL_TIMEOUT:.0f} s", way_out)
            case httpx.ReadTimeout():
                return ConnectionFailedError(f"{host} did not answer for {ANSWER_TIMEOUT:.0f} s", way_out)
            case httpx.RemoteProtocolError() | httpx.DecodingError():
                return ConnectionFailedError(f"{host} broke off its answer", way_out)
        return ConnectionFailedError(f"the connection to {host} broke", way_out)


def _certificate_problem(error: BaseException | None) -> str:
    """Return what OpenSSL or the system said of the certificate, or ``""`` if it was not the certificate.

    Other TLS errors are none: a connection that is cut without TLS's goodbye is an `ssl.SSLError` too, and may come
    when the whole file has left.
    """
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message or str(error)
        error = error.__cause__ or error.__context__
    return ""


def _reason(error: BaseException) -> str:
    """Return the operating system's words, without addresses."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {(cause.reason or 'no handshake').replace('_', ' ').lower()}"
        if isinstance(cause, OSError) and cause.strerror:
            return visible(cause.strerror.lower())
        cause = cause.__cause__ or cause.__context__
    return "no connection"

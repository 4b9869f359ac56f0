"""``Address`` and ``Answer``: one GET of a web address with the standard library, which another thread can cut short.

Redirects are followed from ``https://`` to ``https://`` only (and on this machine), and the headers that a person gave
stay with the host that they were given for. Nothing else is sent along: no cookie, no netrc, no key of the Files API.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nbfiles._config import CONNECT_TIMEOUT, STALL_TIMEOUT, is_loopback, settings
from nbfiles._errors import Error, SourceError
from nbfiles._names import visible
from nbfiles._tls import ssl_context

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from email.message import Message

_OURS = {"User-Agent": "nbfiles", "Accept": "*/*", "Accept-Encoding": "identity"}
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a version of the file: bytes in all (None: unknown), and the server's marks of it."""

    size: int | None
    etag: str
    modified: str


class Line:
    """The socket beneath a reader, so that another thread can make it stop."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._over = False

    def hold(self, found: socket.socket) -> None:
        """Remember the socket of a new connection."""
        self._socket = found
        if self._over:
            self.drop()

    def drop(self) -> None:
        """Break the connection, so that whoever reads from it stops."""
        if self._socket is not None:
            with contextlib.suppress(OSError):  # closed already
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def cut(self) -> None:
        """Break this connection and every further one."""
        self._over = True
        self.drop()

    @property
    def over(self) -> bool:
        """Whether it was cut for good."""
        return self._over


class Answer:
    """A server's answer: what it says of the file, where its body begins in it, and the body.

    Attributes
    ----------
    headers : email.message.Message
    start : int
        The body's first byte, as an offset into the file.
    seen : Seen
        The version it is of.

    Raises
    ------
    SourceError
        If the body is not the file's own bytes.
    """

    def __init__(self, response: http.client.HTTPResponse, line: Line, shown: str) -> None:
        self._response, self._line, self._shown = response, line, shown
        self.headers: Message = response.headers
        self.start, size = 0, self.headers.get("content-length", "")
        if response.status == HTTPStatus.PARTIAL_CONTENT:
            found = _RANGE.fullmatch(self.headers.get("content-range", ""))
            if found is None:
                raise self._unreadable("the server does not say which part it sent")
            self.start, size = int(found[1]), found[2]
        elif self.headers.get("transfer-encoding"):  # then the other header does not count
            size = ""
        if self.headers.get("content-encoding", "identity").lower() != "identity":
            raise self._unreadable("the server sends it packed, though it was asked not to")
        self.seen = Seen(
            int(size) if size.isdecimal() else None,
            self.headers.get("etag", ""),
            self.headers.get("last-modified", ""),
        )

    def read(self, size: int) -> bytes:
        """Return the next bytes of the body; none at its end.

        Raises
        ------
        SourceError
            If the connection broke.
        """
        try:
            return self._response.read(size)
        except (OSError, ValueError, http.client.HTTPException):  # ValueError: closed by another thread
            pass
        raise self._unreadable("the connection broke")

    def close(self) -> None:
        """Let go of the connection, whatever is left of the body."""
        self._line.drop()
        self._response.close()

    def _unreadable(self, why: str) -> SourceError:
        self.close()
        return SourceError(f"{self._shown} cannot be read: {why}", "Download it, and upload that.")


class Address:
    """A web address and the headers to ask with.

    Parameters
    ----------
    url, shown : str
        As it is asked for, in ASCII and checked; and as it may be shown.
    headers : Mapping of str to object
        For this host only.
    check : callable
        ``check(url)`` raises `InputError` for an address that may not be read; asked where a redirect leads.
    """

    def __init__(self, url: str, shown: str, headers: Mapping[str, Any], check: Callable[[str], str]) -> None:
        self._url, self.shown, self._check = url, shown, check
        self._headers = {str(name): str(value) for name, value in headers.items()}

    def __repr__(self) -> str:  # a traceback that shows locals shows no signature and no header
        return f"Address({self.shown!r})"

    def get(self, first: int = 0, last: int | None = None, line: Line | None = None) -> Answer:
        """Ask for the bytes from `first` to `last`, the end included; the server may answer with all of them.

        GET and not HEAD: a signed URL is often signed for GET alone.

        Raises
        ------
        SourceError
            If there is no such file, or no answer.
        """
        question = urllib.request.Request(self._url, headers=_OURS, method="GET")  # noqa: S310  # scheme was checked
        if first or last is not None:
            question.add_header("Range", f"bytes={first}-{'' if last is None else last}")
        for name, value in self._headers.items():
            question.add_unredirected_header(name, value)
        line = Line() if line is None else line
        status, failure = 0, ""
        try:
            response = self._opener(line).open(question, timeout=CONNECT_TIMEOUT)
            if response.status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT}:
                return Answer(response, line, self.shown)
            status = response.status  # 204 and its like: a success without a file
            response.close()
        except urllib.error.HTTPError as error:
            status = error.code
            error.close()
        except urllib.error.URLError as error:
            failure = _reason(error.reason)
        except (OSError, http.client.HTTPException, ValueError) as error:
            if isinstance(error, Error):
                raise
            failure = _reason(error)
        # Outside the except blocks: urllib's errors hold the URL and the headers.
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and not first:  # an empty file has no first byte
            return self.get(line=line)
        raise self._refused(status) if status else self._unreached(failure)

    def _opener(self, line: Line) -> urllib.request.OpenerDirector:
        opener = urllib.request.OpenerDirector()
        if not is_loopback(urlsplit(self._url).hostname):  # loopback goes round every proxy
            opener.add_handler(urllib.request.ProxyHandler())
        context = ssl_context(settings().ca_bundle, os.getenv("SSL_CERT_FILE", ""), os.getenv("SSL_CERT_DIR", ""))
        for handler in (
            _Connections(line, context),
            _Redirects(self._check),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            opener.add_handler(handler)
        return opener

    def _refused(self, status: int) -> SourceError:
        host = visible(urlsplit(self._url).hostname or "")
        if status in {404, 410}:
            return SourceError(f"there is no file at {self.shown}", "Look at the spelling.")
        if status in {401, 403, 407}:
            return SourceError(
                f"{host} does not let you read {self.shown} ({status})",
                "Use a signed URL, or give headers in Python: storage_options={'Authorization': ...}.",
            )
        return SourceError(f"{host} answered {status} for {self.shown}", "Try again, or download it and upload that.")

    def _unreached(self, why: str) -> SourceError:
        return SourceError(
            f"{visible(urlsplit(self._url).netloc)} could not be read from ({why})",
            "Look at the address, at the network and at proxies.",
        )


class _Watched:
    """What the two kinds of connection add: once connected, a longer patience, and the line knows the socket."""

    line: Line
    sock: socket.socket

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]  # http.client's
        self.sock.settimeout(STALL_TIMEOUT)
        self.line.hold(self.sock)


class _Plain(_Watched, http.client.HTTPConnection):
    pass


class _Secure(_Watched, http.client.HTTPSConnection):
    pass


class _Connections(urllib.request.HTTPSHandler, urllib.request.HTTPHandler):
    """Opens connections that the line knows."""

    def __init__(self, line: Line, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._line, self._tls = line, context

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._maker(_Plain), req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._maker(_Secure), req, context=self._tls)

    def _maker(self, kind: type[_Plain | _Secure]) -> Any:
        def make(host: str, **options: Any) -> _Plain | _Secure:
            connection = kind(host, **options)
            connection.line = self._line
            return connection

        return make


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows where the first address might have led too: never down to ``http://``, never onto this machine."""

    def __init__(self, check: Callable[[str], str]) -> None:
        self._check = check

    def redirect_request(  # noqa: PLR0917  # urllib's
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        before = urlsplit(req.full_url)
        try:
            checked = self._check(newurl)
            after = urlsplit(checked)
            if is_loopback(after.hostname) and not is_loopback(before.hostname):
                raise SourceError(
                    f"{visible(before.hostname or '')} sends its readers on to this machine", "Name the file itself."
                )
        except Error:
            fp.close()
            raise
        follow = super().redirect_request(req, fp, code, msg, headers, checked)  # type: ignore[arg-type]  # typeshed
        if follow is not None and before[:2] == after[:2]:
            for name, value in req.unredirected_hdrs.items():
                follow.add_unredirected_header(name, value)
        return follow


def _reason(error: object) -> str:
    """Return the operating system's words, without addresses."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {visible(error.verify_message)}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return visible(error.strerror.lower())
    return "no connection"

"""``Connection``: the way of a request to the Files API and of its answer back, kept warm, for one thread.

It is straight, or through the proxies that the environment names. Straight it stands on ``httpcore``, as ``httpx``
itself does: a worker sends one request after another and shares its connection with nobody, so what is above it there
(a pool, two kinds of request, hooks that watch every step) is work for nothing, a quarter of what sending a small file
costs (measured). Which proxies there are, and the exceptions from them, httpx reads.
"""

from __future__ import annotations

import logging
import os
import socket
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

import httpcore
import httpx

from nbfiles._config import ANSWER_TIMEOUT, CONNECT_TIMEOUT, STALL_TIMEOUT, is_loopback
from nbfiles._errors import InputError
from nbfiles._tls import ssl_context

if TYPE_CHECKING:
    from nbfiles._config import Place

HTTP_LOG = logging.getLogger("httpcore.http11")  # the one of httpcore's loggers that quotes what a server sent
TIMEOUT = httpx.Timeout(CONNECT_TIMEOUT, write=STALL_TIMEOUT, read=ANSWER_TIMEOUT).as_dict()
_KEEP = 60.0  # seconds that an idle connection is used again
# To this machine the kernel need not be asked so often; elsewhere it knows best how much to hold (measured).
_LOCAL_OPTIONS = ((socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20),)
# All of httpcore's; the names of httpx's are the same.
_FAILURES = (
    httpcore.ConnectionNotAvailable,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)

Trace = Callable[[str, dict[str, Any]], None]
# Made where they are used and in no variable: a traceback that shows variables would show the key.
Headers = Callable[[], Sequence[tuple[str, str]]]
Query = tuple[tuple[str, str], ...]


class Connection(ABC):
    """What a client sends its requests on.

    Attributes
    ----------
    host : str
        For the header.
    """

    def __init__(self, base_url: str) -> None:
        self.host = httpx.URL(base_url).netloc.decode("ascii")
        self._base_url = base_url

    @abstractmethod
    def send(
        self, method: str, path: str, query: Query, headers: Headers, body: Iterator[bytes] | None
    ) -> httpx.Response:
        """Send one request; return the answer as soon as its head is there, to be read and closed.

        Raises
        ------
        httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ssl.SSLError, OSError
            If there is none.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


def connect(place: Place, told: Trace) -> Connection:
    """Return the way to `place`; loopback goes round every proxy. `told` is told of what a connection does.

    Raises
    ------
    InputError
        If the place's `ca_bundle`, its address, or a proxy that the environment names cannot be used.
    """
    context = None  # plain
    if not place.base_url.startswith("http:"):
        context = ssl_context(place.ca_bundle, os.getenv("SSL_CERT_FILE", ""), os.getenv("SSL_CERT_DIR", ""))
    try:
        loopback = is_loopback(urlsplit(place.base_url).hostname)
        if not loopback and getproxies().keys() & {"http", "https", "all"}:
            return _Proxied(place.base_url, context, told)
        return _Straight(place.base_url, context, told, _LOCAL_OPTIONS if loopback and context is None else ())
    except (httpx.InvalidURL, ValueError, ImportError):
        pass  # the text of either may hold a proxy's password
    raise InputError(
        "HTTPS_PROXY, ALL_PROXY or the address of the Files API is not one that can be used",
        "Write a proxy like http://proxy.example:3128 (socks5:// needs pip install 'httpx[socks]').",
    )


class _Straight(Connection):
    """One connection to one host, opened when it is needed and again when it was lost.

    `told` hears of every step of a new connection; of a warm one's only while httpcore logs them.
    """

    def __init__(
        self, base_url: str, context: ssl.SSLContext | None, told: Trace, options: Sequence[tuple[int, int, int]]
    ) -> None:
        super().__init__(base_url)
        self._context, self._told, self._options = context, told, options
        self._connection: httpcore.HTTPConnection | None = None

    def send(
        self, method: str, path: str, query: Query, headers: Headers, body: Iterator[bytes] | None
    ) -> httpx.Response:
        """Send one request."""
        url = _core_url(self._base_url, path, query)
        extensions: dict[str, Any] = {"timeout": TIMEOUT}
        connection = self._connection
        if connection is not None and (connection.is_closed() or connection.has_expired()):
            connection.close()
            connection = None
        if connection is None or HTTP_LOG.isEnabledFor(logging.DEBUG):
            extensions["trace"] = self._told
        if connection is None:
            connection = self._connection = httpcore.HTTPConnection(
                url.origin, self._context, keepalive_expiry=_KEEP, socket_options=self._options
            )
        try:
            answer = connection.handle_request(
                httpcore.Request(
                    method, url, headers=headers(), content=b"" if body is None else body, extensions=extensions
                )
            )
        except _FAILURES as error:
            raise _as_httpx(error) from error
        return httpx.Response(answer.status, headers=answer.headers, stream=_Answer(answer))

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _Answer(httpx.SyncByteStream):
    """The body of an answer as it comes from httpcore."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._answer.iter_stream()
        except _FAILURES as error:
            raise _as_httpx(error) from error

    def close(self) -> None:
        self._answer.close()


class _Proxied(Connection):
    """The way to wherever the environment's proxies, and its exceptions from them, say."""

    def __init__(self, base_url: str, context: ssl.SSLContext | None, told: Trace) -> None:
        super().__init__(base_url)
        self._extensions = {"timeout": TIMEOUT, "trace": told}
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=_KEEP)
        if context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # httpx would read the system's for nothing
        self._client = httpx.Client(verify=context, limits=limits, follow_redirects=False)

    def send(
        self, method: str, path: str, query: Query, headers: Headers, body: Iterator[bytes] | None
    ) -> httpx.Response:
        """Send one request."""
        stream = httpx.ByteStream(b"") if body is None else _Body(body)
        url = _url(self._base_url, path, query)
        request = httpx.Request(method, url, headers=headers(), stream=stream, extensions=self._extensions)
        response = self._client.send(request, stream=True)
        response.extensions.pop("reason_phrase", None)  # a server's own words, which `repr` of the response repeats
        return response

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class _Body(httpx.SyncByteStream):
    """The pieces of a body, as httpx wants them."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces


def _as_httpx(error: Exception) -> httpx.TransportError:
    """Return httpx's error for httpcore's."""
    kind = getattr(httpx, type(error).__name__, httpx.TransportError)
    return kind(str(error))


# All uploads have the same address, and to parse it takes longer than to use it.


@lru_cache(maxsize=64)
def _url(base_url: str, path: str, query: Query) -> httpx.URL:
    return httpx.URL(base_url + path, params=query)


@lru_cache(maxsize=64)
def _core_url(base_url: str, path: str, query: Query) -> httpcore.URL:
    url = _url(base_url, path, query)
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)

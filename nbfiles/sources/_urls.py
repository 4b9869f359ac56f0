"""URLs as sources: the address as data, and who reads what is there.

``https://`` (and ``http://`` of this machine) is read by `_web` with the standard library, so it needs no extra, and
uses the system's certificates and proxies as the rest of this package does. ``file://`` is a path. Every other scheme
is a store, which `_stores` reads through fsspec.

What a URL carries beside the place (a signature, a token, a password) is never shown: messages and tables have the
form that `shown` gives.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from nbfiles._config import is_loopback
from nbfiles._errors import InputError, SourceError
from nbfiles._names import visible
from nbfiles._words import is_url
from nbfiles.sources import _paths, _stores, _web

if TYPE_CHECKING:
    from nbfiles._payload import Payload, Payloads
    from nbfiles.sources._request import Request

_QUERY = re.compile(r"(https?://[^?#]*)[?#].*?(?=::|$)", re.IGNORECASE)
_USER = re.compile(r"(?<=://)[^/?#]*@")
_SAFE = "/%:@!$&'()*+,;=~-._?"  # what stands for itself in a path or a query


def matches(obj: Any) -> bool:
    """Whether `obj` is a text that begins with ``scheme://``."""
    return isinstance(obj, str) and is_url(obj)


def payloads(url: str, request: Request) -> Payloads:
    """Return the payloads of what is at `url`: one file, or many for a glob or a folder (which ends in ``/``).

    Raises
    ------
    SourceError
        If nothing is there, it cannot be read, or a package that reads this scheme is missing.
    InputError
        If the URL holds a password, or would be read in the clear from another machine.
    """
    scheme = url.partition("://")[0].lower()
    if scheme == "file":
        return _paths.payloads(_path_of(url), request)
    if scheme in {"http", "https"}:
        return _web.payloads(checked_web(url), request, shown=shown(url), check=checked_web)
    if ":" in _user_of(url):
        raise _password(url)
    return _stores.payloads(url, request, shown=shown(url))


def in_store(url: str, request: Request) -> tuple[list[tuple[_stores.Exact, Payload]], bool]:
    """Return each file of a store's URL with its payload, and whether a name for it binds a list.

    Raises
    ------
    InputError, SourceError
        As `payloads`; and if the URL is not of a store, which every machine sees alike.
    """
    if url.partition("://")[0].lower() in {"http", "https", "file"}:
        raise InputError(f"{shown(url)} is not in a store such as s3://", "Send it from here: leave --on out.")
    if ":" in _user_of(url):
        raise _password(url)
    return _stores.listed(url, shown(url), request)


def shown(url: str) -> str:
    """Return `url` as it may be shown: without user name, password, query (which may be a signature) and fragment."""
    return visible(_USER.sub("", _QUERY.sub(r"\1?…", url)) if "://" in url else url)


def checked_web(url: str) -> str:
    """Return an ``http(s)://`` URL in the ASCII form in which it is asked for.

    Raises
    ------
    InputError
        If it is none, carries a user name, or is ``http://`` and leads to another machine.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        ascii_host = host.encode("idna").decode() if not host.isascii() else host
    except ValueError:
        host = ""
    if not host or any(char.isspace() or not char.isprintable() for char in parts.netloc):
        raise InputError(f"{shown(url)} is not a web address", "Write it like https://example.org/data.csv.")
    if _user_of(url):
        raise _password(url)
    if parts.scheme.lower() == "http" and not is_loopback(host):
        raise InputError(
            f"{shown(url)} would be read in the clear, and anybody on the way could change it",
            "Use https://; http:// is for this machine only.",
        )
    where = f"[{ascii_host}]" if ":" in ascii_host else ascii_host
    query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
    path = quote(parts.path or "/", safe=_SAFE)
    return f"{parts.scheme.lower()}://{where}{'' if port is None else f':{port}'}{path}{query}"


def _user_of(url: str) -> str:
    found = _USER.search(url)
    return found.group().removesuffix("@") if found else ""


def _password(url: str) -> InputError:
    return InputError(
        f"{shown(url)} was given with a user name or a password in it, which would be saved with the notebook",
        "Leave it out; in Python there is storage_options={...}.",
    )


def _path_of(url: str) -> str:
    """Return the path that a ``file://`` URL names."""
    host, slash, path = url.partition("://")[2].partition("/")
    if host not in {"", "localhost"}:
        raise SourceError(f"{shown(url)} is on another machine", "Write file:///path for a file of this machine.")
    return url2pathname(slash + path)

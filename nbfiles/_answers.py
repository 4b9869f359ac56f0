"""What the Files API's answers mean: their JSON, their errors, and how long they ask to wait. Pure.

Errors are decided by status, then by ``error.details.error_code``, never by the message, which is shown only if it is
the API's own. Table: https://platform.claude.com/docs/en/api/errors and the official SDK's ``_exceptions.py``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from nbfiles import _errors
from nbfiles._errors import APIError, Error, ResponseError
from nbfiles._names import visible

if TYPE_CHECKING:
    from nbfiles._config import Place
    from nbfiles._credentials import Credential, Secret

_READ = 1 << 16  # characters of a text in an error; what is shown is much less, so no half of a key at the end is
_BETWEEN = "A proxy or a login page may stand between. Look at ANTHROPIC_BASE_URL and the network."


def parse_json(body: bytes, who: str) -> object:
    """Return the JSON in `body`.

    Raises
    ------
    ResponseError
        If it is none: a login page, half an answer. Its text is not shown.
    """
    try:
        return json.loads(body.decode("utf-8"))  # not as bytes: `json` would guess UTF-16 and the like
    except (ValueError, RecursionError):
        pass
    kind = "a web page" if body.lstrip()[:1] == b"<" else "something that is not JSON"
    raise ResponseError(
        f"{who} answered with {kind}",
        _BETWEEN,
    )


def api_error(status: int, headers: Mapping[str, str], body: bytes, *, place: Place, credential: Credential) -> Error:
    """Return the error of ours for an answer that is not a success. It does not hold the key.

    Parameters
    ----------
    status : int
    headers : Mapping of str to str
        Looked up in small letters.
    body : bytes
        The API's JSON, or a proxy's HTML, which is never shown.
    place : Place
    credential : Credential
        What was sent. Its source is told for a 401; its secret is hidden wherever the answer repeats it, as some
        servers, and proxies before them, do with what they refuse.
    """
    secret = credential.secret
    if status < 300:
        return ResponseError(f"{place.who} answered with {status}, which the Files API never does", _BETWEEN)
    if status < 400:
        host = _host(headers, secret)
        return ResponseError(
            f"{place.who} redirects to {host} ({status}), and a file is not sent where it was not meant to go",
            "Set ANTHROPIC_BASE_URL to the right address.",
        )
    error_type, error_code, said = _error_fields(body, secret)
    request_id = _hidden(headers.get("request-id"), secret)
    kind, cause, way_out = _verdict(status, error_code)
    cause = cause.format(who=place.who, status=status)
    way_out = way_out.format(key_from=credential.source)
    if said and kind in _SAYS_WHY:
        cause = f"{cause}: {said}"
    if kind is _errors.ServerError and request_id:
        way_out = f"{way_out} Request id: {visible(request_id[:80])}."
    return kind(
        cause,
        way_out,
        status=status,
        error_type=error_type,
        error_code=error_code,
        request_id=request_id,
        retry_after=retry_after(headers),
        should_retry=_SHOULD_RETRY.get(headers.get("x-should-retry", "")),
    )


_SHOULD_RETRY = {"true": True, "false": False}


# Where the server's own sentence tells more than ours can.
_SAYS_WHY = (_errors.BadRequestError, _errors.PermissionDeniedError, _errors.ConflictError, APIError)


class _Verdict(NamedTuple):
    """An error class, and its two sentences, in which {who}, {key_from} and {status} are filled in."""

    kind: type[APIError]
    cause: str
    way_out: str


_BY_CODE = {
    "storage_quota_exceeded": _Verdict(
        _errors.StorageFullError,
        "the storage at {who} is full",
        "List what is large with %files --sort size; free space with %files delete.",
    ),
    "file_not_downloadable": _Verdict(
        _errors.NotDownloadableError,
        "{who} lets you download only files it made itself",
        "What was uploaded is still where it came from.",
    ),
    "file_expired": _Verdict(_errors.FileExpiredError, "this file has expired", "Upload it again."),
}
_AGAIN = "Run the line again in a while."
_BY_STATUS = {
    400: _Verdict(_errors.BadRequestError, "{who} refused the request (400)", ""),
    401: _Verdict(
        _errors.AuthenticationError,
        "{who} refused the API key (401)",
        "It came from {key_from}. Check it and run the cell again.",
    ),
    402: _Verdict(_errors.BillingError, "{who} cannot bill this account (402)", "See the account's billing page."),
    403: _Verdict(_errors.PermissionDeniedError, "this key may not do that (403)", "It came from {key_from}."),
    404: _Verdict(
        _errors.NotFoundError,
        "{who} has no such file, or none that this key may see (404)",
        "%files lists those it has.",
    ),
    409: _Verdict(_errors.ConflictError, "another request was in the way (409)", "Run the line again."),
    413: _Verdict(
        _errors.RequestTooLargeError, "the file is larger than {who} takes (413)", "Split it, or compress it."
    ),
    429: _Verdict(_errors.RateLimitError, "{who} is busy (429)", _AGAIN),
    503: _Verdict(_errors.ServerError, "{who} is busy (503)", _AGAIN),
    529: _Verdict(_errors.ServerError, "{who} is busy (529)", _AGAIN),
}
_SERVER_FAULT = _Verdict(_errors.ServerError, "{who} has a fault of its own ({status})", _AGAIN)
_OTHER = _Verdict(APIError, "{who} refused the request ({status})", "")


def _verdict(status: int, code: str | None) -> _Verdict:
    """Return what a status and an error code mean; the code, where it is a known one, says more."""
    if code in _BY_CODE:
        return _BY_CODE[code]
    return _BY_STATUS.get(status) or (_SERVER_FAULT if status >= 500 else _OTHER)


def _host(headers: Mapping[str, str], secret: Secret) -> str:
    """Name no more than the host that a redirect leads to: the rest of the address may hold anything."""
    try:
        return visible(secret.hide(urlsplit(headers.get("location", "")).hostname or "another address"))
    except ValueError:  # an address that is none
        return "another address"


def _error_fields(body: bytes, secret: Secret) -> tuple[str | None, str | None, str]:
    """Return type, code and message of the API's error object; nothing of what is not one."""
    try:
        error = json.loads(body)["error"]
        error_type, message, details = error.get("type"), error.get("message"), error.get("details")
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        return None, None, ""
    code = details.get("error_code") if isinstance(details, Mapping) else None
    said = visible(_hidden(message, secret) or "").strip().rstrip(".")[:200]
    return _hidden(error_type, secret), _hidden(code, secret), said


def _hidden(text: object, secret: Secret) -> str | None:
    """Return `text` without the key; None if it is no text."""
    return secret.hide(text[:_READ]) if isinstance(text, str) else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a server asks to wait: 0 if it asks unreadably, None if it does not ask.

    Read are ``retry-after-ms``, and ``retry-after`` as seconds or as an HTTP date (RFC 9110, 10.2.3), a date against
    the server's own ``date``.
    """
    for name, factor in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            seconds = float(value) * factor
        except ValueError:
            seconds = _seconds_until(value, headers.get("date"))
        return seconds if 0 < seconds < float("inf") else 0.0
    return None


def http_date(text: str) -> datetime | None:
    """Return the time in an HTTP date (RFC 9110, 5.6.7); None if there is none."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _seconds_until(date: str, now: str | None) -> float:
    then = http_date(date)
    start = http_date(now) if now else datetime.now(UTC)
    return (then - start).total_seconds() if then is not None and start is not None else 0.0

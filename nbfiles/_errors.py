"""The exceptions nbfiles raises, drawn as a tree.

::

    Error                           anything nbfiles reports: one line, the cause, then the way out
    ├── InputError                  what was asked for cannot be done as written; nothing was sent
    │   ├── GrammarError            a magic line that does not parse; knows the line and the place
    │   ├── FileNameError           a file name the Files API would refuse
    │   ├── SourceError             something that cannot be uploaded: missing, a folder, a device, unreadable
    │   ├── FileTooLargeError       over the limit for one file; not one packet was sent
    │   └── LossError               a format that would change or merge values; names the column
    ├── CredentialError             no API key was found
    ├── SourceChangedError          the source changed while it was being read
    ├── ConnectionFailedError       the server could not be reached; nothing was sent
    │   ├── CertificateError        its certificate is not one this machine trusts
    │   └── DeadlineError           the call took longer than it may
    ├── ResponseError               an answer that is not the Files API's (a login page, half a JSON)
    ├── UnknownOutcomeError         the bytes left, no answer came: the file may exist, or not
    │   └── AmbiguousUploadError    several files at the server may be the one: ``ids``
    ├── APIError                    the Files API said no: ``status``, ``error_type``, ``error_code``, ``request_id``
    │   ├── BadRequestError         400
    │   │   ├── StorageFullError    400 or 403 with ``storage_quota_exceeded``
    │   │   └── NotDownloadableError  400 with ``file_not_downloadable``
    │   ├── AuthenticationError     401
    │   ├── BillingError            402
    │   ├── PermissionDeniedError   403
    │   ├── NotFoundError           404
    │   │   └── FileExpiredError    404 with ``file_expired``
    │   ├── ConflictError           409
    │   ├── RequestTooLargeError    413
    │   ├── RateLimitError          429
    │   └── ServerError             500 and above
    └── PartialError                some of several files failed: ``table`` and ``failures`` say which
        ├── UploadError             they were not uploaded
        └── DeletionError           they were not deleted

Every message is written to be read by a person in a notebook. None holds a key, a request body or the HTML of a
server, so no error keeps the ``httpx`` object that it came from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nbfiles._table import FileTable


class Error(Exception):
    """Base of everything nbfiles raises on purpose.

    Parameters
    ----------
    cause : str
        What happened, as one sentence without its full stop or with it.
    way_out : str, default ""
        What to do next.

    Examples
    --------
    >>> import nbfiles
    >>> try:
    ...     nbfiles.upload("no such file.pdf")
    ... except nbfiles.Error as error:
    ...     print(error.cause)
    there is no file no such file.pdf
    """

    def __init__(self, cause: str, way_out: str = "") -> None:
        self.cause = cause
        self.way_out = way_out
        super().__init__(f"{_sentence(cause)} {way_out}" if way_out else cause)

    def __reduce__(self) -> tuple[Callable[..., Error], tuple[type[Error], tuple[Any, ...], dict[str, Any]]]:
        """Pickle and copy without ``__init__``, whose arguments differ from class to class (Dask moves errors)."""
        return _rebuild, (type(self), self.args, dict(vars(self)))


class InputError(Error, ValueError):
    """What was asked for cannot be done as written. Nothing was sent and no name was bound."""


class GrammarError(InputError):
    """A magic line that does not parse.

    Attributes
    ----------
    line : str
        The whole line, the magic's name included.
    start, end : int
        The marked place, as offsets into `line`.
    """

    def __init__(self, message: str, line: str, start: int, end: int) -> None:
        super().__init__(message)
        self.line = line
        self.start = start
        self.end = end


class FileNameError(InputError):
    r"""A file name the Files API would refuse (1 to 255 characters, none of ``< > : " | ? * \ /``, no controls)."""


class SourceError(InputError):
    """Something that cannot be uploaded: missing, a folder where a file must stand, a device, unreadable."""


class FileTooLargeError(InputError):
    """A file over the limit for one file. It was refused before a connection was made."""


class LossError(InputError):
    """A format that would change or merge values; the message names the column and a format that can hold it."""


class CredentialError(Error):
    """No API key was found, or the one found cannot be used as it is."""


class SourceChangedError(Error):
    """The source changed while it was being read, so what was sent is not one version of it."""


class ConnectionFailedError(Error):
    """The server could not be reached. No byte of the file was sent."""


class CertificateError(ConnectionFailedError):
    """The server's certificate is not one this machine trusts. No byte of the file was sent."""


class DeadlineError(ConnectionFailedError):
    """The call took longer than its total time limit."""


class ResponseError(Error):
    """An answer that is not the Files API's: a proxy's login page, an empty object, a wrong size."""


class UnknownOutcomeError(Error):
    """The bytes left this machine and no valid answer came back, so the file may or may not exist there."""


class AmbiguousUploadError(UnknownOutcomeError):
    """No answer came back, and several files at the server may be the one that was sent.

    Attributes
    ----------
    ids : tuple of str
        Their ids, newest first.
    """

    def __init__(self, cause: str, way_out: str = "", *, ids: Sequence[str]) -> None:
        super().__init__(cause, way_out)
        self.ids = tuple(ids)


class APIError(Error):
    """The Files API answered with an error.

    Attributes
    ----------
    status : int
        The HTTP status.
    error_type : str or None
        ``error.type`` of the body, such as ``"not_found_error"``.
    error_code : str or None
        ``error.details.error_code`` of the body, such as ``"file_expired"``.
    request_id : str or None
        The id to give to Anthropic's support.
    retry_after : float or None
        Seconds the server asks to wait; 0 where it asks for something unreadable, None where it asks for nothing.
    should_retry : bool or None
        What the server says of trying again (``x-should-retry``); None where it says nothing.
    """

    def __init__(
        self,
        cause: str,
        way_out: str = "",
        *,
        status: int,
        error_type: str | None = None,
        error_code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        should_retry: bool | None = None,
    ) -> None:
        super().__init__(cause, way_out)
        self.retry_after = retry_after
        self.should_retry = should_retry
        self.status = status
        self.error_type = error_type
        self.error_code = error_code
        self.request_id = request_id


class BadRequestError(APIError):
    """400: the request was understood and refused."""


class StorageFullError(BadRequestError):
    """The organisation's storage is full (``storage_quota_exceeded``)."""


class NotDownloadableError(BadRequestError):
    """Only files that Claude made can be downloaded (``file_not_downloadable``)."""


class AuthenticationError(APIError):
    """401: the key is wrong, revoked or expired."""


class BillingError(APIError):
    """402: the account cannot be billed."""


class PermissionDeniedError(APIError):
    """403: the key may not do this."""


class NotFoundError(APIError):
    """404: no such file, or none that this key may see."""


class FileExpiredError(NotFoundError):
    """The file's ``expires_at`` has passed (``file_expired``)."""


class ConflictError(APIError):
    """409: the request met another one."""


class RequestTooLargeError(APIError):
    """413: the server would not take a body of this size."""


class RateLimitError(APIError):
    """429: too many requests, or the account's spending limit."""


class ServerError(APIError):
    """500 and above: the fault is the server's."""


class PartialError(Error):
    """Some of several files failed. What was done to the others is done.

    Attributes
    ----------
    table : FileTable
        One row a file, with ``status`` and ``error``.
    failures : tuple of Error
        What went wrong, in the order of the files.
    """

    def __init__(self, cause: str, way_out: str, *, table: FileTable, failures: Sequence[Error]) -> None:
        super().__init__(cause, way_out)
        self.table = table
        self.failures = tuple(failures)


class UploadError(PartialError):
    """Some of several files were not uploaded. No name was bound that needed one of them."""


class DeletionError(PartialError):
    """Some of several files were not deleted, or nobody knows whether they were."""


def _rebuild(kind: type[Error], args: tuple[Any, ...], values: dict[str, Any]) -> Error:
    """Make the error that was pickled."""
    error = kind.__new__(kind, *args)
    vars(error).update(values)
    return error


def _sentence(text: str) -> str:
    """Close `text` with a full stop unless it has its own ending."""
    return text if text.endswith((".", "?", "!", ":")) else f"{text}."

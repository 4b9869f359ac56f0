"""Send notebook files and DataFrames to the Anthropic Files API, and keep their ids in variables.

In a notebook: ``%load_ext nbfiles``, then ``%upload report.pdf as report_id``; ``%upload?`` tells the rest. In Python:
``nbfiles.upload("report.pdf")``. Importing this module imports nothing heavy: each name is fetched when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from nbfiles._config import NbFiles
    from nbfiles._content import Content, content
    from nbfiles._credentials import login
    from nbfiles._errors import (
        AmbiguousUploadError,
        APIError,
        AuthenticationError,
        BadRequestError,
        BillingError,
        CertificateError,
        ConflictError,
        ConnectionFailedError,
        CredentialError,
        DeadlineError,
        DeletionError,
        Error,
        FileExpiredError,
        FileNameError,
        FileTooLargeError,
        GrammarError,
        InputError,
        LossError,
        NotDownloadableError,
        NotFoundError,
        PartialError,
        PermissionDeniedError,
        RateLimitError,
        RequestTooLargeError,
        ResponseError,
        ServerError,
        SourceChangedError,
        SourceError,
        StorageFullError,
        UnknownOutcomeError,
        UploadError,
    )
    from nbfiles._files import (
        Files,
        delete_file,
        delete_file_async,
        delete_files,
        delete_files_async,
        download_file,
        download_file_async,
        download_files,
        download_files_async,
        get_file,
        get_file_async,
        get_usage,
        get_usage_async,
        iter_files,
        iter_files_async,
        list_duplicates,
        list_duplicates_async,
        list_files,
        list_files_async,
        prune_files,
        prune_files_async,
        read,
        read_async,
        upload,
        upload_async,
        upload_many,
        upload_many_async,
        use,
    )
    from nbfiles._generated import generated
    from nbfiles._models import DeletedFile, FileId, FileMetadata
    from nbfiles._table import FileTable
    from nbfiles._usage import Usage
    from nbfiles.sources import text
    from nbfiles.widget import FileBrowser, UploadWidget

    last: FileTable | None

__all__ = [
    "APIError",
    "AmbiguousUploadError",
    "AuthenticationError",
    "BadRequestError",
    "BillingError",
    "CertificateError",
    "ConflictError",
    "ConnectionFailedError",
    "Content",
    "CredentialError",
    "DeadlineError",
    "DeletedFile",
    "DeletionError",
    "Error",
    "FileBrowser",
    "FileExpiredError",
    "FileId",
    "FileMetadata",
    "FileNameError",
    "FileTable",
    "FileTooLargeError",
    "Files",
    "GrammarError",
    "InputError",
    "LossError",
    "NbFiles",
    "NotDownloadableError",
    "NotFoundError",
    "PartialError",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTooLargeError",
    "ResponseError",
    "ServerError",
    "SourceChangedError",
    "SourceError",
    "StorageFullError",
    "UnknownOutcomeError",
    "UploadError",
    "UploadWidget",
    "Usage",
    "content",
    "delete_file",
    "delete_file_async",
    "delete_files",
    "delete_files_async",
    "download_file",
    "download_file_async",
    "download_files",
    "download_files_async",
    "generated",
    "get_file",
    "get_file_async",
    "get_usage",
    "get_usage_async",
    "iter_files",
    "iter_files_async",
    "last",
    "list_duplicates",
    "list_duplicates_async",
    "list_files",
    "list_files_async",
    "login",
    "prune_files",
    "prune_files_async",
    "read",
    "read_async",
    "text",
    "upload",
    "upload_async",
    "upload_many",
    "upload_many_async",
    "use",
]
# Errors live in `_errors`, verbs in `_files`; the rest here.
_HOMES = {
    "Content": "_content",
    "DeletedFile": "_models",
    "FileId": "_models",
    "FileMetadata": "_models",
    "FileTable": "_table",
    "NbFiles": "_config",
    "FileBrowser": "widget",
    "UploadWidget": "widget",
    "Usage": "_usage",
    "content": "_content",
    "generated": "_generated",
    "login": "_credentials",
    "text": "sources",
}
__version__: str


def __getattr__(name: str) -> Any:
    """Fetch a public name when it is first used (PEP 562)."""
    if name == "last":  # not kept: it changes with every call
        return import_module("nbfiles._results").latest()
    if name in __all__:
        home = _HOMES.get(name, "_errors" if name.endswith("Error") else "_files")
        value = getattr(import_module(f"nbfiles.{home}"), name)
        globals()[name] = value
        return value
    if name == "__version__":
        from importlib.metadata import version

        return version("nbfiles")
    raise AttributeError(f"module 'nbfiles' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__", "load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add ``%upload``, ``%%upload`` and ``%files`` to `shell` (``%load_ext nbfiles``); again changes nothing."""
    from nbfiles import _magics

    _magics.load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take out of `shell` what loading put there (``%unload_ext nbfiles``)."""
    from nbfiles import _magics

    _magics.unload(shell)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Name the server extension, which ``pip install`` switches on (see ``jupyter-config``)."""
    return [{"module": "nbfiles.server"}]

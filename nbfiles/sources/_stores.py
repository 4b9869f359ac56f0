"""Files in a store: ``s3://``, ``gs://``, ``az://``, ``hf://`` and whatever else fsspec reads, streamed as they are.

A URL is one file, or many where it holds a glob or ends in ``/``. Sizes come from the store's own list, so a file that
is too large is refused before the first is read. Every attempt opens the object anew and asks for 4 MiB at a time;
when the last piece was read, the store is asked whether size, ETag and time are still what they were.

https://filesystem-spec.readthedocs.io/en/latest/ ; fsspec and the package of each store come with the extra ``remote``.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from nbfiles._errors import Error, InputError, SourceError
from nbfiles._names import HEAD, TYPES, check_filename, ending_of, mime_type_for, visible
from nbfiles._options import SECRETS
from nbfiles._payload import CHUNK, Payload, Payloads, Spool
from nbfiles._words import has_glob
from nbfiles.sources._archive import archive
from nbfiles.sources._limit import refuse_larger
from nbfiles.sources._sieve import Sieve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nbfiles.sources._request import Request

BLOCK = 4 << 20  # bytes asked for at a time: a store far away answers a question in 50 ms, however small it is
# How the stores call what tells one version from another; and, where there is none of these, when it was written.
_MARKS = ("ETag", "etag", "generation", "VersionId", "version_id", "blob_id", "Content-MD5", "content_md5", "md5Hash")
_TIMES = ("LastModified", "Last-Modified", "last_modified", "modified", "mtime", "updated", "created")
_PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs",
    "hf": "huggingface_hub",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exact:
    """One file in a store, by its URL: no character of it makes a glob.

    Parameters
    ----------
    url : str
    shown : str
        As it may be shown.
    """

    url: str = field(repr=False)
    shown: str


def matches(obj: Any) -> bool:
    """Whether `obj` is an `Exact` or what ``fsspec.open`` returns; URLs come through `_urls`."""
    kind = type(obj)
    return kind is Exact or (kind.__module__ == "fsspec.core" and kind.__name__ == "OpenFile")


def payloads(obj: Any, request: Request, *, shown: str = "") -> Payloads:
    """Return the payloads of a store's URL, of an `Exact`, or of an ``fsspec.OpenFile``.

    Parameters
    ----------
    obj : str or Exact or fsspec.core.OpenFile
    request : Request
        Its `opt` and `storage_options` go to the store.
    shown : str, default ""
        The URL as it may be shown.

    Raises
    ------
    SourceError
        If nothing is there, it cannot be read, or the package of the store is missing.
    InputError
        If a key is given where it would be saved with the notebook.
    """
    if isinstance(obj, Exact):
        store, path = _connect(obj.url, obj.shown, request)
        return Payloads([store.payload(path, store.info(path), request)], many=False)
    if not isinstance(obj, str):
        store = _Store(obj.fs, visible(str(obj.path)))
        if obj.compression is not None:
            return Payloads([store.unpacked(obj, request)], many=False)
        return Payloads([store.payload(obj.path, store.info(obj.path), request)], many=False)
    if obj.endswith("/") and request.zip:
        return Payloads([_archive(obj, shown, request)], many=False)
    pairs, many = listed(obj, shown, request)
    return Payloads([payload for _, payload in pairs], many=many)


def listed(url: str, shown: str, request: Request) -> tuple[list[tuple[Exact, Payload]], bool]:
    """Return each file at `url` with its payload, and whether a name for it binds a list; see `payloads`."""
    store, path = _connect(url, shown, request)
    pattern = has_glob(path)
    request.refuse_zip("a glob" if pattern else "a file")
    if not pattern and not url.endswith("/"):
        return [(Exact(url, shown), store.payload(path, store.info(path), request))], False
    request.refuse_name("a folder or glob")
    found, sieve = store.members(path, request, pattern=pattern)
    if not found:
        raise sieve.error(f"no file matches {shown}" if pattern else f"no file to send in {shown}")
    scheme, _, rest = url.partition("://")
    beneath = rest.partition("::")
    pairs = [
        (Exact(f"{scheme}://{one}{beneath[1]}{beneath[2]}", store.shown(one)), store.payload(one, info, request))
        for _, one, info in found
    ]
    pairs[0][1].notes += sieve.notes
    return pairs, True


def _archive(url: str, shown: str, request: Request) -> Payload:
    """Return the payload of a packed folder."""
    store, path = _connect(url, shown, request)
    found, sieve = store.members(path, request, pattern=False)
    if not found:
        raise sieve.error(f"no file to send in {shown}")
    members = [(inside, store.member(one, info)) for inside, one, info in found]
    name = path.rstrip("/").rpartition("/")[2]
    return archive(members, name=name, source=shown, request=request, notes=sieve.notes)


def _connect(url: str, shown: str, request: Request) -> tuple[_Store, str]:
    """Return the store that `url` is in, and the path in it."""
    secret = next((key for key, _ in request.opt if _is_secret(key)), None)
    if secret is not None:
        raise InputError(
            f"--opt {visible(secret)} would be saved with the notebook",
            "Set it in the environment, or in Python: storage_options={...}.",
        )
    scheme = url.partition("://")[0].lower()
    try:
        from fsspec.core import url_to_fs

        fs, path = url_to_fs(url, **{**dict(request.opt), **request.storage_options})
    except ImportError:
        package = _PACKAGES.get(scheme, "fsspec")
        raise SourceError(
            f"{scheme}:// is read with {package}, which is not installed", "pip install 'nbfiles[remote]'"
        ) from None
    except Exception as error:  # noqa: BLE001  # every store has errors of its own, and their texts may hold a key
        failure = _unreadable(shown, error)
    else:
        return _Store(fs, shown, f"{scheme}://"), path
    raise failure


def _is_secret(key: str) -> bool:
    """Whether an option's name says that it holds what nobody else may see."""
    words = set(re.split(r"[_-]", key.lower()))
    return key.lower() in SECRETS or bool(words & {"key", "token", "secret", "password", "credential", "connection"})


class _Store:
    """A file system of fsspec's, with errors of ours.

    Parameters
    ----------
    fs : fsspec.AbstractFileSystem
    shown : str
        What was asked for, as it may be shown.
    scheme : str, default ""
        What stands before a path.
    """

    def __init__(self, fs: Any, shown: str, scheme: str = "") -> None:
        self.fs, self._shown, self._scheme = fs, shown, scheme

    def __repr__(self) -> str:  # a file system shows the options it was made with
        return f"_Store({self._shown!r})"

    def info(self, path: str, *, anew: bool = False) -> Mapping[str, Any]:
        """Return what the store says of one file; `anew` asks it even if it was asked before."""
        try:
            if anew:
                self.fs.invalidate_cache(path)
            info: Mapping[str, Any] = self.fs.info(path)
        except Exception as error:  # noqa: BLE001  # likewise
            failure = _unreadable(self.shown(path), error)
        else:
            if info.get("type") != "directory":
                return info
            failure = SourceError(
                f"{self.shown(path)} is a folder, not a file", "To send the files in it, end it with a slash."
            )
        raise failure

    def members(
        self, path: str, request: Request, *, pattern: bool
    ) -> tuple[list[tuple[str, str, Mapping[str, Any]]], Sieve]:
        """Return relative path, path and info of each file that is meant, sorted, and who kept what back."""
        try:
            found = self.fs.glob(path, detail=True) if pattern else self.fs.find(path, detail=True)
        except Exception as error:  # noqa: BLE001  # likewise
            failure = _unreadable(self._shown, error)
        else:
            parts = path.strip("/").split("/")
            fixed = next((at for at, part in enumerate(parts) if has_glob(part)), len(parts))
            sieve = Sieve(request, tuple(parts[fixed:]))
            kept = list[Any]()
            for one, info in sorted(found.items()):
                inside = tuple(one.strip("/").split("/")[fixed:])
                hidden = any(sieve.hides(inside[:depth]) for depth in range(1, len(inside) + 1))
                if inside and info.get("type") != "directory" and sieve.wants(inside) and not hidden:
                    kept.append(("/".join(inside), one, info))
            return kept, sieve
        raise failure

    def payload(self, path: str, info: Mapping[str, Any], request: Request) -> Payload:
        """Return the payload of one file; one whose size the store does not know goes through a temporary file."""
        name = check_filename(request.name or path.rstrip("/").rpartition("/")[2])
        if not isinstance(info.get("size"), int):
            return self._spooled(self.fs.open(path, "rb"), name, path, request)
        # The first bytes are looked at only where the name does not tell the type: each look is a question more.
        head = b"" if ending_of(name) in TYPES else self._head(path, info)
        mime_type = mime_type_for(name, head=head, **request.mime)
        made = self.member(path, info)
        made.name, made.mime_type = name, mime_type
        return made

    def member(self, path: str, info: Mapping[str, Any]) -> Payload:
        """Return the payload of one file, whatever it is called."""
        shown = self.shown(path)
        return Payload("member", "", info["size"], lambda: cast("BinaryIO", _Reader(self, path, info)), shown)

    def unpacked(self, opened: Any, request: Request) -> Payload:
        """Return the payload of an ``fsspec.OpenFile`` that unpacks what it reads."""
        name = check_filename(request.name or opened.path.rpartition("/")[2])
        return self._spooled(opened, name, opened.path, request)

    def _spooled(self, opened: Any, name: str, path: str, request: Request) -> Payload:
        failure: Error
        with Spool() as spool:
            try:
                with opened as reader:
                    size = 0
                    while piece := reader.read(CHUNK):
                        size += spool.write(piece)
                        refuse_larger(name, size)
            except Error:
                raise
            except Exception as error:  # noqa: BLE001  # likewise
                failure = _unreadable(self.shown(path), error)
            else:
                return spool.payload(name=name, source=self.shown(path), **request.mime)
        raise failure

    def _head(self, path: str, info: Mapping[str, Any]) -> bytes:
        with _Reader(self, path, info, block=HEAD) as reader:
            return reader.read(HEAD)

    def shown(self, path: str) -> str:
        """Return the URL of a path, as it may be shown."""
        if "://" in path or not self._scheme:
            return visible(path.partition("?")[0])
        return f"{self._scheme}{visible(path.lstrip('/') if self._scheme != 'file://' else path)}"


class _Reader(io.RawIOBase):
    """Reads an object 4 MiB at a time, and can tell whether it is still the version that was measured."""

    def __init__(self, store: _Store, path: str, info: Mapping[str, Any], *, block: int = BLOCK) -> None:
        super().__init__()
        self._store, self._path, self._info = store, path, info
        self._block, self._held, self._at = block, b"", 0
        try:
            # No cache of its own: it would hold what has been sent already.
            self._file = store.fs.open(path, "rb", block_size=block, cache_type="none")
        except Exception as error:  # noqa: BLE001  # likewise
            failure = _unreadable(store.shown(path), error)
        else:
            return
        raise failure

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most `size`; none at the end."""
        if self._at == len(self._held):
            self._held = b""  # let go of the old block before the new one comes
            self._held, self._at = self._next(), 0
        piece = self._held[self._at : self._at + size] if size >= 0 else self._held[self._at :]
        self._at += len(piece)
        return piece

    def _next(self) -> bytes:
        try:
            return bytes(self._file.read(self._block))
        except Exception as error:  # noqa: BLE001  # likewise
            failure = _unreadable(self._store.shown(self._path), error)
        raise failure

    def check_unchanged(self) -> bool:
        """Whether the store still has the version that was measured."""
        return same_version(self._info, self._store.info(self._path, anew=True))

    def close(self) -> None:
        """Close the object."""
        if not self.closed and hasattr(self, "_file"):
            self._file.close()
        super().close()


def same_version(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two answers of a store are about the same version of a file.

    A store's list and its answer about one file do not say all the same things, nor in the same way: what both say
    counts. Times count by the second, and only where nothing better is said.
    """
    if one.get("size") != other.get("size"):
        return False
    marks = [mark for mark in _MARKS if one.get(mark) and other.get(mark)]
    if marks:
        return all(_bare(one[mark]) == _bare(other[mark]) for mark in marks)
    times = [(_seconds(one[mark]), _seconds(other[mark])) for mark in _TIMES if one.get(mark) and other.get(mark)]
    return all(before == after for before, after in times if before is not None and after is not None)


def _bare(mark: object) -> str:
    return str(mark).removeprefix("W/").strip('"')


def _seconds(time: object) -> int | None:
    """Return a time in whole seconds since 1970, however it is said; None if it cannot be read."""
    if isinstance(time, int | float):
        return int(time)
    if isinstance(time, datetime):
        return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            return _seconds(read(str(time)))
        except (TypeError, ValueError):
            continue
    return None


def _unreadable(shown: str, error: Exception) -> Error:
    """Return the error for what a store could not do; its own text may hold a URL with a signature, so it is not."""
    if isinstance(error, Error):
        return error
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return SourceError(f"there is no file {shown}", "Look at the spelling.")
    if isinstance(error, ValueError) and "Protocol not known" in str(error):
        return SourceError(f"nothing here reads {shown}", "Install the fsspec package of that store.")
    if isinstance(error, TypeError):
        return SourceError(f"{shown} cannot be read with these options", "Look at --opt and storage_options.")
    kind = visible(type(error).__name__)
    return SourceError(
        f"{shown} cannot be read ({kind})",
        "Look at the address, and at your credentials for it: the environment, or storage_options in Python.",
    )

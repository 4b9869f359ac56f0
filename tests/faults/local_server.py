"""A local Files API under fire: a server that may be killed, hands that send to it, and what its folder must hold."""

from __future__ import annotations

import contextlib
import hashlib
import os
import runpy
import shutil
import socket
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# By its name it cannot be imported: every folder of tests may have a conftest.
LocalAPI = runpy.run_path(os.fspath(Path(__file__).parents[1] / "conftest.py"))["LocalAPI"]
# Made once, as it takes longer than most requests; nothing here is https.
TLS = httpx.create_ssl_context()
FORM = {"content-type": "multipart/form-data; boundary=B"}


@contextlib.contextmanager
def serving(folder: Path | None = None) -> Iterator[Any]:
    """Serve a local Files API, by default on a folder of its own that goes with it."""
    with tempfile.TemporaryDirectory() as fresh:
        api = LocalAPI.start(folder or Path(fresh) / "store")
        try:
            yield api
        finally:
            api.kill()


def client_of(api: Any) -> httpx.Client:
    """Return a client that holds the key."""
    return httpx.Client(base_url=api.base_url, headers=api.headers, timeout=20, trust_env=False, verify=TLS)


def upload(
    client: httpx.Client, content: bytes = b"hello", name: str = "a.txt", mime_type: str = "text/plain", **options: Any
) -> httpx.Response:
    """Upload one file."""
    return client.post("/v1/files", files={"file": (name, content, mime_type)}, **options)


def ids_of(answer: httpx.Response) -> list[str]:
    """Return the ids in a list of files."""
    return [file["id"] for file in answer.json()["data"]]


def error_of(response: httpx.Response) -> tuple[int, str, str | None]:
    """Return status, type and code of an error, after a look at the rest of its shape."""
    body = response.json()
    assert {"type", "error", "request_id"} == set(body)
    assert ("error", response.headers["request-id"]) == (body["type"], body["request_id"])
    error = body["error"]
    assert error["message"]
    return response.status_code, error["type"], error.get("details", {}).get("error_code")


def connect(api: Any) -> socket.socket:
    """Open a connection that knows no HTTP."""
    return socket.create_connection(("127.0.0.1", int(api.base_url.rpartition(":")[2])), timeout=10)


def request(api: Any, *headers: str, key: str | None = None) -> bytes:
    """Return the head of an upload, written by hand."""
    lines = ["POST /v1/files HTTP/1.1", f"Host: {api.base_url.removeprefix('http://')}",
             f"x-api-key: {key or api.api_key}", *headers]  # fmt: skip
    if not any(header.lower().startswith("content-type:") for header in headers):
        lines.append(f"Content-Type: {FORM['content-type']}")
    return "\r\n".join([*lines, "", ""]).encode()


def wait_until(condition: Callable[[], Any]) -> None:
    """Wait up to ten seconds."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def peak(api: Any) -> int:
    """Return the most memory that the server had so far, in KiB (from Linux's /proc)."""
    status = Path(f"/proc/{api.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


# -- a folder, seen from outside -------------------------------------------------------------------------------------


def rows_of(folder: Path, *, live: bool = False) -> dict[str, str]:
    """Return the sha256 of every row; after a crash from a copy, as to open an index then is to mend it.

    Beside a server that is alive the folder itself is read: a commit that failed may stand in the WAL and not count.
    """
    with tempfile.TemporaryDirectory() as copy:
        for name in () if live else ("files.sqlite", "files.sqlite-wal", "files.sqlite-journal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(folder / name, copy)
        with contextlib.closing(sqlite3.connect((folder if live else Path(copy)) / "files.sqlite")) as index:
            assert ("ok",) == index.execute("PRAGMA integrity_check").fetchone()
            if not index.execute("SELECT * FROM sqlite_master").fetchone():  # the crash came before the first row could
                return {}
            return dict(index.execute("SELECT key, sha256 FROM files"))


def blobs(folder: Path) -> dict[str, str]:
    """Return the sha256 of the bytes of every file."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "blobs").iterdir()}


def arriving(folder: Path) -> list[str]:
    """Return the names of what is still arriving."""
    return [path.name for path in (folder / "incoming").glob("*-*")]


def swept(folder: Path) -> None:
    """See that the folder, which somebody has open, holds files and nothing else."""
    assert [] == arriving(folder)
    assert rows_of(folder, live=True) == blobs(folder)


class Books:
    """What a server has said of one folder's files: the sha256 of all that it owes, and the keys it need not have."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.ended: set[str] = set()

    def keep(self, file_id: str, content: bytes) -> None:
        """Note an upload that was acknowledged."""
        self.kept[file_id.removeprefix("file_local_")] = hashlib.sha256(content).hexdigest()

    def end(self, file_id: str) -> None:
        """Note a delete before it is asked for: from here on either is right."""
        self.ended.add(file_id.removeprefix("file_local_"))

    def check(self, folder: Path) -> None:
        """See that no acknowledged file was lost or changed, and that no row is without its bytes."""
        rows, bytes_there = rows_of(folder), blobs(folder)
        owed = {key: digest for key, digest in self.kept.items() if key not in self.ended}
        assert owed == {key: rows.get(key) for key in owed}, "acknowledged files are lost"
        assert rows == {key: bytes_there.get(key) for key in rows}, "rows are without their bytes"

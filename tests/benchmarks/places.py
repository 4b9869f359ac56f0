"""What an object in a store costs the kernel: peak memory over its baseline while it is streamed to the Files API.

The object is served by a real web server, read with the standard library and again through fsspec, and by a real S3
(moto's). The baseline is the peak after a small upload from the same place, and every byte that the local Files API
stored is compared by its sha256. Linux only.

``python -m tests.benchmarks.places [MEGABYTES]``
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .memory import MIB, Peak

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACES = ("web", "fsspec", "s3")
_S3 = {"key": "benchmark", "secret": "benchmark"}


def run(size: int, place: str) -> int:
    """Return the growth in bytes that an object of `size` bytes at `place` costs, measured in a fresh process.

    Raises
    ------
    AssertionError
        If what arrived is not what was served.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as store:
        _fill(f"{folder}/small.bin", MIB)
        _fill(f"{folder}/large.bin", size)
        environment = {
            **os.environ,
            "NBFILES_LOCAL_DIR": f"{store}/files",
            "NBFILES_LEDGER": f"{store}/ledger.sqlite",
        }
        with _served(folder, place) as address:
            client = [sys.executable, "-m", "tests.benchmarks.places", "--client", place, address]
            said = subprocess.run(client, capture_output=True, text=True, check=True, env=environment).stdout
        result = json.loads(said.splitlines()[-1])
        (blob,) = Path(store, "files").rglob(result["id"].removeprefix("file_local_"))
        if _sha256(blob) != _sha256(f"{folder}/large.bin"):
            raise AssertionError("what arrived is not what was served")
    return result["growth"]


@contextlib.contextmanager
def _served(folder: str, place: str) -> Iterator[str]:
    """Serve the files of `folder`; yield the address."""
    if place == "s3":
        with _s3(folder) as address:
            yield address
        return
    handler = partial(_Ranges, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@contextlib.contextmanager
def _s3(folder: str) -> Iterator[str]:
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel("ERROR")  # it would write a line for each request
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    address = f"http://127.0.0.1:{server._server.server_port}"
    client = boto3.client(
        "s3", endpoint_url=address, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
    )
    client.create_bucket(Bucket="bucket")
    for name in ("small.bin", "large.bin"):
        client.upload_file(f"{folder}/{name}", "bucket", name)
    yield address
    server.stop()


class _Ranges(http.server.SimpleHTTPRequestHandler):
    """The standard library's web server, and the ranges that every other one knows."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        whole = path.stat().st_size
        first, _, last = self.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
        begin, end = int(first), min(int(last or whole), whole - 1)
        self.send_response(206 if "range" in self.headers else 200)
        self.send_header("content-length", str(end + 1 - begin))
        self.send_header("content-range", f"bytes {begin}-{end}/{whole}")
        self.send_header("accept-ranges", "bytes")
        self.send_header("etag", f'"{whole}-{path.stat().st_mtime_ns}"')
        self.end_headers()
        with path.open("rb") as file, contextlib.suppress(ConnectionError):
            file.seek(begin)
            left = end + 1 - begin
            while left and (piece := file.read(min(left, MIB))):
                self.wfile.write(piece)
                left -= len(piece)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


def measure(place: str, address: str) -> dict[str, Any]:
    """Upload the small object, reset, upload the large one; return the growth in bytes and the id."""
    import nbfiles

    files = nbfiles.Files(local=True)

    def source(name: str) -> Any:
        if place == "s3":
            return f"s3://bucket/{name}"
        if place == "web":
            return f"{address}/{name}"
        import fsspec

        return fsspec.open(f"{address}/{name}")

    options = {"storage_options": _S3 | {"endpoint_url": address}} if place == "s3" else {}
    files.upload(source("small.bin"), progress=False, **options)
    grown = Peak()
    file_id = files.upload(source("large.bin"), progress=False, **options)
    return {"growth": grown.growth(), "id": str(file_id)}


def _fill(path: str, size: int) -> None:
    """Write bytes that differ from piece to piece, so that a piece sent twice or left out changes the digest."""
    with Path(path).open("wb") as file:
        file.writelines(hashlib.sha256(str(at).encode()).digest() * (MIB // 32) for at in range(0, size, MIB))
        file.truncate(size)


def _sha256(path: str | Path) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--client"]:
        print(json.dumps(measure(*sys.argv[2:])))
    else:
        megabytes = int((sys.argv[1:] or ["300"])[0])
        for here in PLACES:
            print(f"{here:8} {megabytes} MB: {run(megabytes * 1_000_000, here) / MIB:.1f} MiB over the baseline")

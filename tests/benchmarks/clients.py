"""The clients: each a function that uploads files, in a process of its own.

``python -m tests.benchmarks.clients NAME URL WARM FILE ...`` is that process. It uploads WARM, then the files in a
`window`, and prints its `Figures` as JSON. Certificates are verified by all of them, against the file that ``--ca``
names. A refusal of the sink ends the process with an error, whoever the client is. What a client is handed is what its
documentation hands it: a path, an open file, a form.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .measure import Figures, cpu_time, window
from .memory import MIB, peak

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "benchmark"
_LIMIT = 600  # seconds a client may wait
_MIME_TYPE = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to upload.

    Parameters
    ----------
    url : str
        Of the sink.
    ca : str or None
        A PEM file of the certificate to trust; None over http.
    jobs : int
        Files at the same time, where a client can do that.
    """

    url: str
    ca: str | None
    jobs: int

    @property
    def endpoint(self) -> str:
        """Where a form is posted."""
        return f"{self.url}/v1/files"

    @property
    def verify(self) -> ssl.SSLContext | bool:
        """What httpx and its like call ``verify``; over http whatever is their default."""
        return True if self.ca is None else ssl.create_default_context(cafile=self.ca)


# ---- nbfiles ---------------------------------------------------------------------------------------------------------


def nbfiles_default(target: Target, paths: list[Path]) -> None:
    """Upload as it comes: everything hashed, everything in the ledger."""
    _nbfiles(target, paths)


def nbfiles_bare(target: Target, paths: list[Path]) -> None:
    """Upload without the ledger."""
    _nbfiles(target, paths, ledger=False)


def _nbfiles(target: Target, paths: list[Path], **settings: Any) -> None:
    import nbfiles

    config = nbfiles.NbFiles(**settings)
    files = nbfiles.Files(base_url=target.url, api_key=KEY, ca_bundle=target.ca, config=config)
    if len(paths) == 1:
        files.upload(paths[0], progress=False)
        return
    table = files.upload_many(paths, jobs=target.jobs, progress=False)
    if len(table) != len(paths):
        raise RuntimeError("not every file was uploaded")


# ---- the official SDK ------------------------------------------------------------------------------------------------


def sdk_path(target: Target, paths: list[Path]) -> None:
    """Give the SDK paths, one file after another."""
    with _sdk(target) as client:
        for path in paths:
            client.beta.files.upload(file=path)


def sdk_file(target: Target, paths: list[Path]) -> None:
    """Give the SDK open files."""
    with _sdk(target) as client:
        for path in paths:
            with path.open("rb") as file:
                client.beta.files.upload(file=(path.name, file, _MIME_TYPE))


def _sdk(target: Target) -> Any:
    from anthropic import Anthropic, DefaultHttpxClient

    http = DefaultHttpxClient(verify=target.verify)
    return Anthropic(base_url=target.url, api_key=KEY, max_retries=0, timeout=_LIMIT, http_client=http)


def sdk_async(target: Target, paths: list[Path]) -> None:
    """Give the async SDK paths, `jobs` at the same time."""
    from anthropic import AsyncAnthropic, DefaultAsyncHttpxClient

    async def upload() -> None:
        http = DefaultAsyncHttpxClient(verify=target.verify)
        async with AsyncAnthropic(
            base_url=target.url, api_key=KEY, max_retries=0, timeout=_LIMIT, http_client=http
        ) as client:
            await _gather(lambda path: client.beta.files.upload(file=path), target, paths)

    asyncio.run(upload())


async def _gather(upload: Callable[[Path], Any], target: Target, paths: list[Path]) -> None:
    gate = asyncio.Semaphore(target.jobs)

    async def one(path: Path) -> None:
        async with gate:
            await upload(path)

    await asyncio.gather(*map(one, paths))


# ---- others ----------------------------------------------------------------------------------------------------------


def aiohttp_form(target: Target, paths: list[Path]) -> None:
    """Post aiohttp's ``FormData`` with open files, `jobs` at the same time."""
    import aiohttp

    async def upload() -> None:
        connector = aiohttp.TCPConnector(limit=target.jobs, ssl=target.verify)
        timeout = aiohttp.ClientTimeout(total=_LIMIT)

        async def one(path: Path) -> None:
            with path.open("rb") as file:
                form = aiohttp.FormData()
                form.add_field("file", file, filename=path.name, content_type=_MIME_TYPE)
                async with session.post(target.endpoint, data=form, raise_for_status=True) as answer:
                    await answer.json()

        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            await _gather(one, target, paths)

    asyncio.run(upload())


def requests_files(target: Target, paths: list[Path]) -> None:
    """Post with ``requests.post(files=...)``."""
    import requests

    with requests.Session() as session:
        for path in paths:
            with path.open("rb") as file:
                form = {"file": (path.name, file, _MIME_TYPE)}
                answer = session.post(target.endpoint, files=form, verify=target.ca or True, timeout=_LIMIT)
            answer.raise_for_status()


def requests_toolbelt(target: Target, paths: list[Path]) -> None:
    """Post requests-toolbelt's ``MultipartEncoder``."""
    import requests
    from requests_toolbelt import MultipartEncoder

    with requests.Session() as session:
        for path in paths:
            with path.open("rb") as file:
                form = MultipartEncoder({"file": (path.name, file, _MIME_TYPE)})
                headers = {"content-type": form.content_type}
                answer = session.post(
                    target.endpoint, data=form, headers=headers, verify=target.ca or True, timeout=_LIMIT
                )
            answer.raise_for_status()


def raw(target: Target, paths: list[Path]) -> None:
    """Send requests made by hand down `jobs` bare sockets: the least that Python can do, so a measure of the sink."""
    waiting: SimpleQueue[Path] = SimpleQueue()
    failures: list[Exception] = []
    for path in paths:
        waiting.put(path)

    def work() -> None:
        try:
            with ExitStack() as stack:
                connection = None
                while True:
                    path = waiting.get_nowait()
                    connection = connection or stack.enter_context(_connect(target))
                    if not _send_raw(connection, path):
                        connection = None
        except Empty:
            return
        except Exception as error:  # noqa: BLE001  # it belongs to the main thread
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(min(target.jobs, len(paths)))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if failures:
        raise failures[0]


def _connect(target: Target) -> socket.socket:
    parts = urlsplit(target.url)
    connection = socket.create_connection((parts.hostname, parts.port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if target.ca is None:
        return connection
    return target.verify.wrap_socket(connection, server_hostname=parts.hostname)


def _send_raw(connection: socket.socket, path: Path) -> bool:
    """Send one request and read its answer; return whether the connection may be used again."""
    boundary = os.urandom(16).hex()
    disposition = f'Content-Disposition: form-data; name="file"; filename="{path.name}"'
    start = f"--{boundary}\r\n{disposition}\r\nContent-Type: {_MIME_TYPE}\r\n\r\n".encode()
    end = f"\r\n--{boundary}--\r\n".encode()
    head = (
        f"POST /v1/files HTTP/1.1\r\nHost: sink\r\nContent-Type: multipart/form-data; boundary={boundary}\r\n"
        f"Content-Length: {len(start) + path.stat().st_size + len(end)}\r\n\r\n"
    ).encode()
    with path.open("rb", buffering=0) as file:
        piece = file.read(MIB)
        connection.sendall(head + start + (piece if len(piece) < MIB else b""))
        while len(piece) == MIB:
            connection.sendall(piece)
            piece = file.read(MIB)
            if len(piece) < MIB:
                connection.sendall(piece)
        connection.sendall(end)
    answer = b""
    while not answer.endswith(b"}"):
        got = connection.recv(1 << 16)
        if not got:
            raise ConnectionError("the sink did not answer")
        answer += got
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(answer.decode())
    return b"connection: close" not in answer


CLIENTS: dict[str, Callable[[Target, list[Path]], None]] = {
    "nbfiles": nbfiles_default,
    "nbfiles, no ledger": nbfiles_bare,
    "SDK, path": sdk_path,
    "SDK, file": sdk_file,
    "async SDK": sdk_async,
    "aiohttp": aiohttp_form,
    "requests": requests_files,
    "toolbelt": requests_toolbelt,
    "raw socket": raw,
}

# ---- curl ------------------------------------------------------------------------------------------------------------


def curl(target: Target, path: Path) -> Figures:
    """Upload with ``curl -F file=@...``, and return what it cost: without its start, as nobody's is counted.

    The seconds are curl's own, from the start of the transfer; from its CPU time that of ``curl --version`` is taken.
    """
    program = shutil.which("curl")
    start, _, _ = _watched([program, "--version"])
    trusted = ["--cacert", target.ca] if target.ca else []
    form = ["-F", f"file=@{path}", "-o", os.devnull, "-w", "%{time_total}"]
    taken, memory, said = _watched([program, "-q", "-sS", "--fail", "--noproxy", "*", *trusted, *form, target.endpoint])
    return Figures(float(said), taken - start, memory / MIB)


def _watched(command: list[str]) -> tuple[float, int, str]:
    """Run `command`; return its CPU time, its peak memory as it was last seen, and what it printed.

    Not ``ru_maxrss``: that begins with the size of the process that started it.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    memory = 0
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        memory = max(memory, peak(process.pid))
        time.sleep(0.02)
    process.returncode = os.waitstatus_to_exitcode(status)
    with process.stdout as printed:
        said = printed.read()
    if process.returncode:
        raise RuntimeError(f"curl ended with {process.returncode}")
    return cpu_time(usage), memory, said


def main() -> None:
    """Read the command line, upload, and print what it cost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=["curl", *CLIENTS])
    parser.add_argument("url")
    parser.add_argument("warm", type=Path)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--ca")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    target = Target(options.url, options.ca, options.jobs)
    if options.name == "curl":
        curl(target, options.warm)
        (path,) = options.files
        figures = curl(target, path)
    else:
        client = CLIENTS[options.name]
        client(target, [options.warm])
        figures = window(lambda: client(target, options.files))
    print(json.dumps(asdict(figures)))


if __name__ == "__main__":
    main()

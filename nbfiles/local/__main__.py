"""The command line: ``python -m nbfiles.local [--port N] [--dir D]`` prints one JSON line and serves until ended."""

from __future__ import annotations

import argparse
import json
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from nbfiles._errors import Error
from nbfiles.local._app import build
from nbfiles.local._store import Store, default_folder

if TYPE_CHECKING:
    from types import FrameType

HOST = "127.0.0.1"
LAST_REQUESTS = 3  # seconds that running requests are given when the server ends


def main() -> int:
    """Serve until ended; return the exit status."""
    options = _parse()
    logging.basicConfig(format="nbfiles.local: %(message)s", level=logging.ERROR)
    # Every fault is logged by the application, in one line; these would add tracebacks and a line a packet.
    for name in ("uvicorn", "uvicorn.error", "python_multipart", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        with Store(options.dir or default_folder()) as store, _listen(options.port) as listener:
            _serve(store, listener, ends_with_stdin=options.until_stdin_closes)
    except Error as error:
        print(f"nbfiles.local: {error}", file=sys.stderr)
        return 1
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m nbfiles.local",
        description="A Files API on this machine. Prints one JSON line, base_url and api_key, and serves until ended.",
    )
    parser.add_argument("--port", type=int, default=0, help="the port on 127.0.0.1 (default: a free one)")
    parser.add_argument(
        "--dir", type=Path, help="where the files are kept (default: NBFILES_LOCAL_DIR, else user data)"
    )
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when standard input ends")
    return parser.parse_args()


def _listen(port: int) -> socket.socket:
    """Open the port, on loopback only."""
    # With its protocol named, as asyncio switches the delay of small packets (40 ms an answer) off only then.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # POSIX: a restart may take the port again at once. Windows reads the same option as leave to share a port,
        # and has one that forbids it.
        option = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
        listener.setsockopt(socket.SOL_SOCKET, option, 1)
        listener.bind((HOST, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        raise Error(f"port {port} of {HOST} cannot be used: {error}", "Choose another, or leave --port out.") from None
    return listener


def _serve(store: Store, listener: socket.socket, *, ends_with_stdin: bool) -> None:
    """Say where and with which key, then serve. The key is made here and leaves by standard output alone."""
    port = listener.getsockname()[1]
    api_key = f"nbfiles-local-{secrets.token_urlsafe(32)}"
    server = _Server(
        uvicorn.Config(
            build(store, api_key, port),
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,  # the gate's is exact
            proxy_headers=False,
            timeout_graceful_shutdown=LAST_REQUESTS,
        ),
        ends_with_stdin=ends_with_stdin,
    )
    # Whoever reads the line may connect, or send a signal, at once: the port is open, and uvicorn sets these too late.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    print(json.dumps({"base_url": f"http://{HOST}:{port}", "api_key": api_key}), flush=True)
    server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn's server, ended by a signal or by the end of standard input, and without an error either way.

    Parameters
    ----------
    config : uvicorn.Config
        What to serve.
    ends_with_stdin : bool
        Whether standard input is the parent's hold on this process. Then an interrupt, which a notebook's stop button
        sends to the whole group of processes, is not meant for the server.
    """

    def __init__(self, config: uvicorn.Config, *, ends_with_stdin: bool) -> None:
        super().__init__(config)
        self._ends_with_stdin = ends_with_stdin
        if ends_with_stdin:
            threading.Thread(target=self._watch_stdin, daemon=True).start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # uvicorn's signature
        """Take a signal; uvicorn's own method raises it again after the server has ended."""
        if sig == signal.SIGINT and self._ends_with_stdin:
            return
        self.force_exit = self.should_exit
        self.should_exit = True

    def _watch_stdin(self) -> None:
        # Not sys.stdin: its lock would be held by this thread when the interpreter ends.
        while os.read(0, 4096):
            pass
        self.should_exit = True


if __name__ == "__main__":
    sys.exit(main())

"""``StoppedServer``: a fault server in a process of its own that is stopped dead (SIGSTOP) in the middle of an upload.

Its kernel still takes connections and bytes, and nobody answers: the half-open connection that a server leaves whose
machine hangs or is cut off. ``python -m faults.stopped WHEN`` serves, and says its address.
"""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from .server import FaultServer

if TYPE_CHECKING:
    from doubles import Exchange

    from .server import Step, Stored


class Kept(NamedTuple):
    """One file at the server, as it told."""

    id: str
    name: str
    sha256: str
    connection: int


class StoppedServer:
    """A Files API on loopback that stops at its first upload, until it is asked what it has.

    Parameters
    ----------
    when : str
        ``after_headers``, ``after_body`` or ``after_store``.
    killed : bool
        Whether it never wakes again; else it goes on where it stopped.
    """

    def __init__(self, when: str, *, killed: bool) -> None:
        self._killed, self._stops = killed, True
        self._process = subprocess.Popen(
            [sys.executable, "-m", "faults.stopped", when],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        self.url = self._process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.kill()
        self._process.communicate()

    def holding(self, content: bytes) -> list[Kept]:
        """Wake the server, or kill it, and return the files of this content that it has then."""
        if self._stops:
            self._stops = False
            self._process.send_signal(signal.SIGKILL if self._killed else signal.SIGCONT)
        if self._killed:
            return []  # whatever it had is gone with it
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        kept = [Kept(**each) for each in json.loads(self._process.stdout.readline())]
        return [each for each in kept if each.sha256 == hashlib.sha256(content).hexdigest()]


class _Stopping(FaultServer):
    """The server itself."""

    def __init__(self, when: str) -> None:
        self._when = when
        super().__init__()

    def _stop(self, when: str) -> None:
        if self._when == when:
            self._when = "never again"
            # To this thread: a signal to the process may reach another first, and this one would go on meanwhile.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)

    def _receive(self, exchange: Exchange) -> Stored:
        self._stop("after_headers")
        file = super()._receive(exchange)
        self._stop("after_body")
        return file

    def _end(self, exchange: Exchange, step: Step, status: int, said: Any) -> None:
        self._stop("after_store")
        super()._end(exchange, step, status, said)


def main() -> None:
    """Serve; for each line, say what is stored when all that was sent so far is dealt with."""
    with _Stopping(sys.argv[1]) as server:
        print(server.url, flush=True)
        for _ in sys.stdin:
            server.rest()
            kept = [Kept(file.id, file.name, file.sha256, file.connection)._asdict() for file in server.stored]
            print(json.dumps(kept), flush=True)


if __name__ == "__main__":
    main()

"""``LocalProcess``: the local Files API as a child of this kernel, started when it is first asked for.

The child (``python -m nbfiles.local``) makes its own port and token and tells them through its standard output, so
neither stands in a command line. It ends when its standard input closes, which happens however this process ends.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
import threading
from typing import IO, NamedTuple

from nbfiles._credentials import Credential, Secret
from nbfiles._errors import Error
from nbfiles._names import visible

_NO_START = "the local Files API did not start"
_PATIENCE = 30.0  # seconds for an interpreter to start on a slow disk


class LocalAddress(NamedTuple):
    """Where the child listens, and the token it takes."""

    base_url: str
    credential: Credential


class LocalProcess:
    """The child of this process; one serves all clients of a kernel."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._address: LocalAddress | None = None

    def address(self) -> LocalAddress:
        """Return where it listens; start it if it does not run (any more).

        Raises
        ------
        Error
            If it does not start; the message repeats the last line of its own complaint.
        """
        with self._lock:
            if self._child is None or self._address is None or self._child.poll() is not None:
                self._end()
                self._address = self._start()
            return self._address

    def stop(self) -> None:
        """End the child, if there is one."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        """Close the child's pipes, which ends it if it still runs."""
        child, self._child, self._address = self._child, None, None
        if child is None:
            return
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(5)

    def _start(self) -> LocalAddress:
        with tempfile.TemporaryFile() as complaints:
            self._child = child = _spawn(complaints)
            watch = threading.Timer(_PATIENCE, child.kill)
            watch.start()
            try:
                address = _read(child.stdout.readline() if child.stdout else b"")
            except BaseException:  # Ctrl-C while it starts
                child.kill()
                self._end()
                raise
            finally:
                watch.cancel()
            if address is None:
                child.kill()
                self._end()
                raise Error(_NO_START, _last_line(complaints))
        atexit.unregister(self.stop)
        atexit.register(self.stop)
        return address


def _spawn(complaints: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the child, which writes what goes wrong into `complaints`."""
    # An interrupt of the kernel goes to its whole process group: the child gets one of its own and lives on.
    group = (
        {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
        if os.name == "nt"
        else {"start_new_session": True}
    )
    failure: BaseException
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "nbfiles.local", "--until-stdin-closes"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=_environment(),
            **group,
        )
    except OSError as error:
        failure = Error(_NO_START, f"The system said: {visible(error.strerror or 'no reason')}.")
    except BaseException as error:  # noqa: BLE001  # Ctrl-C
        failure = error
    # Raised anew: the frames it came from hold the environment, and there are tracebacks that show what frames hold.
    failure.__context__ = None
    raise failure.with_traceback(None)


def _environment() -> dict[str, str]:
    """Return this process's environment without the account: the local Files API has nothing to do with it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}


def _read(said: bytes) -> LocalAddress | None:
    """Read the one line that the child says when it listens; None if it said another, or none."""
    try:
        told = json.loads(said)
        return LocalAddress(told["base_url"], Credential(Secret(told["api_key"]), "the local Files API"))
    except (ValueError, TypeError, KeyError):
        return None


def _last_line(complaints: IO[bytes]) -> str:
    complaints.seek(0)
    lines = complaints.read().decode("utf-8", "replace").strip().splitlines()
    return f"It said: {visible(lines[-1][:200])}" if lines else "It said nothing; run python -m nbfiles.local by hand."


LOCAL = LocalProcess()

"""A real ipykernel in a process of its own, driven the way a front end drives it: requests out, outputs back in."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from queue import Empty
from typing import TYPE_CHECKING, Any, Self

from jupyter_client.manager import KernelManager

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE = 60.0  # seconds for a reply on a busy machine; no promise is measured by it
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Ran:
    """What came of one cell."""

    status: str
    error: str = ""
    traceback: str = ""
    printed: str = ""
    shown: list[dict[str, Any]] = field(default_factory=list)
    text: str | None = None

    @property
    def value(self) -> Any:
        """The Python value of the cell's last expression, which must be a literal."""
        return ast.literal_eval(self.text or "None")


class Kernel:
    """A kernel with folders of its own for everything it writes; ``with Kernel(folder) as kernel``.

    Parameters
    ----------
    folder : pathlib.Path
        ``work`` in it is where the kernel runs, ``tmp`` where it keeps its temporary files.
    **environment : str
        Variables beside this process's own, from which those of nbfiles and of Anthropic are taken out.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        self.work, self.tmp = folder / "work", folder / "tmp"
        for each in (self.work, self.tmp):
            each.mkdir(parents=True, exist_ok=True)
        self.on_comm: Callable[[dict[str, Any]], None] | None = None  # told what comms say, as soon as it is read
        self._aside: deque[dict[str, Any]] = deque()  # read while something else was waited for
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "NBFILES_"))},
            **dict.fromkeys(("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"), os.fspath(folder / "own")),
            "NBFILES_LEDGER": os.fspath(folder / "ledger.sqlite"),
            "TMPDIR": os.fspath(self.tmp),
            "NO_COLOR": "1",
            **environment,
        }

    def __enter__(self) -> Self:
        self._manager = KernelManager()
        self._manager.kernel_spec.argv[0] = sys.executable
        self._manager.start_kernel(env=self._environment, cwd=os.fspath(self.work))
        self._client = self._manager.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=PATIENCE)
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()

    def send(self, code: str) -> str:
        """Queue a cell; return what `result` wants to know of it."""
        return self._client.execute(code, allow_stdin=False)

    def result(self, cell: str) -> Ran:
        """Wait until `cell` is over, and return what came of it. Cells are asked for in the order they were sent."""
        ran = Ran("")
        while True:
            message = self._aside.popleft() if self._aside else self._heard()
            if message["parent_header"].get("msg_id") == cell and _take(ran, message):
                break
        reply: dict[str, Any] = {}
        while reply.get("parent_header", {}).get("msg_id") != cell:
            reply = self._client.get_shell_msg(timeout=PATIENCE)
        content = reply["content"]
        ran.status = content["status"]
        if ran.status == "error":
            ran.error = f"{content['ename']}: {_ANSI.sub('', content['evalue'])}"
        return ran

    def run(self, code: str) -> Ran:
        """Run a cell to its end, whichever that is."""
        return self.result(self.send(code))

    def do(self, code: str) -> Ran:
        """Run a cell that must succeed."""
        ran = self.run(code)
        assert "ok" == ran.status, f"{ran.error}\n{ran.traceback}\n{ran.printed}"
        return ran

    def listen(self, condition: Callable[[], Any]) -> Any:
        """Read what the kernel says until `condition` holds, and return what it gave; a cell may run meanwhile."""
        end = time.monotonic() + PATIENCE
        while not (result := condition()):
            assert time.monotonic() < end, "it never happened"
            with contextlib.suppress(Empty):
                self._aside.append(self._heard(0.05))
        return result

    def printed(self, cell: str) -> str:
        """Return what was printed into `cell` while something else was waited for."""
        return "".join(
            message["content"]["text"]
            for message in self._aside
            if message["msg_type"] == "stream" and message["parent_header"].get("msg_id") == cell
        )

    def post(self, kind: str, content: dict[str, Any], buffers: list[bytes], subshell: str | None = None) -> None:
        """Send a message that has no answer, to a subshell if one is named."""
        message = self._client.session.msg(kind, content)
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        message["buffers"] = buffers
        self._client.shell_channel.send(message)

    def subshell(self) -> str:
        """Have the kernel make a subshell; return its id."""
        self._client.control_channel.send(self._client.session.msg("create_subshell_request", {}))
        return self._client.get_control_msg(timeout=PATIENCE)["content"]["subshell_id"]

    def _heard(self, timeout: float = PATIENCE) -> dict[str, Any]:
        message = self._client.get_iopub_msg(timeout=timeout)
        if message["msg_type"].startswith("comm_") and self.on_comm is not None:
            self.on_comm(message)
        return message

    def interrupt(self) -> float:
        """Interrupt the kernel as the stop button does; return the time of it."""
        at = time.monotonic()
        self._manager.interrupt_kernel()
        return at


def _take(ran: Ran, message: dict[str, Any]) -> bool:
    """Put an output into `ran`; return whether it was the last one."""
    content = message["content"]
    match message["msg_type"]:
        case "stream":
            ran.printed += _ANSI.sub("", content["text"])
        case "display_data" | "update_display_data":
            ran.shown.append(content["data"])
        case "execute_result":
            ran.text = content["data"]["text/plain"]
        case "error":
            ran.traceback = _ANSI.sub("", "\n".join(content["traceback"]))
        case "status":
            return content["execution_state"] == "idle"
    return False

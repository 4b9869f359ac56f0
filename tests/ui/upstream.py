"""``Upstream``: the Files API as a widget meets it in the tests, and how a test slows down or breaks the way to it."""

from __future__ import annotations

import hashlib
import itertools
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from doubles import Server, lists_all, metadata, parts_by_email

if TYPE_CHECKING:
    from doubles import Exchange, Script
    from lab import Lab, OpenNotebook

STEP = 1 << 18  # bytes between two breaths of a slow server
HEAD = 4096  # bytes of a form in which its first file's name stands
SLOW = 2_000_000  # bytes a second
# The socket of the kernel, through which every message of the page goes.
SOCKET = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel._ws"
LOSE = f"""([way, mark, count, least]) => {{
    const socket = {SOCKET};
    const text = new TextDecoder('latin1');
    window.toLose = count;
    const loses = data => {{
        const said = typeof data === 'string' ? data : text.decode(data);
        return window.toLose > 0 && said.length >= least && said.includes(mark) && Boolean(window.toLose--);
    }};
    if (way === 'out') {{
        const send = socket.send;
        socket.send = data => {{ if (!loses(data)) send.call(socket, data); }};
    }} else {{
        const hear = socket.onmessage;
        socket.onmessage = event => {{ if (!loses(event.data)) hear.call(socket, event); }};
    }}
}}"""


class Upstream(Server):
    """A Files API that takes uploads, and lists, hands out and deletes what it has.

    Attributes
    ----------
    faults : dict of str to script
        What happens to the files of these names instead.
    pace : float
        Seconds that it breathes after each 256 KiB.
    kept : dict of str to str
        The SHA-256 of every file that arrived whole, by its id.
    deleted : list of str
        The ids that were deleted.
    names : list of str
        The file names of all uploads that began.
    """

    def __init__(self) -> None:
        self.faults: dict[str, Script] = {}
        self.pace = 0.0
        self.kept: dict[str, str] = {}
        self.deleted: list[str] = []
        self.names: list[str] = []
        self._numbers = itertools.count()
        super().__init__(self._take)

    @property
    def client(self) -> str:
        """A cell that makes ``files``, a client of this server that tries again at once."""
        return (
            "from nbfiles._tasks import Patience\n"
            f"files = nbfiles.Files(base_url={self.url!r}, api_key='sk-ant-api03-nobody')\n"
            "files.session.patience = Patience(first_wait=0.05, most_wait=0.1, longest_wait=0.2)"
        )

    def keep(self, exchange: Exchange) -> None:
        """Take a file and answer with its metadata."""
        for size in (*range(STEP, exchange.length, STEP), exchange.length):
            exchange.read(size)
            if exchange.wire.ended.is_set():
                return
            time.sleep(self.pace)
        file_id = f"file_{next(self._numbers):06}"
        parts = parts_by_email(exchange.header("content-type") or "", bytes(exchange.body))
        (file,) = (part for part in parts if part.name == "file")
        self.kept[file_id] = hashlib.sha256(file.content).hexdigest()
        said = {"filename": file.filename, "mime_type": file.mime_type, "size_bytes": len(file.content)}
        self.files.append(metadata(file_id, created_at=datetime.now(UTC).isoformat(), **said))
        exchange.answer(200, self.files[-1])

    def hold(self, exchange: Exchange) -> None:
        """Take half of a file, and the rest when everybody is let go on."""
        exchange.read(exchange.length // 2)
        self.go_on.wait(60)
        self.keep(exchange)

    def _take(self, exchange: Exchange) -> None:
        file_id, _, content = exchange.target.split("?")[0].removeprefix("/v1/files").removeprefix("/").partition("/")
        if exchange.method == "DELETE":
            self.deleted.append(file_id)
            self.files = [file for file in self.files if file["id"] != file_id]
            exchange.answer(200, {"id": file_id, "type": "file_deleted"})
            return
        if exchange.method == "GET" and not file_id:
            lists_all(exchange)
            return
        if exchange.method == "GET":
            found = [file for file in self.files if file["id"] == file_id]
            if content and found:
                exchange.answer(200, b"x" * found[0]["size_bytes"])
                return
            exchange.answer(200 if found else 404, found[0] if found else {})
            return
        begin = exchange.read(min(HEAD, exchange.length))
        named = re.search(rb'filename="([^"]*)"', begin)
        name = named[1].decode() if named else ""
        self.names.append(name)
        self.faults.get(name, self.keep)(exchange)
        if exchange.arrived.is_set():  # whole bodies are judged by now, and hundreds of them would fill the memory
            exchange.body[:] = b""
        exchange.wire.raw.clear()


def spooled(lab: Lab) -> list[str]:
    """Return the files of landings in the folder which the lab's server and kernels share, seen from outside."""
    found = lab.root.parent.glob(f"{lab.root.name}-jupyter-*/jupyter_runtime_dir/nbfiles/*")
    return sorted(path.name for path in found if path.suffix != ".kernel")


def globally(name: str) -> str:
    """Return code that prints what `name` holds in the notebook."""
    return f"print({name} if {name!r} in globals() else 'unbound')"


def lose(notebook: OpenNotebook, way: str, mark: str, count: int = 1000, least: int = 0) -> None:
    """Lose the next `count` messages of the page's socket that hold `mark` and have at least so many bytes.

    `way` is ``"out"`` for those to the kernel, ``"in"`` for those from it. Nobody is told; ``window.toLose`` counts
    what is still to be lost. A socket that is opened later loses none.
    """
    notebook.page.evaluate(LOSE, [way, mark, count, least])


def throttle(notebook: OpenNotebook, rate: int = SLOW) -> None:
    """Let the page send so many bytes a second over HTTP; 0 lifts the limit."""
    notebook.devtools.send("Network.enable")
    limits = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": rate or -1}
    notebook.devtools.send("Network.emulateNetworkConditions", {"offline": False, **limits})


def uncaught(notebook: OpenNotebook) -> list[str]:
    """Return the errors of the page, but for the browser's own notes that something did not answer as hoped."""
    own = "Failed to load resource", "WebSocket connection to"
    return [error for error in notebook.errors if not error.startswith(own)]

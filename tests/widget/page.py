"""``Page``: the browser's half of an upload widget without a browser: it offers files, sends their bytes, listens."""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doubles import stored

from nbfiles import Files
from nbfiles._config import NbFiles
from nbfiles._landing import claim
from nbfiles._tasks import Patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from doubles import Exchange

    from nbfiles import UploadWidget
    from nbfiles._landing import Arrival
    from nbfiles.widget._desk import Desk

PATIENCE = 20.0  # seconds that anything may take on a busy machine
KEY = "sk-ant-canary-0123456789"
QUICK = Patience(
    total=10, answer=5, first_wait=0.02, most_wait=0.05, longest_wait=0.2, grace=0.5, looks=(0.0, 0.02, 0.04)
)


def client(url: str, key: str = KEY, patience: Patience = QUICK, *, reuse: bool = False) -> Files:
    """Return a client of the Files API at `url` that waits less long than a real one, and sends all that it gets."""
    files = Files(base_url=url, api_key=key, config=NbFiles(reuse=reuse))
    files.session.patience = patience
    return files


def landed_in(folder: Path) -> list[str]:
    """Return the names of the files of landings in a spool folder, which need not exist."""
    return sorted(path.name for path in folder.glob("*") if path.suffix != ".kernel")


def held_open(folder: Path) -> list[str]:
    """Return the files of a folder that this process has open, there or removed."""
    found = []
    for handle in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the descriptor of this very listing
            found.append(str(handle.readlink()))
    return [path for path in found if path.startswith(f"{folder}/")]


def if_whole(exchange: Exchange) -> None:
    """Store an upload if all of it came, as the Files API does."""
    exchange.read()
    if exchange.arrived.is_set():
        stored(exchange)


class Page:
    """One page, as the desk's listener and its only browser.

    Messages of the desk are answered at once on the desk's own loop: ``go`` with pieces, where `lane` is ``"comm"``,
    or with what the Jupyter server would write into the spool, where it is ``"http"``.

    Parameters
    ----------
    lane : {"comm", "http"}, default "comm"
    piece : int, default 65536
        Bytes of a piece.
    """

    def __init__(self, lane: str = "comm", piece: int = 1 << 16) -> None:
        self.page = secrets.token_hex(8)
        self.lane, self.piece = lane, piece
        self.records: dict[str, dict[str, Any]] = {}
        self.heard: list[dict[str, Any]] = []
        self.settlings: list[bool] = []
        self.files: dict[str, bytes] = {}
        self.hold = threading.Event()  # set: bytes stay in the browser until somebody calls `carry`
        self.held: list[dict[str, Any]] = []
        self.arrivals: dict[str, Arrival] = {}  # by landing: the Jupyter server's hands
        self.spool: Path | None = None  # where the kernel is another process
        self.desk: Desk | None = None
        self._number = 0
        self._news = threading.Condition()
        self._begun: set[str] = set()

    # -- what a person does ------------------------------------------------------------------------------------------

    def offer(self, **files: bytes) -> list[str]:
        """Choose files, ``a_txt=b"..."`` for ``a.txt``; return their keys."""
        return self.offer_rows([(name.replace("_", "."), "", data) for name, data in files.items()])

    def offer_rows(self, files: list[tuple[str, str, bytes]]) -> list[str]:
        """Choose files, each given as name, path and content."""
        keys = []
        rows = []
        for name, path, data in files:
            key = f"{self.page}-{self._number}"
            self._number += 1
            self.files[key] = data
            keys.append(key)
            rows.append({"key": key, "name": name, "path": path, "size": len(data)})
        self.say("offer", rows=rows)
        return keys

    def say(self, kind: str, *buffers: bytes, **fields: Any) -> None:
        """Send a message to the desk."""
        self.desk.receive({"kind": kind, **fields}, [memoryview(buffer) for buffer in buffers])

    # -- what the desk says ------------------------------------------------------------------------------------------

    def send(self, message: dict[str, Any]) -> None:
        with self._news:
            self.heard.append(message)
            if message["kind"] == "rows":
                for record in message["rows"]:
                    self.records[record["key"]] = record
                for key in message["removed"]:
                    self.records.pop(key, None)
            self._news.notify_all()
        if message["kind"] == "rows":
            self._begin_what_is_queued()
        elif message["kind"] == "go":
            if self.hold.is_set():
                self.held.append(message)
            else:
                self.carry(message)

    def settled(self, *, ended: bool) -> None:
        with self._news:
            self.settlings.append(ended)
            self._news.notify_all()

    def _begin_what_is_queued(self) -> None:
        for key, record in self.records.items():
            if record["state"] != "queued":
                self._begun.discard(key)
            elif key not in self._begun and not record["ready"] and key in self.files:
                self._begun.add(key)
                self.say("begin", key=key, lane=self.lane)

    # -- bytes -------------------------------------------------------------------------------------------------------

    def carry(self, go: dict[str, Any], upto: int | None = None) -> None:
        """Send a file's bytes, all or the first `upto`."""
        data = self.files[go["key"]][:upto]
        if self.lane == "http":
            arrival = self.arrivals[go["landing"]] = claim(go["landing"], self.spool)
            if arrival is not None:  # else it was given up in the meantime
                arrival.append(data)
            if arrival is not None and upto is None:
                arrival.finish()
            return
        for start in range(0, len(data), self.piece):
            self.say("piece", data[start : start + self.piece], key=go["key"], landing=go["landing"], offset=start)

    def trickle(self, go: dict[str, Any], pieces: int, pause: float) -> None:
        """Send a file in so many pieces, `pause` seconds apart, as a slow line would, until the kernel lets go."""
        data = self.files[go["key"]]
        step = -(-len(data) // pieces)
        arrival = claim(go["landing"], self.spool) if self.lane == "http" else None
        for start in range(0, len(data), step):
            if self.lane == "comm":
                self.say("piece", data[start : start + step], key=go["key"], landing=go["landing"], offset=start)
            elif arrival is not None:
                arrival.append(data[start : start + step])
            time.sleep(pause)
        if arrival is not None:
            arrival.finish()

    # -- waiting -----------------------------------------------------------------------------------------------------

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until `condition` holds; return what it gave."""
        end = time.monotonic() + PATIENCE
        with self._news:
            while not (result := condition()):
                assert time.monotonic() < end, f"it never happened: {self.records}"
                self._news.wait(0.05)
            return result

    def state(self, key: str) -> str:
        """Return the state of a row, as far as the page was told."""
        return self.records.get(key, {}).get("state", "")

    def until_state(self, key: str, *states: str) -> dict[str, Any]:
        """Wait until a row is in one of `states`; return its record."""
        self.until(lambda: self.state(key) in states)
        return self.records[key]

    def until_heard(self, kind: str, count: int = 1, **fields: Any) -> dict[str, Any]:
        """Wait until the desk has said something of `kind` with these fields `count` times; return the latest."""
        self.until(lambda: len(self.said(kind, **fields)) >= count)
        return self.said(kind, **fields)[-1]

    def said(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        """Return what the desk has said of `kind` with these fields."""
        wanted = {"kind": kind, **fields}
        return [message for message in list(self.heard) if wanted.items() <= message.items()]

    def until_settled(self, count: int = 1) -> None:
        """Wait until so many times something has come to its end, and nothing is under way."""
        self.until(lambda: sum(self.settlings) >= count)

    def finish(self, *keys: str) -> list[str]:
        """Wait until every one of `keys` has come to an end; return their states."""
        ends = {"done", "failed", "refused", "cancelled"}
        return [self.until_state(key, *ends)["state"] for key in keys]


class WidgetPage(Page):
    """A page that shows a widget: both talk through the widget's comm, as they do in a notebook."""

    def __init__(self, widget: UploadWidget, lane: str = "comm") -> None:
        super().__init__(lane)
        self.widget = widget
        self.published: list[dict[str, Any]] = []  # everything, traits included
        widget.comm.publish_msg = self._hear

    def say(self, kind: str, *buffers: bytes, **fields: Any) -> None:
        self.post({"kind": kind, **fields}, [memoryview(buffer) for buffer in buffers])

    def post(self, content: Any, buffers: list[memoryview]) -> None:
        """Send whatever to the widget."""
        data = {"method": "custom", "content": content}
        self.widget._handle_msg({"content": {"data": data}, "buffers": buffers})

    def _hear(self, kind: str, data: Any = None, metadata: Any = None, buffers: Any = None, **more: Any) -> None:
        self.published.append({"kind": kind, "data": data, "buffers": buffers})
        if data and data.get("method") == "custom":
            self.send(data["content"])

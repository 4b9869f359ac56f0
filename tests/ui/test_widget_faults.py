"""What goes wrong on the way: an end with a reason and a *Retry* that works, or no end at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from lab import sha256
from upstream import Upstream
from widget import lines, notices, show, until_ended
from workbench import becomes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Lab

WIDGET = 'nbfiles.UploadWidget(files=files, bind="reports")'
# The socket of the kernel, through which every message goes; a lost one reaches nobody and nothing tells.
SOCKET = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel._ws"
LOSE = f"""([way, mark, count, least]) => {{
    const socket = {SOCKET};
    const text = new TextDecoder('latin1');
    window.lost = [];
    const loses = data => {{
        const said = typeof data === 'string' ? data : text.decode(data);
        if (window.lost.length >= count || said.length < least || !said.includes(mark)) return false;
        window.lost.push(said.length);
        return true;
    }};
    if (way === 'out') {{
        const send = socket.send;
        socket.send = data => {{ if (!loses(data)) send.call(socket, data); }};
    }} else {{
        const hear = socket.onmessage;
        socket.onmessage = event => {{ if (!loses(event.data)) hear.call(socket, event); }};
    }}
}}"""


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A Files API that does what a test says."""
    with Upstream() as server:
        yield server


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of three pieces."""
    path = tmp_path_factory.mktemp("large") / "large.bin"
    path.write_bytes(os.urandom(17_000_000))
    return path


def test_lost_acknowledgements(lab_without_extension: Lab, upstream: Upstream, large: Path) -> None:
    """Acknowledgements that never come are asked for, and the file arrives whole."""
    notebook, widget, hands = show(lab_without_extension, upstream.client, WIDGET)
    notebook.page.evaluate(LOSE, ["in", '"kind": "ack"', 2, 0])
    hands.drop(large)
    (line,) = until_ended(widget, 1)
    print(line, notebook.page.evaluate("window.lost"), notebook.errors)
    assert sha256(large) == upstream.kept[line.id]
    assert 2 == len(notebook.page.evaluate("window.lost"))
    notebook.close()


def test_large_pieces_that_vanish(lab_without_extension: Lab, upstream: Upstream, large: Path) -> None:
    """Where messages above 5 MiB vanish, the file goes on in pieces of 1 MiB and arrives whole."""
    notebook, widget, hands = show(lab_without_extension, upstream.client, WIDGET)
    notebook.page.evaluate(LOSE, ["out", '"piece"', 1000, 5 << 20])
    hands.drop(large)
    (line,) = until_ended(widget, 1)
    print(line, notebook.page.evaluate("window.lost"), notebook.errors)
    assert sha256(large) == upstream.kept[line.id]
    notebook.close()


@pytest.mark.parametrize("place", ["lab", "lab_without_extension"])
def test_killed_websocket(place: str, upstream: Upstream, large: Path, request: pytest.FixtureRequest) -> None:
    """A websocket that breaks in the middle of a file comes back, and the file arrives whole."""
    lab = request.getfixturevalue(place)
    notebook, widget, hands = show(lab, upstream.client, WIDGET)
    upstream.pace = 0.02
    hands.drop(large)
    assert becomes(1, lambda: len(upstream.names), 30)
    notebook.page.evaluate(f"{SOCKET}.close()")
    import time

    t = time.time()
    while time.time() < t + 20:
        print(round(time.time() - t, 1), lines(widget), notices(widget))
        notebook.page.wait_for_timeout(500)
        if lines(widget)[0].ended:
            break
    (line,) = until_ended(widget, 1)
    print(line, notices(widget), notebook.errors)
    assert sha256(large) == upstream.kept[line.id]
    notebook.close()

"""What goes wrong on the way: an end with a reason and a *Retry* that works, or no end at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from lab import sha256
from upstream import SOCKET, Upstream, lose
from widget import show, until_ended, until_said
from workbench import becomes

if TYPE_CHECKING:
    from pathlib import Path

    from doubles import Exchange
    from lab import Lab

LANDINGS = "() => performance.getEntriesByType('resource').filter(one => one.name.includes('/nbfiles/landing/')).length"
WIDGET = 'nbfiles.UploadWidget(files=files, bind="reports")'


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of three pieces."""
    path = tmp_path_factory.mktemp("large") / "large.bin"
    path.write_bytes(os.urandom(17_000_000))
    return path


def test_lost_acknowledgements(lab_without_extension: Lab, upstream: Upstream, large: Path) -> None:
    """Acknowledgements that never come are asked for, and the file arrives whole."""
    notebook, widget, hands = show(lab_without_extension, upstream.client, WIDGET)
    lose(notebook, "in", '"kind": "ack"', 2)
    hands.drop(large)
    (line,) = until_ended(widget, 1)
    assert sha256(large) == upstream.kept[line.id]
    assert 0 == notebook.page.evaluate("window.toLose")
    notebook.close()


def test_large_pieces_that_vanish(lab_without_extension: Lab, upstream: Upstream, large: Path) -> None:
    """Where messages above 5 MiB vanish, the file goes on in pieces of 1 MiB and arrives whole."""
    notebook, widget, hands = show(lab_without_extension, upstream.client, WIDGET)
    lose(notebook, "out", '"piece"', least=5 << 20)
    hands.drop(large)
    (line,) = until_ended(widget, 1)
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
    (line,) = until_ended(widget, 1)
    assert sha256(large) == upstream.kept[line.id]
    notebook.close()


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (413, "request_too_large", "The file is larger than"),
        (429, "rate_limit_error", "is busy (429)"),
        (500, "api_error", "has a fault of its own (500)"),
    ],
)
def test_upstream_says_no(status: int, kind: str, said: str, lab: Lab, upstream: Upstream, large: Path) -> None:
    """A file that the Files API refuses says why and stays in the kernel, and Retry sends it without the browser."""

    def refuse(exchange: Exchange) -> None:
        exchange.read(exchange.length)
        exchange.answer(status, {"type": "error", "error": {"type": kind, "message": "no"}})

    upstream.faults[large.name] = refuse
    notebook, widget, hands = show(lab, upstream.client, WIDGET)
    hands.drop(large)
    (line,) = until_ended(widget, 1)
    assert (True, True) == (line.failed, line.retry)
    assert said in line.said
    until_said(widget, "The file is in the kernel.")
    landings = notebook.page.evaluate(LANDINGS)
    upstream.faults.clear()
    widget.get_by_role("button", name="Retry large.bin").click()
    until_said(widget, "file_")
    (line,) = until_ended(widget, 1)
    assert ("reports[0]", sha256(large)) == (line.variable, upstream.kept[line.id])
    assert landings == notebook.page.evaluate(LANDINGS)
    notebook.close()


def test_no_room_in_the_kernel(lab: Lab, upstream: Upstream, large: Path) -> None:
    """A file for which the disk has no room says so before a byte of it leaves, and arrives when there is room."""
    notebook, widget, hands = show(lab, upstream.client, WIDGET)
    notebook.kernel(
        "import nbfiles._landing as l, shutil, types\n"
        "l.shutil = types.SimpleNamespace(disk_usage=lambda folder: types.SimpleNamespace(free=0))"
    )
    hands.drop(large)
    (line,) = until_ended(widget, 1)
    assert (True, True) == (line.failed, line.retry)
    assert "where 0 are free" in line.said
    notebook.kernel("l.shutil = shutil")
    widget.get_by_role("button", name="Retry large.bin").click()
    until_said(widget, "file_")
    (line,) = until_ended(widget, 1)
    assert sha256(large) == upstream.kept[line.id]
    notebook.close()

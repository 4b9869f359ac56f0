"""Cancelling, at any moment: nothing of it is left on the way, none is unsaid at the API, and no name is bound."""

from __future__ import annotations

import json
import os
import random
import time
from typing import TYPE_CHECKING

import pytest
from lab import sha256
from upstream import Upstream, globally, spooled
from widget import lines, show, until_ended, until_said
from workbench import becomes

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Lab
    from playwright.sync_api import Locator

TRIALS = 50 if os.environ.get("NBFILES_TRIALS") == "full" else 5
WIDGET = 'nbfiles.UploadWidget(files=files, bind="reports", jobs=2, fresh=True)'
LARGE = 10_000_000  # two pieces over the comm, and more than a socket holds


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that takes a moment."""
    path = tmp_path_factory.mktemp("large") / "large.bin"
    path.write_bytes(os.urandom(LARGE))
    return path


def press_cancel(widget: Locator) -> bool:
    """Press *Cancel* of the first row if it is still there; what stands in its place later removes the row."""
    return widget.evaluate(
        """root => {
            const button = root.querySelector('[data-do="end"][title^="Cancel "]');
            button?.click();
            return button !== null;
        }"""
    )


def clear(widget: Locator) -> None:
    """Take every row off the list."""
    widget.get_by_role("button", name="Clear").click()
    widget.page.wait_for_function("list => !list.children.length", arg=widget.locator(".nbf-rows").element_handle())


@pytest.mark.parametrize("place", ["lab", "lab_without_extension"])
def test_a_random_moment(
    place: str, upstream: Upstream, large: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Whenever a file is cancelled, the API has none of it or deletes it, as the row says, and the next arrives."""
    lab = request.getfixturevalue(place)
    small = tmp_path / "small.csv"
    small.write_text("a,b\n1,2\n")
    upstream.pace = 0.02
    notebook, widget, hands = show(lab, upstream.client, WIDGET)
    begun = time.monotonic()
    hands.drop(large)
    until_ended(widget, 1)
    whole = 1000 * (time.monotonic() - begun)
    clear(widget)
    for trial in range(TRIALS):
        notebook.kernel("globals().pop('reports', None)")
        moment = whole * (trial + random.random()) / TRIALS
        deleted = len(upstream.deleted)
        hands.drop(large)
        widget.page.wait_for_timeout(moment)
        pressed = press_cancel(widget)
        (line,) = until_ended(widget, 1)
        print(round(whole), round(moment), pressed, line.said, time.monotonic() - begun)
        if line.id:  # it was too late
            assert sha256(large) == upstream.kept[line.id]
        else:
            taken_back = upstream.deleted[deleted:]
            expected = (
                "Cancelled after it arrived; deleted at Claude." if taken_back else "Cancelled. Nothing was kept."
            )
            assert (True, expected) == (pressed, line.said), f"after {moment:.0f} ms"
            assert "unbound" == notebook.kernel(globally("reports")).strip()
        assert becomes([], lambda: spooled(lab), 5), f"after {moment:.0f} ms: {spooled(lab)}"
        hands.drop(small)
        assert sha256(small) == upstream.kept[until_ended(widget, 2)[1].id]
        clear(widget)
    notebook.close()


def test_cancel_all(lab: Lab, upstream: Upstream, large: Path, tmp_path: Path) -> None:
    """*Cancel all* ends every file that is not done: half a file, one that waits for its answer, one that waits."""
    first, *others = (tmp_path / f"{number}.csv" for number in range(3))
    for path in (first, *others):
        path.write_text(f"{path}\n")
        upstream.faults[path.name] = upstream.hold
    del upstream.faults[first.name]
    upstream.faults[large.name] = upstream.hold
    notebook, widget, hands = show(lab, upstream.client, WIDGET)
    hands.drop(first)
    until_said(widget, "file_")
    hands.drop(large, *others)  # of which two have a turn: those whose bytes come first
    assert becomes(3, lambda: len(upstream.names), 30), (upstream.names, lines(widget))
    widget.get_by_role("button", name="Cancel all").click()
    until_said(widget, "Cancelling: it has been sent, and is deleted when the answer comes.")
    upstream.go_on.set()
    done, *rest = until_ended(widget, 4)
    # Half of a file in the server's hands may be a whole one in the sockets' buffers, so either may be said of it.
    said = {"Cancelled. Nothing was kept.", "Cancelled after it arrived; deleted at Claude."}
    assert said == {line.said for line in rest}
    assert [done.id] == json.loads(notebook.kernel("import json; print(json.dumps(reports))"))
    assert becomes([], lambda: spooled(lab), 5), spooled(lab)
    assert {done.id} == set(upstream.kept) - set(upstream.deleted)
    notebook.close()

"""The widget for everybody: nothing for axe-core to report, the whole way by keyboard alone, and words for the ear."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hands import walk_to
from lab import DARK, LIGHT, sha256
from widget import held, lines, show, until_ended, until_said
from workbench import becomes

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Lab
    from playwright.sync_api import Locator
    from upstream import Upstream

WIDGET = 'nbfiles.UploadWidget(files=files, bind="reports", max_bytes=3_000_000)'
FOCUS = "() => document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"


def busy(exchange: object) -> None:
    """Refuse a file for good."""
    exchange.read(exchange.length)
    exchange.answer(413, {"type": "error", "error": {"type": "request_too_large", "message": "too large"}})


def written(folder: Path, **sizes: int) -> list[Path]:
    """Write files of random bytes, ``a_pdf=5`` for ``a.pdf``."""
    made = []
    for name, size in sizes.items():
        path = folder / name.replace("_", ".")
        path.write_bytes(os.urandom(size))
        made.append(path)
    return made


def said_aloud(widget: Locator) -> list[str]:
    """Return what the live regions of `widget` hold: the polite one, then the other."""
    return [region.inner_text() for region in widget.locator("[aria-live]").all()]


@pytest.mark.parametrize("place", ["lab", "notebook7"])
def test_axe(place: str, upstream: Upstream, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """axe-core reports nothing: empty, under a drag, in mid-upload, and with rows that ended in every way."""
    notebook, widget, hands = show(request.getfixturevalue(place), upstream.client, WIDGET)
    files = written(tmp_path, done_pdf=1000, failed_bin=1000, refused_bin=3_000_001, half_bin=2_000_000)
    upstream.faults = {"failed.bin": busy, "half.bin": upstream.hold}
    themes = (LIGHT, DARK) if place == "lab" else (LIGHT,)
    for theme in themes:
        notebook.use_theme(theme)
        assert [] == notebook.axe(widget)
        hands.drag(files[0])
        assert "Release to upload 1 item" == hands.target.inner_text()
        assert [] == notebook.axe(widget)
        hands.drag_away()
    hands.drop(*files)
    for said in ("file_", "is larger than", "Not sent: ", "application/octet-stream"):
        until_said(widget, said)
    for theme in themes:
        notebook.use_theme(theme)
        assert [] == notebook.axe(widget)
    widget.get_by_role("button", name="Cancel half.bin").click()
    upstream.go_on.set()
    until_ended(widget, 4)
    for theme in themes:
        notebook.use_theme(theme)
        assert [] == notebook.axe(widget)
    notebook.close()


def test_keyboard_alone(front: Lab, upstream: Upstream, tmp_path: Path) -> None:
    """Choosing, walking, retrying, cancelling, removing and copying need no pointer, and the notebook sees no key."""
    notebook, widget, hands = show(front, upstream.client, WIDGET)
    page = notebook.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    cells = notebook.sources()
    first, second, half = written(tmp_path, a_pdf=1000, b_bin=2000, half_bin=20_000)
    upstream.faults = {"b.bin": busy, "half.bin": upstream.hold}
    page.locator(".jp-Cell-inputWrapper").last.click()
    hands.press("Escape")
    walk_to(hands.target)
    hands.choose(first, second, key="Enter")
    until_said(widget, "is larger than")
    folder = tmp_path / "folder"
    folder.mkdir()
    half.rename(folder / half.name)
    hands.target.focus()
    hands.choose_folder(folder, key="Shift+Enter")
    until_said(widget, "application/octet-stream")
    hands.target.focus()
    hands.press("Tab", "End")
    assert "Cancel folder/half.bin" == page.evaluate(FOCUS)
    assert becomes(True, lambda: "half.bin" in upstream.names, 30)  # so small that it has all left the kernel by then
    hands.press("d", "d", "x", "v", "a", "b", "Delete")
    until_said(widget, "Cancelling: it has been sent, and is deleted when the answer comes.")
    upstream.go_on.set()
    until_ended(widget, 3)
    assert "Cancelled after it arrived; deleted at Claude." == lines(widget)[2].said
    upstream.faults.clear()
    widget.get_by_role("button", name="Retry b.bin").focus()
    hands.press("Enter")
    page.wait_for_function("list => !list.textContent.includes('larger')", arg=widget.locator("ul").element_handle())
    done = until_ended(widget, 3)
    assert [sha256(first), sha256(second)] == [upstream.kept[line.id] for line in done[:2]]
    widget.get_by_role("button", name="Copy the id of a.pdf").focus()
    hands.press("Enter")
    page.wait_for_function("id => navigator.clipboard.readText().then(text => text === id)", arg=done[0].id)
    hands.press("ArrowDown")
    assert "Copy the id of b.bin" == page.evaluate(FOCUS)
    widget.get_by_role("button", name="Remove folder/half.bin from the list").focus()
    hands.press("Home")
    assert "Remove a.pdf from the list" == page.evaluate(FOCUS)
    hands.press("End", "Delete")
    page.wait_for_function("list => list.children.length === 2", arg=widget.locator("ul").element_handle())
    assert widget.evaluate("root => root.contains(document.activeElement)")
    assert [done[0].id, done[1].id] == held(notebook, "reports")
    assert cells == notebook.sources()
    notebook.close()


def test_what_is_said(lab: Lab, upstream: Upstream, tmp_path: Path) -> None:
    """A failure and a refusal are said at once and by name, the rest in one polite text at a time."""
    notebook, widget, hands = show(lab, upstream.client, WIDGET)
    good, bad = written(tmp_path, a_pdf=1000, b_bin=2000)
    upstream.faults["b.bin"] = busy
    hands.drop(bad)
    until_ended(widget, 1)
    notebook.page.wait_for_function(
        "root => root.querySelector('[aria-live=assertive]').textContent.includes('b.bin failed')",
        arg=widget.element_handle(),
    )
    assert any("Retry is available." in text for text in said_aloud(widget))
    widget.get_by_role("button", name="Remove b.bin from the list").click()
    hands.drop(good)
    until_ended(widget, 1)
    notebook.page.wait_for_function(
        "root => root.querySelector('[aria-live=polite]').textContent === '1 file done, bound to reports.'",
        arg=widget.element_handle(),
        timeout=10_000,
    )
    notebook.close()


def test_still_and_narrow(lab: Lab, upstream: Upstream, tmp_path: Path) -> None:
    """Whoever wants no motion sees none, and in a narrow cell nothing lies beyond the edge."""
    notebook, widget, hands = show(lab, upstream.client, WIDGET)
    (half,) = written(tmp_path, half_bin=2_000_000)
    upstream.faults["half.bin"] = upstream.hold
    notebook.page.emulate_media(reduced_motion="reduce")
    hands.drop(half)
    until_said(widget, "application/octet-stream")
    part = widget.locator(".nbf-bar .sent")
    assert {"0s"} == {each.strip() for each in part.evaluate("i => getComputedStyle(i).transitionDuration").split(",")}
    widget.evaluate("root => { root.style.width = '340px'; }")
    assert widget.evaluate("root => root.scrollWidth <= root.clientWidth")
    upstream.go_on.set()
    until_ended(widget, 1)
    assert widget.evaluate("root => root.scrollWidth <= root.clientWidth")
    notebook.close()

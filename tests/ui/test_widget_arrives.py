"""Files that a person hands to the widget, in a real front end: they arrive as they are, and their ids are bound."""

from __future__ import annotations

import base64
import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hands import Hands
from lab import sha256, stored
from playwright.sync_api import expect
from upstream import spooled, throttle
from widget import held, lines, notices, show, start, until_ended, until_said

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lab import Lab, OpenNotebook

BIG = 100_000_000
SLOWER = "Slower route: this Jupyter server has no nbfiles extension, so files go through the notebook connection."
LOCAL = "Nothing leaves this machine: the local Files API takes the files."
BUSY = "waiting for the kernel: a cell is running"
# The status of every request to the landing route.
LANDINGS = """() => performance.getEntriesByType('resource').filter(({name}) => name.includes('nbfiles/landing/'))
    .map(({responseStatus}) => responseStatus)"""
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
# What keeps the kernel busy, once the test has said `go`, until it writes a file.
HOLD = """import time
from pathlib import Path
while 'go' in globals() and not Path('release').exists():
    time.sleep(0.02)
Path('release').unlink(missing_ok=True)"""


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 100 MB that nobody can compress or guess."""
    path = tmp_path_factory.mktemp("big") / "observations.bin"
    path.write_bytes(os.urandom(BIG))
    return path


@pytest.fixture(scope="module")
def notebook(lab: Lab) -> Iterator[OpenNotebook]:
    """A notebook of widgets, one for each test that does not need a page of its own."""
    widgets = {
        "aside": "",  # the kernel's first: Jupyter has no way past running cells yet when it is shown
        "many": "bind='many_ids'",
        "folder": "",
        "pasted": "",
        "picky": "accept='.csv', max_bytes=1000, max_files=2",
        "single": "multiple=False, bind='single_id'",
        "heard": "",
    }
    notebook, _, _ = show(
        lab,
        *(f"{name} = nbfiles.UploadWidget({arguments})\n{name}" for name, arguments in widgets.items()),
        "heard.on_done(lambda widget: print('done:', len(widget.value)))",
        "waited = await heard.wait() if 'go' in globals() else []\nlen(waited)",
        f"# hold\n{HOLD}",
        f"late = nbfiles.UploadWidget()\ndisplay(late)\n{HOLD}",
    )
    notebook.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield notebook
    assert [] == notebook.failures()
    assert [] == notebook.errors
    notebook.close()


@pytest.fixture
def at(notebook: OpenNotebook) -> Callable[[str], Hands]:
    """Return the hands in front of the widget that a name holds."""
    return lambda name: Hands(notebook.cell(f"{name} = nbfiles.UploadWidget(").locator(".nbf-up"))


def at_api(lab: Lab, ids: list[str]) -> list[str]:
    """Return the SHA-256 of the files `ids` at the lab's local Files API."""
    kept = stored(lab.root.parent / "files")
    return [kept[id_] for id_ in ids]


def write(folder: Path, **files: int) -> list[Path]:
    """Write files of so many random bytes, ``a=5`` for ``a.csv``; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.csv" for name in files]
    for path, size in zip(paths, files.values(), strict=True):
        path.write_bytes(os.urandom(size))
    return paths


def landings(notebook: OpenNotebook) -> list[str]:
    """Return a list that grows with every request to the landing route."""
    asked: list[str] = []
    notebook.page.on("request", lambda sent: asked.append(sent.url) if "nbfiles/landing/" in sent.url else None)
    return asked


@contextmanager
def held_up(lab: Lab, notebook: OpenNotebook, cell: str = "# hold") -> Iterator[None]:
    """Have `cell` keep the kernel busy meanwhile."""
    notebook.kernel("go = True")
    start(notebook, cell)
    prompt = notebook.cell(cell).locator(".jp-InputPrompt")
    expect(prompt).to_have_text("[*]:")
    try:
        yield
        assert "[*]:" == prompt.inner_text()
    finally:
        (lab.root / "release").touch()
    notebook.wait_idle()
    notebook.kernel("del go")


@pytest.mark.parametrize(
    ("place", "lane"),
    [
        ("lab", "http"),
        ("lab_without_extension", "comm"),
        ("notebook7", "http"),
        ("notebook7_without_extension", "comm"),
    ],
)
def test_a_large_file_arrives(place: str, lane: str, big: Path, request: pytest.FixtureRequest) -> None:
    """100 MB arrive by chooser, and by drop while a cell runs, on the lane that is there, and leave nothing behind."""
    lab = request.getfixturevalue(place)
    notebook, widget, hands = show(lab, 'nbfiles.UploadWidget(bind="reports")', f"# hold\n{HOLD}")
    hands.choose(big)
    until_ended(widget, 1)
    with held_up(lab, notebook):
        hands.drop(big)
        shown = until_ended(widget, 2)
    assert ["reports[0]", "reports[1]"] == [line.variable for line in shown]
    assert held(notebook, "reports") == [line.id for line in shown]
    assert [sha256(big)] * 2 == at_api(lab, [line.id for line in shown])
    assert ([] if lane == "http" else [SLOWER]) + [LOCAL] == notices(widget)
    assert ([200, 200, 200] if lane == "http" else [404]) == notebook.page.evaluate(LANDINGS)
    assert [] == spooled(lab)
    assert [] == notebook.failures()
    assert [] == [error for error in notebook.errors if lane == "http" or "status of 404" not in error]
    notebook.close()


def test_many_files_keep_the_order_in_which_they_were_chosen(
    lab: Lab, notebook: OpenNotebook, at: Callable[[str], Hands], big: Path, tmp_path: Path
) -> None:
    """Twelve at once, then another and the first again while those run: ids are bound in that order, not as done."""
    hands = at("many")
    small = write(tmp_path, **{name: 1000 + number for number, name in enumerate("lkjihgfedcba")})
    throttle(notebook, 20_000_000)
    hands.choose(big, *small[:11])
    hands.drop(small[11], small[0])
    assert not lines(hands.widget)[0].ended
    throttle(notebook, 0)
    chosen = [big, *small, small[0]]
    shown = until_ended(hands.widget, 14)
    assert [path.name for path in chosen] == [line.name for line in shown]
    assert [f"many_ids[{number}]" for number in range(14)] == [line.variable for line in shown]
    assert held(notebook, "[many_ids, many.value, list(many.table.id)]") == [[line.id for line in shown]] * 3
    assert [sha256(path) for path in chosen] == at_api(lab, [line.id for line in shown])


def test_a_folder_arrives_with_its_paths(at: Callable[[str], Hands], notebook: OpenNotebook, tmp_path: Path) -> None:
    """A folder's files come with their paths, dropped or chosen; hidden and key files are not sent, .git not shown."""
    site = tmp_path / "site"
    write(site, a=10)
    write(site / "2026" / "may", b=20)
    write(site / ".git", config=10)
    for name in (".env", "id_rsa"):
        (site / name).write_text("secret")
    hands = at("folder")
    asked = landings(notebook)
    hands.drop(site)
    until_ended(hands.widget, 4)
    hands.choose_folder(site)
    shown = until_ended(hands.widget, 8)
    hidden = "Not sent: hidden or a key file. Choose it by itself to send it."
    expected = {"site/a.csv": "", "site/2026/may/b.csv": "", "site/.env": hidden, "site/id_rsa": hidden}
    for half in (shown[:4], shown[4:]):
        assert expected == {line.name: line.said for line in half}
    assert ["a.csv", "a.csv", "b.csv", "b.csv"] == held(notebook, "sorted(i.metadata.filename for i in folder.value)")
    assert 4 == len(asked)


def test_a_screenshot_and_a_text_are_pasted(
    lab: Lab, notebook: OpenNotebook, at: Callable[[str], Hands], tmp_path: Path
) -> None:
    """A pasted image and a pasted text become files that are named for their time; a copied id pastes as that id."""
    picture = tmp_path / "image.png"
    picture.write_bytes(PIXEL)
    hands = at("pasted")
    assert hands.paste(picture)
    (image,) = until_ended(hands.widget, 1)
    hands.widget.get_by_role("button", name="Copy the id of").click()
    assert image.id == notebook.page.evaluate("() => navigator.clipboard.readText()")
    hands.target.focus()
    hands.press("Control+V")
    _, text = until_ended(hands.widget, 2)
    assert re.fullmatch(r"Pasted image \d\d\.\d\d\.\d\d\.png", image.name)
    assert re.fullmatch(r"Pasted text \d\d\.\d\d\.\d\d\.txt", text.name)
    assert ["image", "document"] == [image.block, text.block]
    copied = tmp_path / "copied.txt"
    copied.write_text(image.id)
    assert [sha256(picture), sha256(copied)] == at_api(lab, [image.id, text.id])
    assert not hands.paste()


def test_what_is_not_accepted_is_not_sent(notebook: OpenNotebook, at: Callable[[str], Hands], tmp_path: Path) -> None:
    """Kind, size and number are checked before a byte leaves the browser, and the row says which it was."""
    hands = at("picky")
    asked = landings(notebook)
    picture = tmp_path / "b.png"
    picture.write_bytes(PIXEL)
    fits, long, *others = write(tmp_path, a=1000, long=1001, empty=0, c=5, d=5)
    hands.drop(fits, long, picture, *others)
    shown = until_ended(hands.widget, 6)
    assert [
        ("a.csv", ""),
        ("long.csv", "Not sent: 1.00 kB is over the 1.00 kB limit for one file."),
        ("b.png", "Not sent: only .csv is accepted here."),
        ("empty.csv", "Not sent: empty file."),
        ("c.csv", ""),
        ("d.csv", "Not sent: 2 files at most."),
    ] == [(line.name, line.said) for line in shown]
    assert [True, False, False, False, True, False] == [bool(line.id) for line in shown]
    assert not any(line.retry for line in shown)
    assert 2 == len(asked)


def test_one_file_replaces_another(notebook: OpenNotebook, at: Callable[[str], Hands], tmp_path: Path) -> None:
    """With multiple=False there is one row, of the file that was chosen last, and the name holds its id alone."""
    hands = at("single")
    first, second, third = write(tmp_path, a=5, b=6, c=7)
    hands.choose(first)
    (before,) = until_ended(hands.widget, 1)
    assert ("a.csv", "single_id") == (before.name, before.variable)
    assert before.id == held(notebook, "single_id")
    hands.drop(second, third)
    until_said(hands.widget, "single_id")
    notebook.page.wait_for_function("title => !document.querySelector(`[title='${title}']`)", arg=before.id)
    (after,) = until_ended(hands.widget, 1)
    assert "b.csv" == after.name
    assert held(notebook, "[single_id, single.value]") == [after.id, [after.id]]


def test_cells_hear_that_files_are_done(notebook: OpenNotebook, at: Callable[[str], Hands], tmp_path: Path) -> None:
    """A callback prints below the cell that handed it over, and a cell that waits for the widget gets the ids."""
    hands = at("heard")
    notebook.kernel("go = True")
    start(notebook, "await heard.wait()")
    hands.drop(*write(tmp_path, a=5, b=6))
    shown = until_ended(hands.widget, 2)
    expect(notebook.cell("heard.on_done(").locator(".jp-OutputArea-output")).to_have_text("done: 2")
    expect(notebook.cell("await heard.wait()").locator(".jp-OutputArea-output")).to_have_text("2")
    notebook.kernel("del go")
    assert held(notebook, "waited") == [line.id for line in shown]


def test_files_arrive_while_a_cell_runs(
    lab: Lab, notebook: OpenNotebook, at: Callable[[str], Hands], tmp_path: Path
) -> None:
    """A widget that an earlier cell has shown takes its first files while another cell keeps the kernel busy."""
    hands = at("aside")
    with held_up(lab, notebook):
        hands.drop(*write(tmp_path, a=5, b=3_000_000))
        shown = until_ended(hands.widget, 2)
    assert all(line.id for line in shown)


def test_a_widget_waits_for_its_own_cell(
    lab: Lab, notebook: OpenNotebook, at: Callable[[str], Hands], tmp_path: Path
) -> None:
    """As long as the kernel cannot answer, the row says that a cell is running; then the file arrives."""
    before = at("late").widget.element_handle()
    with held_up(lab, notebook, "late = "):
        notebook.page.wait_for_function("element => !element.isConnected", arg=before)
        hands = at("late")
        hands.drop(*write(tmp_path, a=5))
        until_said(hands.widget, BUSY)
    (line,) = until_ended(hands.widget, 1)
    assert line.id

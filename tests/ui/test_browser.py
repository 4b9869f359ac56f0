"""The file browser in a real JupyterLab and Notebook 7: all by mouse, all by keyboard, and with 50,000 files."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from doubles import metadata
from hands import walk_to
from lab import DARK, LIGHT
from upstream import uncaught
from widget import held, html_of, save
from workbench import becomes

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Lab, OpenNotebook
    from playwright.sync_api import Locator, Page
    from upstream import Upstream

BROWSER = "browser = nbfiles.FileBrowser(files=files)\nbrowser"
OURS = "ids = [files.upload(nbfiles.text('hello', name=f'mine {n}.txt')) for n in range(3)]"
MANY = 50_000
MADE_BY_CODE = "interviews-batch-52.zip"  # one of `others` that can be downloaded
PWNED = "<img src=x onerror='window.__pwned=1'>.png"
HIDDEN = "invoice \u202efdp.exe"
KINDS = (
    ("interviews-batch-{}.zip", "application/zip"),
    ("interim-report-{}.pdf", "application/pdf"),
    ("interview-notes-{}.md", "text/plain"),
    ("survey {}.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
)


def others(count: int) -> list[dict[str, Any]]:
    """Return files that somebody else has stored, the oldest first; the newest two are hostile."""
    chance, now = random.Random(7), datetime.now(UTC)
    made = []
    for number in range(count):
        name, kind = KINDS[number % len(KINDS)]
        then = now - timedelta(seconds=600 + (count - number) * 311)
        fields = {"filename": name.format(number), "mime_type": kind, "created_at": then.isoformat()}
        made_by_code = number % 7 == 3
        fields |= {
            "size_bytes": 100 if made_by_code else int(10 ** chance.uniform(1, 8.6)),
            "downloadable": made_by_code,
        }
        made.append(metadata(f"file_{chance.randrange(10**24):024}", **fields))
    for file, name in zip(reversed(made), (PWNED, HIDDEN), strict=False):
        file["filename"] = name
    return made


def browse(lab: Lab, upstream: Upstream, *cells: str) -> tuple[OpenNotebook, Locator]:
    """Run `cells` and a browser of the files of `upstream`; return notebook and browser, when it shows a row."""
    notebook = lab.open(lab.write("browse.ipynb", "import nbfiles", upstream.client, *cells, BROWSER))
    notebook.run_all()
    assert [] == notebook.failures()
    browser = notebook.page.locator(".nbf-browse").first
    browser.locator("tr[data-row]").first.wait_for()
    return notebook, browser


def names(browser: Locator) -> list[str]:
    """Return the names of the rows as they are shown."""
    return [text.strip() for text in browser.locator("tr[data-row] .nbf-name").all_inner_texts()]


def bar(browser: Locator) -> str:
    """Return what stands below the table, if anything does."""
    place = browser.locator(".nbf-bar-place .txt")
    return plain(place) if place.count() else ""


def share(browser: Locator) -> str:
    """Return how many of the files are shown."""
    return browser.locator(".grp .dim").inner_text()


def violations(notebook: OpenNotebook, browser: Locator) -> list[str]:
    """Return what axe-core has against `browser` as it is now, in the light and in the dark."""
    found = []
    for theme in (LIGHT, DARK):
        notebook.use_theme(theme)
        found += notebook.axe(browser)
    return found


def plain(place: Locator) -> str:
    """Return the text of `place` with plain spaces."""
    return place.inner_text().replace("\xa0", " ")


@dataclass
class Mouse:
    """A person in front of the browser who points at everything."""

    browser: Locator

    @property
    def page(self) -> Page:
        """The page of the browser."""
        return self.browser.page

    @property
    def holds_focus(self) -> bool:
        """Whether the browser has the focus, so that the notebook takes no key for a command."""
        return bool(self.browser.evaluate("root => root.contains(document.activeElement)"))

    def press(self, target: Locator) -> None:
        """Press a button or tick a box."""
        target.click()

    def type(self, target: Locator, text: str) -> None:
        """Type `text` into a field, in place of what it holds."""
        target.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)

    def search(self, text: str) -> None:
        """Search for `text`, until each row that is shown has all of it marked."""
        self.type(self.browser.get_by_role("searchbox"), text)
        rows = self.browser.locator("tr[data-row]")
        shown = "rows => rows.map(row => [...row.querySelectorAll('mark')].map(mark => mark.textContent).join(''))"
        assert becomes({text}, lambda: set(rows.evaluate_all(shown)), 10)

    def select(self, count: int) -> None:
        """Select the first `count` rows."""
        for row in self.browser.locator("tr[data-row]").all()[:count]:
            row.locator("input").click()

    def plan(self) -> None:
        """Ask what a deletion of the selected files would take away."""
        self.browser.get_by_role("button", name="Delete…").click()


class Keyboard(Mouse):
    """A person who has no pointer."""

    def come(self) -> None:
        """Come from the last cell into the browser."""
        self.page.locator(".jp-Cell-inputWrapper").last.click()
        self.page.keyboard.press("Escape")
        walk_to(self.browser.get_by_role("searchbox"))

    def press(self, target: Locator) -> None:
        """Walk to a button or a box, and press the key that works it."""
        walk_to(target)
        self.page.keyboard.press("Space")

    def type(self, target: Locator, text: str) -> None:
        """Walk to a field and type `text`, in place of what it holds."""
        walk_to(target)
        self.page.keyboard.press("Control+a")
        self.page.keyboard.type(text)

    def select(self, count: int) -> None:
        """Select the first `count` rows, as one range."""
        walk_to(self.browser.get_by_role("grid"))
        for key in ("Home", "Space", *["Shift+ArrowDown"] * (count - 1)):
            self.page.keyboard.press(key)

    def plan(self) -> None:
        """Ask what a deletion of the selected files would take away."""
        walk_to(self.browser.get_by_role("grid"))
        self.page.keyboard.press("Delete")


@pytest.mark.parametrize("person", [Mouse, Keyboard])
def test_the_whole_way(front: Lab, person: type[Mouse], upstream: Upstream) -> None:
    """Search, select 3, bind, delete and download; axe-core reports nothing on the way, and no name is markup."""
    upstream.files = others(60)
    notebook, browser = browse(front, upstream, OURS)
    page, hands, button = notebook.page, person(browser), partial(browser.get_by_role, "button", exact=True)
    before = notebook.sources()
    assert ["mine 2.txt", "mine 1.txt", "mine 0.txt", PWNED] == names(browser)[:4]
    assert "<U+202E>" in names(browser)[4]
    if isinstance(hands, Keyboard):
        hands.come()

    hands.search("mine")
    assert becomes("3 of 63", lambda: share(browser), 5)
    assert ["mi", "ne"] * 3 == browser.locator("mark").all_inner_texts()  # a name is two spans
    hands.select(3)
    assert becomes("3 selected · 15 B", lambda: bar(browser), 5)
    assert [] == violations(notebook, browser)

    hands.press(button(name="Bind to…"))
    browser.locator(".nbf-plan input:focus").wait_for()
    assert [] == violations(notebook, browser)
    page.keyboard.type("chosen")
    hands.press(button(name="Bind"))
    assert becomes("chosen holds 3 ids.", lambda: bar(browser), 5)
    assert held(notebook, "ids[::-1]") == held(notebook, "chosen") == held(notebook, "browser.selected")
    hands.press(button(name="Close"))

    hands.plan()
    plan = browser.get_by_role("alertdialog")
    plan.get_by_role("button", name="Keep all").and_(plan.locator(":focus")).wait_for()
    assert "Delete 3 files, 15 B?" == plain(plan.locator(".title"))
    assert "Variables ids[2], chosen[0], ids[1], chosen[1], ids[0] and 1 more will hold dead ids." in plan.inner_text()
    assert [] == violations(notebook, browser)
    assert [] == upstream.deleted
    hands.press(button(name="Delete 3 files"))
    assert becomes(True, lambda: bar(browser).startswith("3 deleted · 15 B freed"), 10)
    assert sorted(held(notebook, "chosen")) == sorted(upstream.deleted)
    assert "No file matches “mine”." == browser.locator(".nbf-none").inner_text()
    assert hands.holds_focus  # though no row is left to hold it

    hands.press(button(name="Close"))
    hands.search(MADE_BY_CODE)
    assert becomes("1 of 60", lambda: share(browser), 5)
    hands.select(1)
    hands.press(button(name="Download"))
    assert becomes(True, lambda: bar(browser).startswith("1 file downloaded to"), 10)
    downloaded = front.root / MADE_BY_CODE
    assert 100 == downloaded.stat().st_size
    downloaded.unlink()  # the next round would not replace it
    del upstream.files[0]
    hands.press(button(name="Refresh"))
    assert becomes("1 of 59", lambda: share(browser), 5)
    assert hands.holds_focus
    assert before == notebook.sources()
    assert [] == uncaught(notebook)
    assert page.evaluate("() => window.__pwned === undefined")
    notebook.close()


def test_no_key_reaches_the_notebook(front: Lab, upstream: Upstream) -> None:
    """Keys that are commands of the notebook are none here, and each Escape takes one thing back."""
    upstream.files = others(60)
    notebook, browser = browse(front, upstream, OURS)
    page, press = notebook.page, notebook.page.keyboard.press
    before = notebook.sources()
    browser.get_by_role("grid").focus()
    press("/")
    page.keyboard.type("mine 0.txt")
    press("ArrowDown")  # at once: what follows is for the rows that were asked for, not for those still shown
    press("Space")
    assert becomes(True, lambda: held(notebook, "browser.selected == ids[:1]"), 5)
    press("Escape")
    press("Escape")
    press("/")
    page.keyboard.type("mine")
    assert becomes("3 of 63", lambda: share(browser), 5)
    press("ArrowDown")
    for key in ("d", "d", "x", "a", "b", "End", "Home", "Space", "Shift+ArrowDown"):
        press(key)
    assert becomes("2 selected · 10 B", lambda: bar(browser), 5)
    row = browser.get_by_role("grid").get_attribute("aria-activedescendant")
    assert "true" == browser.locator(f"#{row}").get_attribute("aria-selected")
    press("Delete")
    browser.get_by_role("alertdialog").locator(":focus").wait_for()
    press("Escape")
    assert becomes("2 selected · 10 B", lambda: bar(browser), 5)
    press("Control+a")
    assert becomes("3 selected · 15 B", lambda: bar(browser), 5)
    walk_to(browser.get_by_role("button", name="Bind to…"))
    press("Enter")
    browser.locator(".nbf-plan input:focus").wait_for()
    page.keyboard.type("chosen")
    press("Enter")
    assert becomes("chosen holds 3 ids.", lambda: bar(browser), 5)
    press("Escape")
    press("Escape")
    assert becomes("63 files", lambda: share(browser), 5)
    press("Escape")
    assert becomes(0, lambda: browser.locator(".nbf-selbar").count(), 5)
    assert [] == upstream.deleted
    assert before == notebook.sources()
    notebook.close()


@pytest.mark.parametrize(("front", "person"), [("lab", Mouse), ("notebook7", Keyboard)], indirect=["front"])
def test_many_are_typed(front: Lab, person: type[Mouse], upstream: Upstream) -> None:
    """Above 20 files the count is typed, and files that were not uploaded here go only if they are ticked."""
    upstream.files = others(30)
    notebook, browser = browse(front, upstream, OURS)
    hands = person(browser)
    if isinstance(hands, Keyboard):
        hands.come()
    hands.press(browser.get_by_label("Select all 33 matching files"))
    hands.plan()
    plan = browser.get_by_role("alertdialog")
    plan.locator(":focus").wait_for()
    hands.press(plan.get_by_label(re.compile("Delete them too")))
    press = plan.get_by_role("button", name="Delete 33 files")
    assert "true" == press.get_attribute("aria-disabled")
    press.dispatch_event("click")
    hands.type(plan.get_by_label("Type 33 to confirm"), "33")
    assert "false" == press.get_attribute("aria-disabled")
    assert [] == upstream.deleted
    hands.press(press)
    assert becomes(True, lambda: bar(browser).startswith("33 deleted"), 20)
    assert 33 == len(upstream.deleted)
    assert "No file is stored yet." in browser.locator(".nbf-none").inner_text()
    assert hands.holds_focus
    notebook.close()


def test_fifty_thousand(lab: Lab, upstream: Upstream) -> None:
    """They are searched, sorted, selected and scrolled through; few rows are drawn, and none is saved."""
    upstream.files = others(MANY)
    notebook, browser = browse(lab, upstream)
    page = notebook.page
    browser.get_by_role("searchbox").focus()
    for letter in "interview":
        page.keyboard.type(letter)
        page.wait_for_timeout(40)
    assert becomes("24,999 of 50,000", lambda: share(browser), 10)
    browser.get_by_role("searchbox").fill("")
    for head in ("Name", "Name", "Size", "Expires", "Block", "Variable", "Created"):
        browser.get_by_role("button", name=head, exact=True).click()
        page.wait_for_timeout(100)
    browser.get_by_label("Select all 50,000 matching files").check()
    assert becomes(True, lambda: bar(browser).startswith("50,000 selected"), 10)
    assert becomes(MANY, lambda: held(notebook, "len(browser.selected)"), 10)
    for step in range(20):
        browser.locator(".nbf-scroll").evaluate("(element, top) => { element.scrollTop = top; }", step * 70_000)
        page.wait_for_timeout(20)
    assert 30 > browser.locator("tr[data-row]").count()
    saved = save(lab, notebook).read_text("utf-8")
    assert 100_000 > len(saved)
    notebook.close()


def test_saved(front: Lab, upstream: Upstream, tmp_path: Path) -> None:
    """Reopened without a kernel, and in nbconvert's HTML, a plain table of the newest files is there to read."""
    upstream.files = others(30)
    notebook, _ = browse(front, upstream)
    assert not notebook.page.locator(".nbf-browse-saved").is_visible()
    path = save(front, notebook)
    notebook.close()
    again = front.open(path.name)
    page = front.browser.new_page()
    page.goto(html_of(path, tmp_path).as_uri())
    for place in (page, again.page):
        text = place.locator(".nbf-browse-saved").inner_text()
        assert "interim-report-21.pdf" in text
        assert "20 of 30 rows" in text.replace("\xa0", " ")
        assert place.evaluate("() => window.__pwned === undefined")
    page.close()
    again.close()

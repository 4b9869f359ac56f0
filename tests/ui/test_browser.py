"""The file browser in a real JupyterLab and Notebook 7: all by mouse, all by keyboard, and with 50,000 files."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from doubles import metadata
from lab import DARK, LIGHT
from upstream import uncaught
from widget import held, html_of, save
from workbench import becomes

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Lab, OpenNotebook
    from playwright.sync_api import Locator
    from upstream import Upstream

BROWSER = "browser = nbfiles.FileBrowser(files=files)\nbrowser"
OURS = "ids = [files.upload(nbfiles.text('hello', name=f'mine {n}.txt')) for n in range(3)]"
MANY = 50_000
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


def search(browser: Locator, text: str) -> None:
    """Type into the search field, and wait until it shows."""
    before = browser.locator(".grp .dim").inner_text()
    browser.get_by_role("searchbox").fill(text)
    assert becomes(True, lambda: before != browser.locator(".grp .dim").inner_text(), 5)


def names(browser: Locator) -> list[str]:
    """Return the names of the rows as they are shown."""
    return [text.strip() for text in browser.locator("tr[data-row] .nbf-name").all_inner_texts()]


def bar(browser: Locator) -> str:
    """Return what stands below the table, with plain spaces."""
    return browser.locator(".nbf-bar-place .txt").inner_text().replace("\xa0", " ")


@pytest.mark.parametrize("place", ["lab", "notebook7"])
def test_by_mouse(place: str, upstream: Upstream, request: pytest.FixtureRequest) -> None:
    """Search, select, bind, download and delete; axe-core reports nothing on the way, and no name is markup."""
    lab = request.getfixturevalue(place)
    upstream.files = others(60)
    notebook, browser = browse(lab, upstream, OURS)
    page = notebook.page
    themes = (LIGHT, DARK)

    assert ["mine 2.txt", "mine 1.txt", "mine 0.txt", PWNED] == names(browser)[:4]
    assert "<U+202E>" in names(browser)[4]
    search(browser, "mine")
    assert "3 of 63" == browser.locator(".grp .dim").inner_text()
    assert ["mi", "ne"] * 3 == browser.locator("mark").all_inner_texts()  # a name is two spans
    for row in browser.locator("tr[data-row]").all():
        row.locator("input").click()
    assert becomes("3 selected · 15 B", lambda: bar(browser), 5)
    for theme in themes:
        notebook.use_theme(theme)
        assert [] == notebook.axe(browser)

    browser.get_by_role("button", name="Bind to").click()
    assert [] == notebook.axe(browser)
    page.keyboard.type("chosen")
    browser.get_by_role("button", name="Bind", exact=True).click()
    assert becomes("chosen holds 3 ids.", lambda: bar(browser), 5)
    assert held(notebook, "ids[::-1]") == held(notebook, "chosen") == held(notebook, "browser.selected")

    browser.get_by_role("button", name="Close").click()
    browser.get_by_role("button", name="Delete").click()
    plan = browser.get_by_role("alertdialog")
    plan.wait_for()
    assert "Delete 3 files, 15 B?" == plan.locator(".title").inner_text().replace("\xa0", " ")
    assert "Variables ids[2], chosen[0], ids[1], chosen[1], ids[0] and 1 more will hold dead ids." in plan.inner_text()
    assert "Keep all" == page.evaluate("() => document.activeElement.textContent")
    for theme in themes:
        notebook.use_theme(theme)
        assert [] == notebook.axe(browser)
    assert [] == upstream.deleted
    plan.get_by_role("button", name="Delete 3 files").click()
    assert becomes(True, lambda: bar(browser).startswith("3 deleted · 15 B freed"), 10)
    assert sorted(held(notebook, "chosen")) == sorted(upstream.deleted)

    browser.get_by_role("button", name="Close").click()
    browser.get_by_role("searchbox").fill("")
    browser.get_by_label("Origin").select_option("Made by code")
    assert becomes("9 of 60", lambda: browser.locator(".grp .dim").inner_text(), 5)
    browser.locator("tr[data-row]").first.click()
    browser.get_by_role("button", name="Download").click()
    assert becomes(True, lambda: bar(browser).startswith("1 file downloaded to"), 10)
    assert [] == uncaught(notebook)
    assert page.evaluate("() => window.__pwned === undefined")
    notebook.close()


def test_by_keyboard(lab: Lab, upstream: Upstream) -> None:
    """Search, walk, select a range, keep, delete and clear need no pointer, and the notebook sees no key."""
    upstream.files = others(60)
    notebook, browser = browse(lab, upstream, OURS)
    page, press = notebook.page, notebook.page.keyboard.press
    cells = "() => window.jupyterapp.shell.currentWidget.content.widgets.map(cell => cell.model.sharedModel.source)"
    before = page.evaluate(cells)
    browser.get_by_role("grid").focus()
    press("/")
    page.keyboard.type("mine")
    assert becomes("3 of 63", lambda: browser.locator(".grp .dim").inner_text(), 5)
    press("ArrowDown")
    for key in ("d", "d", "x", "a", "b", "End", "Home", "Space", "Shift+ArrowDown"):
        press(key)
    assert becomes("2 selected · 10 B", lambda: bar(browser), 5)
    row = browser.get_by_role("grid").get_attribute("aria-activedescendant")
    assert "true" == browser.locator(f"#{row}").get_attribute("aria-selected")
    press("Delete")
    browser.get_by_role("alertdialog").wait_for()
    press("Escape")
    assert becomes("2 selected · 10 B", lambda: bar(browser), 5)
    press("Delete")
    browser.get_by_role("alertdialog").wait_for()
    press("Shift+Tab")
    press("Enter")
    assert becomes(True, lambda: bar(browser).startswith("2 deleted"), 10)
    assert 2 == len(upstream.deleted)
    press("Escape")
    press("Control+a")
    assert becomes("1 selected · 5 B", lambda: bar(browser), 5)
    press("Escape")
    assert becomes("61 files", lambda: browser.locator(".grp .dim").inner_text(), 5)
    press("Escape")
    assert becomes(0, lambda: browser.locator(".nbf-selbar").count(), 5)
    assert before == page.evaluate(cells)
    notebook.close()


def test_many_are_typed(lab: Lab, upstream: Upstream) -> None:
    """Above 20 files the count is typed, and files that were not uploaded here go only if they are ticked."""
    upstream.files = others(30)
    notebook, browser = browse(lab, upstream, OURS)
    browser.get_by_label("Select all 33 matching files").check()
    browser.get_by_role("button", name="Delete").click()
    plan = browser.get_by_role("alertdialog")
    plan.get_by_label(re.compile("Delete them too")).check()
    press = plan.get_by_role("button", name="Delete 33 files")
    assert "true" == press.get_attribute("aria-disabled")
    press.click(force=True)
    plan.get_by_label("Type 33 to confirm").fill("33")
    assert "false" == press.get_attribute("aria-disabled")
    assert [] == upstream.deleted
    press.click()
    assert becomes(True, lambda: bar(browser).startswith("33 deleted"), 20)
    assert 33 == len(upstream.deleted)
    assert "No file is stored yet." in browser.locator(".nbf-none").inner_text()
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
    assert becomes("24,999 of 50,000", lambda: browser.locator(".grp .dim").inner_text(), 10)
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


def test_saved(lab: Lab, upstream: Upstream, tmp_path: Path) -> None:
    """Reopened without a kernel, and in nbconvert's HTML, a plain table of the newest files is there to read."""
    upstream.files = others(30)
    notebook, _ = browse(lab, upstream)
    assert not notebook.page.locator(".nbf-browse-saved").is_visible()
    path = save(lab, notebook)
    notebook.close()
    again = lab.open(path.name)
    page = lab.browser.new_page()
    page.goto(html_of(path, tmp_path).as_uri())
    for place in (page, again.page):
        text = place.locator(".nbf-browse-saved").inner_text()
        assert "interim-report-21.pdf" in text
        assert "20 of 30 rows" in text.replace("\xa0", " ")
        assert place.evaluate("() => window.__pwned === undefined")
    page.close()
    again.close()

"""What is left of a widget when its view is drawn again, the page is loaded anew, or the notebook was only saved."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import nbformat
import pytest
from playwright.sync_api import expect
from upstream import spooled, throttle
from widget import held, html_of, lines, save, show, start, until_ended, until_said

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Lab
    from playwright.sync_api import Browser, Locator, Page

CONTENT = b"canary,in,the,content\n"
TRUSTED = "() => window.jupyterapp.shell.currentWidget.content.widgets.every(cell => cell.model.trusted)"
LIVE = "() => window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    """A small file whose content would be known again."""
    path = tmp_path / "penguins.csv"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A file that takes some seconds when the page is throttled."""
    path = tmp_path / "slow.bin"
    path.write_bytes(os.urandom(3_000_000))
    return path


def stand_ins(place: Locator | Page) -> Locator:
    """Return the tables of `place` that stand in for a widget and can be seen."""
    return place.locator(".nbf-up-saved:visible")


def foreign(saved: Path) -> str:
    """Write a copy of the notebook `saved` that nobody has signed; return its name."""
    notebook = nbformat.read(saved, 4)
    notebook.cells[0].source += "  # from somebody else"
    path = saved.with_name(f"foreign-{saved.name}")
    nbformat.write(notebook, path)
    return path.name


def assert_table(page: Page, name: str, file_id: str) -> None:
    """Check that the one table in `page` can be seen and says which file has which id."""
    cells = page.locator("table:has(thead) tbody td")
    cells.first.wait_for()
    shown = cells.all_inner_texts()
    assert name in shown
    assert file_id in [text.strip() for text in shown]


def test_a_widget_drawn_again_shows_the_same(lab: Lab, csv: Path, slow: Path) -> None:
    """Views that come and go in mid-upload show the same rows, and the upload goes on behind them."""
    notebook, first, hands = show(lab, "shared = nbfiles.UploadWidget(bind='shared_ids')\nshared", "# again\nshared")
    page = notebook.page
    throttle(notebook, 1_000_000)
    hands.drop(csv, slow)
    until_said(first, "kB/s")
    before = notebook.cell("# again").locator(".nbf-up").element_handle()
    start(notebook, "# again")
    page.wait_for_function("element => !element.isConnected", arg=before)
    page.evaluate(
        """async () => {
            const {commands, shell} = window.jupyterapp;
            const panel = shell.currentWidget;
            await commands.execute('notebook:create-output-view');
            shell.activateById(panel.id);
        }"""
    )
    views = page.locator(".nbf-up")
    expect(views).to_have_count(3)
    seen = [lines(view) for view in views.all()]
    assert [False] * 3 == [rows[1].ended for rows in seen]
    assert [["penguins.csv", "slow.bin"]] * 3 == [[row.name for row in rows] for rows in seen]
    ended = [until_ended(view, 2) for view in views.all()]
    assert [held(notebook, "shared_ids")] * 3 == [[row.id for row in rows] for rows in ended]
    assert 0 == stand_ins(page).count()
    assert [] == notebook.errors
    notebook.close()


def test_a_page_loaded_anew_shows_what_became_of_the_files(lab: Lab, csv: Path, slow: Path) -> None:
    """After a reload in mid-upload, done rows are there, the other says why it ended, and the widget takes files."""
    notebook, widget, hands = show(lab, "kept = nbfiles.UploadWidget()\nkept")
    page = notebook.page
    hands.drop(csv)
    (done,) = until_ended(widget, 1)
    save(lab, notebook)
    throttle(notebook, 500_000)
    hands.drop(slow)
    until_said(widget, "kB/s")
    page.reload()
    page.wait_for_function(LIVE)
    throttle(notebook, 0)
    first, second = until_ended(widget, 2)
    assert (done.name, done.id) == (first.name, first.id)
    assert ("slow.bin", "", True) == (second.name, second.id, second.failed)
    assert second.said.startswith("It did not arrive whole")
    assert not second.retry
    hands.drop(slow)
    assert until_ended(widget, 3)[2].id
    assert [] == spooled(lab)
    assert [] == notebook.errors
    notebook.close()


def test_a_saved_notebook_keeps_names_and_ids(lab: Lab, browser: Browser, csv: Path, tmp_path: Path) -> None:
    """The file holds a table in HTML and text, and neither a byte of a file nor a key; the table is seen wherever the
    widget is not: in nbconvert's HTML, with another kernel, and in a notebook that is not trusted."""
    notebook, widget, hands = show(lab, "stored = nbfiles.UploadWidget()\nstored")
    sent: list[str] = []
    notebook.page.on("request", lambda request: sent.append(request.url))
    hands.drop(csv)
    (line,) = until_ended(widget, 1)
    assert 0 == stand_ins(notebook.page).count()
    saved = save(lab, notebook)
    text = saved.read_text("utf-8")
    (cell,) = [cell for cell in nbformat.reads(text, 4).cells if "stored =" in cell.source]
    *_, table = [output.data for output in cell.outputs]
    for kind in ("text/plain", "text/html"):
        assert csv.name in table[kind]
        assert line.id in table[kind]
    tokens = [url.rpartition("/")[2] for url in sent if "nbfiles/landing/" in url]
    assert 1 == len(tokens)
    for secret in ("canary", "nbfiles-local-", *tokens):
        assert secret not in text
    assert [] == notebook.errors
    notebook.close()

    page = browser.new_page()
    page.goto(html_of(saved, tmp_path).as_uri(), wait_until="domcontentloaded")
    assert_table(page, csv.name, line.id)
    page.close()

    for name, trusted in ((saved.name, True), (foreign(saved), False)):
        again = lab.open(name)
        assert trusted == again.page.evaluate(TRUSTED)
        assert 0 == again.page.locator(".nbf-up").count()
        assert_table(again.page, csv.name, line.id)
        again.close()

"""``Line``: a row of an upload widget as a person reads it, and how a test comes to a widget and waits for its rows."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hands import Hands

if TYPE_CHECKING:
    from pathlib import Path

    from lab import Lab, OpenNotebook
    from playwright.sync_api import Locator

LONG = 120_000  # ms: files to arrive on a busy machine
READ = """list => [...list.children].map(line => {
    const said = line.querySelector('.c2b > span:not(.small)');
    return {
        name: line.querySelector('.nbf-name').title,
        said: said.innerText,
        id: line.querySelector('.bound .mono')?.title ?? '',
        variable: line.querySelector('.bound .var')?.textContent ?? '',
        block: line.querySelector('.bound .nbf-chip')?.textContent ?? '',
        ended: line.querySelector('[data-do="end"]').title.startsWith('Remove '),
        failed: line.querySelector('.l2').classList.contains('bad'),
        retry: !line.querySelector('[data-do="retry"]').hidden,
    };
})"""


@dataclass(frozen=True)
class Line:
    """One row as it is shown: the name, what is said below it, and the id with what holds it and serves it."""

    name: str
    said: str
    id: str
    variable: str
    block: str
    ended: bool
    failed: bool
    retry: bool


def show(lab: Lab, *cells: str) -> tuple[OpenNotebook, Locator, Hands]:
    """Run a new notebook of `cells` behind ``import nbfiles``; return it, its first widget, and hands for that."""
    notebook = lab.open(lab.write(f"widget-{secrets.token_hex(4)}.ipynb", "import nbfiles", *cells))
    notebook.run_all()
    assert [] == notebook.failures()
    widget = notebook.page.locator(".nbf-up").first
    widget.wait_for()
    return notebook, widget, Hands(widget)


def start(notebook: OpenNotebook, text: str) -> None:
    """Start the cell that holds `text`, and do not wait for it."""
    notebook.page.evaluate(
        """text => {
            const {content} = window.jupyterapp.shell.currentWidget;
            content.deselectAll();
            content.activeCellIndex = content.widgets.findIndex(cell => cell.model.sharedModel.source.includes(text));
            window.jupyterapp.commands.execute('notebook:run-cell');
        }""",
        text,
    )


def lines(widget: Locator) -> list[Line]:
    """Return the rows of `widget` as they are shown now."""
    read = widget.locator(".nbf-rows").evaluate(READ)
    return [Line(**{key: _plain(value) for key, value in line.items()}) for line in read]


def until_ended(widget: Locator, count: int) -> list[Line]:
    """Wait until `widget` shows `count` rows, all at their end, well or not; return them."""
    widget.page.wait_for_function(
        """([list, count]) => list.children.length === count && [...list.querySelectorAll('[data-do="end"]')]
            .every(button => button.title.startsWith('Remove '))""",
        arg=[widget.locator(".nbf-rows").element_handle(), count],
        timeout=LONG,
    )
    return lines(widget)


def until_said(widget: Locator, text: str, count: int = 1) -> None:
    """Wait until at least `count` rows of `widget` say `text` in their second line."""
    place = widget.locator(".nbf-row .c2b", has_text=text)
    place.nth(count - 1).wait_for(timeout=LONG)


def notices(widget: Locator) -> list[str]:
    """Return what stands under the target of `widget`."""
    return [_plain(text) for text in widget.locator(".nbf-notice").all_inner_texts()]


def held(notebook: OpenNotebook, expression: str) -> Any:
    """Return what `expression` is in the kernel, if JSON can say it."""
    return json.loads(notebook.kernel(f"import json; print(json.dumps({expression}))"))


def save(lab: Lab, notebook: OpenNotebook) -> Path:
    """Save the notebook as *Save* does; return its file."""
    name = notebook.page.evaluate(
        """async () => {
            await window.jupyterapp.commands.execute('docmanager:save');
            return window.jupyterapp.shell.currentWidget.context.path;
        }"""
    )
    return lab.root / name


def html_of(notebook: Path, folder: Path) -> Path:
    """Return the HTML file that nbconvert makes of the file `notebook` in `folder`."""
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--output-dir", str(folder), str(notebook)]
    subprocess.run(command, check=True, capture_output=True)
    return folder / f"{notebook.stem}.html"


def _plain(value: str | bool) -> str | bool:
    """Return a text with plain spaces, which are easier to type; the widget breaks no line between figure and unit."""
    return value.replace("\u00a0", " ") if isinstance(value, str) else value

"""The fixture itself: a real JupyterLab runs cells, reports what they show, and can be switched to dark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab import DARK

if TYPE_CHECKING:
    from lab import Lab


def test_cells_run_and_are_read(lab: Lab) -> None:
    """What a cell shows and what it fails with is read from the page, and a quiet page has no error of ours."""
    notebook = lab.open(lab.write("self-check.ipynb", "6 * 7", "print('printed')", "1 / 0"))
    notebook.run_all()
    assert "42" == notebook.text("6 * 7").split()[-1]
    assert "printed" == notebook.text("print(").strip()
    assert ["ZeroDivisionError: division by zero"] == notebook.failures()
    assert [] == notebook.errors
    notebook.close()


def test_the_theme_is_switched(lab: Lab) -> None:
    """The dark theme makes the page dark."""
    notebook = lab.open(lab.write("theme.ipynb", "1 + 1"))
    panel = notebook.page.locator(".jp-NotebookPanel").first
    light = sum(notebook.background(panel))
    notebook.use_theme(DARK)
    assert 3 * 128 < light
    assert 3 * 128 > sum(notebook.background(panel))
    notebook.close()

"""A spool folder of its own for each test, desks and widgets that are closed after it, and nothing left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from page import Page, WidgetPage, client
from workbench import becomes

from nbfiles import UploadWidget
from nbfiles._session import How
from nbfiles.widget import _desk
from nbfiles.widget._desk import Desk
from nbfiles.widget._limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from nbfiles import Files


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder where bytes land; whatever the test did, no file is in it when its desks are closed."""
    folder = tmp_path / "spool"
    monkeypatch.setenv("NBFILES_SPOOL", str(folder))
    monkeypatch.setattr(_desk, "BETWEEN_NEWS", 0.01)  # nobody looks
    yield folder
    assert becomes([], lambda: list(folder.glob("*"))), list(folder.glob("*"))


@pytest.fixture
def open_desk(spool: Path) -> Iterator[Callable[..., tuple[Desk, Page]]]:
    """Return a function that opens a desk to a client, and a page at it."""
    opened: list[Desk] = []

    def open_one(files: Files, lane: str = "comm", how: How | None = None, **limits: Any) -> tuple[Desk, Page]:
        page = Page(lane)
        given = {"accept": (), "multiple": True, "max_files": None, "max_bytes": 500_000_000} | limits
        page.desk = Desk(Limits(**given), how or How(), lambda: files.session, page)
        opened.append(page.desk)
        return page.desk, page

    yield open_one
    for desk in opened:
        desk.close()


@pytest.fixture
def open_widget(spool: Path) -> Iterator[Callable[..., tuple[UploadWidget, WidgetPage]]]:
    """Return a function that makes a widget, and a page that shows it."""
    opened: list[UploadWidget] = []

    def open_one(files: Files | None, lane: str = "comm", **arguments: Any) -> tuple[UploadWidget, WidgetPage]:
        opened.append(UploadWidget(files=files, **arguments))
        return opened[-1], WidgetPage(opened[-1], lane)

    yield open_one
    for widget in opened:
        widget.close()


@pytest.fixture
def files(shared_api: Any) -> Files:
    """A client of the module's local Files API."""
    return client(shared_api.base_url, shared_api.api_key)

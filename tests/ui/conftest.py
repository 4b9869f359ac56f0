"""One browser for all tests of this folder, and one server of each kind that they ask for."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from lab import NOTEBOOKS, Lab, chromium, lab_server, local_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Lab]:
    """A JupyterLab that serves a copy of notebooks/, and uploads to a local Files API of its own."""
    with served(tmp_path_factory.mktemp("lab"), browser) as lab:
        yield lab


@pytest.fixture(scope="session")
def lab_without_extension(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Lab]:
    """The same, and the server has no nbfiles extension: bytes have to take the notebook's own connection."""
    with served(tmp_path_factory.mktemp("bare"), browser, extension=False) as lab:
        yield lab


@pytest.fixture(scope="session")
def notebook7(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Lab]:
    """The same in Notebook 7."""
    with served(tmp_path_factory.mktemp("notebook7"), browser, app="notebook") as lab:
        yield lab


@pytest.fixture(scope="session")
def notebook7_without_extension(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Lab]:
    """A Notebook 7 whose server has no nbfiles extension."""
    with served(tmp_path_factory.mktemp("bare7"), browser, app="notebook", extension=False) as lab:
        yield lab


@contextmanager
def served(folder: Path, browser: Browser, **options: Any) -> Iterator[Lab]:
    """Serve a copy of notebooks/ in `folder`, next to the files of its local Files API."""
    root = folder / "notebooks"
    shutil.copytree(NOTEBOOKS, root)
    with lab_server(root, **options, **local_environment(folder / "files")) as url:
        yield Lab(url, root, browser)

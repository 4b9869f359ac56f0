"""A browser for each module of this folder, and one server of each kind that its tests ask for."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING

import pytest
from lab import NOTEBOOKS, Lab, chromium, lab_server, local_environment
from upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    Server = Callable[..., tuple[str, Path]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium.

    Not for the whole session: Playwright keeps a loop running in the tests' own thread, and whatever comes behind this
    folder would find it there.
    """
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return a function that serves a copy of notebooks/ next to a local Files API; alike calls share one server."""
    with ExitStack() as running:

        @cache
        def serve(app: str, *, extension: bool = True) -> tuple[str, Path]:
            folder = tmp_path_factory.mktemp(app)
            root = folder / "notebooks"
            shutil.copytree(NOTEBOOKS, root)
            serving = lab_server(root, app=app, extension=extension, **local_environment(folder / "files"))
            return running.enter_context(serving), root

        yield serve


@pytest.fixture(scope="module")
def lab(server: Server, browser: Browser) -> Lab:
    """A JupyterLab that uploads to a local Files API of its own."""
    return Lab(*server("lab"), browser)


@pytest.fixture(scope="module")
def lab_without_extension(server: Server, browser: Browser) -> Lab:
    """The same, and the server has no nbfiles extension: bytes have to take the notebook's own connection."""
    return Lab(*server("lab", extension=False), browser, extension=False)


@pytest.fixture(scope="module")
def notebook7(server: Server, browser: Browser) -> Lab:
    """A Notebook 7."""
    return Lab(*server("notebook"), browser)


@pytest.fixture(params=["lab", "notebook7"])
def front(request: pytest.FixtureRequest) -> Lab:
    """A JupyterLab, then a Notebook 7."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def notebook7_without_extension(server: Server, browser: Browser) -> Lab:
    """A Notebook 7 whose server has no nbfiles extension."""
    return Lab(*server("notebook", extension=False), browser, extension=False)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """A Files API of the test's own, which does what the test says."""
    with Upstream() as server:
        yield server

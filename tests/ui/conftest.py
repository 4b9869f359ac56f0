"""One JupyterLab and one browser for all tests of this folder."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from lab import NOTEBOOKS, Lab, chromium, lab_server, local_environment

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab that serves a copy of notebooks/, and uploads to a local Files API of its own."""
    root = tmp_path_factory.mktemp("lab") / "notebooks"
    shutil.copytree(NOTEBOOKS, root)
    with lab_server(root, **local_environment(root.parent / "files")) as url, chromium() as browser:
        yield Lab(url, root, browser)

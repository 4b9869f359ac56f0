"""Files that a person hands to the widget, in a real front end: they arrive as they are, and their ids are bound."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from conftest import served
from lab import sha256, stored
from widget import lines, notices, show, until_ended, until_said

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab import Lab, OpenNotebook
    from playwright.sync_api import Browser

BIG = 100_000_000
LANDINGS = """() => performance.getEntriesByType('resource').filter(({name}) => name.includes('nbfiles/landing/'))
    .map(({responseStatus}) => responseStatus)"""
SLOWER = "Slower route: this Jupyter server has no nbfiles extension, so files go through the notebook connection."
LOCAL = "Nothing leaves this machine: the local Files API takes the files."


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 100 MB that nobody can compress or guess."""
    path = tmp_path_factory.mktemp("big") / "observations.bin"
    path.write_bytes(os.urandom(BIG))
    return path


@pytest.fixture(scope="module")
def notebook7_without_extension(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Lab]:
    """A Notebook 7 whose server has no nbfiles extension."""
    with served(tmp_path_factory.mktemp("bare7"), browser, app="notebook", extension=False) as lab:
        yield lab


def ids(notebook: OpenNotebook, expression: str) -> list[str]:
    """Return the ids that `expression` holds in the kernel."""
    return json.loads(notebook.kernel(f"import json; print(json.dumps({expression}))"))


def spool(notebook: OpenNotebook) -> list[str]:
    """Return the files that lie in the folder which kernel and server share."""
    listing = "import json, os, nbfiles._landing as l; print(json.dumps(os.listdir(l.spool_folder())))"
    return json.loads(notebook.kernel(listing))


def at_api(lab: Lab, ids: list[str]) -> list[str]:
    """Return the SHA-256 of the files `ids` at the lab's local Files API."""
    kept = stored(lab.root.parent / "files")
    return [kept[id_] for id_ in ids]


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
    """100 MB arrive whole by chooser and by drop, on the lane that is there, are bound, and leave nothing behind."""
    lab = request.getfixturevalue(place)
    notebook, widget, hands = show(lab, 'nbfiles.UploadWidget(bind="reports")')
    hands.choose(big)
    until_ended(widget, 1)
    hands.drop(big)
    shown = until_ended(widget, 2)
    assert ["reports[0]", "reports[1]"] == [line.variable for line in shown]
    assert ids(notebook, "reports") == [line.id for line in shown]
    assert [sha256(big)] * 2 == at_api(lab, ids(notebook, "reports"))
    assert ([] if lane == "http" else [SLOWER]) + [LOCAL] == notices(widget)
    assert ([200, 200, 200] if lane == "http" else [404]) == notebook.page.evaluate(LANDINGS)
    assert [] == spool(notebook)
    assert [] == notebook.failures()
    assert [] == [error for error in notebook.errors if lane == "http" or "404" not in error]
    notebook.close()

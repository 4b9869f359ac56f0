"""Verbs of several rounds: pages are all fetched and counted, and whoever waits sees how far it is."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from faults.server import FaultServer, Step
from workbench import CANARY, QUICK

from nbfiles import _progress, _rounds
from nbfiles._errors import PermissionDeniedError
from nbfiles._files import Files
from nbfiles._progress import Count, NotebookBar, TextLine


@pytest.fixture
def server():
    with FaultServer(page_size=10) as made:
        yield made


@pytest.fixture(params=["beta", "ga"])
def files(request, server):
    client = Files(base_url=server.url, api_key=CANARY, surface=request.param)
    client.session.patience = QUICK
    return client


def test_every_page_is_fetched_and_counted(server, files) -> None:
    """A listing has all files whatever the size of a page, and knows what it cost, attempts that failed included."""
    stored = [server.seed(f"{number}.txt", b"x", age=number) for number in range(35)]
    found = _rounds.waiting(files.session, _rounds.listing(files.session))
    assert ([file.id for file in stored], 4) == ([file.id for file in found.files], found.requests)
    server.steps["list"].extend([Step(), Step("after_headers", "answer", 503, {})])
    found = _rounds.waiting(files.session, _rounds.listing(files.session))
    assert (35, 6) == (len(found.files), found.requests)
    assert (35, 4) == (len(files.list_files()), files.get_usage().requests)
    found = _rounds.waiting(files.session, _rounds.listing(files.session, 12))
    assert (12, 2) == (len(found.files), found.requests)


def test_a_listing_that_fails_is_an_error(server, files) -> None:
    """What the server says of a page is raised, in the waiting and in the awaiting form."""
    server.seed("a.txt", b"x")
    for _ in range(2):
        server.steps["list"].append(Step("after_headers", "answer", 403, {}))
    with pytest.raises(PermissionDeniedError):
        files.list_files()
    with pytest.raises(PermissionDeniedError):
        asyncio.run(files.list_files_async())
    assert 1 == len(asyncio.run(files.list_files_async()))


def test_rounds_without_tasks_ask_nobody(server, files) -> None:
    """An empty round has no results, and costs no connection."""

    def verb():
        results = yield _rounds.Round([])
        return results

    assert [] == _rounds.waiting(files.session, verb())
    assert [] == asyncio.run(_rounds.awaiting(files.session, verb()))
    assert [] == server.targets


def test_what_a_round_raises_reaches_the_verb(files) -> None:
    """A verb is told why its round ended, and may end otherwise."""

    def verb():
        try:
            yield _rounds.Round([files.session.page({})], _refuse)
        except KeyboardInterrupt:
            return "told"

    assert "told" == _rounds.waiting(files.session, verb())


def _refuse(event: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("total", "expected"),
    [(None, "3,000 files listed"), (4000, "3,000 of 4,000 files listed"), (1, "3,000 of 1 file listed")],
)
def test_how_far_it_is(total, expected) -> None:
    """A count says how many, and of how many where that is known."""
    assert expected == Count("listed", lambda: 3000, total).line().text


def test_there_is_no_bar_of_nobody_knows_how_many(capsys, monkeypatch) -> None:
    """A listing shows a line that grows and no bar; a deletion, whose end is known, shows both."""
    shown = []
    monkeypatch.setattr(NotebookBar, "_show", lambda self, bundle: shown.append(bundle))
    for total in (None, 10):
        bar = NotebookBar(itertools.count(step=1000).__next__, Count("deleted", lambda: 3, total))
        bar(object())
        line = TextLine(itertools.count(step=1000).__next__, Count("deleted", lambda: 3, total))
        line(object())
        line.clear()
    assert [False, True] == ["progressbar" in bundle["text/html"] for bundle in shown]
    assert "3 files deleted" in shown[0]["text/plain"]
    assert "30% |" in capsys.readouterr().err


def test_a_quick_listing_shows_nothing(server, files, monkeypatch) -> None:
    """What is over at once draws nothing, and a slow one draws its count and takes it away."""
    drawn = []
    monkeypatch.setattr(_rounds, "observer", lambda **options: NotebookBar(figures=options["count"]))
    monkeypatch.setattr(NotebookBar, "_show", lambda self, bundle: drawn.append(bundle["text/plain"]))
    server.seed("a.txt", b"x")
    files.list_files()
    assert [] == drawn
    monkeypatch.setattr(_progress, "SHOWN_AFTER", 0)
    monkeypatch.setattr(_progress, "BETWEEN_UPDATES", 0)
    files.list_files()
    assert "1 file listed" in drawn

"""``FileBrowser`` and its shelf: what is listed, planned, deleted, bound and downloaded, and what is said of it."""

from __future__ import annotations

import array
import gzip
import json
import os
import re
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from doubles import Server, lists_all, metadata
from hostile import PAYLOADS, shape
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell
from page import PATIENCE, client
from shells import fresh_shell
from workbench import becomes

import nbfiles
from nbfiles import CredentialError, FileBrowser, FileId, ServerError
from nbfiles._ledger import Known
from nbfiles.widget._desk import LOOP
from nbfiles.widget._shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from doubles import Exchange

    from nbfiles import Files

TRIALS = 300 if os.environ.get("NBFILES_TRIALS") == "full" else 30
REFUSED = {"type": "error", "error": {"type": "api_error", "message": "out of order"}}


class Reader:
    """A page that shows a shelf: it keeps what it hears, and writes rows as a page does."""

    def __init__(self) -> None:
        self.heard: list[tuple[dict[str, Any], list[bytes]]] = []
        self.names: dict[str, Any] = {}
        self.listings = 0
        self.shelf: Shelf | None = None
        self._news = threading.Condition()

    def send(self, content: Any, buffers: Any = None) -> None:
        """Hear a message of the shelf."""
        with self._news:
            self.heard.append((content, list(buffers or ())))
            self._news.notify_all()

    def listed(self) -> None:
        """Take note that the listing has changed."""
        self.listings += 1

    def tell(self, kind: str, rows: Iterable[int] | None = None, **more: Any) -> None:
        """Say something as the page does."""
        message = {"kind": kind, "version": self.shelf.listing.version, **more}
        self.shelf.receive(message, [] if rows is None else [array.array("I", rows).tobytes()])

    def until(self, kind: str, count: int = 1) -> dict[str, Any]:
        """Wait for the message number `count` of its kind; return it."""
        return self.all_until(kind, count)[count - 1][0]

    def all_until(self, kind: str, count: int = 1) -> list[tuple[dict[str, Any], list[bytes]]]:
        """Wait for so many messages of a kind; return all of them with their buffers."""
        with self._news:
            assert self._news.wait_for(lambda: count <= len(self.of(kind)), PATIENCE), (kind, self.heard)
            return self.of(kind)

    def of(self, kind: str) -> list[tuple[dict[str, Any], list[bytes]]]:
        """Return the messages of a kind so far."""
        return [(message, buffers) for message, buffers in self.heard if message["kind"] == kind]


def keeper(faults: dict[str, int] | None = None, refuses: list[int] | None = None) -> Callable[[Exchange], None]:
    """Return a script that lists, deletes and hands out the server's files; `faults` are the answers to deletions."""

    def script(exchange: Exchange) -> None:
        exchange.read()
        file_id = exchange.target.split("?")[0].removeprefix("/v1/files").strip("/").split("/")[0]
        kept = exchange.server.files
        if refuses and not file_id:
            exchange.answer(refuses[0], REFUSED)
        elif not file_id:
            lists_all(exchange)
        elif exchange.method == "DELETE":
            status = (faults or {}).get(file_id, 200)
            if status in {200, 404}:
                kept[:] = [file for file in kept if file["id"] != file_id]
            exchange.answer(status, {"id": file_id, "type": "file_deleted"} if status == 200 else REFUSED)
        elif exchange.target.split("?")[0].endswith("/content"):
            exchange.answer(200, b"x" * 5)
        else:
            exchange.answer(200, next(file for file in kept if file["id"] == file_id))

    return script


def kept(*numbers: int, **fields: Any) -> list[dict[str, Any]]:
    """Return files as the server keeps them, the oldest first."""
    return [metadata(f"file_{number:04}", filename=f"{number}.pdf", **fields) for number in numbers]


def make_ours(files: Files, *numbers: int) -> None:
    """Write into the ledger that these files were uploaded from here."""
    for number in numbers:
        then = datetime.now(UTC)
        files.session.account().record(
            Known(f"file_{number:04}", f"{number}.pdf", "application/pdf", 5, "", then, None)
        )


@contextmanager
def opened(server: Server, *ours: int) -> Iterator[tuple[Shelf, Reader]]:
    """Open a shelf to the files of `server`, of which some are `ours`; wait until they are listed."""
    files, reader = client(server.url), Reader()
    make_ours(files, *ours)
    reader.shelf = Shelf(lambda: files.session, lambda: reader.names, reader, LOOP.get())
    reader.shelf.start()
    reader.until("rows")
    yield reader.shelf, reader
    reader.shelf.close()


def columns(reader: Reader) -> dict[str, list[Any]]:
    """Unpack the latest listing."""
    return json.loads(gzip.decompress(reader.of("rows")[-1][1][0]))


# ---- what is listed --------------------------------------------------------------------------------------------------


def test_every_file_is_listed_with_what_is_known_of_it():
    """The columns hold what the server said, where each file is from, and which name holds its id."""
    with Server(keeper()) as server:
        server.files = kept(1) + kept(2, downloadable=True, expires_at="2030-01-01T00:00:00Z")
        with opened(server, 1) as (_, reader):
            found = columns(reader)
    assert ["file_0002", "file_0001"] == found["id"]
    assert [2, 0] == found["origin"]
    assert [1, 0] == found["downloadable"]
    assert [1893456000000, None] == found["expires"]
    assert ["document", "document"] == found["block"]
    assert [5, 5] == found["size"]


def test_a_page_that_comes_later_gets_the_listing_and_what_is_gone_since():
    """``hello`` is answered with the rows; those deleted meanwhile follow as numbers."""
    with Server(keeper()) as server:
        server.files = kept(1, 2, 3)
        with opened(server, 1, 2, 3) as (_, reader):
            reader.tell("plan", [1])
            reader.tell("delete", plan=reader.until("plan")["token"])
            reader.until("said")
            reader.tell("hello")
            assert 1 == reader.all_until("rows", 2)[1][0]["version"]
            assert [1] == list(array.array("I", reader.all_until("gone", 2)[1][1][0]))


def test_a_listing_that_fails_is_said_and_the_one_before_it_stays():
    """A page gets the reason in one line; the rows it has are still there."""
    refuses: list[int] = []
    with Server(keeper(refuses=refuses)) as server:
        server.files = kept(1, 2)
        with opened(server) as (shelf, reader):
            refuses.append(500)
            reader.tell("refresh")
            said = reader.until("rows", 2)
            assert "(500)" in said["error"]
            assert 1 == said["version"] == shelf.listing.version
            with pytest.raises(ServerError):
                shelf.refresh()
            refuses.clear()
            shelf.refresh()
            assert 2 == shelf.listing.version


# ---- what is deleted -------------------------------------------------------------------------------------------------


def test_a_plan_says_what_a_deletion_would_do():
    """It counts what was uploaded here and what was not, and names the variables that would hold dead ids."""
    with Server(keeper()) as server:
        server.files = kept(1, 2, 3)
        with opened(server, 1, 3) as (_, reader):
            reader.names = {"report_id": FileId("file_0003"), "old": [FileId("file_0002")]}
            reader.tell("plan", [0, 1, 2])
            plan = reader.until("plan")
            assert 3 == len(server.files)
    assert (2, 10, 1, 5) == tuple(plan[name] for name in ("count", "size", "elsewhere", "elsewhere_size"))
    assert (["report_id"], 0) == (plan["variables"], plan["more"])


def test_what_was_not_uploaded_here_stays_unless_it_is_meant():
    """A deletion takes in other people's files only when the page says so, and says what it did."""
    with Server(keeper()) as server:
        server.files = kept(1, 2, 3)
        with opened(server, 1, 3) as (_, reader):
            for count, elsewhere in enumerate((False, True), 1):
                reader.tell("plan", [0, 1, 2] if not elsewhere else [1])
                reader.tell("delete", plan=reader.until("plan", count)["token"], elsewhere=elsewhere)
                reader.until("said", count)
                assert ([] if elsewhere else ["file_0002"]) == [file["id"] for file in server.files]
            first, second = (message["text"].replace("\xa0", " ") for message, _ in reader.of("said"))
    assert ("2 deleted · 10 B freed", "1 deleted · 5 B freed") == (first, second)


def test_a_plan_is_good_for_once_and_for_its_own_listing():
    """A token that was used, made up, or made before a refresh deletes nothing."""
    with Server(keeper()) as server:
        server.files = kept(1, 2)
        with opened(server, 1, 2) as (_, reader):
            reader.tell("plan", [0])
            token = reader.until("plan")["token"]
            reader.tell("refresh")
            reader.until("rows", 2)
            for number, wrong in enumerate((token, "made up"), 1):
                reader.tell("delete", plan=wrong)
                assert reader.until("said", number)["bad"]
            reader.tell("plan", [0], version=1)
            assert reader.until("said", 3)["bad"]
            assert 2 == len(server.files)


def test_what_could_not_be_deleted_stays_and_is_said():
    """One that was gone already counts as gone, one that was refused stays on the list, with the reason."""
    with Server(keeper({"file_0001": 404, "file_0002": 403})) as server:
        server.files = kept(1, 2, 3)
        with opened(server, 1, 2, 3) as (shelf, reader):
            reader.names = {"a": FileId("file_0001")}
            reader.tell("plan", [0, 1, 2])
            reader.tell("delete", plan=reader.until("plan")["token"])
            said = reader.until("said")
            assert {0, 2} == shelf.listing.gone
    text = said["text"].replace("\xa0", " ")
    assert re.fullmatch(
        r"1 deleted · 5 B freed · 1 was already gone · 1 could not be deleted · a is dead now · .*out of order.*", text
    ), text
    assert said["bad"]


def test_a_deletion_stops_between_two_files():
    """Stop keeps what was not begun; what went is said."""
    go_on = threading.Event()

    def slow(exchange: Exchange) -> None:
        if exchange.method == "DELETE":
            go_on.wait(PATIENCE)
        keeper()(exchange)

    with Server(slow) as server:
        server.files = kept(*range(40))
        with opened(server, *range(40)) as (_, reader):
            reader.tell("plan", range(40))
            reader.tell("delete", plan=reader.until("plan")["token"])
            reader.until("busy", 2)
            assert becomes(8, lambda: sum(exchange.method == "DELETE" for exchange in server.exchanges))
            reader.tell("stop")
            time.sleep(0.5)
            go_on.set()
            said = reader.until("said")["text"].replace("\xa0", " ")
            assert 32 == len(server.files)
    assert "8 deleted · 40 B freed · 32 not touched" == said


@settings(max_examples=TRIALS, deadline=None)
@given(data=st.data())
def test_what_is_deleted_is_what_was_chosen_and_agreed_to(data: st.DataObject) -> None:
    """Whatever the server does: of the files, those chosen and ours (and the others if meant) go, and no other ever."""
    numbers = range(data.draw(st.integers(1, 12)))
    subset = st.sets(st.sampled_from(numbers))
    ours, chosen = data.draw(subset), data.draw(subset)
    statuses = data.draw(st.dictionaries(st.sampled_from(numbers), st.sampled_from([404, 403, 500, 529])))
    elsewhere = data.draw(st.booleans())
    faults = {f"file_{number:04}": status for number, status in statuses.items()}
    with Server(keeper(faults)) as server:
        server.files = kept(*numbers)
        with opened(server, *ours) as (shelf, reader):
            rows = [len(numbers) - 1 - number for number in chosen]
            reader.tell("plan", rows)
            if rows:
                reader.tell("delete", plan=reader.until("plan")["token"], elsewhere=elsewhere)
                reader.until("said")
            agreed = {number for number in chosen if number in ours or elsewhere}
            asked = {exchange.target.split("?")[0][-4:] for exchange in server.exchanges if exchange.method == "DELETE"}
            gone = {len(numbers) - 1 - row for row in shelf.listing.gone}
        assert {f"{number:04}" for number in agreed} == asked
        assert {number for number in agreed if statuses.get(number) in {None, 404}} == gone


# ---- what else is done to rows ---------------------------------------------------------------------------------------


def test_binding():
    """One row binds its id, several bind a list in the order of choosing, and a bad name binds nothing."""
    with Server(keeper()) as server:
        server.files = kept(1, 2)
        with opened(server) as (_, reader):
            reader.tell("bind", [1], name="one")
            assert "one holds file_0001." == reader.until("said")["text"]
            reader.tell("bind", [1, 0], name="both")
            assert "both holds 2 ids." == reader.until("said", 2)["text"]
            reader.tell("bind", [0], name="not a name")
            assert reader.until("said", 3)["bad"]
            held = reader.of("held")[-1][0]["held"]
    assert {"one": "file_0001", "both": ["file_0001", "file_0002"]} == reader.names
    assert 5 == reader.names["one"].metadata.size_bytes
    assert [[0, "both[1]"], [1, "one, both[0]"]] == [list(pair) for pair in held]


def test_downloading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What can be downloaded is, into the folder of the notebook; the rest is said."""
    monkeypatch.chdir(tmp_path)
    with Server(keeper()) as server:
        server.files = kept(1) + kept(2, downloadable=True)
        with opened(server) as (_, reader):
            reader.tell("download", [0, 1])
            said = reader.until("said")["text"].replace("\xa0", " ")
            reader.tell("download", [0])
            assert reader.until("said", 2)["bad"]
    assert b"xxxxx" == (tmp_path / "2.pdf").read_bytes()
    assert f"1 file downloaded to {tmp_path} · 1 cannot be downloaded: Claude made none of them" == said


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "nothing"},
        {},
        {"kind": "plan"},
        {"kind": "plan", "version": 1},
        {"kind": "delete"},
        {"kind": "bind", "version": 1},
    ],
)
def test_what_is_no_message_is_passed_over(message: dict[str, Any]):
    """Messages that no page of ours sends change nothing, and the next one is heard."""
    with Server(keeper()) as server:
        server.files = kept(1)
        with opened(server, 1) as (shelf, reader):
            shelf.receive(message, [])
            shelf.receive({**message, "version": 1}, [array.array("I", [0, 7]).tobytes()])
            shelf.receive({**message, "version": 1}, [b"odd"])
            reader.tell("select", [0])
            reader.tell("plan", [0])
            assert 1 == reader.until("plan")["count"]
            assert (0,) == shelf.selected
            assert 1 == len(server.files)


# ---- as Python sees it -----------------------------------------------------------------------------------------------


@pytest.fixture
def browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileBrowser]:
    """A browser of three files, in a notebook of this process."""
    with fresh_shell(tmp_path / "ipython") as shell, Server(keeper()) as server:
        monkeypatch.setattr(InteractiveShell, "_instance", shell.ip)
        server.files = kept(1, 2, 3)
        made = FileBrowser(files=client(server.url))
        yield made
        made.close()


def test_the_table_has_every_file(browser: FileBrowser):
    """``table`` waits for the listing and is an ordinary table of files."""
    assert ["file_0003", "file_0002", "file_0001"] == list(browser.table["id"])
    assert ["file_0003", "file_0002", "file_0001"] == browser.table.nbfiles.ids()


def test_selecting(browser: FileBrowser):
    """What Python selects is selected, by id; what is not listed is passed over."""
    browser.select(["file_0001", "file_0003", "file_9999"])
    assert ["file_0003", "file_0001"] == browser.selected
    assert {FileId} == {type(one) for one in browser.selected}
    browser.select([])
    assert [] == browser.selected


def test_no_row_is_in_what_a_notebook_saves(browser: FileBrowser):
    """The widget's state names no file, whatever was selected; what stands in for it is a plain table."""
    browser.select(browser.table["id"])
    state = browser.get_state()
    shown = {name: value for name, value in state.items() if name not in {"_esm", "_css"}}
    assert "file_0" not in json.dumps(shown, default=str)
    piece = browser.stand_in()
    assert all(f"{number}.pdf" in piece.text and f"{number}.pdf" in piece.html for number in (1, 2, 3))
    assert repr(browser) == piece.text


def test_before_the_listing_and_without_one():
    """Until the files are listed the stand-in says so; where they cannot be, it says why, and so does ``table``."""
    refuses = [500]
    with Server(keeper(refuses=refuses)) as server:
        browser = FileBrowser(files=client(server.url))
        with pytest.raises(ServerError):
            _ = browser.table
        assert repr(browser).startswith("FileBrowser: ")
        assert "(500)" in repr(browser)
        browser.close()


def test_without_a_key():
    """A browser that could list nothing is not made, and the error says what to do."""
    with pytest.raises(CredentialError, match="ANTHROPIC_API_KEY"):
        FileBrowser()


def test_hostile_names_are_shown_as_text():
    """Of 50 names that want to be markup, none adds an element or an attribute to the table that stands in."""
    names = PAYLOADS[:50]
    with Server(keeper()) as server:
        browser = FileBrowser(files=client(server.url))
        plain = None
        for start in range(0, len(names), 20):
            part = names[start : start + 20]
            for given_names in ([f"{number}.pdf" for number in range(len(part))], part):
                server.files = [metadata(f"file_{n:04}", filename=name) for n, name in enumerate(given_names)]
                browser.refresh()
                found = shape(browser.stand_in().html)
                plain = found if given_names is not part else plain
            assert plain == found
        browser.close()


def test_the_verb_of_the_public_face():
    """``nbfiles.FileBrowser`` is this class."""
    assert FileBrowser is nbfiles.FileBrowser

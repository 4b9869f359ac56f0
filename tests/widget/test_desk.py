"""The desk: files from a page reach the Files API byte by byte, on both lanes, and no message can do it harm."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from doubles import Server
from hostile import PAYLOADS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from page import Page, client, held_open, if_whole, landed_in

from nbfiles._landing import Landing, claim
from nbfiles._names import TYPES
from nbfiles._session import How
from nbfiles.widget import _desk
from nbfiles.widget._desk import Desk
from nbfiles.widget._limits import Limits

both_lanes = pytest.mark.parametrize("lane", ["comm", "http"])


def offered(page: Page, *names: str, path: str = "", data: bytes = b"hello") -> list[str]:
    return page.offer_rows([(name, path, data) for name in names])


# ---- what arrives ----------------------------------------------------------------------------------------------------


@both_lanes
@pytest.mark.parametrize("size", [1, 65_536, 3 << 20, (1 << 20) + 1])
def test_every_byte(open_desk, files, shared_api, lane, size):
    """What the store has is what the page sent, to the bit, and the row says under which id."""
    data = random.Random(size).randbytes(size)
    _, page = open_desk(files, lane)
    (key,) = page.offer(a_bin=data)
    record = page.until_state(key, "done", "failed")
    assert ("done", "", size, size) == tuple(record[name] for name in ("state", "reason", "landed", "sent"))
    assert hashlib.sha256(data).hexdigest() == shared_api.stored_sha256(record["id"])


@both_lanes
def test_twelve_at_once(open_desk, files, shared_api, lane, spool):
    """Twelve files at once arrive each as itself, and the list keeps the order in which they were chosen."""
    contents = [random.Random(number).randbytes(10_000 + number * 40_000) for number in range(12)]
    desk, page = open_desk(files, lane)
    keys = page.offer_rows([(f"{number}.bin", "", data) for number, data in enumerate(contents)])
    assert ["done"] * 12 == page.finish(*keys)
    assert contents == [shared_api.stored_bytes(row.id) for row in desk.rows]
    assert keys == [row.key for row in desk.rows]
    page.until_settled()
    assert [] == landed_in(spool)


@both_lanes
def test_bytes_go_on_while_they_arrive(open_desk, lane):
    """The first bytes leave for the Files API before the last have come from the browser."""
    with Server() as server:
        _, page = open_desk(client(server.url), lane)
        page.hold.set()
        (key,) = page.offer(a_bin=bytes(4 << 20))
        go = page.until_heard("go", key=key)
        slowly = threading.Thread(target=page.trickle, args=(go, 8, 0.05))
        slowly.start()
        exchange = server.wait_for(1)
        assert "uploading" == page.until_state(key, "uploading", "done")["state"]
        assert slowly.is_alive()
        assert not exchange.arrived.is_set()
        slowly.join()
        assert ["done"] == page.finish(key)


def test_order_chosen(open_desk, files):
    """The order is the one chosen, whichever file comes first to its end."""
    desk, page = open_desk(files)
    page.hold.set()
    keys = page.offer(a_txt=b"first", b_txt=b"second", c_txt=b"third")
    page.until(lambda: 3 == len(page.held))
    for place in (2, 0, 1):
        page.carry(next(go for go in page.held if go["key"] == keys[place]))
        page.until_state(keys[place], "done")
    names = [row.outcome.metadata.filename for row in desk.rows if row.id is not None]
    assert ["a.txt", "b.txt", "c.txt"] == names


@both_lanes
@pytest.mark.parametrize(
    ("name", "head", "mime"),
    [
        ("report", b"%PDF-1.7 and so on", "application/pdf"),
        ("picture", b"\x89PNG\r\n\x1a\n" + bytes(600), "image/png"),
        ("README", "Größe".encode() * 200, "text/plain"),
        ("data.unknown", b"\x00\x01\x02", "application/octet-stream"),
        ("notes.txt", b"\x00\x01", TYPES[".txt"]),
        ("table.csv", b"a,b\n1,2\n", "text/plain"),
        ("table.csv", b"\x1f\x8b\x08\x00", "text/csv"),
    ],
)
def test_the_head_decides(open_desk, lane, name, head, mime):
    """Where the ending tells nothing, or lies, the first bytes decide the MIME type that is sent."""
    with Server() as server:
        _, page = open_desk(client(server.url), lane)
        (key,) = offered(page, name, data=head)
        assert mime == page.until_state(key, "done", "refused")["mime"]
        assert [(name, mime)] == [(file["filename"], file["mime_type"]) for file in server.files]


@pytest.mark.parametrize(
    ("given", "data", "state"),
    [
        ({"for_": "image"}, b"GIF89a...", "done"),
        ({"for_": "image"}, b"just text", "refused"),
        ({"for_": "document"}, b"just text", "done"),
        ({"type": "text/plain"}, b"\x00", "refused"),
    ],
)
def test_the_head_refuses(open_desk, given, data, state, spool):
    """What only its bytes show to be of the wrong kind is refused then, with the reason, and is not sent."""
    with Server() as server:
        _, page = open_desk(client(server.url), **given)
        (key,) = offered(page, "nameless", data=data)
        record = page.until_state(key, "done", "refused", "failed")
        assert state == record["state"]
        assert (1 if state == "done" else 0) == len(server.files)
        assert state == "done" or record["reason"].startswith("Not sent: nameless is")
        page.until_settled()
    assert [] == landed_in(spool)


# ---- what is offered -------------------------------------------------------------------------------------------------


def test_offered_twice(open_desk, files, shared_api):
    """A key that is offered again is the same file: it is sent once."""
    before = shared_api.stored_ids()
    desk, page = open_desk(files)
    (key,) = page.offer(a_txt=b"once")
    page.until_state(key, "done")
    row = {"key": key, "name": "b.txt", "path": "", "size": 9}
    page.say("offer", rows=[row, row])
    (other,) = page.offer(c_txt=b"other")
    page.until_state(other, "done")
    assert ["a.txt", "c.txt"] == [row.name for row in desk.rows]
    assert 2 == len(shared_api.stored_ids() - before)


def test_twice_in_one_message(open_desk, files):
    """A key that stands twice in one offer is one row."""
    desk, page = open_desk(files)
    row = {"key": "p-0", "name": "a.txt", "path": "", "size": 9}
    page.say("offer", rows=[row, row])
    page.until_state("p-0", "queued")
    assert 1 == len(desk.rows)


@both_lanes
def test_one_file_replaces_another(open_desk, files, shared_api, lane):
    """Where one file is wanted a new choice takes the place of the old, even of one that is under way."""
    before = shared_api.stored_ids()
    desk, page = open_desk(files, lane, multiple=False)
    page.hold.set()
    (first,) = page.offer(a_txt=b"first")
    page.until_heard("go", key=first)
    page.hold.clear()
    (second,) = page.offer(b_txt=b"second")
    page.until_state(second, "done")
    page.until_heard("stop", key=first)
    assert first not in page.records
    (third,) = page.offer(c_txt=b"third")
    page.until_state(third, "done")
    assert ["c.txt"] == [row.name for row in desk.rows]
    assert {b"second", b"third"} == {shared_api.stored_bytes(each) for each in shared_api.stored_ids() - before}


def test_one_of_many(open_desk, files):
    """Where one file is wanted and many are dropped, the last of them stays."""
    desk, page = open_desk(files, multiple=False)
    keys = page.offer(a_txt=b"1", b_txt=b"2", c_txt=b"3")
    assert ["done"] == page.finish(keys[-1])
    assert keys[-1:] == [row.key for row in desk.rows]


def test_a_refused_one_replaces_nothing(open_desk, files):
    """A choice that is refused leaves the file that is there."""
    desk, page = open_desk(files, multiple=False, accept=(".txt",))
    (good,) = page.offer(a_txt=b"good")
    page.until_state(good, "done")
    (bad,) = page.offer(b_exe=b"bad")
    page.until_state(bad, "refused")
    assert ["done", "refused"] == [row.state for row in desk.rows]


def test_max_files(open_desk, files):
    """Files beyond the number are refused one by one; refused and removed ones do not count."""
    _, page = open_desk(files, max_files=2)
    keys = page.offer(a_txt=b"", b_txt=b"2", c_txt=b"3", d_txt=b"4")
    assert ["refused", "done", "done", "refused"] == page.finish(*keys)
    assert "Not sent: 2 files at most." == page.records[keys[3]]["reason"]
    page.say("remove", keys=[keys[1]])
    (another,) = page.offer(e_txt=b"5")
    assert ["done"] == page.finish(another)


def test_empty_file(open_desk, files):
    """An empty file is refused before anything is sent."""
    _, page = open_desk(files)
    (key,) = page.offer(a_txt=b"")
    assert "Not sent: empty file." == page.until_state(key, "refused")["reason"]
    assert [] == page.said("go")


def test_a_folder(open_desk, files):
    """Of a folder, what tools keep is passed over without a row, secrets are refused, and the rest goes by its name."""
    desk, page = open_desk(files)
    paths = ["d/.git/HEAD", "d/a.txt", "d/.env", "d/sub/__pycache__/a.pyc", "d/sub/a.txt"]
    keys = page.offer_rows([(path.split("/")[-1], path, path.encode()) for path in paths])
    assert ["done", "refused", "done"] == page.finish(keys[1], keys[2], keys[4])
    assert ["d/a.txt", "d/.env", "d/sub/a.txt"] == [row.path for row in desk.rows]
    passed = {key for message in page.said("rows") for key in message["removed"]}
    assert {keys[0], keys[3]} == passed


def test_one_name(open_desk, files):
    """A name that was given is what is sent, whatever the file is called."""
    desk, page = open_desk(files, multiple=False, name="report.pdf")
    (key,) = offered(page, "..", data=b"%PDF-")
    assert ["done"] == page.finish(key)
    assert "report.pdf" == desk.rows[0].outcome.metadata.filename


HOSTILE = [
    *PAYLOADS,
    "../../../etc/cron.d/evil",
    "/etc/passwd",
    "..\\..\\evil",
    "C:\\evil",
    "~/evil",
    "$(touch evil)",
    "; rm -rf .",
    "a\x00.txt",
    "\u202egpj.exe",
    "\ud800.txt",
    "CON",
    "-rf",
    "%2e%2e%2fevil",
    'x"; filename="evil',
    "x\r\nX-Evil: 1",
    "n" * 5000,
]


def test_hostile_names(open_desk, tmp_path, monkeypatch, spool):
    """A name and a path are sent or refused as they are; no file is made of them, in the spool or outside it."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    before = {path for path in tmp_path.rglob("*") if spool not in {path, *path.parents}}
    with Server() as server:
        _, page = open_desk(client(server.url))
        keys = page.offer_rows([(name, path, b"x") for name in HOSTILE for path in ("", f"d/{name}")])
        states = page.finish(*keys)
        sent = [file["filename"] for file in server.files]
    assert {"done", "refused"} == set(states)
    assert states.count("done") == len(sent)
    assert set(sent) <= set(HOSTILE)
    assert before == {path for path in tmp_path.rglob("*") if spool not in {path, *path.parents}}
    for record in page.records.values():
        assert record["state"] == "done" or record["reason"].startswith("Not sent: ")
        assert not set(record["reason"]) & set("\x00\r\n\u202e\ud800")
        json.dumps(record, ensure_ascii=False).encode()  # as a kernel sends it


# ---- what a page says ------------------------------------------------------------------------------------------------


def test_hello(open_desk, files, spool):
    """A page that says hello is told of every row, and gets a ticket of one byte to try the HTTP lane with."""
    _, page = open_desk(files)
    (key,) = page.offer(a_txt=b"hello")
    page.until_state(key, "done")
    page.say("hello", page="another")
    welcome = page.until_heard("welcome")
    assert ("another", [page.records[key]]) == (welcome["page"], welcome["rows"])
    assert [f"{welcome['probe']}.ticket"] == landed_in(spool)
    assert 1 == json.loads((spool / f"{welcome['probe']}.ticket").read_bytes())["size"]


def test_hello_without_a_spool(open_desk, files, tmp_path, monkeypatch):
    """Where the spool cannot be, the page learns that there is nothing to probe, and a file says why it fails."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("NBFILES_SPOOL", str(tmp_path / "file" / "spool"))
    _, page = open_desk(files)
    page.say("hello", page=page.page)
    assert None is page.until_heard("welcome")["probe"]
    (key,) = page.offer(a_txt=b"hello")
    assert "cannot be used for files from the browser" in page.until_state(key, "failed")["reason"]
    monkeypatch.setenv("NBFILES_SPOOL", str(tmp_path / "spool"))
    page.say("retry", key=key)
    assert ["done"] == [page.until_state(key, "done")["state"]]


def test_begin_of_what_is_not_queued(open_desk, files, spool):
    """Only an accepted row may begin: for any other the page is told to stop, and no ticket is made."""
    _, page = open_desk(files)
    done, refused = page.offer(a_txt=b"hello", b_txt=b"")
    page.finish(done, refused)
    heard = len(page.said("go"))
    for key in (done, refused, "nobody", None, ["list"], {"a": 1}):
        page.say("begin", key=key, lane="http")
        page.until_heard("stop", key=key)
    assert heard == len(page.said("go"))
    assert [] == landed_in(spool)


@pytest.mark.parametrize(("first", "second"), [("http", "comm"), ("comm", "http"), ("comm", "comm")])
def test_begin_by_another_lane(open_desk, files, shared_api, spool, first, second):
    """Until a byte has come a page may begin anew, by the other lane too; the first landing is over then."""
    desk, page = open_desk(files, first)
    page.hold.set()
    (key,) = page.offer(a_txt=b"hello")
    old = page.until_heard("go", key=key)
    page.lane = second
    page.say("begin", key=key, lane=second)
    new = page.until_heard("go", 2, key=key)
    assert None is claim(old["landing"])
    assert {new["landing"]} == {name.split(".")[0] for name in landed_in(spool)}
    page.carry(new)
    assert ["done"] == page.finish(key)
    assert b"hello" == shared_api.stored_bytes(desk.rows[0].id)


def test_begin_in_the_middle(open_desk, files):
    """Once bytes have come, another begin is told to stop, and what was begun goes on."""
    _, page = open_desk(files)
    page.hold.set()
    (key,) = page.offer(a_txt=b"hello")
    go = page.until_heard("go", key=key)
    page.carry(go, 2)
    page.say("begin", key=key, lane="http")
    page.until_heard("stop", key=key)
    page.carry(go)
    assert ["done"] == page.finish(key)
    assert 1 == len(page.said("go"))


def test_begin_anew_without_room(open_desk, files, monkeypatch, spool):
    """A second begin for which there is no room ends the row with the reason."""
    _, page = open_desk(files, "http")
    page.hold.set()
    (key,) = page.offer(a_txt=b"hello")
    page.until_heard("go", key=key)
    monkeypatch.setattr("nbfiles._landing.shutil.disk_usage", lambda folder: SimpleNamespace(free=0))
    page.say("begin", key=key, lane="comm")
    assert page.until_state(key, "failed")["reason"].startswith("a.txt needs 5 bytes")
    assert [] == landed_in(spool)


def test_token_of_another_row(open_desk, files, shared_api):
    """Bytes for one row cannot come by the token of another, nor by one of an earlier landing."""
    desk, page = open_desk(files)
    page.hold.set()
    one, other = page.offer(a_txt=b"right", b_txt=b"other")
    page.until(lambda: 2 == len(page.held))
    first, second = (page.until_heard("go", key=key) for key in (one, other))
    page.say("piece", b"wrong", key=one, landing=second["landing"], offset=0)
    page.say("piece", b"wrong", key=one, landing="A" * 43, offset=0)
    page.say("where", key=one, landing=first["landing"])
    assert 0 == page.until_heard("ack", key=one)["received"]
    page.carry(first)
    page.carry(second)
    assert ["done", "done"] == page.finish(one, other)
    assert [b"right", b"other"] == [shared_api.stored_bytes(row.id) for row in desk.rows]


def test_a_late_piece_of_an_earlier_landing(open_desk, files, shared_api):
    """A piece of a landing that a retry has replaced is not taken, and does not stop the new landing."""
    desk, page = open_desk(files)
    page.hold.set()
    (key,) = page.offer(a_txt=b"right")
    old = page.until_heard("go", key=key)
    page.say("cancel", keys=[key])
    page.until_state(key, "cancelled")
    page.say("retry", key=key)
    new = page.until_heard("go", key=key, count=2)
    stops = len(page.said("stop", key=key))
    page.say("piece", b"wrong", key=key, landing=old["landing"], offset=0)
    page.carry(new)
    assert ["done"] == page.finish(key)
    assert stops == len(page.said("stop", key=key))
    assert b"right" == shared_api.stored_bytes(desk.rows[0].id)


def test_where(open_desk, files):
    """A page that asks how far its file is gets the number of bytes without a gap."""
    _, page = open_desk(files)
    page.hold.set()
    (key,) = page.offer(a_txt=b"0123456789")
    go = page.until_heard("go", key=key)
    page.say("piece", b"0123", key=key, landing=go["landing"], offset=0)
    page.say("piece", b"89", key=key, landing=go["landing"], offset=8)
    page.say("where", key=key, landing=go["landing"])
    page.until_heard("ack", 3, key=key)
    assert [4, 4, 4] == [ack["received"] for ack in page.said("ack", key=key)]
    page.say("piece", b"4567", key=key, landing=go["landing"], offset=4)
    assert ["done"] == page.finish(key)


def test_news_are_rare(open_desk, files, monkeypatch):
    """However fast pieces come, a page hears of a row ten times a second, and not at every piece."""
    monkeypatch.setattr(_desk, "BETWEEN_NEWS", 0.1)
    _, page = open_desk(files)
    page.hold.set()
    (key,) = page.offer(a_bin=bytes(500_000))
    go = page.until_heard("go", key=key)
    at, before = time.monotonic(), len(page.said("rows"))
    page.trickle(go, 100, 0.002)
    assert ["done"] == page.finish(key)
    assert 100 == len(page.said("ack", key=key))
    assert len(page.said("rows")) - before <= (time.monotonic() - at) / 0.1 + 2


def test_bytes_that_never_come(open_desk, files, monkeypatch):
    """A file whose bytes never come fails when its ticket has expired, with a reason, and can be tried again."""
    _, page = open_desk(files, "http")
    page.hold.set()
    with monkeypatch.context() as patch:
        patch.setattr(Landing.ticket, "__kwdefaults__", {"name": "the file", "lifetime": 0.1})
        (key,) = page.offer(a_txt=b"hello")
        assert "It never arrived from the browser." == page.until_state(key, "failed")["reason"]
    page.hold.clear()
    page.say("retry", key=key)
    assert "done" == page.until_state(key, "done")["state"]


# ---- what is no message of ours --------------------------------------------------------------------------------------

KINDS = ["hello", "offer", "begin", "piece", "where", "broke", "cancel", "retry", "remove", "leave", "go", "", None, 5]
KEYS = ["kind", "page", "rows", "key", "keys", "lane", "landing", "offset", "status", "said", "name", "path", "size"]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**300), 10**300)
    | st.floats()
    | st.text(st.characters(codec=None), max_size=20)
    | st.sampled_from(["A" * 43, "waits-0", "comm", "http", "../../x", "\ud800"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
)
MESSAGE = st.fixed_dictionaries({"kind": st.sampled_from(KINDS)}, optional={key: JSON for key in KEYS if key != "kind"})


def well_formed(message: dict) -> bool:
    """Whether an offer is one that may well be accepted."""
    rows = message.get("rows")
    return (
        message["kind"] == "offer" and isinstance(rows, list) and rows != [] and all(isinstance(r, dict) for r in rows)
    )


@pytest.fixture(scope="module")
def besieged(tmp_path_factory, shared_api):
    """A desk with one file that is done and one that waits for its bytes; what its loop could not handle is kept."""
    complaints = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NBFILES_SPOOL", str(tmp_path_factory.mktemp("siege") / "spool"))
        page = Page()
        session = client(shared_api.base_url, shared_api.api_key).session
        desk = page.desk = Desk(Limits((), True, None, 1000), How(), lambda: session, page)
        desk._loop.set_exception_handler(lambda loop, context: complaints.append(context))
        page.page = "waits"
        page.hold.set()
        (key,) = page.offer(a_txt=b"hello")
        page.until_heard("go", key=key)
        yield desk, page, complaints
        desk.close()
        desk._loop.set_exception_handler(None)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=MESSAGE.filter(lambda m: not well_formed(m)), buffers=st.lists(st.binary(max_size=9), max_size=2))
def test_any_message(besieged, message, buffers):
    """Whatever comes that is not ours, wrong types, missing keys, huge numbers, changes no row and kills nothing."""
    desk, page, complaints = besieged
    before = [row.record() for row in desk.rows]
    page.heard.clear()
    desk.receive(message, [memoryview(buffer) for buffer in buffers])
    page.say("where", key="waits-0", landing=desk.rows[0].ticket.token)
    page.until_heard("ack", key="waits-0")
    assert before == [row.record() for row in desk.rows]
    assert [] == complaints


@pytest.mark.parametrize(
    "rows",
    [
        5,
        "rows",
        [5],
        [{}],
        [{"key": "x-1", "name": "a", "path": ""}],
        [{"key": "x-1", "name": "a", "path": "", "size": 5}, {"key": "x-2", "name": 5, "path": "", "size": 5}],
        [{"key": "x-1", "name": "a", "path": "", "size": 5}, {"key": "x-2", "name": "a", "path": None, "size": 5}],
        [{"key": 1, "name": "a", "path": "", "size": 5}],
        [{"key": "x-1", "name": "a", "path": "", "size": -5}],
        [{"key": "x-1", "name": "a", "path": "", "size": 5.5}],
        [{"key": "x-1", "name": "a", "path": "", "size": True}],
        [{"key": "x-1", "name": "a", "path": "", "size": "5"}],
        [{"key": "x-1", "name": "a", "path": "", "size": 10**400}],
        [{"key": "x-1", "name": "a", "path": "", "size": float("inf")}],
        [{"key": "x-1", "name": "a", "path": "", "size": float("nan")}],
    ],
    ids=lambda rows: str(rows)[:60],
)
def test_a_malformed_offer(besieged, rows):
    """An offer is taken whole or not at all: half of one would leave rows that wait for ever."""
    desk, page, complaints = besieged
    page.heard.clear()
    page.say("offer", rows=rows)
    page.say("where", key="waits-0", landing=desk.rows[0].ticket.token)
    page.until_heard("ack", key="waits-0")
    assert ["waits-0"] == [row.key for row in desk.rows]
    assert [] == complaints


@pytest.mark.parametrize(
    ("fields", "buffers"),
    [
        ({"offset": 0}, []),
        ({"offset": -1}, [b"x"]),
        ({"offset": "0"}, [b"x"]),
        ({"offset": None}, [b"x"]),
        ({"offset": 1e308}, [b"x"]),
        ({"offset": float("nan")}, [b"x"]),
        ({}, [b"x"]),
        ({"offset": 2**53}, [b"x"]),
    ],
)
def test_a_malformed_piece(besieged, fields, buffers):
    """A piece without bytes or a place adds nothing, and the file still can arrive."""
    desk, page, complaints = besieged
    page.heard.clear()
    token = desk.rows[0].ticket.token
    page.say("piece", *buffers, key="waits-0", landing=token, **fields)
    page.say("where", key="waits-0", landing=token)
    assert 0 == page.until_heard("ack", key="waits-0")["received"]
    assert [] == complaints


def test_after_the_siege(besieged):
    """After all of that the file that waited arrives."""
    _, page, complaints = besieged
    page.carry(page.held[0])
    assert ["done"] == page.finish("waits-0")
    assert [] == complaints


def test_what_is_no_object(open_widget, files):
    """A widget passes on objects only; texts, lists and nothing do not reach the desk."""
    widget, page = open_widget(files)
    for content in ("text", 5, None, [], [{"kind": "offer"}]):
        page.post(content, [])
    (key,) = page.offer(a_txt=b"hello")
    assert ["done"] == page.finish(key)
    assert 1 == len(widget.value)


# ---- the end ---------------------------------------------------------------------------------------------------------


@both_lanes
def test_closed(open_desk, lane, spool):
    """A desk that is closed has cancelled what was under way, kept no byte, and hears nothing more."""
    with Server(if_whole) as server:
        desk, page = open_desk(client(server.url), lane)
        page.hold.set()
        keys = page.offer(a_bin=bytes(2 << 20), b_txt=b"hello")
        go = page.until_heard("go", key=keys[0])
        threading.Thread(target=page.trickle, args=(go, 20, 0.02), daemon=True).start()
        server.wait_for(1)
        desk.close()
        assert [] == server.files
        page.say("hello", page="late")
        page.say("offer", rows=[{"key": "late-0", "name": "a", "path": "", "size": 1}])
        desk.close()
        assert 2 == len(desk.rows)
        assert lane == "http" or [] == held_open(spool)  # over HTTP it is the Jupyter server that holds it
        assert [] == page.said("welcome")


def test_a_kernel_that_ends(shared_api, tmp_path):
    """A kernel that ends with files under way leaves nothing in the spool, and does not hang."""
    code = (
        "import sys; sys.path[:0] = sys.argv[3:]\n"
        "from page import Page, client; from nbfiles import UploadWidget\n"
        "from page import WidgetPage\n"
        "w = UploadWidget(files=client(sys.argv[1], sys.argv[2])); p = WidgetPage(w); p.hold.set()\n"
        "k, = p.offer(a_txt=b'hello'); go = p.until_heard('go', key=k); p.carry(go, 3)\n"
        "p.say('where', key=k, landing=go['landing']); p.until_heard('ack', 2, key=k)\n"
    )
    here = Path(__file__).parent
    ended = subprocess.run(
        [sys.executable, "-c", code, shared_api.base_url, shared_api.api_key, str(here), str(here.parent)],
        env={**os.environ, "NBFILES_SPOOL": str(tmp_path / "other")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (0, "") == (ended.returncode, ended.stderr)
    assert [] == landed_in(tmp_path / "other")

"""Cancelling: whenever it comes, what is upstream is not a whole file, or is deleted again, and the row says which."""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import pytest
from doubles import Server, answers, breaks_off, deaf, lists_all, lost, stored
from page import KEY, QUICK, client, if_whole, landed_in
from workbench import becomes, workers

from nbfiles import Files
from nbfiles._session import How
from nbfiles.widget._desk import LOOP

ROUNDS = 50 if os.environ.get("NBFILES_TRIALS") == "full" else 5
BUSY = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}
NOTHING = "Cancelled. Nothing was kept."
UNKNOWN = "Cancelled; no answer came, so it may have arrived: %files pending tells."
both_lanes = pytest.mark.parametrize("lane", ["comm", "http"])


def deletes(exchange):
    """Delete as the Files API does, or store what is sent."""
    if exchange.method == "POST":
        if_whole(exchange)
        return
    file_id = exchange.target.split("?")[0].split("/")[-1]
    exchange.server.files[:] = [file for file in exchange.server.files if file["id"] != file_id]
    exchange.answer(200, {"id": file_id, "type": "file_deleted"})


def waits(exchange):
    """Take a whole upload, and answer when the test says so."""
    exchange.read()
    exchange.server.go_on.wait(10)
    stored(exchange)


def cancelled(page, key) -> str:
    """Cancel a row; return what it says."""
    page.say("cancel", keys=[key])
    return page.until_state(key, "cancelled")["reason"]


def leftovers() -> list[str]:
    """The threads of uploads that are alive; the widgets' loop stays, by design."""
    return [name for name in workers() if name != LOOP._name]


def works(page) -> None:
    """See that the next upload works."""
    page.hold.clear()
    (key,) = page.offer(next_txt=b"next")
    assert "done" == page.until_state(key, "done", "failed")["state"]


# ---- one moment after the other --------------------------------------------------------------------------------------


def test_while_the_key_is_looked_for(open_desk, monkeypatch):
    """A row that is cancelled before it was admitted never begins."""
    with Server() as server:
        files = client(server.url)
        find, go_on = files.session.find, threading.Event()
        monkeypatch.setattr(files.session, "find", lambda: go_on.wait(5) and find())
        _, page = open_desk(files)
        (key,) = page.offer(a_txt=b"hello")
        assert NOTHING == cancelled(page, key)
        go_on.set()
        works(page)
        assert ["cancelled", "done"] == [row.state for row in page.desk.rows]
        assert [] == page.said("go", key=key)


@both_lanes
@pytest.mark.parametrize("sent", [0, 100, 1 << 20])
def test_while_it_lands(open_desk, lane, sent, spool):
    """Before the first byte, in the head and in the middle: no file upstream, none in the spool, and the page stops."""
    with Server(if_whole) as server:
        _, page = open_desk(client(server.url), lane)
        page.hold.set()
        (key,) = page.offer(a_bin=bytes(2 << 20))
        page.carry(page.until_heard("go", key=key), sent)
        if sent > 1000:
            page.until(lambda: server.exchanges)
        assert NOTHING == cancelled(page, key)
        page.until_heard("stop", key=key)
        assert ([], []) == (landed_in(spool), server.files)
        assert all(len(exchange.body) < 2 << 20 for exchange in server.exchanges)
        works(page)
        assert ["next.txt"] == [file["filename"] for file in server.files]


@both_lanes
def test_while_it_is_sent(open_desk, lane, spool):
    """A server that takes no more bytes does not keep a cancel waiting, and never gets the rest."""
    with Server(deaf, stored) as server:
        _, page = open_desk(client(server.url), lane)
        (key,) = page.offer(a_bin=bytes(12 << 20))
        page.until(lambda: page.records.get(key, {}).get("ready") and server.exchanges)
        at = time.monotonic()
        assert NOTHING == cancelled(page, key)
        assert time.monotonic() - at < 1
        server.go_on.set()
        assert server.exchanges[0].wire.ended.wait(5)
        assert len(server.exchanges[0].wire.raw) < 12 << 20
        assert [] == landed_in(spool)
        works(page)
        assert becomes([], leftovers, 5)


@both_lanes
def test_while_the_answer_is_awaited(open_desk, lane, spool):
    """What may have arrived whole is waited for and deleted, and the row says both."""
    with Server(waits, deletes) as server:
        _, page = open_desk(client(server.url), lane)
        (key,) = page.offer(a_txt=b"hello")
        server.wait_for(1).arrived.wait(5)
        page.say("cancel", keys=[key])
        record = page.until_state(key, "cancelling")
        assert "Cancelling: it has been sent, and is deleted when the answer comes." == record["reason"]
        assert [] == landed_in(spool)
        page.say("cancel", keys=[key])  # twice: nothing new
        page.say("retry", key=key)
        page.say("remove", keys=[key])
        server.go_on.set()
        assert "Cancelled after it arrived; deleted at Claude." == page.until_state(key, "cancelled")["reason"]
        assert ["POST", "DELETE"] == [exchange.method for exchange in server.exchanges]
        assert "file_0000" in server.exchanges[1].target
        assert ([], None) == (server.files, page.desk.rows[0].id)
        works(page)


def test_deleted_here(open_desk, tmp_path, monkeypatch):
    """With the local Files API the row says that the file was deleted here."""
    from nbfiles._local_process import LOCAL

    with Server(waits, deletes) as server:
        credential = client(server.url).session.find()[1]
        monkeypatch.setattr(LOCAL, "address", lambda: (server.url, credential))
        _, page = open_desk(Files(local=True))
        (key,) = page.offer(a_txt=b"hello")
        server.wait_for(1).arrived.wait(5)
        page.say("cancel", keys=[key])
        page.until_state(key, "cancelling")
        server.go_on.set()
        assert "Cancelled after it arrived; deleted here." == page.until_state(key, "cancelled")["reason"]


def wait_then(script):
    """Take the whole upload, wait for the test, then go on as `script` does."""

    def waiting(exchange):
        exchange.read()
        exchange.server.go_on.wait(10)
        script(exchange)

    return waiting


@pytest.mark.parametrize(
    ("first", "listing", "second", "said"),
    [
        (answers(500), lists_all, deletes, NOTHING),
        (answers(500), answers(500), deletes, UNKNOWN),
        (answers(429, BUSY, retry_after="0"), lists_all, deletes, NOTHING),
        (answers(429, BUSY), lists_all, deletes, NOTHING),
        (breaks_off(), lists_all, deletes, NOTHING),
        (breaks_off(), answers(500), deletes, UNKNOWN),
        (lost, lists_all, deletes, "Cancelled after it arrived; deleted at Claude."),
        (stored, lists_all, answers(404), "Cancelled. It had arrived as file_0000 and could not be deleted: "),
        (stored, lists_all, answers(403), "Cancelled. It had arrived as file_0000 and could not be deleted: "),
    ],
)
def test_how_the_answer_is(open_desk, first, listing, second, said):
    """Whatever the answer to a cancelled upload is, the row tells what is known, and nothing is sent again."""
    with Server(wait_then(first), second, listing=listing) as server:
        _, page = open_desk(client(server.url))
        (key,) = page.offer(a_txt=b"hello")
        server.wait_for(1).arrived.wait(5)
        page.say("cancel", keys=[key])
        page.until_state(key, "cancelling")
        server.go_on.set()
        assert page.until_state(key, "cancelled")["reason"].startswith(said)
        assert 1 == sum(exchange.method == "POST" for exchange in server.exchanges)


def test_the_key_is_gone_when_it_is_to_be_deleted(open_desk, monkeypatch):
    """A file that cannot be deleted for want of a key is named: nobody is told that nothing was kept."""
    with Server(waits, deletes) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        _, page = open_desk(Files())
        (key,) = page.offer(a_txt=b"hello")
        server.wait_for(1).arrived.wait(5)
        page.say("cancel", keys=[key])
        page.until_state(key, "cancelling")
        monkeypatch.delenv("ANTHROPIC_API_KEY")
        server.go_on.set()
        reason = page.until_state(key, "cancelled")["reason"]
        assert reason.startswith("Cancelled. It had arrived as file_0000 and could not be deleted: No API key")


@both_lanes
def test_while_a_retry_is_awaited(open_desk, lane):
    """Between two tries a cancel is at once, also when the first try had sent everything."""
    with Server(answers(429, BUSY, retry_after="30"), stored) as server:
        files = client(server.url, patience=type(QUICK)(longest_wait=30))
        _, page = open_desk(files, lane)
        (key,) = page.offer(a_txt=b"hello")
        page.until_state(key, "retrying")
        at = time.monotonic()
        assert NOTHING == cancelled(page, key)
        assert time.monotonic() - at < 1
        assert ([], 1) == (server.files, len(server.exchanges))
        works(page)


def test_while_a_second_try_waits_for_its_answer(open_desk):
    """A second try that has sent everything is waited for like a first one, even if the row still says retrying."""
    with Server(answers(429, BUSY, retry_after="0"), waits, deletes) as server:
        _, page = open_desk(client(server.url))
        (key,) = page.offer(a_txt=b"hello")
        server.wait_for(2).arrived.wait(5)
        (row,) = page.desk.rows
        page.until(lambda: row.state == "uploading")
        row.state = "retrying"  # as if the news of the second try were still on their way
        page.say("cancel", keys=[key])
        page.until_state(key, "cancelling")
        server.go_on.set()
        assert "Cancelled after it arrived; deleted at Claude." == page.until_state(key, "cancelled")["reason"]
        assert [] == server.files


def test_in_one_breath(open_desk, files, spool):
    """A begin and a cancel that a busy kernel reads together: the row is cancelled, not stuck, and can be retried."""
    desk, page = open_desk(files)
    page.say("offer", rows=[{"key": "p-0", "name": "a.txt", "path": "", "size": 5}])
    page.until_state("p-0", "queued")
    desk._loop.call_soon_threadsafe(time.sleep, 0.1)
    page.say("begin", key="p-0", lane="comm")
    page.say("cancel", keys=["p-0"])
    assert NOTHING == page.until_state("p-0", "cancelled")["reason"]
    assert [] == landed_in(spool)
    page.files["p-0"] = b"hello"
    page.say("retry", key="p-0")
    assert "done" == page.until_state("p-0", "done")["state"]


def test_while_it_waits_for_its_turn(open_desk, spool):
    """A file that has landed and waits for another to be sent goes without having been sent."""
    with Server(waits, deletes) as server:
        _, page = open_desk(client(server.url), how=How(jobs=1))
        first, second = page.offer(a_txt=b"first", b_txt=b"second")
        server.wait_for(1).arrived.wait(5)
        page.until(lambda: page.records[second]["ready"])
        page.say("cancel", keys=[second])
        assert NOTHING == page.until_state(second, "cancelled", "cancelling")["reason"]
        server.go_on.set()
        assert "done" == page.until_state(first, "done")["state"]
        assert ["a.txt"] == [file["filename"] for file in server.files]


def test_all(open_desk, spool):
    """Cancel all: every row that is under way ends, those that are over stay as they are."""
    with Server(stored, deaf) as server:
        _, page = open_desk(client(server.url))
        (done,) = page.offer(a_txt=b"hello")
        page.until_state(done, "done")
        keys = page.offer_rows([(f"{number}.bin", "", bytes(9 << 20)) for number in range(3)])
        (refused,) = page.offer(c_txt=b"")
        server.wait_for(4)
        page.say("cancel", keys=[done, *keys, refused, "nobody"])
        assert ["cancelled"] * 3 == page.finish(*keys)
        assert ["done", "refused"] == page.finish(done, refused)
        assert [] == landed_in(spool)
        server.go_on.set()


@both_lanes
def test_retry_of_a_cancelled_one(open_desk, lane):
    """A cancelled file can be sent after all, and is there once."""
    with Server() as server:
        _, page = open_desk(client(server.url), lane)
        page.hold.set()
        (key,) = page.offer(a_txt=b"hello")
        page.until_heard("go", key=key)
        cancelled(page, key)
        page.hold.clear()
        page.say("retry", key=key)
        assert "" == page.until_state(key, "done")["reason"]
        assert 1 == len(server.files)


# ---- any moment ------------------------------------------------------------------------------------------------------


def fds() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def any_moment(page, chance: random.Random, size: int, longest: float) -> dict:
    """Offer a file, let it land as over a slow line, cancel it at some moment; return its record in the end."""
    page.hold.set()
    moment = chance.uniform(0, longest)
    at = time.monotonic()
    (key,) = page.offer(a_bin=chance.randbytes(size))
    page.held.clear()
    carrier = None
    while time.monotonic() - at < moment:
        if carrier is None and (gone := page.said("go", key=key)):
            carrier = threading.Thread(target=page.trickle, args=(gone[-1], 8, 0.004))
            carrier.start()
        time.sleep(0.001)
    page.say("cancel", keys=[key])
    record = page.until_state(key, "cancelled", "done")
    if carrier is not None:
        carrier.join()
    return record


@both_lanes
def test_at_any_moment(open_desk, files, shared_api, lane, spool):
    """Whenever a cancel comes, the store holds what it held before, or the row says done; the next upload works."""
    _, page = open_desk(files, lane)
    works(page)
    chance, before = random.Random(lane), (shared_api.stored_ids(), fds())
    kept = set()
    for _ in range(ROUNDS):
        record = any_moment(page, chance, 400_000, 0.12)
        if record["state"] == "done":
            kept.add(record["id"])
        else:
            assert record["reason"] in {NOTHING, "Cancelled after it arrived; deleted at Claude."}
        assert becomes([], leftovers, 5)
        assert before[0] | kept == shared_api.stored_ids()
        assert [] == landed_in(spool)
    works(page)
    assert kept <= {row.id for row in page.desk.rows}
    page.say("remove", keys=list(page.records))
    page.until(lambda: not page.desk.rows)
    assert becomes([], leftovers, 5)
    assert becomes(True, lambda: fds() <= before[1], 5)


@both_lanes
def test_at_any_moment_of_a_slow_server(open_desk, lane, spool):
    """The same before a server that is busy at first and takes its time to answer: sending, waiting, retrying."""
    chance = random.Random(lane)

    def slow(exchange):
        if exchange.method == "POST" and exchange.server.go_on.wait(chance.uniform(0, 0.06)):
            return None
        if exchange.method == "POST" and chance.random() < 0.4:
            return answers(429, BUSY, retry_after="0.02")(exchange)
        return deletes(exchange)

    with Server(slow) as server:
        _, page = open_desk(client(server.url), lane)
        ends = []
        for _ in range(ROUNDS):
            record = any_moment(page, chance, 50_000, 0.25)
            ends.append(record["reason"] or record["state"])
            there = [file["id"] for file in server.files]
            assert ([record["id"]] if record["state"] == "done" else []) == there
            server.files.clear()
            assert [] == landed_in(spool)
            assert becomes([], leftovers, 5)
        assert {NOTHING, "Cancelled after it arrived; deleted at Claude.", "done"} >= set(ends)
        works(page)

"""What goes wrong on either hop ends in a row that says why, and that a retry mends without a byte too many."""

from __future__ import annotations

import errno
import re
import threading
import time
from types import SimpleNamespace

import pytest
from doubles import Server, answers, breaks_off, lists_all, lost, silent, stored
from page import KEY, Page, client, if_whole, landed_in

from nbfiles import Files
from nbfiles._errors import CredentialError
from nbfiles._landing import Arrival, claim
from nbfiles._session import How
from nbfiles.widget import _desk

both_lanes = pytest.mark.parametrize("lane", ["comm", "http"])
REFUSED = {"type": "error", "error": {"type": "invalid_request_error", "message": "no\u202e good"}}
PAGE = b"<!DOCTYPE html><html><body><h1>Bad gateway</h1><script>alert(1)</script></body></html>"


def failed(page: Page, key: str) -> str:
    """Return why a row failed, in a sentence that may be shown to anybody."""
    reason = page.until_state(key, "failed")["reason"]
    assert reason.endswith(".")
    assert KEY not in reason
    assert KEY[-8:] not in reason
    assert not re.search(r"<(?!U\+[0-9A-F]{4,6}>)|Bad gateway|alert|\u202e|\n|Traceback", reason)
    return reason


def again(page: Page, key: str, *, asks: bool) -> None:
    """Retry a row, which gets done; `asks` says whether the browser had to send its bytes for that."""
    page.hold.clear()
    before = len(page.said("go", key=key))
    page.say("retry", key=key)
    record = page.until_state(key, "done")
    assert (before + asks, "") == (len(page.said("go", key=key)), record["reason"])


# ---- the second hop --------------------------------------------------------------------------------------------------


def test_no_key(open_desk, monkeypatch, spool):
    """Without a key no byte leaves the browser, and the row says how to get on; with one the retry works."""
    with Server() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        _, page = open_desk(Files())
        (key,) = page.offer(a_txt=b"hello")
        ways = "set ANTHROPIC_API_KEY, call nbfiles.login(), or try everything without an account: %files use local"
        assert f"No API key: {ways}." == failed(page, key)
        assert ([], False) == (page.said("go"), spool.exists())
        page.say("retry", key=key)
        page.until(lambda: len(page.settlings) >= 2)
        assert f"No API key: {ways}." == failed(page, key)
        assert [] == page.said("go")
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        again(page, key, asks=True)
        assert 1 == len(server.files)


def test_the_key_goes_meanwhile(open_desk, monkeypatch):
    """A key that is gone when the bytes are there fails the row, which keeps them for when there is one."""
    with Server() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        _, page = open_desk(Files())
        page.hold.set()
        (key,) = page.offer(a_txt=b"hello")
        go = page.until_heard("go", key=key)
        monkeypatch.delenv("ANTHROPIC_API_KEY")
        page.carry(go)
        assert failed(page, key).startswith("No API key: set ANTHROPIC_API_KEY")
        page.until(lambda: page.records[key]["ready"])
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        again(page, key, asks=False)
        assert 1 == len(server.files)


def test_cancelled_before_the_key_was_missed(open_desk, monkeypatch):
    """A row that is cancelled while the key is looked for stays cancelled."""
    files = Files(base_url="http://127.0.0.1:9", api_key="x")
    go_on = threading.Event()

    def slow():
        go_on.wait(5)
        raise CredentialError("No API key")

    monkeypatch.setattr(files.session, "find", slow)
    _, page = open_desk(files)
    (key,) = page.offer(a_txt=b"hello")
    page.say("cancel", keys=[key])
    page.until_state(key, "cancelled")
    go_on.set()
    page.until(lambda: len(page.settlings) >= 2)
    assert ("cancelled", "cancelled") == (page.state(key), page.desk.rows[0].state)


UPSTREAM = [
    (answers(413, PAGE), "larger than 127.0.0.1 takes (413)"),
    (answers(400, REFUSED), "(400): no<U+202E> good."),
    (answers(401, REFUSED), "refused the API key (401)"),
    (answers(403, PAGE), "(403)"),
    (answers(404, PAGE), "(404)"),
    (answers(429, REFUSED), "(429)"),
    (answers(500, PAGE), "(500)"),
    (answers(502, PAGE), "(502)"),
    (answers(200, PAGE), "answered with a web page"),
    (answers(302, b"", location="https://evil.example/<script>"), "redirects to"),
]


@both_lanes
@pytest.mark.parametrize(("script", "said"), UPSTREAM, ids=lambda each: each if isinstance(each, str) else "")
def test_upstream(open_desk, lane, script, said):
    """What the Files API, or a proxy before it, says is told in our words; the retry needs nothing of the browser."""
    with Server(script, stored, listing=lists_all) as server:
        _, page = open_desk(client(server.url), lane, how=How(retry=False))
        (key,) = page.offer(a_txt=b"hello")
        reason = failed(page, key)
        assert said in reason
        page.until(lambda: page.records[key]["ready"])
        assert page.records[key]["reason"].endswith(" The file is in the kernel.")
        again(page, key, asks=False)
        bodies = [bytes(one.body) for one in server.exchanges if one.method == "POST"]
        assert [b"hello"] * 2 == [body.split(b"\r\n\r\n")[1][:5] for body in bodies]
        assert 1 == len(server.files)


@both_lanes
def test_busy_then_free(open_desk, lane):
    """A 429 with retry-after is waited for; the row says which try comes next, and the file is stored once."""
    with Server(answers(429, REFUSED, retry_after="0.2"), stored) as server:
        _, page = open_desk(client(server.url), lane)
        (key,) = page.offer(a_bin=bytes(2 << 20))
        reason = page.until_state(key, "retrying")["reason"]
        assert re.search(r", next try in \d\u00a0s \(2 of 5\)$", reason)
        assert 0 == page.records[key]["sent"]
        assert "" == page.until_state(key, "done")["reason"]
        assert 1 == len(server.files)


def test_always_busy(open_desk):
    """A server that stays busy fails the row with the number of tries; a later retry counts from one again."""
    busy = answers(429, REFUSED, retry_after="0")
    with Server(*[busy] * 5, answers(400, REFUSED), stored) as server:
        _, page = open_desk(client(server.url))
        (key,) = page.offer(a_txt=b"hello")
        assert " after 5 tries." in failed(page, key)
        page.say("retry", key=key)
        page.until(lambda: "(400)" in page.records[key]["reason"])
        assert "tries" not in failed(page, key)
        again(page, key, asks=False)
        assert (7, 1) == (len(server.exchanges), len(server.files))


def test_a_limit_is_not_tried_again(open_desk):
    """A 429 without a time is a limit: one try, and no number of tries in the reason."""
    with Server(answers(429, REFUSED), stored) as server:
        _, page = open_desk(client(server.url))
        (key,) = page.offer(a_txt=b"hello")
        assert "tries" not in failed(page, key)
        assert 1 == len(server.exchanges)
        again(page, key, asks=False)


@both_lanes
@pytest.mark.parametrize("script", [breaks_off(), breaks_off(reset=False), breaks_off(early=b"HTTP/1.1 500 ")])
def test_connection_that_breaks(open_desk, lane, script):
    """If the server cannot be asked, the file may have arrived, and nobody sends it again unasked."""
    with Server(script, stored, listing=answers(500)) as server:
        _, page = open_desk(client(server.url), lane)
        (key,) = page.offer(a_bin=bytes(3 << 20))
        assert "may have arrived" in failed(page, key)
        page.until(lambda: page.records[key]["ready"])
        assert 1 == server.uploads
        again(page, key, asks=False)
        assert 1 == len(server.files)


@both_lanes
@pytest.mark.parametrize("script", [breaks_off(0), breaks_off(1000), breaks_off(1000, early=b"HTTP/1.1 500 ")])
def test_connection_that_breaks_early(open_desk, lane, script):
    """A connection that breaks while bytes still go cannot have stored the file: it is sent again by itself."""
    with Server(script, stored, listing=answers(500)) as server:
        _, page = open_desk(client(server.url), lane)
        (key,) = page.offer(a_bin=bytes(12 << 20))
        assert ("done", "") == (page.until_state(key, "done")["state"], page.records[key]["reason"])
        assert (2, 1) == (server.uploads, len(server.files))


@both_lanes
def test_an_answer_that_is_lost(open_desk, lane):
    """A file whose answer was lost is looked for, and the row is done without a second upload."""
    with Server(lost, listing=lists_all) as server:
        _, page = open_desk(client(server.url), lane)
        (key,) = page.offer(a_bin=bytes(100_000))
        assert ("file_0000", "") == (page.until_state(key, "done")["id"], page.records[key]["reason"])
        assert 1 == server.uploads


def test_the_row_says_that_it_looks(open_desk):
    """While the server is asked what became of a file, the row says so."""

    def listing(exchange):
        exchange.server.go_on.wait(10)
        lists_all(exchange)

    with Server(lost, listing=listing) as server:
        _, page = open_desk(client(server.url))
        (key,) = page.offer(a_txt=b"hello")
        assert "No answer came back; checking whether the file arrived." == page.until_state(key, "checking")["reason"]
        server.go_on.set()
        page.until_state(key, "done")


def test_no_answer(open_desk):
    """A server that never answers fails the row after its time, which says that the file may have arrived."""
    with Server(silent, stored, listing=answers(500)) as server:
        _, page = open_desk(client(server.url), how=How(timeout=0.3))
        (key,) = page.offer(a_txt=b"hello")
        assert "no answer came in time; it may have arrived" in failed(page, key)
        assert "%files" in page.records[key]["reason"]


def test_nobody_there(open_desk):
    """A server that cannot be reached is tried three times, and the row says so."""
    with Server() as server:
        url = server.url
    _, page = open_desk(client(url))
    (key,) = page.offer(a_txt=b"hello")
    reason = failed(page, key)
    assert f"{url.removeprefix('http://')} could not be reached" in reason
    assert "after 3 tries" in reason


def test_an_error_of_our_own(open_desk, monkeypatch, caplog):
    """Even what nobody foresaw ends in a row that can be retried, and is written to the log."""
    with Server() as server:
        files = client(server.url)
        _, page = open_desk(files)
        with monkeypatch.context() as patch:
            patch.setattr(files.session, "uploads", lambda *given: {}["nothing there"])
            (key,) = page.offer(a_txt=b"hello")
            assert "nbfiles itself failed (KeyError)." in failed(page, key)
        assert "nothing there" in caplog.text
        again(page, key, asks=False)
        assert 1 == len(server.files)


def test_a_name_in_a_reason(open_desk):
    """Where a reason holds the file's name, its hidden characters are written out."""
    with Server(breaks_off(), stored, listing=answers(500)) as server:
        _, page = open_desk(client(server.url))
        (key,) = page.offer_rows([("gpj\u202e\u200b.txt", "", b"hello")])
        assert "gpj<U+202E><U+200B>.txt was sent" in failed(page, key)


@both_lanes
def test_failed_while_bytes_still_come(open_desk, lane):
    """An upload that fails early does not lose what the browser still sends: the retry finds it in the kernel."""
    with Server(answers(401, REFUSED), stored) as server:
        _, page = open_desk(client(server.url), lane)
        page.hold.set()
        (key,) = page.offer(a_bin=bytes(100_000))
        go = page.until_heard("go", key=key)
        page.trickle(go, 10, 0.005)
        failed(page, key)
        page.until(lambda: page.records[key]["ready"])
        again(page, key, asks=False)
        assert 1 == len(server.files)


# ---- the first hop ---------------------------------------------------------------------------------------------------


def test_the_jupyter_server_fails(open_desk, files, spool):
    """A landing that the Jupyter server marks as failed fails the row with its reason and how much had come."""
    _, page = open_desk(files, "http")
    page.hold.set()
    (key,) = page.offer(a_bin=bytes(2_000_000))
    go = page.until_heard("go", key=key)
    page.carry(go, 1_500_000)
    page.until_state(key, "uploading")
    page.arrivals[go["landing"]].fail("the connection\u202e broke")
    expected = "It did not arrive whole (1.50\u00a0MB of 2.00\u00a0MB): the connection<U+202E> broke."
    assert expected == failed(page, key)
    page.until_heard("stop", key=key)
    assert [] == landed_in(spool)
    again(page, key, asks=True)


@both_lanes
@pytest.mark.parametrize("sent", [0, 100_000])
def test_the_page_is_closed(open_desk, files, shared_api, lane, sent):
    """A page that leaves fails its unfinished rows and no others, and nothing of them is stored."""
    before = shared_api.stored_ids()
    _, page = open_desk(files, lane)
    page.hold.set()
    key, other = page.offer(a_bin=bytes(300_000), b_txt=b"hello")
    go, second = (page.until_heard("go", key=each) for each in (key, other))
    page.carry(second)
    page.until_state(other, "done")
    page.carry(go, sent)
    page.say("leave", page="0" * 16)
    page.say("where", key=key, landing=go["landing"])
    page.until_heard("ack", key=key, received=sent if lane == "comm" else 0)
    page.say("leave", page=page.page)
    if lane == "http" and sent:
        page.until_state(key, "uploading")
        page.arrivals[go["landing"]].fail("the connection closed")  # as the Jupyter server sees it
    reason = failed(page, key)
    assert ("did not arrive whole" if sent else "The page was closed before it was sent.") in reason
    assert "done" == page.state(other)
    assert 1 == len(shared_api.stored_ids() - before)
    again(page, key, asks=True)


def test_the_page_is_closed_before_it_began(open_desk, files):
    """A row that had not even begun fails too; one whose bytes are all here goes on."""
    with Server(if_whole) as server:
        _, page = open_desk(client(server.url), how=How(jobs=1))
        page.hold.set()
        ready, bare = page.offer(a_txt=b"all here", b_txt=b"never sent")
        first = page.until_heard("go", key=ready)
        page.carry(first)
        page.say("leave", page=page.page)
        assert "The page was closed before it was sent. Choose the file again." == failed(page, bare)
        assert "done" == page.until_state(ready, "done")["state"]
        assert 1 == len(server.files)


@both_lanes
def test_the_page_is_gone_without_a_word(open_desk, files, lane, monkeypatch):
    """Once another page shows the widget, a page that does not answer has left; one that answers goes on."""
    monkeypatch.setattr(_desk, "ABSENT", 0.2)
    _, page = open_desk(files, lane)
    page.hold.set()
    keys = page.offer(a_bin=bytes(300_000), b_txt=b"never begun")
    go = page.until_heard("go", key=keys[0])
    if lane == "comm":
        page.carry(go, 100_000)
    page.say("hello", page="1" * 16)
    page.until_heard("who")
    page.say("here", page=page.page)
    time.sleep(0.4)
    assert "failed" not in {page.state(key) for key in keys}
    page.say("hello", page="2" * 16)
    page.until_heard("who", 2)
    reasons = {failed(page, key) for key in keys}
    assert any(said in reason for said in ("the page was closed", "The page was closed") for reason in reasons)


def test_no_page_is_asked_for_what_is_here(open_desk, files):
    """A page whose files are all in the kernel, or that has none, is not looked for."""
    _, page = open_desk(files)
    page.finish(*page.offer(a_txt=b"hello"))
    page.say("hello", page="1" * 16)
    page.until_heard("welcome")
    assert [] == page.said("who")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (0, "The connection to the Jupyter server broke off."),
        (-1, "The browser cannot read it any more: it was moved or changed. Choose it again."),
        (403, "The Jupyter server did not let it in (403). Load the page again to sign in."),
        (507, "The Jupyter server's disk is full or cannot be written."),
        (500, "The Jupyter server did not take it (500)."),
        (999, "The Jupyter server did not take it (999)."),
        ("<b>", "The connection to the Jupyter server broke off."),
        (None, "The connection to the Jupyter server broke off."),
    ],
)
@pytest.mark.parametrize("sent", [0, 2000])
def test_broke(open_desk, files, spool, status, said, sent):
    """What the browser met on its way to the Jupyter server is said in words, before and in the middle of a file."""
    _, page = open_desk(files, "http")
    page.hold.set()
    (key,) = page.offer(a_bin=bytes(3000))
    go = page.until_heard("go", key=key)
    if sent:
        page.carry(go, sent)
        page.until_state(key, "uploading")
    page.say("broke", key=key, landing=go["landing"], status=status, said="<script>")
    assert said == failed(page, key)
    assert [] == landed_in(spool)
    again(page, key, asks=True)


def test_broke_after_all_had_come(open_desk, files):
    """A page that missed the answer to its last byte may say what it likes: the file is here."""
    with Server() as server:
        _, page = open_desk(client(server.url), "http")
        page.hold.set()
        (key,) = page.offer(a_txt=b"hello")
        go = page.until_heard("go", key=key)
        arrival = claim(go["landing"])
        arrival.append(b"hello")
        arrival.finish()
        page.say("broke", key=key, landing=go["landing"], status=0, said="")
        assert "done" == page.until_state(key, "done", "failed")["state"]


def test_no_room_for_it(open_desk, files, monkeypatch, spool):
    """A file for which the spool's disk has no room fails before its first byte, and says what to do."""
    disk = SimpleNamespace(free=1000)
    monkeypatch.setattr("nbfiles._landing.shutil.disk_usage", lambda folder: disk)
    _, page = open_desk(files)
    (key,) = page.offer(a_txt=b"hello")
    reason = failed(page, key)
    assert reason.startswith(f"a.txt needs 5 bytes in {spool}, where 1,000 are free")
    assert "NBFILES_SPOOL" in reason
    assert ([], []) == (page.said("go"), landed_in(spool))
    disk.free = 1 << 40
    again(page, key, asks=True)


def test_the_disk_fills_up(open_desk, files, monkeypatch, spool):
    """A disk that is full in the middle of a file fails the row, leaves nothing, and the retry works."""
    real = Arrival.append

    def full(self, data):
        if self.received:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, data)

    _, page = open_desk(files)
    with monkeypatch.context() as patch:
        patch.setattr(Arrival, "append", full)
        (key,) = page.offer(a_bin=bytes(200_000))
        reason = failed(page, key)
    assert "It did not arrive whole (65.5\u00a0kB of 200\u00a0kB): the disk is full or cannot be written." == reason
    page.until_heard("stop", key=key)
    assert [] == landed_in(spool)
    again(page, key, asks=True)


def test_the_claim_fails(open_desk, files, monkeypatch, spool):
    """A disk on which not even the first file can be made is said with the system's own words."""

    def broken(token, folder=None):
        raise OSError(errno.EIO, "Input/output error")

    _, page = open_desk(files)
    with monkeypatch.context() as patch:
        patch.setattr("nbfiles.widget._row.claim", broken)
        (key,) = page.offer(a_txt=b"hello")
        assert "The kernel cannot keep it: Input/output error." == failed(page, key)
    again(page, key, asks=True)


def test_retry_of_what_cannot_be(open_desk, files):
    """Only what failed or was cancelled is retried; the word to retry anything else changes nothing."""
    _, page = open_desk(files)
    done, refused = page.offer(a_txt=b"hello", b_txt=b"")
    page.finish(done, refused)
    before = dict(page.records)
    for key in (done, refused, "nobody"):
        page.say("retry", key=key)
    (last,) = page.offer(c_txt=b"last")
    page.finish(last)
    assert before == {key: page.records[key] for key in before}

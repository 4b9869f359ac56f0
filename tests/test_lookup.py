"""An upload whose answer was lost: the server is asked before it is sent again, and no file is taken by mistake."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from doubles import Server, answers, breaks_off, kept, lists, lists_all, lost, metadata, stored
from workbench import QUICK, Watch, big, manager, pdf, send

from nbfiles import _lookup
from nbfiles._errors import AmbiguousUploadError, APIError, BadRequestError, ConnectionFailedError, UnknownOutcomeError
from nbfiles._events import Checking, Done, Retrying
from nbfiles._ledger import Known, Ledger
from nbfiles._models import FileMetadata
from nbfiles._tasks import Settle, Upload

NO = {"type": "error", "error": {"type": "api_error", "message": "no"}}


@pytest.fixture
def account():
    return Ledger(None).account("https://api.test", "0123")


def seconds_ago(seconds: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=seconds)).isoformat()


@contextmanager
def seen(account, *scripts, listing=lists_all, payload=None, **options):
    """Upload one small PDF; give the server, the result, and the task as it was at the end."""
    made = []
    original = Upload.close
    reuse = options.pop("reuse", False)
    options["reuse"] = lambda: reuse

    def close(task):
        made.append(task)
        original(task)

    Upload.close = close
    try:
        with Server(*scripts, listing=listing) as server:
            (result,) = send(server.url, payload or pdf(), account=account, **options)
            yield server, result, made[0]
    finally:
        Upload.close = original


# ---- found -----------------------------------------------------------------------------------------------------------


def test_a_lost_answer_is_found_by_looking(account):
    """A file that is stored though its answer was lost is bound, and sent once."""
    watch = Watch()
    with seen(account, lost, watch=watch) as (server, result, task):
        assert ("file_0000", 1, 1) == (result.id, server.uploads, server.looks)
    assert (True, False, ()) == (task.found, task.reused, task.doubles)
    assert task.digest.startswith("blake3:")
    assert [Checking, Done] == [type(event) for event in watch.events if isinstance(event, Checking | Done)]
    assert ([], {"file_0000"}) == (account.pending(), account.taken(["file_0000", "file_0001"]))


@pytest.mark.parametrize("status", [408, 409, 500, 502, 503, 504, 529])
@pytest.mark.parametrize("body", [NO, b"<html>sorry</html>"])
def test_a_fault_after_storing_is_found_by_looking(account, status, body):
    """A server that stores a file and answers with a fault has stored it."""

    def script(exchange):
        kept(exchange)
        exchange.answer(status, body)

    with seen(account, script) as (server, result, _):
        assert ("file_0000", 1) == (result.id, server.uploads)


@pytest.mark.parametrize("body", [b"<html>Log in</html>", {}, [], metadata(id=None), metadata(size_bytes=6), b"\xff"])
def test_rubbish_after_storing_is_found_by_looking(account, body):
    """A 200 that says nothing of the file is asked after."""

    def script(exchange):
        kept(exchange)
        exchange.answer(200, body)

    with seen(account, script) as (server, result, _):
        assert ("file_0000", 1) == (result.id, server.uploads)


def test_a_list_that_lags(account):
    """A file that the list shows late is waited for."""
    looks = []

    def lagging(exchange):
        looks.append(exchange)
        (lists_all if len(looks) > 2 else lists())(exchange)

    with seen(account, lost, listing=lagging) as (server, result, _):
        assert ("file_0000", 1, 3) == (result.id, server.uploads, server.looks)


def test_a_look_that_fails_is_repeated(account):
    """One look that gets no answer is not the last."""
    looks = []

    def failing(exchange):
        looks.append(exchange)
        (lists_all if len(looks) > 1 else breaks_off())(exchange)

    with seen(account, lost, listing=failing) as (server, result, _):
        assert ("file_0000", 1) == (result.id, server.uploads)


@pytest.mark.parametrize("ahead", [-86_400, 86_400])
def test_clocks_do_not_matter(account, ahead):
    """A server whose clock is a day off is asked by its own time."""

    def listing(exchange):
        files = [{**file, "created_at": seconds_ago(-ahead)} for file in exchange.server.files]
        lists(*files, metadata("file_old", created_at=seconds_ago(60 - ahead)), ahead=ahead)(exchange)

    with seen(account, lost, listing=listing) as (_, result, _task):
        assert "file_0000" == result.id


def test_the_file_may_stand_on_a_later_page(account):
    """Pages are walked as long as they may hold it, in whatever order they are."""
    pages = {
        "": ([metadata("file_a"), metadata("file_b", filename="x.pdf", created_at=seconds_ago(500))], "two"),
        "two": ([metadata("file_c", created_at=seconds_ago(0))], None),
    }

    def listing(exchange):
        page = "two" if "page=two" in exchange.target else ""
        files, following = pages[page]
        lists(*files, next_page=following)(exchange)

    with seen(account, breaks_off(), listing=listing) as (server, result, _):
        assert ("file_c", 2) == (result.id, server.looks)


def test_a_list_that_does_not_end(account, monkeypatch):
    """A list that has always one page more is given up, and the outcome is said to be unknown."""
    monkeypatch.setattr(_lookup, "MOST_PAGES", 5)

    def listing(exchange):
        number = len(exchange.server.exchanges)
        lists(metadata(f"file_{number}", created_at=seconds_ago(0)), next_page=f"page{number}")(exchange)

    with seen(account, breaks_off(), listing=listing, retry=False) as (server, result, _):
        assert (UnknownOutcomeError, 1) == (type(result), server.uploads)
        assert 0 == server.looks % 5


def test_no_more_pages_than_needed(account):
    """Newest first: behind an older file nothing is looked for."""

    def listing(exchange):
        old = metadata("file_old", created_at=seconds_ago(600))
        lists(*exchange.server.files, old, next_page="two")(exchange)

    with seen(account, lost, listing=listing) as (server, result, _):
        assert ("file_0000", 1) == (result.id, server.looks)


# ---- not found -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("after", [0, 3, 1 << 20])
def test_what_never_left_whole_is_sent_again_at_once(account, after, reset):
    """If the last piece had not left, no server has the file: nobody looks, and what looks like it is not taken."""
    watch = Watch()
    alike = metadata("file_other", filename="big.bin", size_bytes=16 << 20, created_at=seconds_ago(0))
    first = breaks_off(after, reset=reset)
    options = {"payload": big(16 << 20), "watch": watch, "listing": lists(alike)}
    options["patience"] = replace(QUICK, total=30, answer=30)  # the test's own server is not quick
    with seen(account, first, stored, **options) as (server, result, task):
        assert ("file_0000", 2, 0, 1) == (result.id, server.uploads, server.looks, len(server.files))
    assert (False, ()) == (task.found, task.doubles)
    assert [Retrying, Done] == [type(event) for event in watch.events if isinstance(event, Checking | Retrying | Done)]
    assert [] == account.pending()


def test_what_left_is_looked_for_four_times(account):
    """A file that left whole is sent again only when four looks have not found it; a fifth looks for a second copy."""
    with seen(account, breaks_off(), stored) as (server, result, task):
        assert ("file_0000", 2, 5) == (result.id, server.uploads, server.looks)
    assert (False, (), []) == (task.found, task.doubles, account.pending())


def test_a_second_copy_is_named(account):
    """A first copy that shows up when the second is there is said, and not deleted."""
    late = metadata("file_late", created_at=seconds_ago(0))

    def listing(exchange):
        lists(*exchange.server.files, *([late] if exchange.server.uploads > 1 else []))(exchange)

    with seen(account, breaks_off(), stored, listing=listing) as (server, result, task):
        assert ("file_0000", ("file_late",)) == (result.id, task.doubles)
        assert not [target for target in server.targets if target.startswith("DELETE")]


@pytest.mark.parametrize("status", [408, 409, 500, 503, 529])
def test_faults_are_repeated_when_nothing_is_there(account, status):
    """A fault that stored nothing is tried again, at most five times in all, and then said."""
    with seen(account, answers(status, NO, retry_after="0"), stored) as (server, result, _):
        assert ("file_0000", 2) == (result.id, server.uploads)
    with seen(account, answers(status, NO, retry_after="0")) as (server, result, _):
        assert (status, 5, []) == (result.status, server.uploads, account.pending())


def test_no_retry_looks_and_never_sends_again(account):
    """With ``retry=False`` a lost file is looked for, and not sent a second time."""
    with seen(account, lost, retry=False) as (server, result, _):
        assert ("file_0000", 1) == (result.id, server.uploads)
    with seen(account, breaks_off(), stored, retry=False) as (server, result, _):
        assert (ConnectionFailedError, 1, 4) == (type(result), server.uploads, server.looks)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 429])
def test_refusals_are_believed(account, status):
    """A server that refuses has stored nothing: nobody looks."""
    with seen(account, answers(status, NO)) as (server, result, _):
        assert (status, 1, 0, []) == (result.status, server.uploads, server.looks, account.pending())


def test_a_changed_source_is_not_looked_for(account, tmp_path):
    """A source that changes while it is read never left whole, and nobody looks for it."""
    from nbfiles._errors import SourceChangedError
    from nbfiles._payload import file_payload

    path = tmp_path / "a.txt"
    path.write_text("before")
    payload = file_payload(path)
    path.write_text("after!")
    with seen(account, answers(500, NO), payload=payload) as (server, result, _):
        assert (SourceChangedError, 0, []) == (type(result), server.looks, account.pending())
        assert [] == server.files


# ---- not ours --------------------------------------------------------------------------------------------------------


def test_older_files_are_never_taken(account):
    """Two files of the same name and size that were there before are not taken for the one that was sent."""
    old = [metadata(f"file_old{n}", created_at=seconds_ago(10 + n)) for n in range(2)]
    with seen(
        account, breaks_off(), stored, listing=lambda exchange: lists(*exchange.server.files, *old)(exchange)
    ) as (
        server,
        result,
        _,
    ):
        assert ("file_0000", 2) == (result.id, server.uploads)


@pytest.mark.parametrize("other", [{"filename": "Report.pdf"}, {"size_bytes": 6}])
def test_other_files_are_never_taken(account, other):
    """A file of another name or another size is another file."""
    now = metadata("file_other", created_at=seconds_ago(0), **other)
    with seen(account, breaks_off(), stored, listing=lists(now)) as (_, result, _task):
        assert "file_0000" == result.id


def test_files_of_other_uploads_from_here_are_never_taken(account):
    """What another upload has got already is not taken twice."""
    now = datetime.now(UTC)
    account.record(Known("file_mine", "report.pdf", "application/pdf", 5, "", now, None))
    listing = lists(metadata("file_mine", created_at=seconds_ago(0)))
    with seen(account, breaks_off(), stored, listing=listing) as (server, result, _):
        assert ("file_0000", 2) == (result.id, server.uploads)


def test_composed_and_decomposed_names_are_the_same(account):
    """A server that writes accents in another way has the same file."""
    listing = lists(metadata("file_e", filename="e\u0301.pdf", created_at=seconds_ago(0)))
    with seen(account, breaks_off(), listing=listing, payload=pdf(name="\u00e9.pdf")) as (_, result, _task):
        assert "file_e" == result.id


# ---- unknown ---------------------------------------------------------------------------------------------------------


def test_several_files_are_ambiguous(account):
    """Several that may be it are named, none is taken, nothing is sent again, and it stays pending."""
    files = [metadata(name, created_at=seconds_ago(0)) for name in ("file_a", "file_b")]
    with seen(account, breaks_off(), stored, listing=lists(*files)) as (server, result, _):
        assert (AmbiguousUploadError, ("file_a", "file_b"), 1) == (type(result), result.ids, server.uploads)
    assert "file_a, file_b" in str(result)
    assert ["report.pdf"] == [pending.name for pending in account.pending()]


def test_a_rival_makes_it_ambiguous(account):
    """While another upload of the same name and size is under way, a file may be that one's."""
    account.begin(name="report.pdf", mime_type="application/pdf", size=5)
    with seen(account, lost) as (server, result, _):
        assert (AmbiguousUploadError, ("file_0000",), 1) == (type(result), result.ids, server.uploads)


def test_an_upload_that_may_have_arrived_makes_it_ambiguous(account):
    """A file that may be an earlier upload's, of which nobody knows whether it arrived, is not taken for this one."""
    account.unknown(account.begin(name="report.pdf", mime_type="application/pdf", size=5))
    listing = lists(metadata("file_earlier", created_at=seconds_ago(1)))
    with seen(account, breaks_off(), listing=listing) as (server, result, _):
        assert (AmbiguousUploadError, ("file_earlier",), 1) == (type(result), result.ids, server.uploads)
    assert 2 == len(account.pending())


def test_one_file_settles_one_upload(account, monkeypatch):
    """Of two uploads that wait and the one file that is there, one is said to have arrived, and none waits any more."""
    for _ in range(2):
        account.unknown(account.begin(name="report.pdf", mime_type="application/pdf", size=5))
    monkeypatch.setattr(account, "taken", lambda ids: set())  # each looks before the other is settled
    with Server(lists(metadata("file_1", created_at=seconds_ago(1)))) as server:
        tasks = [Settle(one, account) for one in account.pending()]
        results = manager(server.url).run(tasks, Watch())
    assert [["file_1"], []] == [[file.id for file in found] for found in results]
    assert [] == account.pending()


@pytest.mark.parametrize(
    "listing", [answers(500, NO), answers(200, b"<html>"), breaks_off(), answers(200, {"data": [], "has_more": False})]
)
def test_a_list_that_cannot_be_had(account, listing):
    """If the server cannot be asked, or does not say what time it is, the outcome is unknown and nothing is resent."""
    with seen(account, breaks_off(), stored, listing=listing) as (server, result, _):
        assert (UnknownOutcomeError, 1) == (type(result), server.uploads)
    assert "may have arrived" in str(result)
    assert "%files pending" in str(result)
    assert 1 == len(account.pending())


def test_no_certainty_when_time_is_up(account):
    """Where the time limit ends the looking, the outcome is unknown: the list may lag."""
    patience = replace(QUICK, total=0.3, looks=(0.0, 5.0))
    with seen(account, breaks_off(), stored, listing=lists(), patience=patience) as (server, result, _):
        assert (UnknownOutcomeError, 1) == (type(result), server.uploads)


def test_one_look_after_the_time_limit(account):
    """An answer that never comes is looked for once when time is up, and found."""

    def silent_after_storing(exchange):
        kept(exchange)
        exchange.wire.drain()

    patience = replace(QUICK, total=0.3, answer=5)
    with seen(account, silent_after_storing, patience=patience) as (server, result, _):
        assert ("file_0000", 1) == (result.id, server.uploads)


def test_the_first_refusal_before_sending_is_no_doubt(account):
    """An upload that never began leaves nothing pending."""
    with Server() as server:
        url = server.url
    (result,) = send(url, account=account)
    assert (ConnectionFailedError, []) == (type(result), account.pending())


# ---- reuse -----------------------------------------------------------------------------------------------------------


def test_what_is_the_same_is_not_sent_twice(account):
    """The same name, type and content is taken again, once the server has said that it still has it."""
    with seen(account, stored, reuse=True) as (_, first, task):
        assert not task.reused
    with seen(account, answers(200, metadata("file_0000")), reuse=True) as (server, again, task):
        assert ("file_0000", 0, True) == (again.id, server.uploads, task.reused)
        assert ["GET /v1/files/file_0000?beta=true"] == server.targets
    assert first.id == again.id


def test_the_ga_surface_is_asked_by_ids(account):
    """On the GA surface the list of ids says whether the file is there."""
    with seen(account, stored, reuse=True, surface="ga") as (_, first, _task):
        pass
    with seen(account, listing=lists(metadata(first.id)), reuse=True, surface="ga") as (server, again, task):
        assert (first.id, True, [f"GET /v1/files?ids%5B%5D={first.id}"]) == (again.id, task.reused, server.targets)


@pytest.mark.parametrize("other", [pdf(b"%PDF!"), pdf(name="other.pdf")])
def test_what_differs_is_sent(account, other):
    """Another content or another name is another file."""
    with seen(account, stored, reuse=True):
        pass
    with seen(account, stored, reuse=True, payload=other) as (server, _, task):
        assert (1, False) == (server.uploads, task.reused)


def test_what_the_server_has_no_more_is_sent(account):
    """A file that was deleted elsewhere is sent anew, and not asked for again."""
    with seen(account, stored, reuse=True):
        pass
    with seen(account, answers(404, NO), stored, reuse=True) as (server, result, task):
        assert (1, False) == (server.uploads, task.reused)
        (digest, created) = (task.digest, result.created_at)
    held = account.find(name="report.pdf", mime_type="application/pdf", size=5, digest=digest)
    assert [created] == [known.created_at for known in held]


@pytest.mark.parametrize("listing", [answers(500, NO), breaks_off(), answers(200, b"<html>")])
def test_where_nobody_can_say_it_is_sent(account, listing):
    """If the server does not say whether it has the file, the file is sent: reuse never stands in the way."""
    with seen(account, stored, reuse=True, surface="ga"):
        pass
    with seen(account, stored, listing=listing, reuse=True, surface="ga") as (server, result, task):
        assert (FileMetadata, 1, False) == (type(result), server.uploads, task.reused)


WEEK = 7 * 86_400


@pytest.mark.parametrize(
    ("had", "asked", "reused"),
    [
        (None, None, True),
        (None, WEEK, False),  # it would never end
        (WEEK, None, False),  # it would end
        (WEEK, WEEK, True),
        (WEEK, 2 * WEEK - 3600, True),  # a bit more than half is left
        (WEEK, 2 * WEEK + 3600, False),
        (WEEK, WEEK - 3600, False),  # it would end later than asked
    ],
)
def test_expiry_decides_too(account, had, asked, reused):
    """A file is taken again only if it ends no later than asked, with at least half of the time left."""
    made = metadata("file_0000", created_at=seconds_ago(1))
    ends = {} if had is None else {"expires_at": seconds_ago(1 - had)}
    with seen(account, answers(200, made | ends), reuse=True, expires=had):
        pass
    with seen(account, answers(200, made | ends), reuse=True, expires=asked, listing=None) as (server, _, task):
        assert (reused, not reused) == (task.reused, bool(server.uploads))


def test_files_on_disk_are_hashed_first_only_where_it_may_pay(account, tmp_path):
    """A file is read twice only if one of the same name, type and size is known; else it is hashed on its way."""
    from nbfiles._payload import file_payload

    path = tmp_path / "a.txt"
    path.write_bytes(b"hello")
    opened = []
    payload = file_payload(path)
    original = payload.open
    payload.open = lambda: opened.append(1) or original()

    def may_pay():
        return bool(account.alike([(payload.name, payload.mime_type, payload.size)]))

    with seen(account, stored, reuse=may_pay(), payload=payload) as (_, _result, task):
        assert (1, False) == (len(opened), task.reused)
        digest = task.digest
    again = file_payload(path)
    with seen(account, answers(200, metadata("file_0000")), reuse=may_pay(), payload=again) as (server, _, task):
        assert (0, True, digest) == (server.uploads, task.reused, task.digest)
    path.write_bytes(b"HELLO")
    with seen(account, stored, reuse=may_pay(), payload=file_payload(path)) as (server, _, task):
        assert (1, False) == (server.uploads, task.reused)
        assert digest != task.digest


def test_an_error_is_one_of_ours(account):
    """Whatever looking meets, what is raised is the error of the upload."""
    with seen(account, answers(500, NO), listing=answers(403, NO)) as (_, result, _task):
        assert UnknownOutcomeError is type(result)
        assert not isinstance(result, APIError | BadRequestError)

"""``UploadWidget`` as Python sees it: values, names, waiting, what is shown, what is saved, and the end."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
from datetime import timedelta

import pytest
from doubles import Server, answers, metadata, parts_by_email, stored
from hostile import HIDDEN, PAYLOADS, harmless, raw_hidden, shape
from IPython.core.interactiveshell import InteractiveShell
from page import KEY, client, if_whole, landed_in
from shells import fresh_shell
from traitlets import TraitError
from workbench import becomes

import nbfiles
from nbfiles import Files, InputError, UploadError, UploadWidget
from nbfiles._models import FileId
from nbfiles._render import MAX_SHOWN
from nbfiles._results import latest
from nbfiles._table import COLUMNS, FileTable

REFUSED = {"type": "error", "error": {"type": "invalid_request_error", "message": "not good"}}


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """A notebook in this process."""
    with fresh_shell(tmp_path / "ipython") as shell:
        monkeypatch.setattr(InteractiveShell, "_instance", shell.ip)
        yield shell


# ---- value and table -------------------------------------------------------------------------------------------------


def test_without_a_notebook(spool):
    """A widget can be made where there is neither a notebook nor a key, and is empty."""
    widget = UploadWidget()
    assert ([], 0, FileTable) == (widget.value, len(widget.table), type(widget.table))
    expected = "UploadWidget: no file yet. Where widgets are not shown: %upload report.pdf as report_id"
    assert expected == repr(widget)
    assert not spool.exists()
    widget.close()


def test_value(open_widget, files, shared_api):
    """The value is the ids of what is done, in the order chosen, as the texts that the Files API knows."""
    widget, page = open_widget(files)
    keys = page.offer(a_txt=b"first", b_txt=b"", c_txt=b"third")
    assert ["done", "refused", "done"] == page.finish(*keys)
    assert [b"first", b"third"] == [shared_api.stored_bytes(each) for each in widget.value]
    assert {FileId} == {type(each) for each in widget.value}
    assert 5 == widget.value[0].metadata.size_bytes


def test_table(open_widget):
    """The table has a row for what is done and what has failed, with every column; it is also the latest table."""
    with Server(stored, answers(400, REFUSED)) as server:
        widget, page = open_widget(client(server.url), jobs=1)
        keys = page.offer_rows([("a.txt", "d/a.txt", b"hello"), ("b.csv", "", b"a,b\n"), ("c.txt", "", b"")])
        page.finish(*keys)
        page.until(lambda: latest() is not None and 2 == len(latest()))
        table = widget.table
    assert list(COLUMNS) == list(table.columns)
    assert [["uploaded", "failed"], ["a.txt", "b.csv"]] == [table[name].tolist() for name in ("status", "filename")]
    assert [["d/a.txt", "b.csv"], [5, 4]] == [table[name].tolist() for name in ("source", "size_bytes")]
    assert "not good" in table["error"][1]
    assert ("blake3:", "") == (table["digest"][0][:7], table["digest"][1])
    assert table.equals(latest())


def test_rows_at_rest(open_widget, files):
    """When all is at rest the synced rows are the records that the page was told."""
    widget, page = open_widget(files)
    keys = page.offer(a_txt=b"hello", b_txt=b"")
    page.finish(*keys)
    page.until(lambda: len(widget.rows) == 2 and widget.rows[0]["state"] == "done")
    assert [page.records[key] for key in keys] == [row | {"variable": ""} for row in widget.rows]
    page.say("remove", keys=keys)
    page.until(lambda: widget.rows == [])


@pytest.mark.parametrize(
    ("options", "name", "fields", "mime"),
    [
        ({}, "a.csv", {}, "text/plain"),
        ({"expires": 3600}, "a.csv", {"expires_in_seconds": "3600"}, "text/plain"),
        ({"expires": "7d"}, "a.csv", {"expires_in_seconds": "604800"}, "text/plain"),
        ({"expires": timedelta(days=1)}, "a.csv", {"expires_in_seconds": "86400"}, "text/plain"),
        ({"expires": "never"}, "a.csv", {}, "text/plain"),
        ({"for_": "container"}, "a.csv", {}, "text/csv"),
        ({"type": "application/x-mine"}, "a.csv", {}, "application/x-mine"),
        ({"name": "b.md", "multiple": False}, "b.md", {}, "text/plain"),
    ],
)
def test_options_reach_the_server(open_widget, options, name, fields, mime):
    """What was asked of the widget is what the Files API is told."""
    with Server() as server:
        _, page = open_widget(client(server.url), **options)
        (key,) = page.offer(a_csv=b"a,b\n1,2\n")
        assert "done" == page.until_state(key, "done", "failed", "refused")["state"]
        (exchange,) = server.exchanges
    parts = parts_by_email(exchange.header("content-type"), bytes(exchange.body))
    assert fields == {part.name: part.content.decode() for part in parts if part.name != "file"}
    assert [(name, mime, b"a,b\n1,2\n")] == [(p.filename, p.mime_type, p.content) for p in parts if p.name == "file"]


def test_retry_false(open_widget):
    """With retry=False a busy server is asked once."""
    with Server(answers(429, REFUSED, retry_after="0"), stored) as server:
        _, page = open_widget(client(server.url), retry=False)
        (key,) = page.offer(a_txt=b"hello")
        page.until_state(key, "failed")
        assert 1 == len(server.exchanges)


# ---- names -----------------------------------------------------------------------------------------------------------


def test_bind_a_list(open_widget, files, shell):
    """The name holds the list of ids in the order chosen, when all are done and not before."""
    shell.names["ids"] = "old"
    widget, page = open_widget(files, bind="ids")
    page.hold.set()
    keys = page.offer(a_txt=b"first", b_txt=b"second")
    page.until(lambda: 2 == len(page.held))
    page.carry(page.until_heard("go", key=keys[1]))
    page.until_state(keys[1], "done")
    assert "old" == shell.names["ids"]
    page.carry(page.until_heard("go", key=keys[0]))
    page.until(lambda: page.records[keys[1]]["variable"])
    assert widget.value == shell.names["ids"]
    assert ["ids[0]", "ids[1]"] == [page.records[key]["variable"] for key in keys]
    assert ["ids[0]", "ids[1]"] == widget.table["variable"].tolist()
    (third,) = (page.hold.clear(), page.offer(c_txt=b"third"))[1]
    page.until(lambda: page.records.get(third, {}).get("variable"))
    assert (3, widget.value) == (len(shell.names["ids"]), shell.names["ids"])


def test_bind_one(open_widget, files, shell):
    """With multiple=False the name holds the id itself, and the next choice binds it anew."""
    widget, page = open_widget(files, bind="report_id", multiple=False)
    seen = []
    for text in (b"first", b"second"):
        (key,) = page.offer(a_txt=text)
        page.until(lambda key=key: page.records.get(key, {}).get("variable"))
        assert ("report_id", widget.value[0]) == (page.records[key]["variable"], shell.names["report_id"])
        seen.append(shell.names["report_id"])
    assert seen[0] != seen[1]


def test_a_list_of_one(open_widget, files, shell):
    """With multiple=True one file is a list of one: the form decides, not the count."""
    widget, page = open_widget(files, bind="ids")
    (key,) = page.offer(a_txt=b"only")
    page.until(lambda: page.records.get(key, {}).get("variable"))
    assert ([widget.value[0]], "ids[0]") == (shell.names["ids"], page.records[key]["variable"])


@pytest.mark.parametrize("mends", ["retry", "remove"])
def test_a_failure_holds_the_name_back(open_widget, shell, mends):
    """A failed file keeps the name as it was, and the widget says so, until it is retried or removed."""
    shell.names["ids"] = "old"
    with Server(stored, answers(400, REFUSED), stored) as server:
        widget, page = open_widget(client(server.url), bind="ids", jobs=1)
        good, bad = page.offer(a_txt=b"good", b_txt=b"bad")
        assert ["done", "failed"] == page.finish(good, bad)
        page.until(lambda: widget.note)
        assert "ids is bound when b.txt is retried or removed." == widget.note
        assert ("old", "") == (shell.names["ids"], page.records[good]["variable"])
        page.say(mends, **({"keys": [bad]} if mends == "remove" else {"key": bad}))
        page.until(lambda: shell.names["ids"] != "old")
        assert 1 + (mends == "retry") == len(shell.names["ids"])
        assert widget.value == shell.names["ids"]
        page.until(lambda: widget.note == "")


def test_two_failures(open_widget, shell):
    """Several failures are counted; hidden characters of one alone are marked."""
    with Server(stored, *[answers(400, REFUSED)] * 2) as server:
        widget, page = open_widget(client(server.url), bind="ids", jobs=1)
        keys = page.offer_rows([("a.txt", "", b"1"), ("gpj\u202e.txt", "", b"2"), ("c.txt", "", b"3")])
        page.finish(*keys)
        page.until(lambda: widget.note)
        assert "ids is bound when the 2 failed files are retried or removed." == widget.note
        page.say("remove", keys=keys[2:])
        page.until(lambda: "gpj" in widget.note)
        assert "ids is bound when gpj<U+202E>.txt is retried or removed." == widget.note


def test_only_a_failure(open_widget, shell):
    """Where nothing is done nothing is bound, and nothing of it is said."""
    with Server(answers(400, REFUSED)) as server:
        widget, page = open_widget(client(server.url), bind="ids")
        (key,) = page.offer(a_txt=b"bad")
        page.until(lambda: page.settlings or widget.rows)
        assert ("failed", "", False) == (page.finish(key)[0], widget.note, "ids" in shell.names)


def test_removing_does_not_bind_anew(open_widget, files, shell):
    """Taking a file that is done off the list leaves the name as it was bound."""
    widget, page = open_widget(files, bind="ids")
    keys = page.offer(a_txt=b"1", b_txt=b"2")
    page.until(lambda: all(page.records.get(key, {}).get("variable") for key in keys))
    held = shell.names["ids"]
    page.say("remove", keys=[keys[0]])
    page.until(lambda: len(widget.value) == 1)
    page.until(lambda: len(widget.rows) == 1)
    assert held is shell.names["ids"]
    assert 2 == len(held)


def test_a_name_of_the_widget(open_widget, files, shell):
    """Without bind a row says how to get its id from the name that holds the widget."""
    widget, page = open_widget(files)
    shell.names.update({"_": widget, "picker": widget})
    (key,) = page.offer(a_txt=b"hello")
    page.until(lambda: page.records.get(key, {}).get("variable"))
    assert "picker.value[0]" == page.records[key]["variable"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("class", "class is a Python keyword"),
        ("list", "list is a Python builtin"),
        ("_", "belongs to IPython"),
        ("__name__", "belongs to Python"),
        ("a b", "is not a name"),
        ("", "is not a name"),
        ("a.b", "is not a name"),
        ("x\u202ey", "is not a name"),
    ],
)
def test_names_that_cannot_be(shell, files, name, said):
    """A name that cannot or must not be bound is refused, when the widget is made and when it is set."""
    with pytest.raises(InputError, match=said):
        UploadWidget(files=files, bind=name)
    widget = UploadWidget(files=files, bind="good")
    with pytest.raises(TraitError, match=said):
        widget.bind = name
    assert "good" == widget.bind
    widget.close()


def test_bind_is_set_later(open_widget, files, shell):
    """The name may be set when the widget is there, written as Python reads it; what comes next is bound to it."""
    widget, page = open_widget(files)
    widget.bind = "ﬁle_ids"  # noqa: RUF100
    assert "file_ids" == widget.bind
    (key,) = page.offer(a_txt=b"hello")
    page.until(lambda: page.records.get(key, {}).get("variable"))
    assert widget.value == shell.names["file_ids"]
    widget.bind = None
    (key,) = page.offer(b_txt=b"hello")
    page.finish(key)
    page.until(lambda: len(widget.rows) == 2)
    assert 1 == len(shell.names["file_ids"])


def test_bind_is_set_when_files_are_done(open_widget, files, shell):
    """A name that is set when files are done holds them at once, and the name before keeps what it had."""
    widget, page = open_widget(files, bind="first")
    keys = page.offer(a_txt=b"hello", b_txt=b"again")
    page.finish(*keys)
    page.until(lambda: "first" in shell.names)
    widget.bind = "second"
    assert widget.value == shell.names["first"] == shell.names["second"]
    page.until(lambda: ["second[0]", "second[1]"] == [page.records[key]["variable"] for key in keys])


def test_bind_needs_a_notebook(files):
    """Where there is no notebook a name cannot be bound, and the error says what to read instead."""
    with pytest.raises(InputError, match="bind needs a notebook") as caught:
        UploadWidget(files=files, bind="ids")
    assert "Leave it out and read .value." == caught.value.way_out


# ---- being told ------------------------------------------------------------------------------------------------------


def test_on_done(open_widget):
    """A callback is called once for each time that all came to an end, whatever the end was, and not for removals."""
    with Server(stored, stored, answers(400, REFUSED)) as server:
        widget, page = open_widget(client(server.url))
        calls = []
        widget.on_done(lambda given: calls.append((given, len(given.value))))
        page.finish(*page.offer(a_txt=b"1", b_txt=b"2"))
        page.until(lambda: calls)
        (bad,) = page.offer(c_txt=b"3")
        page.until(lambda: len(calls) == 2)
        page.say("remove", keys=[bad])
        page.until(lambda: len(widget.rows) == 2)
        page.finish(*page.offer(d_txt=b"4"))
        page.until(lambda: len(calls) == 3)
        page.say("hello", page="late")
        page.until_heard("welcome")
    assert [(widget, 2), (widget, 2), (widget, 2)] == calls


def test_on_done_that_raises(open_widget, files, capfd):
    """An exception in a callback is shown, and neither the next callback nor the next file minds."""
    widget, page = open_widget(files)
    calls = []

    def raises(given):
        raise ZeroDivisionError("of the user")

    widget.on_done(raises)
    widget.on_done(calls.append)
    for count, name in enumerate(("a_txt", "b_txt"), 1):
        assert ["done"] == page.finish(*page.offer(**{name: b"hello"}))
        page.until(lambda count=count: len(calls) == count)
    assert 2 == capfd.readouterr().err.count("ZeroDivisionError: of the user")


def test_on_done_of_a_loop(open_widget, files):
    """A callback that was given on a loop is called on that loop's thread; one whose loop is over still is called."""
    widget, page = open_widget(files)
    calls = []

    async def cell():
        widget.on_done(lambda given: calls.append(threading.current_thread()))
        page.offer(a_txt=b"hello")
        while not calls:
            await asyncio.sleep(0.01)

    asyncio.run(cell())
    assert [threading.main_thread()] == calls
    page.offer(b_txt=b"hello")
    page.until(lambda: len(calls) == 2)


def test_wait(open_widget, files):
    """Waiting ends when all are done, with the value; at once if that is so already, and for all who wait."""
    widget, page = open_widget(files)

    async def cell():
        first, second = asyncio.ensure_future(widget.wait()), asyncio.ensure_future(widget.wait())
        await asyncio.sleep(0.05)
        assert not first.done()
        page.offer(a_txt=b"1", b_txt=b"2")
        return await first, await second, await widget.wait()

    first, second, third = asyncio.run(cell())
    assert (2, first, first, first) == (len(first), second, third, widget.value)


def test_wait_for_a_failure(open_widget):
    """A failed file ends the waiting with an error that has the table; after a retry one can wait again."""
    with Server(stored, answers(400, REFUSED), stored) as server:
        widget, page = open_widget(client(server.url), jobs=1)

        async def cell():
            _, bad = page.offer(a_txt=b"good", b_txt=b"bad")
            with pytest.raises(UploadError) as caught:
                await widget.wait()
            page.say("retry", key=bad)
            return caught.value, await widget.wait()

        error, value = asyncio.run(cell())
    assert error.cause.startswith("1 file of 2 failed: ")
    assert "Press Retry or remove the row, then wait again." == error.way_out
    assert ["uploaded", "failed"] == error.table["status"].tolist()
    assert "not good" in error.failures[0].cause
    assert (2, widget.value) == (len(value), value)


def test_wait_for_a_row_that_never_was_sent(open_widget, monkeypatch):
    """A file that failed before it was sent is in the error too, in the words of its row."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    widget, page = open_widget(Files())
    page.offer(a_txt=b"1")
    with pytest.raises(UploadError, match="1 file of 1 failed: No API key") as caught:
        asyncio.run(widget.wait())
    assert ["failed"] == caught.value.table["status"].tolist()
    assert "No API key" in caught.value.table["error"][0]


def test_wait_that_is_given_up(open_widget, files):
    """Whoever gives up waiting is forgotten, and others go on."""
    widget, page = open_widget(files)

    async def cell():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(widget.wait(), 0.05)
        page.offer(a_txt=b"1")
        return await widget.wait()

    assert 1 == len(asyncio.run(cell()))
    assert [] == widget._waiting


def test_wait_is_not_ended_by_what_is_no_end(open_widget, files):
    """Refused and cancelled files are no answer: whoever waits wants files."""
    widget, page = open_widget(files)

    async def cell():
        page.hold.set()
        cancelled, _ = page.offer(a_txt=b"1", b_txt=b"")
        page.until_heard("go", key=cancelled)
        page.say("cancel", keys=[cancelled])
        page.until_state(cancelled, "cancelled")
        page.hold.clear()
        waiting = asyncio.ensure_future(widget.wait())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        page.offer(c_txt=b"3")
        return await waiting

    assert 1 == len(asyncio.run(cell()))


# ---- what is shown, what is saved ------------------------------------------------------------------------------------


def stored_as(names):
    """Store like a Files API that calls the files `names`, whatever they were called."""
    numbers = iter(range(len(names)))

    def script(exchange):
        stored_files = exchange.server.files
        exchange.read()
        number = next(numbers)
        file = metadata(f"file_{number:04}", filename=names[number], mime_type="text/plain", size_bytes=1)
        stored_files.append(file)
        exchange.answer(200, file)

    return script


def shown_with(open_widget, names, reason="not good"):
    """What stands in for a widget of which as many files are done as there are names, and one has failed."""
    said = {"type": "error", "error": {"type": "invalid_request_error", "message": reason}}
    scripts = [stored_as(names)] * len(names)
    with Server(*scripts, answers(400, said)) as server:
        widget, page = open_widget(client(server.url), jobs=1)
        keys = page.offer_rows([(f"{number}.txt", "", b"x") for number in range(len(names) + 1)])
        assert ["done"] * len(names) + ["failed"] == page.finish(*keys)
        return widget.stand_in()


SHOWN = MAX_SHOWN - 1


@pytest.mark.parametrize("start", range(0, len(PAYLOADS), SHOWN))
def test_hostile_names_are_shown_as_text(open_widget, start):
    """Whatever a server calls a file, or says of one, is text in the table that stands in for the widget."""
    names = PAYLOADS[start : start + SHOWN]
    hostile = shown_with(open_widget, names, names[0])
    plain = shown_with(open_widget, [harmless(name) for name in names], harmless(names[0]))
    assert shape(plain.html) == shape(hostile.html)
    assert "<script" not in hostile.html.lower()
    assert "onerror=alert(1)>" not in hostile.html


def test_hidden_characters_are_marked(open_widget):
    """No hidden character of a name gets into what is shown, as text or as HTML."""
    names = [f"a{char}b" for char in HIDDEN[:: len(HIDDEN) // SHOWN + 1]]
    piece = shown_with(open_widget, names, f"a{chr(0x202E)}b")
    assert set() == raw_hidden(piece.html) - {"\n"}
    assert set() == set(piece.text) & set(HIDDEN) - {"\n"}
    assert "<U+202E>" in piece.text


def test_repr(open_widget, files):
    """Shown as text a widget is the table of its files, or one line while there is none."""
    widget, page = open_widget(files)
    page.finish(*page.offer(report_txt=b"hello"))
    assert repr(widget.table) == repr(widget)
    assert "report.txt" in repr(widget)
    assert str(widget.value[0]) in widget.stand_in().html


def strings(value):
    """Every text and every bytes in a nest of values."""
    if isinstance(value, str | bytes | bytearray | memoryview):
        yield value
    elif isinstance(value, dict):
        for pair in value.items():
            yield from strings(list(pair))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from strings(each)


@pytest.mark.parametrize("lane", ["comm", "http"])
def test_state_holds_metadata_only(open_widget, lane):
    """What is saved with a notebook, and all that the kernel publishes, holds no byte of a file and no key."""
    content = b"CANARY-of-the-content-" * 100
    with Server(stored, answers(401, REFUSED)) as server:
        widget, page = open_widget(client(server.url), lane, jobs=1)
        page.finish(*page.offer(a_txt=content, b_txt=content))
        page.until(lambda: len(widget.rows) == 2)
        widget.send_state()
        state = widget.get_state()
    assert {"uid", "rows", "limits", "local", "note"} <= set(state)
    assert "bind" not in state
    json.dumps({name: state[name] for name in ("uid", "rows", "limits", "local", "note")})
    landings = {message["landing"] for message in page.said("go")}
    for published in (state, *page.published):
        for text in strings(published):
            assert isinstance(text, str)
            assert "CANARY" not in text
            assert KEY not in text
    assert not landings & set(strings(state))
    assert not any(message["buffers"] for message in page.published)


def test_two_widgets(open_widget, files):
    """Two widgets have different ids in the page, and nothing in common."""
    one, page = open_widget(files)
    other, second = open_widget(files)
    assert one.uid != other.uid
    page.finish(*page.offer(a_txt=b"1"))
    assert (1, 0, []) == (len(one.value), len(other.value), second.said("rows"))


# ---- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", ["comm", "http"])
def test_close(open_widget, lane, spool):
    """A widget that is closed has cancelled what was under way, left no file in the spool, and may be closed again."""
    with Server(if_whole) as server:
        widget, page = open_widget(client(server.url), lane)
        page.hold.set()
        done, under_way = page.offer(a_txt=b"hello", b_bin=bytes(3 << 20))
        page.carry(page.until_heard("go", key=done))
        page.until_state(done, "done")
        page.carry(page.until_heard("go", key=under_way), 2 << 20)
        server.wait_for(2)
        widget.close()
        assert [] == landed_in(spool)
        widget.close()
        assert ["a.txt"] == [file["filename"] for file in server.files]
        assert (1, None) == (len(widget.value), widget.comm)


def test_close_in_a_callback(open_widget, files):
    """A widget may be closed by its own callback; other widgets, which share its thread, do not have to wait."""
    widget, page = open_widget(files)
    _, second = open_widget(files)
    took = []

    def close(given):
        at = time.monotonic()
        given.close()
        took.append(time.monotonic() - at)

    widget.on_done(close)
    page.offer(a_txt=b"hello")
    page.until(lambda: took)
    assert took[0] < 0.5
    assert ["done"] == second.finish(*second.offer(b_txt=b"hello"))
    assert widget.comm is None


def test_forgotten(files, spool):
    """A widget that was closed and forgotten is collected, without a word."""
    widget = UploadWidget(files=files)
    widget.close()
    del widget
    gc.collect()
    assert not spool.exists()


def test_refused_arguments_leave_nothing(files):
    """A widget that could not be made takes nothing with it when it goes."""
    with pytest.raises(InputError):
        UploadWidget(files=files, max_files=0)
    gc.collect()


def test_switched_place(open_widget, monkeypatch):
    """A widget without a client of its own sends to where the notebook sends at that time."""
    with Server() as one, Server() as other:
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", one.url)
        widget, page = open_widget(None)
        page.finish(*page.offer(a_txt=b"1"))
        monkeypatch.setenv("ANTHROPIC_BASE_URL", other.url)
        page.finish(*page.offer(b_txt=b"2"))
        assert (["a.txt"], ["b.txt"]) == tuple([f["filename"] for f in server.files] for server in (one, other))
        assert (2, False) == (len(widget.value), widget.local)
    assert becomes(True, lambda: nbfiles.last is not None)

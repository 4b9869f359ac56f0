"""The widget in a real ipykernel: files go on while a cell runs, and what is printed appears where it belongs."""

from __future__ import annotations

import random
import time

import pytest
from kernels import Kernel
from page import Page, landed_in

RUNS = 3.0  # seconds that a cell sleeps while files go their way


class KernelPage(Page):
    """A page that shows a widget of a kernel; messages go over the kernel's own channels."""

    def __init__(self, kernel: Kernel, widget: str, spool, lane: str, subshell: str | None = None) -> None:
        super().__init__(lane)
        self.spool = spool
        self._kernel, self._subshell = kernel, subshell
        self._comm = kernel.do(f"{widget}.model_id").value
        kernel.on_comm = self._hear

    def say(self, kind, *buffers, **fields):
        data = {"method": "custom", "content": {"kind": kind, **fields}}
        self._kernel.post("comm_msg", {"comm_id": self._comm, "data": data}, list(buffers), self._subshell)

    def until(self, condition):
        return self._kernel.listen(condition)

    def _hear(self, message):
        content = message["content"]
        if content["comm_id"] == self._comm and content.get("data", {}).get("method") == "custom":
            self.send(content["data"]["content"])


@pytest.fixture(scope="module")
def landing_place(tmp_path_factory):
    """The spool folder of the module's kernel, which the test shares as a Jupyter server does."""
    return tmp_path_factory.mktemp("kernel") / "spool"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory, landing_place, shared_api):
    """A kernel with the package imported."""
    environment = {"ANTHROPIC_BASE_URL": shared_api.base_url, "ANTHROPIC_API_KEY": shared_api.api_key}
    with Kernel(tmp_path_factory.mktemp("kernel"), NBFILES_SPOOL=str(landing_place), **environment) as started:
        started.do("import nbfiles, time")
        yield started


@pytest.fixture
def open_page(kernel, landing_place):
    """Return a function that makes a widget called `w` in the kernel, and a page that shows it."""
    opened = []

    def open_one(lane="http", subshell=None, arguments=""):
        kernel.do(f"w = nbfiles.UploadWidget(fresh=True, {arguments})")
        opened.append(KernelPage(kernel, "w", landing_place, lane, subshell))
        return opened[-1]

    yield open_one
    for _ in opened:
        kernel.do("w.close()")
    assert [] == landed_in(landing_place)


def test_shown(kernel, open_page):
    """A cell shows the widget and below it what stands in for it, which follows what becomes of the files."""
    page = open_page()
    live, stand_in = kernel.do("w").shown
    assert "application/vnd.jupyter.widget-view+json" in live
    assert {"text/plain", "text/html"} == set(stand_in)
    assert stand_in["text/plain"].startswith("UploadWidget: no file yet.")
    (key,) = page.offer(a_txt=b"hello")
    record = page.until_state(key, "done")
    updates = page.until(
        lambda: [m["content"]["data"] for m in kernel._aside if m["msg_type"] == "update_display_data"]
    )
    assert record["id"] in updates[-1]["text/plain"]
    assert record["id"] in updates[-1]["text/html"]


def test_while_a_cell_runs(kernel, open_page, shared_api, landing_place):
    """Bytes that the Jupyter server receives while a cell runs land, go out and are bound before the cell is over."""
    data = random.Random(1).randbytes(3_000_000)
    page = open_page(arguments="bind='ids'")
    page.hold.set()
    (key,) = page.offer(a_bin=data)
    go = page.until_heard("go", key=key)
    at = time.monotonic()
    cell = kernel.send(f"began = True; time.sleep({RUNS}); ids[0]")
    page.trickle(go, 10, 0.1)
    record = page.until_state(key, "done", "failed")
    assert ("done", "") == (record["state"], record["reason"])
    assert time.monotonic() - at < RUNS
    assert data == shared_api.stored_bytes(record["id"])
    ran = kernel.result(cell)
    assert "ok" == ran.status, ran.error
    assert time.monotonic() - at >= RUNS
    assert kernel.do("ids == w.value and len(ids) == 1").value


def test_messages_in_a_subshell(kernel, open_page, shared_api):
    """Once a page has been heard, its messages are handled in its subshell: a running cell keeps no file waiting."""
    data = random.Random(2).randbytes(500_000)
    page = open_page("comm", kernel.subshell())
    page.say("hello", page=page.page)
    page.until_heard("welcome")
    at = time.monotonic()
    cell = kernel.send(f"time.sleep({RUNS}); len(w.value)")
    time.sleep(0.2)  # the cell runs
    (key, other) = page.offer(a_bin=data, b_txt=b"other")
    record = page.until_state(key, "done", "failed")
    page.until_state(other, "done")
    page.say("cancel", keys=[key])
    page.say("where", key=other, landing="A" * 43)
    page.until_heard("stop", key=other)
    assert time.monotonic() - at < RUNS
    assert data == shared_api.stored_bytes(record["id"])
    ran = kernel.result(cell)
    assert ("ok", 2) == (ran.status, ran.value)


def test_two_pages(kernel, open_page, landing_place):
    """What becomes of one page's file does not take another page out of its subshell while a cell runs."""
    page = open_page()
    page.hold.set()
    (key,) = page.offer(a_bin=bytes(400_000))
    go = page.until_heard("go", key=key)
    second = KernelPage(kernel, "w", landing_place, "http", kernel.subshell())
    kernel.on_comm = lambda message: (page._hear(message), second._hear(message))
    second.say("hello", page=second.page)
    second.until_heard("welcome", page=second.page)
    at = time.monotonic()
    cell = kernel.send(f"time.sleep({RUNS / 2})")
    time.sleep(0.2)
    page.trickle(go, 4, 0.05)
    page.until_state(key, "done")
    second.say("hello", page=second.page)
    second.until_heard("welcome", 2, page=second.page)
    assert time.monotonic() - at < RUNS / 2
    assert "ok" == kernel.result(cell).status


def test_a_callback_prints_into_its_cell(kernel, open_page):
    """What a callback prints, and what it raises, appears below the cell that registered it, when no cell runs."""
    page = open_page()
    first = kernel.send("w.on_done(lambda given: print('done:', len(given.value), time.sleep(0)))")
    second = kernel.send("def bad(given):\n    1 / 0\nw.on_done(bad)")
    for cell in (first, second):
        assert "ok" == kernel.result(cell).status
    kernel.do("'another cell'")
    page.offer(a_txt=b"hello")
    page.until(lambda: "ZeroDivisionError" in kernel.printed(second))
    assert "done: 1 None\n" == kernel.printed(first)
    kernel.do("'still there'")


def test_a_callback_waits_for_the_cell(kernel, open_page):
    """A callback does not run in the middle of somebody's cell."""
    page = open_page()
    kernel.do("busy = False; seen = []; w.on_done(lambda given: seen.append(busy))")
    page.hold.set()
    (key,) = page.offer(a_txt=b"hello")
    go = page.until_heard("go", key=key)
    cell = kernel.send("busy = True; time.sleep(1); busy = False")
    time.sleep(0.2)
    page.carry(go)
    page.until_state(key, "done")
    kernel.result(cell)
    while not (seen := kernel.do("seen").value):
        time.sleep(0.05)
    assert [False] == seen


def test_await_in_a_cell(kernel, open_page):
    """``await w.wait()`` is a cell that ends with the ids; a failure is its error, and after a retry it works."""
    page = open_page()
    cell = kernel.send("ids = await w.wait(); [str(each) for each in ids] == [str(each) for each in w.value], len(ids)")
    page.offer(a_txt=b"hello", b_txt=b"world")
    page.until(lambda: sum(record["state"] == "done" for record in page.records.values()) == 2)
    ran = kernel.result(cell)
    assert ("ok", (True, 2)) == (ran.status, ran.value)

    page.hold.set()
    (key,) = page.offer(c_txt=b"third")
    go = page.until_heard("go", key=key)
    cell = kernel.send("await w.wait()")
    time.sleep(0.2)
    page.say("broke", key=key, landing=go["landing"], status=507, said="")
    page.until_state(key, "failed")
    ran = kernel.result(cell)
    assert ran.error.startswith("UploadError: 1 file of 3 failed: The Jupyter server's disk is full")
    page.hold.clear()
    page.say("retry", key=key)
    page.until_state(key, "queued", "uploading", "done")
    assert 3 == kernel.do("len(await w.wait())").value


def test_bind_while_nothing_else_is_touched(kernel, open_page):
    """The name is bound in the notebook's namespace and appears nowhere else."""
    page = open_page(arguments="bind='report_id', multiple=False")
    before = set(kernel.do("sorted(name for name in globals() if not name.startswith('_'))").value)
    (key,) = page.offer(a_txt=b"hello")
    page.until(lambda: page.records.get(key, {}).get("variable"))
    after = set(kernel.do("sorted(name for name in globals() if not name.startswith('_'))").value)
    assert {"report_id"} == after - before
    assert page.records[key]["id"] == kernel.do("str(report_id)").value

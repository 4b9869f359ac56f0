"""Running a line again: what is unchanged is not sent, what is unknown is found out, and what is ours is told apart."""

from __future__ import annotations

import ast
import asyncio
import os
import sqlite3
import threading
import warnings

import nbformat
import pandas as pd
import pytest
from doubles import Server, answers, breaks_off, lists_all, lost, silent
from kernels import Kernel
from nbclient import NotebookClient
from shells import fresh_shell
from workbench import QUICK

import nbfiles
from nbfiles import _files
from nbfiles._ledger import Account

NO = {"type": "error", "error": {"type": "api_error", "message": "no"}}


@pytest.fixture
def shell(local_api, monkeypatch, tmp_path):
    """A shell in an empty folder with an empty Files API, the extension loaded, and a frame ``df``."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", local_api.base_url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", local_api.api_key)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with fresh_shell(tmp_path / "ipython") as made:
        made.names["df"] = pd.DataFrame({"a": [1, 2]})
        yield made


@pytest.fixture
def at(monkeypatch, tmp_path):
    """Return a function that gives a shell whose Files API is at an address and is waited for less long."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-api03-nobody")
    (tmp_path / "a.txt").write_text("hello")

    def opened(url):
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        _files._State.files = None
        nbfiles._files.default().session.patience = QUICK

    with fresh_shell(tmp_path / "ipython") as made:
        yield made, opened


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


# ---- reuse -----------------------------------------------------------------------------------------------------------


def test_an_unchanged_file_is_not_sent_again(shell, local_api, tmp_path):
    """A line that is run again binds the same id, says "reused", and stores nothing."""
    (tmp_path / "work" / "a.txt").write_text("hello")
    first = shell.do("%upload a.txt as x, df as y")
    ran = shell.run("%upload a.txt as x, df as y")
    assert "2 files unchanged, reused · bound x, y" in plain(ran.printed)
    assert list(first["id"]) == list(ran.value["id"]) == [shell.names["x"], shell.names["y"]]
    assert ["reused", "reused"] == list(ran.value["status"])
    assert list(first["digest"]) == list(ran.value["digest"])
    assert 2 == len(local_api.stored_ids())


def test_what_changed_is_sent(shell, local_api):
    """Only what changed is sent, and the receipt counts both."""
    shell.do("%upload df as x, df.T as y")
    ran = shell.run("df2 = df\n%upload df.T as y, df + 1 as x")
    assert [("y", "reused"), ("x", "uploaded")] == list(
        ran.value[["variable", "status"]].itertuples(index=False, name=None)
    )
    ran = shell.run("df.loc[0, 'a'] = 9\n%upload df as x, df.T as z")
    assert "2 files uploaded" in plain(ran.printed)
    ran = shell.run("%upload df as x, df * 5 as z")
    assert "1 file uploaded · 1 unchanged, reused" in plain(ran.printed)
    assert 6 == len(local_api.stored_ids())


@pytest.mark.parametrize("line", ["%upload df as x --fresh", "%config NbFiles.reuse = False\n%upload df as x"])
def test_sending_anew(shell, local_api, line):
    """``--fresh`` and ``NbFiles.reuse = False`` send what is there already."""
    shell.do("%upload df as old")
    shell.do(line)
    assert shell.names["old"] != shell.names["x"]
    assert 2 == len(local_api.stored_ids())


def test_no_ledger(shell, local_api, ledger):
    """``NbFiles.ledger = False`` keeps nothing on the disk, and nothing is taken again."""
    shell.do("%config NbFiles.ledger = False\n%upload df as x\n%upload df as y")
    assert 2 == len(local_api.stored_ids())
    assert [] == list(ledger.parent.iterdir())


def test_what_was_deleted_is_sent_again(shell, local_api):
    """A file that was deleted, from here or elsewhere, is uploaded anew."""
    shell.do("%upload df as x\n%files delete x -y")
    assert ["uploaded"] == list(shell.do("%upload df as x")["status"])
    other = nbfiles.Files(base_url=local_api.base_url, api_key=local_api.api_key)
    other.delete_file(shell.names["x"])
    assert ["uploaded"] == list(shell.do("%upload df as x")["status"])
    assert 1 == len(local_api.stored_ids())


def test_expiry_is_part_of_it(shell, local_api):
    """A file that would end at another time than asked for is not taken again."""
    shell.do("%upload df as x --expires 7d")
    assert ["reused"] == list(shell.do("%upload df as x --expires 7d")["status"])
    assert ["uploaded"] == list(shell.do("%upload df as x")["status"])
    assert ["reused"] == list(shell.do("%upload df as x")["status"])
    assert ["uploaded"] == list(shell.do("%upload df as x --expires 30d")["status"])
    assert 3 == len(local_api.stored_ids())


def test_python_reuses_too(local_api, tmp_path):
    """The functions take what is there, from any kernel that shares the ledger; another key does not."""
    files = nbfiles.Files(base_url=local_api.base_url, api_key=local_api.api_key)
    first = files.upload(b"hello", name="a.txt")
    assert first == files.upload(b"hello", name="a.txt")
    table = files.upload_many([b"hello", b"world"], jobs=1)
    assert ["uploaded", "uploaded"] == list(table["status"])
    again = files.upload_many([b"hello", b"world"], jobs=1)
    assert (list(table["id"]), ["reused", "reused"]) == (list(again["id"]), list(again["status"]))
    assert first != files.upload(b"hello", name="a.txt", fresh=True)


def test_without_a_ledger_nothing_is_hashed(local_api, tmp_path):
    """Where no upload is remembered, a file's digest is good for nothing and is not made."""
    (tmp_path / "a.bin").write_bytes(b"hello")
    for kept, expected in ((True, "blake3:"), (False, "")):
        config = nbfiles.NbFiles(ledger=kept)
        files = nbfiles.Files(base_url=local_api.base_url, api_key=local_api.api_key, config=config)
        table = files.upload_many([tmp_path / "a.bin"])
        assert expected == table["digest"][0][:7]


def test_a_notebook_that_is_run_again(tmp_path, local_api, monkeypatch):
    """A notebook of ten uploads that is run again, saved in between, stores nothing; after one file changed, one."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", local_api.base_url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", local_api.api_key)
    monkeypatch.setenv("IPYTHONDIR", os.fspath(tmp_path / "ipython"))
    for number in range(5):
        (tmp_path / f"{number}.csv").write_text(f"a,b\n{number},2\n")
    cells = ["%load_ext nbfiles", "import pandas as pd; df = pd.read_csv('0.csv')"]
    cells += [f"%upload {number}.csv as x{number}" for number in range(5)]
    cells += [f"%upload df * {number} as y{number} --name y{number}.csv" for number in range(5)]
    cells += ["[str(i) for i in (x0, x1, x2, x3, x4, y0, y1, y2, y3, y4)]"]
    nbformat.write(nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells))), tmp_path / "n.ipynb")

    def run_all() -> tuple[list[str], list[str]]:
        """Run the notebook in a new kernel and save it; return the ids, and what became of each upload."""
        notebook = nbformat.read(tmp_path / "n.ipynb", as_version=4)
        NotebookClient(
            notebook, kernel_name="python3", timeout=60, resources={"metadata": {"path": tmp_path}}
        ).execute()
        nbformat.write(notebook, tmp_path / "n.ipynb")
        receipts = [plain(cell.outputs[0].data["text/plain"]) for cell in notebook.cells[2:-1]]
        said = [next(word for word in ("reused", "uploaded") if word in receipt) for receipt in receipts]
        return ast.literal_eval(notebook.cells[-1].outputs[0].data["text/plain"]), said

    ids, said = run_all()
    assert (set(ids), ["uploaded"] * 10) == (local_api.stored_ids(), said)
    assert (ids, ["reused"] * 10) == run_all()
    assert set(ids) == local_api.stored_ids()
    (tmp_path / "3.csv").write_text("a,b\n3,changed\n")
    again, said = run_all()
    assert ids[:3] + ids[4:] == again[:3] + again[4:]
    assert [3] == [number for number, word in enumerate(said) if word == "uploaded"]
    assert {*ids, again[3]} == local_api.stored_ids()
    assert 11 == len(local_api.stored_ids())


# ---- whose it is -----------------------------------------------------------------------------------------------------


def test_mine(shell, local_api):
    """``--mine`` and the column ``origin`` tell what was uploaded from here, as the ledger knows."""
    shell.do("%upload df as x")
    elsewhere = nbfiles.Files(base_url=local_api.base_url, api_key=local_api.api_key)
    os.environ["NBFILES_LEDGER"] = f"{os.environ['NBFILES_LEDGER']}.other"
    other = elsewhere.upload(b"theirs", name="theirs.txt")
    os.environ["NBFILES_LEDGER"] = os.environ["NBFILES_LEDGER"].removesuffix(".other")
    listed = shell.do("%files list").set_index("id")["origin"].to_dict()
    assert {shell.names["x"]: "here", other: "elsewhere"} == listed
    assert [shell.names["x"]] == list(shell.do("%files list --mine")["id"])
    assert [shell.names["x"]] == list(nbfiles.list_files(mine=True, limit=1)["id"])


def test_the_ledger_holds_no_key(shell, local_api, ledger):
    """Neither the key nor any content is in the ledger's files."""
    shell.do("%upload df as x")
    written = b"".join(path.read_bytes() for path in ledger.parent.iterdir())
    assert b"df.csv" in written
    assert local_api.api_key.encode() not in written
    assert b"a\n1\n2\n" not in written


def test_a_ledger_that_cannot_be_used_is_said_once(shell, local_api, ledger):
    """An upload never fails for want of a ledger; what is wrong with it is said once."""
    ledger.mkdir()
    said = [plain(shell.run(f"%upload df as x{number} --fresh").printed) for number in range(2)]
    assert all("1 file uploaded" in each for each in said)
    assert [True, False] == ["Uploads are remembered only until this kernel ends" in each for each in said]
    with warnings.catch_warnings(record=True):
        nbfiles.upload(b"x")


# ---- what is not known -----------------------------------------------------------------------------------------------


def test_pending_finds_what_had_arrived(at):
    """An upload of which nobody knows is listed, found, and settled; it is ours from then on."""
    shell, opened = at
    asked = []

    def listing(exchange):
        asked.append(exchange)
        (lists_all if len(asked) > 4 else answers(500, NO))(exchange)

    with Server(lost, listing=listing) as server:
        opened(server.url)
        ran = shell.run("%upload a.txt as x")
        assert "may have arrived" in str(ran.error)
        assert "x" not in shell.names
        ran = shell.run("%files pending")
        assert "1 upload without an answer · 1 had arrived" in plain(repr(ran.value))
        row = ran.value.iloc[0]
        assert ("file_0000", "a.txt", "arrived", "here") == (row["id"], row["filename"], row["status"], row["origin"])
        assert "No upload without an answer" in plain(repr(shell.do("%files pending")))
        assert ["file_0000"] == list(shell.do("%files list --mine")["id"])
        assert 1 == server.uploads


def test_pending_finds_that_nothing_is_there(at):
    """What had not arrived is said, and pending no more."""
    shell, opened = at
    asked = []

    def listing(exchange):
        asked.append(exchange)
        (lists_all if len(asked) > 4 else answers(500, NO))(exchange)

    with Server(breaks_off(), listing=listing) as server:
        opened(server.url)
        assert shell.run("%upload a.txt as x").error is not None
        table = shell.do("%files pending")
        assert ["not there"] == list(table["status"])
        assert "1 upload without an answer · 1 had not" in plain(repr(table))
        assert 0 == len(shell.do("%files pending"))


def test_pending_names_those_that_may_be_it(at):
    """Where several files may be it, all are named and it stays pending."""
    shell, opened = at

    def lost_twice(exchange):
        from doubles import kept

        kept(exchange)
        kept(exchange)
        exchange.wire.reset()
        raise ConnectionResetError

    with Server(lost_twice, listing=lists_all) as server:
        opened(server.url)
        assert "2 files of that name and size may be it" in str(shell.run("%upload a.txt as x").error)
        for _ in range(2):
            table = shell.do("%files pending")
            assert ["unclear"] == list(table["status"])
            assert "file_0001, file_0000" in table["error"][0]


def test_pending_after_a_kernel_was_killed(tmp_path):
    """An upload that a kernel was in when it was killed is pending in the next, and no lock of it is left."""
    (tmp_path / "kernel" / "work").mkdir(parents=True)
    (tmp_path / "kernel" / "work" / "a.txt").write_text("hello")
    with Server(silent, listing=lists_all) as server:
        place = {"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "sk-ant-api03-nobody"}
        with Kernel(tmp_path / "kernel", **place) as kernel:
            kernel.do("%load_ext nbfiles")
            kernel.send("%upload a.txt as x")
            assert server.wait_for(1, 30).arrived.wait(30)
            pid = kernel._manager.provisioner.process.pid
            os.kill(pid, 9)
        with Kernel(tmp_path / "kernel", **place) as kernel:
            kernel.do("%load_ext nbfiles")
            kernel.do("table = %files pending")
            assert [("a.txt", "not there")] == kernel.do(
                "list(table[['filename', 'status']].itertuples(index=False, name=None))"
            ).value
            assert 0 == kernel.do("table = %files pending\nlen(table)").value
            assert 1 == len(list((tmp_path / "kernel").glob("*.lock")))  # the living kernel's own
    with sqlite3.connect(tmp_path / "kernel" / "ledger.sqlite") as ledger:
        assert [("ok",)] == ledger.execute("PRAGMA integrity_check").fetchall()


def test_what_is_known_is_asked_once_and_on_a_worker(local_api, tmp_path, monkeypatch):
    """However many files there are, the ledger is asked once which are like earlier ones, and holds up no caller."""
    asked = []
    ask = Account.alike
    monkeypatch.setattr(Account, "alike", lambda *given: asked.append(threading.current_thread().name) or ask(*given))
    files = nbfiles.Files(base_url=local_api.base_url, api_key=local_api.api_key)
    for number in range(5):
        (tmp_path / f"{number}.txt").write_bytes(b"hello")
    asyncio.run(files.upload_many_async([tmp_path / f"{number}.txt" for number in range(5)]))
    (name,) = asked
    assert name.startswith("nbfiles-")
    assert {"reused"} == set(files.upload_many(tmp_path, include="*.txt")["status"])

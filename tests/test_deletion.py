"""Deletions: what goes is what was asked for, whatever goes wrong; what was not uploaded here goes only by its name."""

from __future__ import annotations

import asyncio
import os
import random
import time
from datetime import timedelta

import pandas as pd
import pytest
from faults.server import FaultServer, Step
from kernels import Kernel
from workbench import CANARY, QUICK, becomes, keeps_the_secret, workers

import nbfiles
from nbfiles._errors import Error
from nbfiles._files import Files
from nbfiles._ledger import Known

TRIALS = 1000 if os.environ.get("NBFILES_TRIALS") == "full" else 60
ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
FAULTS = (
    Step("after_store", "rst"),  # deleted, and the answer is lost
    Step("after_store", "fin"),
    Step("after_store", "answer", 529, ERROR),
    Step("after_store", "answer", 200, b"<html>"),
    Step("after_headers", "rst"),
    Step("after_headers", "answer", 503, ERROR),
    Step("after_headers", "answer", 429, ERROR, headers={"retry-after": "0.01"}),
    Step("after_headers", "answer", 403, ERROR),
)


def client_of(server: FaultServer, jobs: int | None = None) -> Files:
    """Return a client of `server` that has no patience."""
    files = Files(base_url=server.url, api_key=CANARY, config=nbfiles.NbFiles(jobs=jobs))
    files.session.patience = QUICK
    return files


def ours(files: Files, *stored) -> None:
    """Write into the ledger that files were uploaded from here."""
    account = files.session.account()
    for file in stored:
        account.record(Known(file.id, file.name, file.mime_type, file.size, f"x:{file.sha256}", file.created, None))


@pytest.fixture(autouse=True)
def no_thread_is_left():
    """See that whatever a test did ended its workers."""
    before = len(workers())
    yield
    assert becomes(True, lambda: len(workers()) <= before)


@pytest.fixture
def server():
    with FaultServer() as made:
        yield made


def there(server: FaultServer) -> set[str]:
    return {file.id for file in server.stored}


@pytest.mark.parametrize("seed", range(TRIALS))
def test_what_goes_is_what_was_asked_for(seed: int) -> None:
    """Over lost answers, refusals and broken lines: nothing else goes, each row says the truth, no error means all."""
    chance = random.Random(seed)
    with FaultServer() as server:
        files = client_of(server)
        stored = [server.seed(f"{number}.txt", b"%d" % number) for number in range(chance.randint(1, 12))]
        mine = [file for file in stored if chance.random() < 0.7]
        ours(files, *mine)
        before = there(server)
        everyone, single = chance.random() < 0.3, chance.random() < 0.2
        asked = [file.id for file in stored if chance.random() < 0.7] or [stored[0].id]
        chance.shuffle(asked)
        wanted = asked[0] if single else asked * chance.randint(1, 2)
        allowed = {wanted} if single else {one for one in asked if everyone or one in {file.id for file in mine}}
        server.steps["delete"].extend(chance.choice(FAULTS) for _ in range(chance.randint(0, 8)))
        server.steps["get"].extend(chance.choice(FAULTS[:2]) for _ in range(chance.randint(0, 2)))
        error = table = None
        try:
            if allowed >= set(asked) or single:
                table = files.delete_files(wanted, all=everyone)
            else:
                with pytest.warns(UserWarning, match="not uploaded from here and kept; all=True deletes them too"):
                    table = files.delete_files(wanted, all=everyone)
        except Error as caught:
            error = caught
            table = getattr(error, "table", None)
            if table is None:
                keeps_the_secret(error)
        gone = before - there(server)
        assert gone <= allowed
        if error is None:
            assert allowed == gone
        if table is not None:
            said = dict(zip(table["id"], table["status"], strict=True))
            assert {one for one, status in said.items() if status in {"deleted", "gone"}} <= gone
            assert not gone & {one for one, status in said.items() if status in {"", "kept"}}


@pytest.mark.parametrize("fault", FAULTS[:4])
def test_a_lost_answer_counts_as_done(server, fault) -> None:
    """A delete that worked and whose answer was lost is done: the next attempt's 404 is the proof."""
    files, file = client_of(server), server.seed("a.txt", b"1")
    server.steps["delete"].append(fault)
    assert ["deleted"] == files.delete_files(file.id)["status"].tolist()
    assert set() == there(server)


def test_an_answer_that_never_comes_is_looked_for(server) -> None:
    """Where every answer is lost, a look at the end tells what is gone and what is not."""
    files = client_of(server, jobs=1)
    one, two = server.seed("a.txt", b"1"), server.seed("b.txt", b"2")
    ours(files, one, two)
    server.steps["delete"].extend([Step("after_store", "answer", 529, ERROR)] + [Step("after_headers", "rst")] * 20)
    with pytest.raises(nbfiles.Error) as caught:
        files.delete_files([one.id, two.id])
    assert {one.id: "deleted", two.id: "failed"} == nbfiles.last.set_index("id")["status"].to_dict()
    assert {two.id} == there(server)
    assert "1 of 2 files could not be deleted: " in str(caught.value)


def test_some_fail(server) -> None:
    """The others go all the same; one error says how many, and its table which."""
    files = client_of(server, jobs=1)
    stored = [server.seed(f"{number}.txt", b"x") for number in range(3)]
    ours(files, *stored)
    server.steps["delete"].extend([Step(), Step("after_headers", "answer", 403, ERROR)])
    with pytest.raises(nbfiles.DeletionError, match="1 of 3 files could not be deleted: this key may not") as caught:
        files.delete_files([file.id for file in stored])
    assert ["deleted", "failed", "deleted"] == caught.value.table["status"].tolist()
    assert nbfiles.last is caught.value.table
    assert {stored[1].id} == there(server)


def test_what_is_gone_is_no_error(server) -> None:
    """An id of a list that is not there any more is said to be gone; one that was named alone is refused."""
    files, file = client_of(server), server.seed("a.txt", b"1")
    ours(files, file)
    table = files.delete_files(["file_nowhere", file.id])
    assert {"file_nowhere": "gone", file.id: "deleted"} == dict(zip(table["id"], table["status"], strict=True))
    with pytest.raises(nbfiles.InputError, match=r"file_nowhere: .* has no such file"):
        files.delete_files("file_nowhere")


def test_a_dry_run_deletes_nothing(server) -> None:
    """A dry run returns what would go, and that table can be deleted."""
    files = client_of(server)
    old, new = server.seed("old.txt", b"1", age=9 * 86_400), server.seed("new.txt", b"2")
    ours(files, old, new)
    plan = files.prune_files(older="7d", dry_run=True)
    assert ([old.id], {old.id, new.id}) == (plan["id"].tolist(), there(server))
    assert "Plan: delete 1 file, 1\u00a0B" in repr(plan)
    files.delete_files(plan)
    assert {new.id} == there(server)


def test_prune_takes_only_what_was_uploaded_here(server) -> None:
    """Filters choose among files from here; everybody's go only if that is asked for."""
    files = client_of(server)
    mine, others = server.seed("a.csv", b"1"), server.seed("b.csv", b"2")
    server.seed("c.txt", b"3")
    ours(files, mine)
    assert [mine.id] == files.prune_files(match="*.csv")["id"].tolist()
    assert [others.id] == files.prune_files(match="*.csv", all=True)["id"].tolist()
    assert ["c.txt"] == [file.name for file in server.stored]


def test_prune_without_a_filter_is_refused(server) -> None:
    """Nothing is asked of the server: it would be every file."""
    for options in ({}, {"all": True}, {"dry_run": True}):
        with pytest.raises(nbfiles.InputError, match="prune needs to be told what"):
            client_of(server).prune_files(**options)
    assert [] == server.targets


def test_prune_of_duplicates(server) -> None:
    """Of equal files the newest stays; those that only look alike all stay."""
    files = client_of(server)
    equal = [server.seed("a.txt", b"1", age=age) for age in (300, 200, 100)]
    alike = [server.seed("b.txt", b"2", age=age) for age in (300, 200)]
    ours(files, *equal)
    assert "2 more have the name and size" not in repr(files.prune_files(duplicates=True, older="4m", dry_run=True))
    plan = files.prune_files(duplicates=True, dry_run=True)
    assert [equal[1].id, equal[0].id] == plan["id"].tolist()
    assert "1 more has the name and size of another file and stays" in repr(plan)
    files.prune_files(duplicates=True, all=True)
    assert {equal[2].id, *(file.id for file in alike)} == there(server)


def test_the_awaited_twins(server) -> None:
    """The twins do the same in a running loop."""
    files = client_of(server)
    stored = [server.seed(f"{number}.txt", b"x") for number in range(4)]
    ours(files, *stored)

    async def main():
        pruned = await files.prune_files_async(match="0.txt")
        deleted = await files.delete_files_async([file.id for file in stored[1:3]])
        return pruned, deleted

    pruned, deleted = asyncio.run(main())
    assert (1, 2) == (len(pruned), len(deleted))
    assert {stored[3].id} == there(server)


def test_a_cancelled_task_stops_between_two_files(server) -> None:
    """What had gone by then is known, and nothing goes after it."""
    files = client_of(server, jobs=1)
    stored = [server.seed(f"{number:02}.txt", b"x") for number in range(40)]
    ours(files, *stored)
    server.steps["delete"].extend([Step()] * 3 + [Step("after_headers", "hang")])

    async def main():
        task = asyncio.create_task(files.delete_files_async([file.id for file in stored]))
        while len(server.stored) > 37:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert 37 == len(server.stored)
    assert {"deleted": 3, "unclear": 1, "": 36} == nbfiles.last["status"].value_counts().to_dict()
    went = nbfiles.last.query("status == 'deleted'")["id"]
    assert {file.id for file in stored} - there(server) == set(went)


def test_an_interrupt_says_what_went(tmp_path, server) -> None:
    """Ctrl-C in a kernel gives the prompt back within a second, says how many went, and deletes no more."""
    server.steps["delete"].extend([Step()] * 3 + [Step("after_headers", "hang")] * 20)
    stored = [server.seed(f"{number:02}.txt", b"x") for number in range(30)]
    with Kernel(tmp_path, ANTHROPIC_BASE_URL=server.url, ANTHROPIC_API_KEY=CANARY) as kernel:
        kernel.do("%load_ext nbfiles\n%config NbFiles.jobs = 2")
        kernel.do(f"ids = {[file.id for file in stored]}")
        refused = kernel.run("%files delete ids --all")
        assert "UsageError: there is nobody here to ask. Add -y to delete without asking." == refused.error
        assert 30 == len(server.stored)
        cell = kernel.send("%files delete ids --all -y")
        until = time.monotonic() + 20
        while len(server.stored) > 27 and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.3)
        at = kernel.interrupt()
        ran = kernel.result(cell)
        assert time.monotonic() - at < 1.5
        assert "KeyboardInterrupt: " == ran.error
        said = str(ran.shown).replace("\\xa0", " ").replace("\u00a0", " ")
        assert "3 deleted" in said
        assert "2 asked for, without an answer" in said
        assert "25 not touched" in said
        assert 27 == len(server.stored)
        assert {"": 25, "deleted": 3, "unclear": 2} == kernel.do(
            "import nbfiles\nnbfiles.last['status'].value_counts().to_dict()"
        ).value


def test_the_plan_of_many_asks_no_more_than_it_must(server) -> None:
    """Ids that know their file are not asked about again."""
    files = client_of(server)
    stored = [server.seed(f"{number}.txt", b"x") for number in range(5)]
    ours(files, *stored)
    table = files.list_files()
    files.delete_files(pd.concat([table, table]))
    assert 5 == sum(target.startswith("DELETE") for target in server.targets)
    assert 6 == len(server.targets)


def test_freed_are_only_files_that_took_room(server) -> None:
    """A file that has expired took no room any more, so deleting it frees none."""
    from nbfiles._deletion import Deletion, Plan
    from nbfiles._models import FileMetadata

    now = server.now
    alive = FileMetadata("a", "file", "a", "x/y", 10, now)
    dead = FileMetadata("b", "file", "b", "x/y", 100, now, None, now - timedelta(days=1))
    deletion = Deletion(client_of(server).session, Plan((alive, dead), holders={"b": ("old_id",)}))
    deletion._came.update(a=None, b=None)
    assert "2 deleted\u00a0· 10\u00a0B freed\u00a0· old_id is dead now" in repr(deletion.receipt())

"""N15: programs of chance, of every verb, of faults and of Ctrl-C, against what a notebook would remember."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter, defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from workbench import becomes, workers

import nbfiles
from nbfiles import _files
from nbfiles._errors import Error
from nbfiles._ledger import shared

from . import calls
from .calls import SCALED, World, doors, pressed
from .server import FaultServer, Step
from .trials import Trial, row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shells import Shell

_ENDS = ("rst", "fin")
_WHENS = ("after_headers", "after_body", "after_store")
_FAULTS = [Step(when, what) for when in _WHENS for what in _ENDS] + [
    Step(when, "answer", status) for when in ("after_headers", "after_store") for status in (500, 503)
]
_UPLOAD_FAULTS = [
    *_FAULTS,
    Step(10, "rst"),
    Step("after_store", "answer", 200, b"{}"),
    Step("after_body", "answer", 400),
]
_HALF = Step("after_store", "fin", raw=b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\nhalf")
_HANGS = [None, *(Step(when, "hang") for when in _WHENS)]  # only where somebody presses Ctrl-C
_AFTER = st.floats(0, 0.03)  # seconds
_FILES = [("a", 16), ("a", 300_000), ("b", 16)]  # few, so that some are mistaken for each other if they can be
_any = st.integers(0, 1 << 20)


class Program(RuleBasedStateMachine):
    """Uploads, lists, looks, downloads and deletes through some door, while requests go wrong and a person interrupts.

    The model is two dicts: the id of each file that should be there, with its name; and those of them that were never
    bound nor found, with name and size: their uploads are pending until somebody asks what became of them.
    """

    shell: Shell
    _count = 0
    _after: float | None = None  # so many seconds into the next operation a person presses Ctrl-C
    _hang: Step | None = None

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="program-"))
        self.server = FaultServer()
        self.model: dict[str, str] = {}
        self.pending: dict[str, tuple[str, int]] = {}
        self.mine = nbfiles.Files(base_url=self.server.url, api_key=calls.CANARY)
        self.mine.session.patience = SCALED

    def teardown(self) -> None:
        """End the program's server, whatever its end was."""
        self.server.close()
        shutil.rmtree(self.folder)

    @rule(after=_AFTER, hang=st.sampled_from(_HANGS))
    def ctrl_c(self, after: float, hang: Step | None) -> None:
        """Interrupt the next operation, while it hangs or wherever it is by then."""
        self._after, self._hang = after, hang

    @rule(chance=_any, faults=st.lists(st.sampled_from(_UPLOAD_FAULTS), max_size=3), file=st.sampled_from(_FILES))
    def upload(self, chance: int, faults: list[Step], file: tuple[str, int]) -> None:
        """Upload new content; what is bound is there, and what is there and is not bound can be found later."""
        self._count += 1
        folder = self.folder / str(self._count)
        folder.mkdir()
        before = {file.id for file in self.server.stored}
        world = World(Trial(chance * 1000 + self._count, folder, self.shell), self.server)
        with self._going_wrong("upload", faults) as after:
            call = world.upload(name=file[0], size=file[1], ctrl_c=after)
        new = {file.id for file in self.server.stored} - before
        assert new == {file.id for file in self.server.holding(call.content)}
        assert len(new) <= 1
        self.model |= dict.fromkeys(new, file[0])
        self.pending |= dict.fromkeys(new - {call.bound}, file)

    @rule(after=_AFTER, hang=st.sampled_from(_HANGS), chance=_any, file=st.sampled_from(_FILES))
    def interrupt(self, after: float, hang: Step | None, chance: int, file: tuple[str, int]) -> None:
        """Interrupt an upload in which nothing else goes wrong."""
        self.ctrl_c(after, hang)
        self.upload(chance, [], file)

    @rule(fault=st.none() | st.sampled_from(_FAULTS))
    def ask(self, fault: Step | None) -> None:
        """Ask what became of the uploads whose outcome is not known: of each it is said, in their order."""
        waiting, there = self._pending(), Counter(self.pending.values())
        if self._after is not None:
            self._try("list", fault, self._settle)
            return
        table = self._try("list", fault, self._files_pending)
        if table is None:
            return
        assert waiting == list(zip(table["filename"], table["size_bytes"], strict=True))
        statuses = defaultdict[tuple[str, int], list[str]](list)
        for key, status in zip(waiting, table["status"], strict=True):
            statuses[key].append(status)
        for key, said in statuses.items():
            # Of one name and size there may be several: then nobody can tell, and they stay pending.
            expected = {0: ["not there"], 1: ["arrived", "not there"]}.get(there[key], ["unclear"])
            assert sorted(said) == sorted([expected[0], *expected[-1:] * (len(said) - 1)]), (key, said, there)
        assert Counter(self._pending()) == Counter(key for key in waiting if there[key] > 1)

    @rule(content=st.binary(max_size=2000))
    def claude_makes_one(self, content: bytes) -> None:
        """Put a file there that may be downloaded."""
        file = self.server.seed("made.txt", content, age=0, downloadable=True)
        self.model[file.id] = file.name

    @rule(fault=st.none() | st.sampled_from(_FAULTS))
    def list(self, fault: Step | None) -> None:
        """A list that comes is the whole truth."""
        table = self._try("list", fault, self.mine.list_files)
        if table is not None:
            assert self.model == dict(zip(table["id"], table["filename"], strict=True))

    @rule(which=_any, fault=st.none() | st.sampled_from(_FAULTS))
    def get(self, which: int, fault: Step | None) -> None:
        """What is said of a file is said of that file."""
        if self.model:
            file_id = self._one_of(list(self.model), which)
            found = self._try("get", fault, self.mine.get_file, file_id)
            assert found is None or (file_id, self.model[file_id]) == (found.id, found.filename)

    @rule(which=_any, fault=st.none() | st.sampled_from([*_FAULTS, _HALF]))
    def download(self, which: int, fault: Step | None) -> None:
        """A download is whole or is not there."""
        made = [file for file in self.server.stored if file.downloadable]
        if made:
            file = self._one_of(made, which)
            folder = self.folder / "down"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            path = self._try("download", fault, self.mine.download_file, file.id, folder)
            arrived = [each.read_bytes() for each in folder.iterdir()]
            assert arrived == [file.content] or (path, arrived) == (None, [])

    @rule(which=_any, fault=st.none() | st.sampled_from(_FAULTS))
    def delete(self, which: int, fault: Step | None) -> None:
        """A file that is said to be deleted is gone; after an error it is there, or gone."""
        if self.model:
            file_id = self._one_of(list(self.model), which)
            done = self._try("delete", fault, self.mine.delete_file, file_id)
            if done is not None or file_id not in self.server:
                del self.model[file_id]

    @invariant()
    def nothing_else_is_there(self) -> None:
        """The server has what the notebook knows of, and nothing else."""
        assert set(self.model) == {file.id for file in self.server.stored}

    @invariant()
    def nothing_is_forgotten(self) -> None:
        """What is there without having been bound is known to be from here, or its upload is pending."""
        known = self.mine.session.account().taken(self.pending)
        self.pending = {
            file_id: key for file_id, key in self.pending.items() if file_id in self.model and file_id not in known
        }
        assert Counter(self.pending.values()) <= Counter(self._pending()), "it has arrived, and nobody would know"
        assert "" == shared(keep=True).note

    def _pending(self) -> list[tuple[str, int]]:
        return [(one.name, one.size) for one in self.mine.session.account().pending()]

    def _settle(self) -> Any:
        session = self.mine.session
        return session.run([session.settlement(one) for one in session.account().pending()], calls.Watch())

    def _files_pending(self) -> Any:
        _files._State.files = self.mine
        ran = self.shell.run("%files pending")
        if ran.error is not None:
            vars(ran.error).pop("_render_traceback_", None)
            raise ran.error
        return ran.value

    def _one_of(self, things: Any, which: int) -> Any:
        return things[which % len(things)]

    def _try(self, verb: str, fault: Step | None, call: Any, *arguments: Any) -> Any:
        """Return what `call` returns; None if it fails as it may when something goes wrong, or is interrupted."""
        with self._going_wrong(verb, [] if fault is None else [fault] * 3) as after:
            try:
                with pressed(after):
                    return call(*arguments)
            except Error as error:
                if fault is None and after is None:
                    raise
                calls.keeps_the_secret(error)
            except KeyboardInterrupt:
                if after is None:
                    raise
        return None

    @contextmanager
    def _going_wrong(self, verb: str, faults: list[Step]) -> Iterator[float | None]:
        """Let requests of a verb go wrong, one after the other; yield the seconds until Ctrl-C, if there is one.

        After Ctrl-C what had left may still arrive: it is waited for, so that the server has what it will have.
        """
        after, self._after = self._after, None
        hangs = [] if after is None or self._hang is None else [self._hang]
        self.server.steps["list"].extend(hangs)  # where an upload looks what became of it
        self.server.steps[verb].extend([*faults, *hangs])
        try:
            yield after
        finally:
            if after is not None:
                assert becomes([], workers, 6), "a thread of the engine is left"
                self.server.rest()
            self.server.steps.clear()


@row("N15", full=100, ci=2, around=doors)
def programs(trial: Trial) -> str:
    """In whatever order verbs, faults and Ctrl-C come, the notebook and the server agree. A trial is 20 programs."""
    program = seed(trial.seed)(type("Program", (Program,), {"shell": trial.shared}))
    how = settings(
        max_examples=20,
        stateful_step_count=30,
        phases=[Phase.generate],  # Ctrl-C comes by the clock: no run is like the one before, so that none can be shrunk
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(program, settings=how)
    except Flaky as flaky:  # nor is it wrong a second time; the first time counts
        first = [*getattr(flaky, "exceptions", ()), flaky.__context__, flaky][0]
        raise first or flaky from None
    return "20 programs of 30 steps"

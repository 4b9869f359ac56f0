"""N15: programs of chance, of every verb and of faults, against what a notebook would remember."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import nbfiles
from nbfiles._errors import Error

from . import calls
from .calls import SCALED, World, doors
from .server import FaultServer, Step
from .trials import FULL, Trial, row

if TYPE_CHECKING:
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
_any = st.integers(0, 1 << 20)


class Program(RuleBasedStateMachine):
    """Uploads, lists, looks, downloads and deletes through some door, while requests go wrong.

    The model is a dict: the id of each file that should be there, with its name.
    """

    shell: Shell
    _count = 0

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="program-"))
        self.server = FaultServer()
        self.model: dict[str, str] = {}
        self.mine = nbfiles.Files(base_url=self.server.url, api_key=calls.CANARY)
        self.mine.session.patience = SCALED

    def teardown(self) -> None:
        """End the program's server, whatever its end was."""
        self.server.close()
        shutil.rmtree(self.folder)

    @rule(chance=_any, faults=st.lists(st.sampled_from(_UPLOAD_FAULTS), max_size=3), name=st.sampled_from("abc"))
    def upload(self, chance: int, faults: list[Step], name: str) -> None:
        """Upload new content; what is bound is there, and what is not bound is not, or may be found by its id."""
        self._count += 1
        folder = self.folder / str(self._count)
        folder.mkdir()
        self.server.steps["upload"].extend(faults)
        before = {file.id for file in self.server.stored}
        call = World(Trial(chance * 1000 + self._count, folder, self.shell), self.server).upload(name=name)
        self.server.steps["upload"].clear()
        if call.bound is not None:
            self.model[call.bound] = name
        else:  # checked by the call: then the outcome is said to be unknown
            self.model |= {file.id: file.name for file in self.server.stored if file.id not in before}

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
            assert ([] if path is None else [file.content]) == [each.read_bytes() for each in folder.iterdir()]

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

    def _one_of(self, things: Any, which: int) -> Any:
        return things[which % len(things)]

    def _try(self, verb: str, fault: Step | None, call: Any, *arguments: Any) -> Any:
        """Return what `call` returns; None if it fails as it may when something goes wrong."""
        self.server.steps[verb].extend([] if fault is None else [fault] * 3)
        try:
            return call(*arguments)
        except Error as error:
            if fault is None:
                raise
            calls.keeps_the_secret(error)
            return None
        finally:
            self.server.steps[verb].clear()


@row("N15", full=100, ci=4, around=doors)
def programs(trial: Trial) -> str:
    """In whatever order verbs and faults come, the notebook and the server agree. A trial is 15 or 20 programs."""
    count, steps = (20, 30) if FULL else (15, 15)
    program = seed(trial.seed)(type("Program", (Program,), {"shell": trial.shared}))
    how = settings(
        max_examples=count,
        stateful_step_count=steps,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(program, settings=how)
    return f"{count} programs of {steps} steps"

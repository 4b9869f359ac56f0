"""Magic lines as text: what IPython would expand or run in other magics is not, and names that are taken stay so."""

from __future__ import annotations

import keyword
import os

import pytest
from recorder import Recorder
from shells import fresh_shell


class Wire:
    """A tripwire: it notes whoever calls it, formats it or turns it into text."""

    def __init__(self) -> None:
        self.tripped: list[str] = []

    def __call__(self, *_arguments: object) -> str:
        self.tripped.append("called")
        return "report"

    def __str__(self) -> str:
        self.tripped.append("shown")
        return "report"

    def __format__(self, _spec: str) -> str:
        self.tripped.append("formatted")
        return "report"


LINES = (
    "%upload {wire()}.pdf as x",
    "%upload {wire()}/report.pdf as x",
    "%upload '{wire()}.pdf' as x",
    '%upload "{wire()}.pdf" as x',
    "%upload $wire as x",
    "%upload ${wire} as x",
    "%upload '$wire.pdf' as x",
    "%upload $(wire()) as x",
    "%upload `wire()` as x",
    "%upload !wire() as x",
    "%upload report.pdf as {wire()}",
    "%upload report.pdf as $wire",
    "%upload report.pdf as x[wire()]",
    "%upload report.pdf as x --name {wire()}.pdf",
    "%upload report.pdf as x --name $wire.pdf:",
    "%upload report.pdf as x --type {wire()}",
    "%upload report.pdf as x --expires {wire()}",
    "%upload report.pdf as x --jobs $wire",
    "%upload report.pdf as x --for {wire}",
    "%upload report.pdf as x; wire()",
    "%upload wire() as x --exprie 7d",
    "%upload wire() as class",
    "%upload wire() as x, nowhere.csv as y",
    "%upload report.pdf as x --name f'{wire()}.pdf' --exprie 7d",
    "%files list --match {wire()} --older $wire",
    "%files info '{wire()}",
    "%files download $wire --to {wire()}",
    "%files delete $wire -y",
    "%files use {wire()}",
    "%%upload {wire()}.md\nx",
    "%%upload $wire\nx",
)
NAMES = (
    *keyword.kwlist,
    *("In", "Out", "get_ipython", "exit", "quit", "_", "__", "___", "_i", "_ii", "_iii", "_ih", "_oh", "_dh"),
    *("display", "_1", "_i1", "_27", "__name__", "__builtins__", "__doc__", "__file__", "__import__", "__spec__"),
    *("list", "print", "open", "id", "type", "eval", "exec", "input", "len", "str", "Exception", "BaseException"),
    *("ｌｉｓｔ", "ｉｆ", "Ｉｎ", "__ｎａｍｅ__", "ｇｅｔ_ipython", "ⅿatch.x"),  # what Python takes for the same names
    *("a.b", "a[0]", "1a", "*x", "(a, b)", "[a]", "a-b", "a\u200bb", "a\u202eb", "'x'", "--", "wire()", "a:=1", "x=y"),
)  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A shell in a folder with one file, and a server that writes down who talks to it."""
    folder = tmp_path_factory.mktemp("lines")
    (folder / "report.pdf").write_bytes(b"%PDF-")
    with pytest.MonkeyPatch.context() as patch, Recorder() as server, fresh_shell(folder / "ipython") as made:
        for name in [name for name in os.environ if name.startswith(("ANTHROPIC_", "NBFILES_"))]:
            patch.delenv(name)
        patch.setenv("ANTHROPIC_BASE_URL", server.url)
        patch.setenv("ANTHROPIC_API_KEY", "sk-ant-none")
        patch.chdir(folder)
        yield made, server


@pytest.fixture
def shell(world):
    """The shell, with a tripwire that nobody trips, in a namespace that nobody changes; nobody talks to the server."""
    made, server = world
    made.names.update(x="old", wire=Wire())
    before = bound(made)
    yield made
    assert ([], 0) == (made.names["wire"].tripped, server.connections)
    assert before == bound(made)


def bound(shell) -> dict[str, object]:
    """Return what names stand for, but for what IPython itself writes after each cell."""
    own = {"_i", "_ii", "_iii", "_exit_code"}
    return {name: value for name, value in shell.names.items() if name not in own and not name.startswith("_i")}


@pytest.mark.parametrize("line", LINES)
def test_nothing_is_expanded(shell, line):
    """Braces and dollars are text, whatever they hold; a line that is refused has run none of its Python."""
    assert "UsageError" == type(shell.run(line).error).__name__


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_taken_is_not_bound(shell, name):
    """What belongs to Python or IPython, or is no name, is refused before anything is read or sent."""
    assert "UsageError" == type(shell.run(f"%upload report.pdf as {name}").error).__name__

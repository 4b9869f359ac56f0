"""The building's plan: a module imports only from lower floors, and each third party has one door."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(__file__).parents[1] / "nbfiles"
ROOF = 99
FLOORS = {
    "_errors": 0, "_events": 0,
    "_names": 1, "_private_folder": 1,
    # Between two floors: the parts of which the module above them is made.
    "_words": 1.1, "_values": 1.2, "_options": 1.3, "_command": 1.4, "_reader": 1.5, "_caret": 1.5,
    "_grammar": 2, "_models": 2, "_render": 2,
    "_generated": 2.5, "_duplicates": 2.5, "_holders": 2.5, "_content": 2.5,
    "_config": 3, "_credentials": 3, "_lock": 3, "_loop": 3, "_payload": 3, "_here": 3, "_resolve": 3, "_listing": 3,
    "_arrival": 3, "_ids": 3, "_reading": 3, "_pace": 3, "_bucket": 3, "_tls": 3, "_spool_folder": 3.5, "_fit": 3.5,
    "sources": 4, "_landing": 4, "_ledger": 4, "_lookup": 4, "_multipart": 4, "_answers": 4, "_local_process": 4,
    "_connection": 4, "_client": 5, "_tasks": 5, "_gate": 5,
    "_watched": 5.5,
    "_transfer": 6,
    "_table": 7, "_accessor": 7, "_progress": 7, "_receipt": 7, "_session": 7,
    "_worker": 6.5, "_cluster": 7.3, "_results": 7.5, "_arguments": 7.5,
    "_rounds": 7.6, "_deletion": 7.7, "_usage": 7.7,
    "_files": 8,
    "widget": 8.5,
    "_commands": 9, "_completion": 9,
    "_magics": 10,
    "__init__": 11,
    # Other processes: nobody imports them (their floor is the roof), and they import what is on floor 4 or below.
    "local": ROOF, "server": ROOF,
}  # fmt: skip
OTHER_PROCESSES, THEIR_CEILING = {"local", "server"}, 4
BORDERS = {
    "httpx": {"_client", "_connection"},
    "httpcore": {"_connection"},
    "IPython": {"_magics", "_progress", "widget"},
    "tornado": {"server"},
    "starlette": {"local"},
    "uvicorn": {"local"},
    "python_multipart": {"local"},
}
PANDAS_AT_THE_TOP = {"_table", "_accessor"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def unit(path: Path) -> str:
    """Return the name by which the table knows the file: its own, or that of its subpackage."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk `tree`, leaving out what only a type checker reads."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            yield from (node for branch in child.orelse for node in [branch, *nodes(branch)])
        else:
            yield child
            yield from nodes(child)


def imported(node: ast.AST) -> list[str]:
    """Return the dotted names that the statement `node` imports, ``from a import b`` as ``a.b``."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def imports_of(path: Path) -> list[str]:
    """Return every dotted name that the file imports, in functions too."""
    return [name for node in nodes(ast.parse(path.read_text("utf-8"))) for name in imported(node)]


def neighbour(name: str) -> str:
    """Return the unit of ours that the dotted `name` leads to; the face itself for what it hands on."""
    second = name.split(".")[1] if "." in name else "__init__"
    return second if second in {unit(path) for path in MODULES} else "__init__"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_lead_down(path: Path) -> None:
    """A module imports only what is on a lower floor than its own, and every module has a floor."""
    here = unit(path)
    assert here in FLOORS, f"{here} has no floor yet: give it one in this table"
    below = THEIR_CEILING + 1 if here in OTHER_PROCESSES else FLOORS[here]
    ours = {neighbour(name) for name in imports_of(path) if name.split(".")[0] == "nbfiles"} - {here}
    assert [] == sorted(f"{there} is on floor {FLOORS[there]}" for there in ours if FLOORS[there] >= below)


@pytest.mark.parametrize("library", BORDERS)
def test_a_third_party_has_one_door(library: str) -> None:
    """Only the modules at a library's border import it."""
    users = {unit(path) for path in MODULES if any(library == name.split(".")[0] for name in imports_of(path))}
    assert set() == users - BORDERS[library]


def test_nest_asyncio_is_used_by_one_function() -> None:
    """One function imports nest_asyncio, and no module does."""
    importers = [
        f"{path.stem}.{function.name}"
        for path in MODULES
        for function in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(name.split(".")[0] == "nest_asyncio" for node in ast.walk(function) for name in imported(node))
    ]
    everywhere = [name for path in MODULES for name in imports_of(path) if name.split(".")[0] == "nest_asyncio"]
    assert (1, 1) == (len(importers), len(everywhere)), importers


def test_pandas_is_loaded_late() -> None:
    """Only the table and the accessor import pandas with the module; all others do when they need it."""
    at_the_top = {
        unit(path)
        for path in MODULES
        for statement in ast.parse(path.read_text("utf-8")).body
        if any(name.split(".")[0] == "pandas" for name in imported(statement))
    }
    assert set() == at_the_top - PANDAS_AT_THE_TOP

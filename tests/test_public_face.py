"""The face: what ``import nbfiles`` offers, what it costs, and that its two forms agree."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import nbfiles

if TYPE_CHECKING:
    from collections.abc import Callable

HEAVY = ("pandas", "pyarrow", "httpx", "numpy", "starlette", "tqdm")
# What `Files` has beyond the verbs, and what the module has beyond them.
OF_A_CLIENT_ONLY = {"close"}
OF_THE_MODULE_ONLY = {"content", "generated", "login", "text", "use"}


def public_functions(owner: object) -> dict[str, Callable[..., object]]:
    """Return the public functions of the module or class `owner`."""
    names = nbfiles.__all__ if owner is nbfiles else [name for name in vars(owner) if not name.startswith("_")]
    return {name: getattr(owner, name) for name in names if inspect.isroutine(getattr(owner, name))}


def is_awaited(function: Callable[..., object]) -> bool:
    """Return whether `function`, or what it passes its arguments to, is used with ``await`` or ``async for``."""
    function = inspect.unwrap(function)
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


VERBS = sorted(public_functions(nbfiles.Files).keys() - OF_A_CLIENT_ONLY)


def loaded_by(statements: str) -> list[str]:
    """Return which of the heavy libraries a fresh Python has loaded after `statements`."""
    code = f"{statements}\nimport sys\nprint(*sorted(sys.modules.keys() & {set(HEAVY)!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


def test_all_is_sorted() -> None:
    """``__all__`` is sorted and names nothing twice."""
    assert sorted(set(nbfiles.__all__)) == list(nbfiles.__all__)


@pytest.mark.parametrize("name", nbfiles.__all__)
def test_every_name_is_there(name: str) -> None:
    """Every name of ``__all__`` can be used, is listed by ``dir`` and says in a docstring what it is."""
    assert name in dir(nbfiles)
    found = getattr(nbfiles, name)
    if inspect.isroutine(found) or inspect.isclass(found):
        assert (found.__doc__ or "").strip()


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that is not there is Python's ordinary error, so ``hasattr`` works."""
    assert False is hasattr(nbfiles, "no_such_name")


def test_import_is_light() -> None:
    """``import nbfiles`` loads none of the heavy libraries."""
    assert [] == loaded_by("import nbfiles")


def test_load_ext_is_light() -> None:
    """``%load_ext nbfiles`` loads none of the heavy libraries."""
    shell = "from IPython.core.interactiveshell import InteractiveShell\nshell = InteractiveShell.instance()"
    assert [] == loaded_by(f"{shell}\nshell.run_line_magic('load_ext', 'nbfiles')\nprint()")


def test_the_two_faces_have_the_same_verbs() -> None:
    """What the module does, a `Files` does, and the other way round."""
    assert VERBS == sorted(public_functions(nbfiles).keys() - OF_THE_MODULE_ONLY)


@pytest.mark.parametrize("verb", VERBS)
def test_the_two_faces_take_the_same_arguments(verb: str) -> None:
    """A verb has one signature, as a method and as a function, and one kind: awaited or not."""
    method, function = getattr(nbfiles.Files, verb), getattr(nbfiles, verb)
    taken = inspect.signature(method)
    without_self = taken.replace(parameters=list(taken.parameters.values())[1:])
    assert without_self == inspect.signature(function)
    assert verb.endswith("_async") == is_awaited(method) == is_awaited(function)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if not verb.endswith("_async")])
def test_every_verb_has_a_twin_for_a_running_loop(verb: str) -> None:
    """Every verb has an ``_async`` twin with the same arguments."""
    plain, twin = (inspect.signature(getattr(nbfiles, name)) for name in (verb, f"{verb}_async"))
    assert plain.parameters == twin.parameters

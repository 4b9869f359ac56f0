"""What is written for people is true: README and notebooks run, their commands, links and data are there."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
README = (ROOT / "README.md").read_text("utf-8")
LINKS = re.findall(r"(?:\]\(|(?:src|srcset|href)=\")(?!https?:|#|mailto:)([^)\"#\s]+)", README)


def blocks(language: str) -> list[str]:
    """Return the README's fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def environment(folder: Path) -> dict[str, str]:
    """Return an environment without account, whose local Files API keeps its data in `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANTHROPIC_", "NBFILES_"))}
    return kept | {
        "NBFILES_API": "local",
        "NBFILES_LOCAL_DIR": str(folder / "files"),
        "NBFILES_LEDGER": str(folder / "ledger.sqlite"),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
    }


def run(*command: object, cwd: Path, env: dict[str, str]) -> str:
    """Run `command` and return what it prints; fail with all of it."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def transcript(notebook: Path, tmp_path: Path) -> str:
    """Run `notebook` where it lies; return what `notebooks/transcript.py` prints of it."""
    return run(sys.executable, NOTEBOOKS / "transcript.py", notebook, cwd=ROOT, env=environment(tmp_path))


def test_the_readme_runs(tmp_path: Path) -> None:
    """The README's Python blocks run in their order as the cells of one notebook, beside the notebooks' data."""
    cells = [nbformat.v4.new_code_cell(block.strip()) for block in blocks("python")]
    assert cells, "the README shows no Python"
    shutil.copytree(NOTEBOOKS / "data", tmp_path / "data")
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "readme.ipynb")
    assert "file_local_" in transcript(tmp_path / "readme.ipynb", tmp_path)


@pytest.mark.parametrize("name", sorted(path.name for path in NOTEBOOKS.glob("*.ipynb")))
def test_a_notebook_runs(name: str, tmp_path: Path) -> None:
    """Every notebook runs from top to bottom without account, and shows a file id."""
    assert "file_local_" in transcript(NOTEBOOKS / name, tmp_path)


@pytest.mark.parametrize("name", sorted(path.name for path in NOTEBOOKS.glob("*.ipynb")))
def test_a_notebook_is_kept_clean(name: str) -> None:
    """A notebook is valid and is kept without outputs, so that a change of it can be read."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    nbformat.validate(notebook)
    assert [] == [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def test_the_readme_commands_are_there() -> None:
    """The README's shell commands begin with a program that is there and may be run."""
    lines = [line for block in blocks("sh") for line in block.splitlines() if line and not line.startswith("#")]
    assert lines, "the README shows no command"
    programs = {line.split()[0] for line in lines}
    ours = {program for program in programs if "/" in program}
    assert {"tests/run", "notebooks/run"} <= ours
    assert [] == [
        program for program in programs if shutil.which(ROOT / program if program in ours else program) is None
    ]


@pytest.mark.parametrize("target", LINKS)
def test_a_link_of_the_readme_leads_somewhere(target: str) -> None:
    """Whatever the README links to or shows from this repository is there."""
    assert (ROOT / target).exists()


def test_the_data_is_what_it_says() -> None:
    """Every data file is listed with its checksum, and is that file."""
    listed = dict(
        re.findall(r"^([0-9a-f]{64})  (\S+)$", (NOTEBOOKS / "data/README.md").read_text("utf-8"), re.MULTILINE)
    )
    files = [path for path in (NOTEBOOKS / "data").iterdir() if path.name != "README.md"]
    assert {name: digest for digest, name in listed.items()} == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@pytest.mark.timeout(900)  # an environment is installed, which a busy machine takes minutes for
def test_notebooks_run_from_a_clone(tmp_path: Path) -> None:
    """``notebooks/run --execute`` makes its environment in a fresh copy and prints the quickstart's table."""
    copy = tmp_path / "clone"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv*", ".*_cache", "node_modules"))
    printed = run(
        copy / "notebooks/run", "--execute", cwd=tmp_path, env=environment(tmp_path) | {"PYTHON": sys.executable}
    )
    assert "huckleberry-finn-page-29.pdf" in printed
    assert "file_local_" in printed

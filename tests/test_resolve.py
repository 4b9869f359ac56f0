"""What a source means on a real machine, and on one that looks like Windows."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from nbfiles._errors import GrammarError
from nbfiles._grammar import parse_cell, parse_files, parse_upload
from nbfiles._here import Here, glob_files
from nbfiles._resolve import resolve, resolve_ids


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with some files, and a home of its own."""
    names = ["sales.csv", "my notes.md", "data[1].csv", "--odd.csv", "données.csv", "data/a.csv", "data/b.csv",
             "data/.hidden.csv", "data/sub/c.csv", "data/.git/d.csv", "home/h.csv",
             "a,b.txt", "df.T", "x(1).md"]  # fmt: skip
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    return tmp_path


def meaning(line, **names):
    """Resolve a line with one source, with `names` as the notebook's variables."""
    (found,) = resolve(parse_upload(line), Here(names))
    return found.kind, found.value, found.many


def refused(line, parse=parse_upload, **names):
    """Return the message and the marked text of the error that a line ends in."""
    with pytest.raises(GrammarError) as caught:
        resolve(parse(line), Here(names))
    error = caught.value
    return str(error), error.line[error.start : error.end]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sales.csv", ("file", "sales.csv", False)),
        ('"my notes.md"', ("file", "my notes.md", False)),
        ("data[1].csv", ("file", "data[1].csv", False)),
        ("-- --odd.csv", ("file", "--odd.csv", False)),
        ("données.csv", ("file", "données.csv", False)),
        ("data", ("folder", "data", True)),
        ("data/", ("folder", "data/", True)),
        ("data/ --zip", ("folder", "data/", False)),
        ("data/*.csv", ("glob", "data/*.csv", True)),
        ("data/**/*.csv", ("glob", "data/**/*.csv", True)),
        ('"a,b.txt"', ("file", "a,b.txt", False)),
        ("x(1).md", ("file", "x(1).md", False)),
        ("(1, 2)", ("python", "(1, 2)", None)),
        ("https://x.org/*.csv?a", ("url", "https://x.org/*.csv?a", False)),
        ("s3://b/data/", ("url", "s3://b/data/", True)),
        ('"s3://b/a b.csv"', ("url", "s3://b/a b.csv", False)),
    ],
)  # fmt: skip
def test_files_and_folders_are_found(folder, line, expected):
    """A path, a folder and a glob are what they are on this machine, with or without quotes."""
    assert expected == meaning(line)


def test_the_home_folder_is_filled_in(folder):
    """A leading ~ is filled in, in words, quotes and globs; $HOME is not."""
    home = str(folder / "home")
    assert ("file", f"{home}/h.csv", False) == meaning("~/h.csv")
    assert ("file", f"{home}/h.csv", False) == meaning('"~/h.csv"')
    assert ("glob", f"{home}/*.csv", True) == meaning("~/*.csv")
    assert "$HOME is not filled in here" in refused("$HOME/h.csv")[0]


def test_a_file_that_begins_with_a_tilde_is_itself(folder):
    """Office's ~$ files and the like keep their names."""
    (folder / "~x.csv").write_text("x")
    assert ("file", "~x.csv", False) == meaning("~x.csv")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("df", ("name", "df", False)),
        ("frames", ("name", "frames", True)),
        ("both", ("name", "both", True)),
        ("path", ("name", "path", None)),
        ("df[0]", ("python", "df[0]", None)),
        ("len(df)", ("python", "len(df)", None)),
        ("(df)", ("python", "(df)", None)),
        ("df.x > 3", ("python", "df.x > 3", None)),
        ("[x for x in frames]", ("python", "[x for x in frames]", None)),
        ("(lambda a: a + path)(df)", ("python", "(lambda a: a + path)(df)", None)),
        ("f(df,\u00a0'a\u00a0b')", ("python", "f(df, 'a\u00a0b')", None)),
        ("ﬁle", ("name", "file", False)),
    ],
)
def test_variables_and_python_are_found(folder, line, expected):
    """Names and Python mean the notebook's objects; pasted spaces become plain ones outside strings."""
    names = {"df": pd.DataFrame(), "frames": [1], "both": (1, 2), "path": "a.csv", "f": max, "file": b""}
    assert expected == meaning(line, **names)


def test_locals_come_before_globals(folder):
    """Inside a function its own variables count first."""
    world = Here({"x": [1]}, {"x": b"", "y": b""})
    found = resolve(parse_upload("x, y"), world)
    assert [("x", True), ("y", False)] == [(one.value, one.many) for one in found]


def test_a_table_is_never_computed_to_look_for_an_attribute(folder):
    """That df.T would be Python is noted without computing the transpose; a column counts as an attribute."""

    class Table(pd.DataFrame):
        @property
        def T(self):
            raise AssertionError("computed")

    (found,) = resolve(parse_upload("df.T"), Here({"df": Table({"a": [1]})}))
    assert "df.T is the file; (df.T) would be Python" == found.note
    (found,) = resolve(parse_upload("sales.csv"), Here({"sales": Table({"a": [1]})}))
    assert "" == found.note


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sale.csv", ("there is no file sale.csv, and no name sale; did you mean sales.csv?", "sale.csv")),
        ("data/aa.csv", ("there is no file data/aa.csv; did you mean data/a.csv?", "data/aa.csv")),
        ('"my note.md"', ('there is no file my note.md; did you mean "my notes.md"?', '"my note.md"')),
        ("a,b.txt", ('a path with a comma goes in quotes: "a,b.txt"', "a,b.txt")),
        ("frame.x", ("there is no file frame.x, and no name frame; did you mean frames.x?", "frame.x")),
        ("dict", ("dict is no name and no file here", "dict")),
        ("none/*.csv", ("no file matches none/*.csv", "none/*.csv")),
        ("x=frames", ("there is no file x=frames; to bind a name write frames as x", "x=frames")),
        ("df as df", ("df holds what is uploaded and would be lost; choose another name, such as df_id", "df")),
        ("(df) as df", ("df holds what is uploaded and would be lost; choose another name, such as df_id", "df")),
        ("df as frames, frames",
         ("frames holds what is uploaded and would be lost; choose another name, such as frames_id", "frames")),
        ("df as json", ("json is an imported module; choose another name, such as json_id", "json")),
        ("data/*.csv --name x.csv", ("--name is for one file, and data/*.csv may be several", "--name x.csv")),
        ("df[df.a > limt]", ("limt is not defined; did you mean limit?", "df[df.a > limt]")),
        ("s << df", ("s is not defined; to bind a name write df as s", "s << df")),
        ("{folder}/x.csv",
         ('{folder} is not filled in here; write a name, or an f-string: f"{folder}/x.csv"', "{folder}/x.csv")),
    ],
)  # fmt: skip
def test_what_is_nothing_is_refused_with_what_was_meant(folder, line, expected):
    """A source that does not exist, and a name that would destroy something, are refused at their place."""
    assert expected == refused(line, df=pd.DataFrame(), frames=[1], json=json, limit=3)


def test_a_hidden_character_in_a_suggestion_is_spelled_out(folder):
    """A file name cannot turn the error message around."""
    (folder / "invoice\u202efdp.exe").write_text("x")
    message, _ = refused('"invoicefdp.exe"')
    assert 'there is no file invoicefdp.exe; did you mean "invoice<U+202E>fdp.exe"?' == message


def test_globs_are_sorted_recursive_and_leave_hidden_files_out(folder):
    """A glob gives files only, in order; ** passes any folders, and hidden ones match only where the dot is written."""
    assert ("data/a.csv", "data/b.csv") == glob_files("data/*")
    assert ("data/a.csv", "data/b.csv", "data/sub/c.csv") == tuple(
        p.replace(os.sep, "/") for p in glob_files("data/**")
    )
    assert ("data/.hidden.csv",) == glob_files("data/.*")
    assert () == glob_files("data/\0*")


def test_a_cells_file_name_is_never_looked_up(folder):
    """%%upload writes a file of that name whatever stands on disk; its name to bind is checked."""
    (found,) = resolve(parse_cell("sales.csv as s"), Here({}))
    assert ("file", "sales.csv", False, "s") == (found.kind, found.value, found.many, found.target)
    assert (
        "json is an imported module; choose another name, such as json_id"
        == refused("n.md as json", parse_cell, json=json)[0]
    )


def test_an_id_that_is_a_variable_is_the_variable():
    """A word such as file_id is the variable of that name, if there is one, and an id otherwise."""
    found = resolve_ids(parse_files("delete file_id file_011 ids[2:] 'a.csv'"), Here({"file_id": "file_1", "ids": []}))
    assert [("python", "file_id"), ("id", "file_011"), ("python", "ids[2:]"), ("filename", "a.csv")] == [
        (one.kind, one.text) for one in found
    ]


def test_ids_with_unknown_names_are_refused():
    """A typo in a name of %files is found before anything is asked of the server."""
    command = parse_files("info reprot_id")
    with pytest.raises(GrammarError) as caught:
        resolve_ids(command, Here({"report_id": "file_1"}))
    assert "reprot_id is not defined; did you mean report_id?" == str(caught.value)


class Windows(Here):
    """A world with a Windows disk: drives, backslashes, names in any case."""

    files = ("C:\\new\\table.csv", "C:\\my data\\a b.csv", "\\\\host\\share\\x.csv", "data\\1.csv", "data\\2.csv")

    def path_kind(self, path):
        path = path.replace("/", "\\").lower().rstrip("\\")
        known = [file.lower() for file in self.files]
        if path in known:
            return "file"
        return "folder" if any(file.startswith(path + "\\") for file in known) else None

    def matches(self, pattern):
        return [file for file in self.files if pattern == "data\\*.csv" and file.startswith("data")]

    def siblings(self, path):
        folder = path.rpartition("\\")[0]
        return [file for file in self.files if file.rpartition("\\")[0] == folder]

    def expand(self, path):
        return "C:\\Users\\ana" + path[1:] if path.startswith(("~\\", "~/")) else path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("C:\\new\\table.csv", ("file", "C:\\new\\table.csv", False)),
        ("c:/NEW/Table.csv", ("file", "c:/NEW/Table.csv", False)),
        ('"C:\\my data\\"', ("folder", "C:\\my data\\", True)),
        ('"C:\\my data\\a b.csv"', ("file", "C:\\my data\\a b.csv", False)),
        ("\\\\host\\share\\x.csv", ("file", "\\\\host\\share\\x.csv", False)),
        ("data\\*.csv", ("glob", "data\\*.csv", True)),
    ],
)
def test_windows_paths_are_words(line, expected):
    """Drives, backslashes, shares and a closing backslash in quotes need no care."""
    (found,) = resolve(parse_upload(line), Windows({}))
    assert expected == (found.kind, found.value, found.many)


def test_a_typo_in_a_windows_path_is_found():
    """Suggestions are spelled with the separators that were typed."""
    with pytest.raises(GrammarError) as caught:
        resolve(parse_upload("C:\\new\\tabel.csv"), Windows({}))
    assert "there is no file C:\\new\\tabel.csv; did you mean C:\\new\\table.csv?" == str(caught.value)


def test_nothing_is_opened_or_run(folder, monkeypatch):
    """Resolving looks at names and at what exists; it reads no file and evaluates no Python."""
    monkeypatch.setattr("builtins.open", lambda *a, **k: pytest.fail("opened"))
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("read"))
    assert ("python", "boom()", None) == meaning("boom()", boom=lambda: pytest.fail("called"))
    assert ("file", "sales.csv", False) == meaning("sales.csv")

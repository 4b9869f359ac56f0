"""The magics in a shell: what they return, show and bind, what they say when something is wrong, what they complete."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from datetime import UTC, datetime, timedelta

import IPython
import pandas as pd
import pytest
from recorder import Recorder
from shells import fresh_shell
from traitlets.config import Config

import nbfiles
from nbfiles import FileId, FileTable
from nbfiles._local_process import LOCAL
from nbfiles._payload import Payloads
from nbfiles.local import add_generated

WEEK = 604_800
# Before 8.6 IPython adds what it can think of itself to whatever a matcher offers.
ALONE = IPython.version_info >= (8, 6)


@pytest.fixture
def place(shared_api, monkeypatch, tmp_path):
    """Stand in an empty folder, and in an environment that names the module's local Files API."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", shared_api.base_url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", shared_api.api_key)
    folder, temporary = tmp_path / "work", tmp_path / "tmp"
    folder.mkdir()
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", os.fspath(temporary))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def shell(place, tmp_path):
    """A fresh shell with the extension loaded, and a frame ``df``."""
    with fresh_shell(tmp_path / "ipython") as made:
        made.names["df"] = pd.DataFrame({"a": [1, 2], "b": ["x", "ü"]})
        yield made
    assert [] == list((tmp_path / "tmp").iterdir())


def stored(api, file_id):
    return api.stored_bytes(file_id).decode()


# ---- what is returned, shown and hidden ----------------------------------------------------------------------------


def test_the_table_is_returned(shell, shared_api):
    """A line returns its rows as a DataFrame and binds the id, whose bytes are stored."""
    table = shell.do("%upload df as x")
    assert isinstance(table, FileTable)
    assert [(shell.names["x"], "df.csv", "x", "uploaded")] == list(
        table[["id", "filename", "variable", "status"]].itertuples(index=False, name=None)
    )
    assert isinstance(shell.names["x"], FileId)
    assert "df.csv" == shell.names["x"].metadata.filename
    assert "a,b\n1,x\n2,ü\n" == stored(shared_api, shell.names["x"])


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("%upload df as x", True),
        ("%upload df as x;", False),
        ("%upload df as x ;  # quietly", False),
        ("%upload df as x --quiet", False),
        ("%%upload notes.txt as x\nbody", True),
        ("%%upload notes.txt as x;\nbody", False),
        ("%files list", True),
        ("%files list;", False),
        ("%files list --quiet", False),
        ("t = %upload df as x", False),
        ("for _ in range(1):\n    %upload df as x", False),
    ],
)
def test_what_hides_the_table(shell, cell, shown):
    """A ``;`` and ``--quiet`` hide the table of a line that stands alone."""
    ran = shell.run(cell)
    assert (None, shown) == (ran.error, isinstance(ran.value, FileTable))
    assert shown == (re.search(r"^variable +filename", ran.printed, re.MULTILINE) is not None)
    assert "files" in cell or isinstance(shell.names["x"], FileId)


@pytest.mark.parametrize(
    "cell",
    [
        "t = %upload df as x",
        "t = %upload df as x;",
        "t = %upload df as x --quiet",
        "def f():\n    t = %upload df as x;\n    return t\nt = f()",
        "t = get_ipython().run_line_magic('upload', 'df as x;')",
        "t = [get_ipython().run_line_magic('upload', 'df as x;') for _ in 'a'][0]",
        "t = get_ipython().run_cell_magic('upload', 'x.txt as x;', 'body')",
        "t = %files list;",
    ],
)
def test_what_is_assigned_is_the_table(shell, cell):
    """Whoever takes the value gets the table, hidden or not."""
    shell.do(cell)
    assert isinstance(shell.names["t"], FileTable)


def test_a_semicolon_hides_each_of_several_results(shell):
    """Where a shell shows every expression, the ``;`` of each magic hides its own."""
    shell.ip.ast_node_interactivity = "all"
    printed = shell.run("%upload df as x;\n%upload df as y\n%upload df as z;\n1").printed
    assert ["y"] == re.findall(r"^(\w) +df\.csv", printed, re.MULTILINE)


def test_quiet_hides_the_receipt(shell):
    """``--quiet`` leaves nothing on the screen; a ``;`` leaves the receipt."""
    assert "" == shell.run("%upload df as x --quiet").printed
    assert "1 file uploaded" in shell.run("%upload df as x --fresh;").printed.replace("\u00a0", " ")


# ---- sources -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "content"),
    [
        ('%upload f"{folder}/a, b.csv" as x', "1,2\n"),
        ("%upload df[df.a > 1] as x --no-index", "a,b\n2,ü\n"),
        ("%upload (df.T) as x --no-index", "0,1\n1,2\nx,ü\n"),
        ("%upload await slowly() as x", "awaited"),
        ("%upload slowly() as x", "awaited"),
        ("%upload b'ab' + b'c' as x", "abc"),
        ("%upload df.assign(c=lambda f: f.a * factor) as x", "a,b,c\n1,x,10\n2,ü,20\n"),
        ('%upload df as x --name f"{folder}.tsv"', "a\tb\n1\tx\n2\tü\n"),
        ('%upload df as x --opt sep=";" --max-rows 1', "a;b\n1;x\n"),
        ('%%upload f"{folder}.md" as x\n# Title\n', "# Title\n"),
    ],
)
def test_python_on_the_line(shell, shared_api, place, line, content):
    """Expressions, f-strings and ``await`` stand where a path could."""
    (place / "out").mkdir()
    (place / "out" / "a, b.csv").write_text("1,2\n")
    shell.do(
        "import asyncio\nfolder, factor = 'out', 10\n"
        "async def slowly():\n    await asyncio.sleep(0.01)\n    return b'awaited'"
    )
    shell.do(line)
    assert content == stored(shared_api, shell.names["x"])


def test_inside_a_function(shell, shared_api):
    """A function's names are seen, by lambdas of the line too; the id is bound in the notebook."""
    shell.do(
        "def f(rows, least):\n    inner = rows\n    %upload inner.loc[lambda each: each.a > least] as x --no-index\n"
        "f(df, 1)"
    )
    assert "a,b\n2,ü\n" == stored(shared_api, shell.names["x"])
    assert {"inner", "rows", "least"}.isdisjoint(shell.names)


def test_what_python_on_the_line_raises_is_the_users_own(shell):
    """An error in the user's expression is shown as any other, and nothing is bound."""
    ran = shell.run("%upload (1/0) as x")
    assert (ZeroDivisionError, False) == (type(ran.error), "x" in shell.names)
    assert "Traceback" in ran.printed


def test_the_line_is_not_filled_in(shell, place):
    """A brace or a dollar sign in a path stays what it is: IPython fills in nothing."""
    (place / "{x}$HOME.txt").write_text("as it is")
    shell.do("x = 1")
    table = shell.do('%upload "{x}$HOME.txt"')
    assert ["{x}$HOME.txt"] == table["filename"].tolist()


# ---- binding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "many", "names"),
    [
        ("%upload d/a.txt as x", False, ["a.txt"]),
        ("%upload df as x", False, ["df.csv"]),
        ("%upload d/*.txt as x", True, ["a.txt", "b.txt"]),
        ("%upload d/a*.txt as x", True, ["a.txt"]),
        ("%upload d/ as x", True, ["a.txt", "b.txt"]),
        ("%upload [df, 'd/b.txt', 'd/a.txt'] as x", True, ["df_d_b_txt_d_a_txt_0.csv", "b.txt", "a.txt"]),
        ("%upload several as x", True, ["several_0.csv", "several_1.csv"]),
        ("%upload several[1:] as x", True, ["several_1_0.csv"]),
    ],
)
def test_form_decides_what_is_bound(shell, place, line, many, names):
    """One file binds a FileId; a glob, folder or list binds a list, even of one, in a stable order."""
    (place / "d").mkdir()
    for name in ("b.txt", "a.txt"):
        (place / "d" / name).write_text(name)
    shell.do("several = [df, df]")
    table = shell.do(line)
    bound = shell.names["x"]
    ids = bound if many else [bound]
    assert (list if many else FileId) is type(bound)
    assert {FileId} == {type(each) for each in ids}
    assert names == table["filename"].tolist()
    assert table["id"].tolist() == ids
    assert ([f"x[{number}]" for number in range(len(ids))] if many else ["x"]) == table["variable"].tolist()


def test_the_whole_line_is_checked_first(shell, shared_api):
    """A line with one source that cannot be sent sends none, and binds none."""
    before = shared_api.stored_ids()
    ran = shell.run("%upload df as x, nowhere.csv as y")
    assert "there is no file nowhere.csv" in str(ran.error)
    assert (before, False) == (shared_api.stored_ids(), "x" in shell.names)


def test_a_failure_among_several(shell, place, shared_api):
    """A name is bound only if its files all arrived; the others keep what they had; the rows say which."""
    for name in ("kept.txt", "gone.txt", "new.txt", "gone_too.txt"):
        (place / name).write_text(name)
    shell.do(
        "import os\nold = 'before'\ndef lose():\n    os.remove('gone.txt'), os.remove('gone_too.txt')\n    return b''"
    )
    ran = shell.run("%upload kept.txt as kept, gone.txt as old, *_too.txt as fresh, new.txt as new, lose() as rest")
    assert nbfiles.UploadError is type(ran.error)
    assert "before" == shell.names["old"]
    assert "fresh" not in shell.names
    assert ["kept.txt", "new.txt"] == [stored(shared_api, shell.names[name]) for name in ("kept", "new")]
    table = ran.error.table
    assert table is nbfiles.last
    assert ["uploaded", "failed", "failed", "uploaded", "uploaded"] == table["status"].tolist()
    assert ["kept", "", "", "new", "rest"] == table["variable"].tolist()
    assert "there is no file gone.txt" in table["error"][1]
    assert [table["error"][1], table["error"][2]] == [str(failure) for failure in ran.error.failures]
    said = str(ran.error)
    for part in ("2 of 5 files failed", "old keeps its old value", "fresh was not bound", "there is no file gone.txt"):
        assert part in said
    assert "\n" not in said
    assert said == ran.printed.splitlines()[-1]
    assert "Traceback" not in ran.printed


# ---- errors --------------------------------------------------------------------------------------------------------


def test_an_error_of_the_line_has_a_caret(shell):
    """What cannot be read is three lines: what is wrong, the line, the place."""
    ran = shell.run("%upload a.csv b.csv as x")
    assert [
        "UsageError: a comma must stand before b.csv; a path with spaces goes in quotes",
        "  %upload a.csv b.csv as x",
        "                ^^^^^",
    ] == ran.printed.splitlines()


def test_an_error_of_the_server_is_one_line(shell):
    """What the server refuses is one line, and stays an exception that can be caught."""
    ran = shell.run("%files info file_local_nothing")
    assert 1 == len(ran.printed.splitlines())
    shell.do(
        "import nbfiles\ntry:\n    %upload df as x --timeout 1s --beta other\nexcept nbfiles.Error as error:\n    pass"
    )
    ran = shell.run("try:\n    %upload (1)\nexcept Exception as error:\n    kind = type(error).__name__")
    assert (None, "UsageError") == (ran.error, shell.names["kind"])


def test_an_api_error_can_be_caught_by_its_name(shell, monkeypatch):
    """``except nbfiles.AuthenticationError`` works around a magic; uncaught it is one line without a traceback."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "wrong")
    shell.do(
        "import nbfiles\ntry:\n    %upload df as x\n"
        "except nbfiles.AuthenticationError as error:\n    status = error.status"
    )
    assert 401 == shell.names["status"]
    ran = shell.run("%upload df as x")
    assert ran.printed.splitlines() == [str(ran.error)]
    assert "x" not in shell.names


def test_ctrl_c_when_all_is_sent_binds_nothing(shell, monkeypatch):
    """Until a line is over but for its name, Ctrl-C leaves the name what it was."""
    close = Payloads.close

    def interrupted(payloads):
        close(payloads)
        raise KeyboardInterrupt

    shell.names["x"] = "old"
    monkeypatch.setattr(Payloads, "close", interrupted)
    ran = shell.run("%upload df as x")
    assert ("old", KeyboardInterrupt) == (shell.names["x"], type(ran.error))


# ---- help, dry run, settings ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "first"),
    [
        ("%upload?", "  %upload report.pdf as report_id "),
        ("%%upload?", "  %%upload notes.md as notes_id "),
        ("%files?", "  %files "),
        ("%upload --help", "  %upload report.pdf as report_id "),
        ("%%upload --help\nbody", "  %%upload notes.md as notes_id "),
        ("%files --help", "  %files "),
        ("%files delete --help", "  %files "),
    ],
)
def test_help(shell, monkeypatch, shared_api, asked, first):
    """``%upload?`` and ``--help`` show the same page, aligned from its first line, and send nothing."""
    before = shared_api.stored_ids()
    monkeypatch.setattr("IPython.core.page.page", lambda data, *_, **__: print(data["text/plain"]))
    printed = shell.run(asked).printed
    lines = [line for line in printed.splitlines() if line.startswith("  %")]
    assert lines[0].startswith(first)
    assert "--quiet" in printed
    assert before == shared_api.stored_ids()


def test_dry_run(shell, shared_api, place):
    """``--dry-run`` says what would be sent, sends nothing, binds nothing and needs no key."""
    (place / "notes.md").write_text("# Notes")
    os.environ.pop("ANTHROPIC_API_KEY")
    before = shared_api.stored_ids()
    ran = shell.run("%upload df as x, notes.md as y, [df] as z --dry-run")
    printed = ran.printed.replace("\u00a0", " ")
    assert (None, None) == (ran.error, ran.value)
    assert "3 files would be uploaded" in printed
    assert "nothing was sent" in printed
    for name in ("df.csv", "notes.md", "z[0]"):
        assert name in printed
    assert (before, set()) == (shared_api.stored_ids(), {"x", "y", "z"} & shell.names.keys())


def test_settings(shell):
    """``%config NbFiles`` is honoured, also after a reload; ``--expires never`` undoes it for one line."""

    def ends(line):
        table = shell.do(line)
        lasts = (table["expires_at"] - table["created_at"]).dt.total_seconds()
        return [None if pd.isna(seconds) else seconds for seconds in lasts]

    assert [None] == ends("%upload df as x")
    shell.do(f"%config NbFiles.expires = {WEEK}")
    assert [WEEK] == ends("%upload df as x")
    assert [None] == ends("%upload df as x --expires never")
    assert [3600 * 36] == ends("%upload df as x --expires 36h")
    assert WEEK == round((lambda m: (m.expires_at - m.created_at).total_seconds())(nbfiles.upload(b"x").metadata))
    shell.do("%reload_ext nbfiles")
    assert [WEEK] == ends("%upload df as x")
    shell.do("%config NbFiles.expires = None")
    assert [None] == ends("%upload df as x")
    assert "3600 to 7776000" in shell.run("%config NbFiles").printed.replace("\n    ", " ")


def test_settings_of_a_configuration_file(place, tmp_path):
    """``c.NbFiles.expires`` in the shell's configuration is a setting too."""
    with fresh_shell(tmp_path / "ipython", Config({"NbFiles": {"expires": WEEK}})) as shell:
        table = shell.do("%%upload a.txt\nbody")
        assert [WEEK] == (table["expires_at"] - table["created_at"]).dt.total_seconds().tolist()


def test_settings_reach_what_was_used_before_loading(place, tmp_path):
    """A first ``nbfiles.upload`` before ``%load_ext`` does not keep the settings from being honoured."""
    with fresh_shell(tmp_path / "ipython") as shell:
        shell.do("%unload_ext nbfiles\nimport nbfiles\nfirst = nbfiles.upload(b'1')")
        shell.do(f"%load_ext nbfiles\n%config NbFiles.expires = {WEEK}\n%upload b'2' as second")
        assert None is shell.names["first"].metadata.expires_at
        assert None is not shell.names["second"].metadata.expires_at


def test_beta(shell, monkeypatch):
    """``--beta`` adds to the header beside the Files API's own."""
    with Recorder("404 Not Found") as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        shell.run("%files info file_1 --beta one-2026-01-01 --beta two")
        (request,) = server.requests
    assert b"\r\nanthropic-beta: files-api-2025-04-14,one-2026-01-01,two\r\n" in request


# ---- coming and going ----------------------------------------------------------------------------------------------


def state(ip):
    """Return everything that loading touches, as far as it can be compared."""
    return {
        "line": set(ip.magics_manager.magics["line"]),
        "cell": set(ip.magics_manager.magics["cell"]),
        "registry": set(ip.magics_manager.registry),
        "configurables": [type(one).__name__ for one in ip.configurables],
        "matchers": [one.__name__ for one in ip.Completer.custom_matchers],
        "names": set(ip.user_ns),
        "attributes": set(vars(ip)),
        "threads": {thread.name for thread in threading.enumerate()},
        "callbacks": {event: list(functions) for event, functions in ip.events.callbacks.items()},
    }


def test_loading_and_unloading_leave_no_trace(place, monkeypatch, tmp_path):
    """After ``%unload_ext`` a shell is as it was, the local Files API has ended, and what was bound stays."""
    monkeypatch.setenv("NBFILES_API", "local")
    monkeypatch.setenv("NBFILES_LOCAL_DIR", os.fspath(tmp_path / "store"))
    with fresh_shell(tmp_path / "ipython") as shell:
        shell.do("%unload_ext nbfiles")
        before = state(shell.ip)
        shell.do("%load_ext nbfiles")
        loaded = state(shell.ip)
        assert {"upload", "files"} == loaded["line"] - before["line"]
        shell.do("%upload b'x' as x --quiet")
        child = LOCAL._child
        assert None is child.poll()
        assert "%upload --expires" in shell.complete("%upload --exp")
        for _ in range(3):
            shell.do("%reload_ext nbfiles")
        assert loaded | {"names": loaded["names"] | {"x"}} == state(shell.ip)
        assert 0 == child.wait(10)
        shell.do("%upload b'y' as y --quiet")
        second = LOCAL._child
        shell.do("%unload_ext nbfiles")
        left = state(shell.ip)
        assert {"x", "y"} == left.pop("names") - before.pop("names")
        assert before == left
        assert 0 == second.wait(10)
        assert isinstance(shell.names["x"], FileId)
        assert "%upload --expires" not in shell.complete("%upload --exp")


def test_loading_twice_changes_nothing(shell):
    """A second load, and an unload of what is not loaded, do nothing."""
    before = state(shell.ip)
    nbfiles.load_ipython_extension(shell.ip)
    assert before == state(shell.ip)
    nbfiles.unload_ipython_extension(shell.ip)
    nbfiles.unload_ipython_extension(shell.ip)
    nbfiles.load_ipython_extension(shell.ip)
    assert before == state(shell.ip)


# ---- %files --------------------------------------------------------------------------------------------------------


@pytest.fixture
def filed(place, local_api, monkeypatch, tmp_path):
    """A shell on a server with four files, uploaded in this order."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", local_api.base_url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", local_api.api_key)
    with fresh_shell(tmp_path / "ipython") as shell:
        for name, size in (("b.txt", 30), ("a.txt", 2000), ("c.png", 10)):
            (place / name).write_bytes((b"\x89PNG\r\n\x1a\n" if name.endswith("png") else b"") + b"x" * size)
        for line in ("b.txt as b --expires 2h", "a.txt as a", "c.png as c --expires 90d"):
            shell.do(f"%upload {line} --quiet")
        shell.names["plot"] = FileId(add_generated("plot.csv", b"1,2\n", dir=local_api.dir))
        yield shell


LISTINGS = (
    ("", ["plot.csv", "c.png", "a.txt", "b.txt"]),
    ("--match '*.txt'", ["a.txt", "b.txt"]),
    ("--type image/png", ["c.png"]),
    ("--type 'image/*'", ["c.png"]),
    ("--type 'text/*' --larger 25B", ["a.txt", "b.txt"]),
    ("--larger 25B", ["a.txt", "b.txt"]),
    ("--larger 1KB", ["a.txt"]),
    ("--newer 1h", ["plot.csv", "c.png", "a.txt", "b.txt"]),
    ("--older 1m", []),
    ("--expiring 3h", ["b.txt"]),
    ("--expiring 52w", ["c.png", "b.txt"]),
    ("--sort name", ["a.txt", "b.txt", "c.png", "plot.csv"]),
    ("--sort name --reverse", ["plot.csv", "c.png", "b.txt", "a.txt"]),
    ("--sort size", ["a.txt", "b.txt", "c.png", "plot.csv"]),
    ("--sort expires --limit 2", ["b.txt", "c.png"]),
    ("--sort type --limit 1", ["c.png"]),
    ("--limit 2", ["plot.csv", "c.png"]),
    ("--reverse --limit 1", ["b.txt"]),
    ("--match '*.txt' --larger 1KB", ["a.txt"]),
)


def test_files_browse(filed):
    """``%files browse`` returns a browser of the same files, which the notebook shows."""
    browser = filed.do("browser = %files browse\nbrowser")
    listed = filed.do("%files list --quiet\nimport nbfiles\nnbfiles.last")
    assert sorted(listed["id"]) == sorted(browser.table["id"])
    browser.close()


def test_files_list(filed):
    """Every filter keeps what it says, in the order that is asked for, in a table of the same columns and dtypes."""
    for options, names in LISTINGS:
        table = filed.do(f"%files list {options} --quiet\nimport nbfiles\nnbfiles.last")
        assert (options, names) == (options, table["filename"].tolist())
        assert ("Int64", "boolean") == (str(table["size_bytes"].dtype), str(table["downloadable"].dtype))
        assert [name.split(".")[0] for name in names] == table["variable"].tolist()


def test_files_info(filed):
    """``info`` takes variables, ids, lists, tables and file names, each file once, and says who holds it."""
    filed.do("both = [a, b]\nheld = {'in': a}")
    ids = filed.names
    holding = {"a": "a, both[0], held['in']", "b": "b, both[1]", "c": "c", "plot": "plot"}
    for asked, wanted in (
        ("a", ["a"]),
        (str(ids["b"]), ["b"]),
        ("both", ["a", "b"]),
        ("both[1:], a", ["b", "a"]),
        ("'c.png'", ["c"]),
        ("held['in']", ["a"]),
        ("(get_ipython().run_line_magic('files', 'list --sort name'))", ["a", "b", "c", "plot"]),
        ("a a both", ["a", "b"]),
    ):
        table = filed.do(f"%files info {asked}")
        assert [str(ids[name]) for name in wanted] == table["id"].tolist()
        assert [holding[name] for name in wanted] == table["variable"].tolist()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%files info 'nothing.txt'", "127.0.0.1 has no file of that name"),
        ("%files info number", "number holds no file id"),
        ("%files info nowhere", "nowhere is not defined"),
        ("%files info file_local_x", "file_local_x: "),
        ("%files download a", "127.0.0.1 lets you download only files it made itself"),
        ("%files delete a", "there is nobody here to ask. Add -y to delete without asking."),
        ("%files list --type '*.png'", "--type: *.png is not a MIME type. Write it like image/png or image/*."),
        ("%files prune", "prune needs to be told what: --older, --larger, "),
        ("%files prune --match a.txt", "there is nobody here to ask. Add -y to delete without asking."),
    ],
)
def test_files_that_cannot_be(filed, monkeypatch, local_api, line, message):
    """What a verb cannot do is said in a line and its caret line, and no file goes."""

    def nobody(question):
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    filed.do("number = 7")
    before = local_api.stored_ids()
    ran = filed.run(line)
    assert message in str(ran.error)
    assert "Traceback" not in ran.printed
    assert before == local_api.stored_ids()


def test_a_file_name_that_several_files_have(filed, place):
    """A file name that is not unique is refused with the ids."""
    filed.do("%upload a.txt as again --quiet --fresh")
    ran = filed.run("%files info 'a.txt'")
    assert f"2 files have that name; name one by its id: {filed.names['again']}, {filed.names['a']}" in str(ran.error)


def test_files_download(filed, place):
    """What Claude made is fetched into a file, which is replaced only if that is asked for."""
    plot = place / "plot.csv"
    assert [plot] == filed.do("%files download plot")
    assert b"1,2\n" == plot.read_bytes()
    plot.write_bytes(b"mine")
    ran = filed.run("%files download plot")
    assert f"{plot} is there already" in str(ran.error)
    assert b"mine" == plot.read_bytes()
    filed.do("%files download plot --overwrite")
    assert b"1,2\n" == plot.read_bytes()
    assert [place / "out" / "plot.csv"] == [place / each for each in filed.do("%files download plot --to out/")]
    assert [place / "other.csv"] == [place / each for each in filed.do("%files download plot --to other.csv")]
    assert b"1,2\n" == (place / "other.csv").read_bytes()
    assert {"a.txt", "b.txt", "c.png", "plot.csv", "out", "other.csv"} == {each.name for each in place.iterdir()}


def test_files_delete(filed, monkeypatch, local_api):
    """``delete`` shows what it will do, asks, and deletes exactly that, or nothing."""
    questions = []

    def answer(words):
        monkeypatch.setattr("builtins.input", lambda question: (questions.append(question), words)[1])

    ids = {name: str(filed.names[name]) for name in "abc"}
    for words in ("n", "", "yes please"):
        answer(words)
        assert "Plan: delete 2 files" in filed.run("%files delete a b").printed.replace("\u00a0", " ")
    assert set(ids.values()) <= local_api.stored_ids()
    filed.do("%files delete a b --dry-run")
    assert (set(ids.values()), 3) == (local_api.stored_ids() & set(ids.values()), len(questions))
    assert "Delete 2 files? Type y to delete, anything else keeps all: " == questions[0]
    answer("Y")
    printed = filed.run("%files delete a b").printed
    assert "2 deleted" in printed
    assert {ids["c"]} == local_api.stored_ids() & set(ids.values())
    filed.do("%files delete c -y --quiet")
    assert set() == local_api.stored_ids() & set(ids.values())
    again = filed.run("%files delete c -y")
    assert (None, ["gone"], True) == (
        again.error,
        again.value["status"].tolist(),
        "c was gone already" in again.printed,
    )
    assert "no such file" in str(filed.run(f"%files delete {ids['c']} -y").error)


def test_deleting_many_takes_their_count(filed, monkeypatch, local_api):
    """Above 20 files the count itself has to be typed."""
    filed.do("%upload [b'x'] * 21 as many --quiet")
    ids = set(filed.names["many"])
    monkeypatch.setattr("builtins.input", lambda question: "y")
    filed.do("%files delete many")
    assert ids <= local_api.stored_ids()
    monkeypatch.setattr("builtins.input", lambda question: "21")
    filed.do("%files delete many")
    assert set() == ids & local_api.stored_ids()


def said(ran):
    return ran.printed.replace("\u00a0", " ")


def test_a_list_is_not_everybodys_to_delete(filed, local_api):
    """Of a list or a table only what was uploaded here goes, unless ``--all``; what is named goes whoever made it."""
    other = FileId(add_generated("other.csv", b"1", dir=local_api.dir))
    filed.names["both"] = [filed.names["a"], other]
    ran = filed.run("%files delete both -y")
    assert {"a.txt": "deleted", "other.csv": "kept"} == ran.value.set_index("filename")["status"].to_dict()
    assert "1 more was not uploaded here and stays; --all (all=True) takes them too" in said(ran)
    assert other in local_api.stored_ids()
    ran = filed.run("%files delete both -y --all")
    assert ["deleted", "gone"] == ran.value["status"].tolist()
    assert other not in local_api.stored_ids()
    assert "It was not uploaded here" in said(filed.run(f"%files delete {filed.names['plot']} --dry-run"))
    filed.do("%files delete 'plot.csv' -y")
    assert filed.names["plot"] not in local_api.stored_ids()


def test_files_prune(filed, monkeypatch, local_api):
    """``prune`` shows what the filters choose, asks, and deletes exactly that: of what was uploaded here."""
    questions = []
    monkeypatch.setattr("builtins.input", lambda question: (questions.append(question), "y")[1])
    b, plot = filed.names["b"], filed.names["plot"]
    ran = filed.run("%files prune --newer 1h --match '[bp]*'")
    assert ["Delete 1 file? Type y to delete, anything else keeps all: "] == questions
    assert "Plan: delete 1 file, 30 B" in said(ran)
    assert "This variable will hold a dead id: b" in said(ran)
    assert "1 more was not uploaded here and stays" in said(ran)
    assert ([b], ["deleted"]) == (ran.value["id"].tolist(), ran.value["status"].tolist())
    assert b not in local_api.stored_ids()
    plan = filed.do("%files prune --match '*' --all --dry-run")
    assert 1 == len(questions)
    assert local_api.stored_ids() == set(plan["id"])
    filed.do("%files prune --match '*' --all --quiet -y")
    assert (set(), False) == (local_api.stored_ids(), plot in local_api.stored_ids())
    assert "Nothing to delete" in said(filed.run("%files prune --match '*' -y"))


def test_keeping_all_is_said(filed, monkeypatch, local_api):
    """Whoever says no is told that nothing went, and gets no table."""
    monkeypatch.setattr("builtins.input", lambda question: "no")
    ran = filed.run("%files delete a")
    assert (None, True) == (ran.value, "All files are kept" in ran.printed)
    assert filed.names["a"] in local_api.stored_ids()


def test_files_duplicates(filed, local_api):
    """Equal files are shown below each other, those to keep first, and ``prune --duplicates`` deletes the others."""
    filed.do("%upload a.txt as a --fresh --quiet\n%upload a.txt --fresh --quiet\n%upload a.txt --fresh --quiet")
    table = filed.do("%files duplicates --mine")
    assert ["keep", "duplicate", "duplicate", "duplicate"] == table["status"].tolist()
    assert (filed.names["a"], "a") == tuple(table.loc[0, ["id", "variable"]])
    assert "3 duplicates" in repr(table).replace("\u00a0", " ")
    assert 4 == len(filed.do("%files list --duplicates"))
    ran = filed.run("%files prune --duplicates -y")
    assert set(table["id"][1:]) == set(ran.value["id"])
    assert filed.names["a"] in local_api.stored_ids()
    assert 0 == len(filed.do("%files duplicates"))


def test_files_of_others_that_look_alike(filed, local_api):
    """Of files that were not uploaded here only name, type and size are known, and that is said."""
    for _ in range(2):
        add_generated("same.csv", b"12", dir=local_api.dir)
    table = filed.do("%files duplicates")
    assert ["keep", "same name and size"] == table["status"].tolist()
    assert "the server tells only name, type and size" in repr(table)
    ran = filed.run("%files prune --duplicates --all -y")
    assert "1 more has the name and size of another file and stays" in said(ran)


def test_files_usage(filed):
    """What is stored is added up, of all or of what was uploaded here."""
    usage = filed.do("%files usage")
    assert (4, 1) == (usage.files, usage.requests)
    assert 3 == filed.do("%files usage --mine").files
    filed.do("%config NbFiles.storage_limit = 4096")
    assert "of 4.10 kB (" in said(filed.run("%files usage"))
    assert "from NbFiles.storage_limit" in said(filed.run("%files usage"))


def test_dead_variables_are_marked(filed):
    """A list of everything says which variables hold ids that are no more; one that was cut says nothing of them."""
    filed.do("%files delete a c -y --quiet")
    assert "a, c hold ids that are not there: deleted, or of another place" in said(filed.run("%files"))
    assert "not there" not in said(filed.run("%files --limit 3"))


def test_an_id_that_ends_soon_is_warned_of(filed, place):
    """Binding an id whose file expires within a day says so, and so does the list."""
    assert "b will be dead in 2 hours, when its file expires" in said(filed.run("%files"))
    (place / "d.txt").write_bytes(b"d")
    ran = filed.run("%upload d.txt as d --expires 1h\n%upload d.txt as e --expires 1h --fresh")
    assert "e will be dead in 1 hour, when its file expires" in said(ran)
    assert "dead" not in said(filed.run("%upload d.txt as f --expires 2d"))


def test_what_has_expired_is_sent_anew(filed, place, monkeypatch):
    """Unchanged bytes whose file has expired are uploaded again, and the receipt says why."""
    (place / "d.txt").write_bytes(b"d")
    filed.do("%upload d.txt as d --expires 1h --quiet")
    first = filed.names["d"]
    later = (datetime.now(UTC) - timedelta(minutes=30)).timestamp() * 1e6
    with sqlite3.connect(os.environ["NBFILES_LEDGER"]) as ledger:
        ledger.execute("UPDATE files SET expires_at = ? WHERE id = ?", (int(later), str(first).encode()))
    ran = filed.run("%upload d.txt as d --expires 1h")
    assert "d.txt had been uploaded before and expired 30 min ago; it was sent anew" in said(ran)
    assert first != filed.names["d"]
    ran = filed.run("%upload d.txt as d --expires 1h")
    assert ("reused" in ran.printed, "sent anew" in ran.printed) == (True, False)


def test_a_response_is_downloaded(filed, place, local_api):
    """``%files download`` takes a response in which Claude made files."""
    made = add_generated("made.csv", b"1", dir=local_api.dir)
    output = {"type": "code_execution_output", "file_id": made}
    result = {"type": "code_execution_result", "content": [output]}
    filed.names["response"] = {
        "role": "assistant",
        "content": [{"type": "code_execution_tool_result", "content": result}],
    }
    assert [place / "made.csv"] == [place / each for each in filed.do("%files download response")]


def test_files_use(filed, monkeypatch, tmp_path, local_api):
    """``use local`` sends to a server of this kernel, ``use anthropic`` back to the configured one."""
    monkeypatch.setenv("NBFILES_LOCAL_DIR", os.fspath(tmp_path / "other"))
    before = local_api.stored_ids()
    assert "this machine" in filed.run("%files use local").printed.replace("\u00a0", " ")
    filed.do("%upload a.txt as here --quiet")
    assert before == local_api.stored_ids()
    assert ["a.txt"] == filed.do("%files")["filename"].tolist()
    filed.do("%files use anthropic --quiet\n%upload a.txt as there --quiet")
    assert before | {filed.names["there"]} == local_api.stored_ids()


# ---- completion ----------------------------------------------------------------------------------------------------


@pytest.fixture
def completing(shell, place):
    """A shell with names and files to complete."""
    (place / "data").mkdir()
    for name in ("sales.csv", "my notes.md", "it's.txt", ".hidden", "data/one.csv", "data/two words.csv", "Über.csv"):
        (place / name).write_text("x")
    shell.do(
        "import pandas as pd\nsales = df\nseries = df.a\nraw = b'x'\nnumber = 3\n"
        "report_id = __import__('nbfiles').FileId('file_1')\nids = [report_id]"
    )
    return shell


@pytest.mark.parametrize(
    ("before", "typed", "offered"),
    [
        ("%upload ", "sa", ["sales", "sales.csv"]),
        ("%upload ", "se", ["series"]),
        ("%upload df as x, ", "ra", ["raw"]),
        ("%upload ", "my", ['"my notes.md"']),
        ("%upload ", "it", ['"it\'s.txt"']),
        ("%upload ", '"my', ['"my notes.md']),
        ("%upload ", '"my n', ['"my notes.md']),
        ("%upload ", "data/", ["data/one.csv", '"data/two words.csv"']),
        ("%upload ", "'data/two w", ["'data/two words.csv"]),
        ("%upload ", "dat", ["data/"]),
        ("%upload ", ".h", [".hidden"]),
        ("%upload ", "Ü", ["Über.csv"]),
        ("%upload ", "nu", []),
        ("%upload df ", "--exp", ["--expires"]),
        ("%upload df as x, ", "--exp", ["--expires"]),
        ("%upload df ", "--no", ["--no-index", "--no-retry"]),
        ("%upload df --for ", "im", ["image"]),
        ("%upload df --format ", "par", ["parquet"]),
        ("%upload df as ", "r", ["report_id"]),
        ("%%upload n.md as ", "i", ["ids"]),
        ("%%upload n.md ", "--exp", ["--expires"]),
        ("table = %upload ", "sal", ["sales", "sales.csv"]),
        (
            "%files ",
            "",
            ["list", "info", "download", "delete", "prune", "duplicates", "usage", "pending", "browse", "use"],
        ),
        ("%files ", "dow", ["download"]),
        ("%files info ", "", ["ids", "report_id"]),
        ("%files info ", "rep", ["report_id"]),
        ("%files use ", "", ["local", "anthropic"]),
        ("%files list ", "--so", ["--sort"]),
        ("%files list --sort ", "s", ["size"]),
        ("%files download ids --to ", "da", ["data/"]),
        ("%files delete ids ", "--dr", ["--dry-run"]),
    ],
)
def test_completion(completing, before, typed, offered):
    """Tab offers what may stand there: frames before files, paths with spaces in quotes, options, verbs, ids."""
    found = completing.complete(before + typed)
    if not ALONE:
        found = sorted(set(found) & {before + word for word in offered}, key=found.index)
        offered = sorted(offered, key=lambda word: found.index(before + word))
    assert [before + word for word in offered] == found


def test_completion_of_ids_seen(completing):
    """The ids of the latest table are offered, without asking the server."""
    (seen,) = completing.do("%upload df --quiet\nimport nbfiles\nnbfiles.last")["id"]
    assert f"%files info {seen}" in completing.complete("%files info file_local_")


def test_completion_elsewhere(completing):
    """On other lines everything is as it was."""
    assert "sales" in completing.complete("sal")
    assert "print(--expires" not in completing.complete("print(--exp")
    assert "%upload" in completing.complete("%upl")

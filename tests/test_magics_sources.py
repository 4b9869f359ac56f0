"""What only a line can name, in a shell: the notebook, its cells, outputs, records; stored as they were."""

from __future__ import annotations

import json
import os

import pandas as pd
import pytest
from kernels import Kernel
from shells import fresh_shell

from nbfiles import FileId


@pytest.fixture
def shell(shared_api, monkeypatch, tmp_path):
    """A shell with the extension loaded, in an empty folder, before the module's local Files API."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", shared_api.base_url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", shared_api.api_key)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with fresh_shell(tmp_path / "ipython") as made:
        yield made


def write_notebook(path, text="print(1)"):
    cells = [{"cell_type": "code", "source": text, "metadata": {}, "outputs": [], "execution_count": None}]
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


@pytest.mark.parametrize("by", ["server", "server, by name", "vscode"])
def test_the_notebook(shell, shared_api, monkeypatch, tmp_path, by):
    """--notebook is the file that the front end names, as it was saved, and the receipt says when that was."""
    path = tmp_path / "work/my analysis.ipynb"
    write_notebook(path)
    if by == "vscode":
        shell.names["__vsc_ipynb_file__"] = str(path)
    else:
        monkeypatch.setenv("JPY_SESSION_NAME", str(path) if by == "server" else "elsewhere/my analysis.ipynb")
    ran = shell.run("%upload --notebook as nb")
    assert path.read_bytes() == shared_api.stored_bytes(shell.names["nb"])
    assert "my analysis.ipynb" == shell.names["nb"].metadata.filename
    assert "my analysis.ipynb as it was saved at " in ran.printed


def test_a_notebook_nobody_knows(shell):
    """Where no front end names the file the error says what to write."""
    assert "Name it: %upload notebook.ipynb as nb." in shell.run("%upload --notebook as nb").printed
    assert "nb" not in shell.names


@pytest.mark.parametrize("where", [10, (1 << 20) - 12])
def test_a_key_in_the_notebook(shell, monkeypatch, tmp_path, where):
    """A notebook that holds what looks like a key is refused, wherever in the file it stands."""
    path = tmp_path / "work/a.ipynb"
    key = "sk-ant-" + "a" * 40
    path.write_text("x" * where + key)
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    ran = shell.run("%upload --notebook as nb")
    assert "a.ipynb holds what looks like an API key" in ran.printed
    assert key not in ran.printed
    assert "nb" not in shell.names


def test_cells(shell, shared_api):
    """--cells are the cells by In[n], as they were typed, in the order asked for; magics too."""
    inputs = ["%load_ext nbfiles", "x = 'é'\nprint(x)", "y = 2"]
    for text in inputs:
        shell.ip.run_cell(text, store_history=True)
    shell.ip.run_cell("%upload --cells 3,1-2 as code", store_history=True)
    code = shell.names["code"]
    expected = "# In[3]:\ny = 2\n\n# In[1]:\n%load_ext nbfiles\n\n# In[2]:\nx = 'é'\nprint(x)\n"
    assert expected == shared_api.stored_bytes(code).decode()
    assert ("cells.py", "text/plain") == (code.metadata.filename, code.metadata.mime_type)
    shell.ip.run_cell("%upload --cells 4 as own --name own.txt", store_history=True)
    assert "own.txt" == shell.names["own"].metadata.filename
    assert b"%upload --cells 3,1-2" in shared_api.stored_bytes(shell.names["own"])


def test_cells_that_cannot_be_sent(shell):
    """A cell that was not run, and one that holds a key, are refused by number."""
    shell.ip.run_cell("login = 'sk-ant-api03-" + "a" * 40 + "'", store_history=True)
    assert "cell 7 was not run. The last one is 1." in shell.run("%upload --cells 1-7 as code").printed
    ran = shell.run("%upload --cells 1 as code")
    assert "cell 1 holds what looks like an API key. Leave that cell out." in ran.printed
    assert "aaaa" not in ran.printed


def test_outputs(tmp_path, shared_api):
    """Out[n] and _ in a real kernel are what those cells gave."""
    environment = {"ANTHROPIC_BASE_URL": shared_api.base_url, "ANTHROPIC_API_KEY": shared_api.api_key}
    with Kernel(tmp_path, **environment) as kernel:
        kernel.do("%load_ext nbfiles")
        kernel.do("import pandas as pd")
        kernel.do("pd.DataFrame({'a': [1]})")
        kernel.do("{'b': 2}")
        kernel.do("%upload Out[3] as frame_id, Out[4] as dict_id --quiet")
        ids = kernel.do("[str(frame_id), str(dict_id)]").value
        names = kernel.do("[frame_id.metadata.filename, dict_id.metadata.filename]").value
    assert [b"a\n1\n", b'{"b":2}\n'] == [shared_api.stored_bytes(each) for each in ids]
    assert ["Out_3.csv", "Out_4.json"] == names


def test_records(shell, shared_api):
    """A list of records is one file with one id, which can be named; a list of frames is a list of ids."""
    shell.names["records"] = [{"a": 1}, {"a": 2}]
    shell.names["frames"] = [pd.DataFrame({"a": [1]})] * 2
    shell.do("%upload records as one --name r.jsonl")
    assert b'{"a":1}\n{"a":2}\n' == shared_api.stored_bytes(shell.names["one"])
    shell.do("%upload records as r, frames as many")
    assert isinstance(shell.names["r"], FileId)
    assert 2 == len(shell.names["many"])
    assert "--name is for one file" in shell.run("%upload frames as f --name f.csv").printed


def test_nothing_is_left(shell, monkeypatch, tmp_path):
    """What was made for sending is gone afterwards."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", os.fspath(folder))
    shell.names["d"] = {"a": 1}
    shell.do("%upload d as x")
    assert [] == list(folder.iterdir())

"""The benchmarks themselves: that every row runs, that every client sends what it should, and that a miss is a failure.

Sizes are small and everything is verified; no time is asserted. Memory is: it does not depend on the size of the file.
"""

from __future__ import annotations

import json
from dataclasses import asdict

import httpx
import pytest

from . import __main__ as command
from . import frames, imports, kernel, large, listing, plot, report, small
from .clients import CLIENTS, Target, curl
from .measure import Bench, Figures

MB = 1_000_000
BETA = {"anthropic-beta": "files-api-2025-04-14"}
EVERYBODY = {"curl": lambda target, paths: curl(target, paths[0]), **CLIENTS}


@pytest.fixture(scope="module")
def bench():
    """A bench that verifies and measures once."""
    with Bench(verify=True, repeat=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def sink(bench):
    """A verifying sink over http, with a list of 2500 files."""
    with bench.sink("http", "--listing", "2500") as started:
        yield started


@pytest.fixture
def liar(tmp_path):
    """A file that is not what its name says."""
    path = tmp_path / f"{'0' * 64}-{MB}.bin"
    path.write_bytes(b"x" * MB)
    return path


@pytest.mark.parametrize(("scheme", "verify"), [("http", True), ("https", False)])
def test_memory_is_flat(scheme, verify):
    """An upload of 300 MB costs at most 16 MiB over one of 1 MiB, and every byte arrives, compared or counted."""
    with Bench(verify=verify) as bench, bench.sink(scheme) as sink:
        assert bench.upload("nbfiles", sink, [bench.sample(300 * MB)]).memory <= 16


@pytest.mark.parametrize(
    ("measure", "short", "names"),
    [
        (lambda bench: large.https(bench, 3 * MB), False, "P1 P1 P1b P1b"),
        (lambda bench: large.http(bench, 3 * MB), False, "P2 P2"),
        (lambda bench: large.memory(bench, 3 * MB, 2 * MB), True, "P3 P3"),
        (lambda bench: kernel.rows(bench, 3 * MB), False, "P4 P4"),
        (lambda bench: small.rows(bench, 32), True, "P5 P5 P5 P6"),
        (lambda bench: frames.encoding(bench, 3000), False, "P7 P7 P7 P7"),
        (lambda bench: frames.uploading(bench, 3000), False, "P8 P9 P9"),
        (lambda bench: frames.with_care(bench, 400), False, " ".join(["P10"] * len(frames.CARE))),
        (lambda bench: imports.rows(bench, 1), False, "P11 P11 P11"),
        (lambda bench: listing.rows(bench, 2500), False, "list list"),
    ],
    ids=["https", "http", "memory", "kernel", "small", "encoding", "uploading", "care", "imports", "list"],
)
def test_every_row_is_measured(monkeypatch, bench, measure, short, names):
    """Every client of every row sends every byte, and every row has a figure; `short` where others have the peers."""
    monkeypatch.setattr(bench, "short", short)
    rows = measure(bench)
    assert names.split() == [row["what"].split()[0] for row in rows]
    assert all(row["value"] is not None for row in rows)


@pytest.mark.parametrize("name", EVERYBODY)
def test_what_did_not_arrive_is_noticed(sink, liar, name):
    """Whoever the client is, it fails where the sink got something else."""
    with pytest.raises(Exception, match=r"400|not what was sent|ended with 22"):
        EVERYBODY[name](Target(sink.url, None, 1), [liar])


def test_a_client_that_sends_nothing_is_noticed(monkeypatch, bench, sink):
    """A run in which not every file came is no measurement."""
    monkeypatch.setattr(bench, "run", lambda *arguments: json.dumps(asdict(Figures(1, 1, 1))))
    with pytest.raises(AssertionError, match=r"curl sent 2 files; 0 came"):
        bench.upload("curl", sink, [bench.sample(MB)])


def test_the_sink_takes_chunks_and_speaks_both_surfaces(bench, sink):
    """A body without a length is hashed like any other, and the answer has the shape that was asked for."""
    path = bench.sample(MB)
    head = f'--b\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n\r\n'.encode()
    form = [head, path.read_bytes()[:1000], path.read_bytes()[1000:], b"\r\n--b--\r\n"]
    headers = {"content-type": "multipart/form-data; boundary=b"}
    with httpx.Client(base_url=sink.url, headers=headers, trust_env=False) as client:
        ga = client.post("/v1/files", content=iter(form)).json()
        beta = client.post("/v1/files?beta=true", content=iter(form), headers=BETA).json()
        short = client.post("/v1/files", content=iter([*form[:2], form[3]]))
    assert (MB, path.name[:64]) == (ga["size_bytes"], ga["sha256"])
    assert {"expires_at"} == ga.keys() - beta.keys()
    assert 400 == short.status_code


@pytest.mark.parametrize("headers", [BETA, {}])
def test_the_sinks_list_has_pages(sink, headers):
    """Following the cursors of either surface leads past every file once."""
    seen, cursor = [], {}
    with httpx.Client(base_url=sink.url, headers=headers, trust_env=False) as client:
        while cursor is not None:
            page = client.get("/v1/files", params={"limit": 1000, **cursor}).json()
            seen += [file["id"] for file in page["data"]]
            if headers:
                cursor = {"after_id": page["last_id"]} if page["has_more"] else None
            else:
                cursor = {"page": page["next_page"]} if page["next_page"] else None
    assert (2500, 2500) == (len(seen), len(set(seen)))


def test_without_curl_the_row_fails(monkeypatch, bench):
    """A missing peer is said and is a goal missed, never a row less."""
    monkeypatch.setattr(large.shutil, "which", lambda name: None)
    monkeypatch.setattr(bench, "upload", lambda *arguments: Figures(1, 1, 1))
    rows = large.https(bench, MB)
    assert [False] * 4 == [row["met"] for row in rows]
    assert all("curl is not on this machine" in row["note"] for row in rows)


def test_a_goal_that_is_missed_ends_with_1(monkeypatch, capsys, tmp_path):
    """The exit code says whether all goals are met, and the JSON holds every row."""
    monkeypatch.setitem(command.MEASURES, "P2", lambda bench: [report.row("P2 this", 0.8, "x", most=0.9)])
    monkeypatch.setitem(command.MEASURES, "P3", lambda bench: [report.row("P3 that", 7, "MiB", most=6)])
    assert 0 == command.main(["P2"])
    assert 1 == command.main(["P2", "P3", "--json", str(tmp_path / "found.json")])
    assert "P3 that" in capsys.readouterr().out
    assert [True, False] == [row["met"] for row in json.loads((tmp_path / "found.json").read_text())["rows"]]


@pytest.mark.parametrize("arguments", [["P99"], ["P2", "--plot", "plot.png"]])
def test_what_cannot_be_measured_is_refused(capsys, arguments):
    """A row that is not one, or a plot without its row, ends with the usage and measures nothing."""
    with pytest.raises(SystemExit, match="2"):
        command.main(arguments)
    assert "usage:" in capsys.readouterr().err


def test_a_measurement_that_fails_is_a_row(monkeypatch, capsys):
    """A client that breaks does not take the other rows along, and the run fails."""

    def broken(bench):
        raise RuntimeError("aiohttp failed")

    monkeypatch.setitem(command.MEASURES, "P2", broken)
    monkeypatch.setitem(command.MEASURES, "P3", lambda bench: [report.row("P3 that", 5, "MiB", most=6)])
    assert 1 == command.main(["P2", "P3", "--verify"])
    printed = capsys.readouterr().out
    assert all(words in printed for words in ("P2 was not measured", "aiohttp failed", "P3 that", "VERIFYING RUN"))


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_the_plot_is_drawn(tmp_path, suffix, start):
    """The figures of P1 become a picture."""
    path = tmp_path / f"plot{suffix}"
    costs = {name: Figures(1.0 + at, 1.0, 4.0) for at, name in enumerate(["curl", large.DEFAULT, "SDK, path"])}
    plot.draw(costs, path)
    assert path.read_bytes().startswith(start)

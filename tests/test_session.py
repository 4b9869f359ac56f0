"""Settings, keys, files that arrive, and the local child: what the engine stands on."""

from __future__ import annotations

import copy
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from doubles import Server, answers, metadata
from workbench import CANARY, Watch, becomes, keeps_the_secret, manager

from nbfiles import _credentials
from nbfiles._arrival import Arrival, safe_name
from nbfiles._config import NbFiles, expiry, is_loopback, place
from nbfiles._credentials import NO_KEY, Secret, find
from nbfiles._errors import CredentialError, Error, FileTooLargeError, InputError, ResponseError
from nbfiles._listing import SORTS, Listing
from nbfiles._local_process import LocalProcess
from nbfiles._models import FileMetadata, Page
from nbfiles._payload import file_payload
from nbfiles._session import Session, walk
from nbfiles._tasks import Download

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    """Begin without keys and addresses of the person who runs the tests."""
    for name in list(os.environ):
        if name.startswith(("ANTHROPIC_", "NBFILES_")) and name not in {"NBFILES_TRIALS", "NBFILES_CHROMIUM"}:
            monkeypatch.delenv(name)
    monkeypatch.setattr(_credentials, "_from_login", None)
    monkeypatch.setattr(_credentials, "_keyring", lambda: None)


# ---- keys ------------------------------------------------------------------------------------------------------------


def test_no_key_is_one_line():
    """Without a key the error says the three ways to go on."""
    with pytest.raises(CredentialError) as caught:
        find()
    assert NO_KEY == str(caught.value)


def test_the_order_in_which_keys_are_found(monkeypatch):
    """An argument, login, ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN, in this order; empty counts as unset."""
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token")
    assert (("authorization", "Bearer token"), "ANTHROPIC_AUTH_TOKEN") == (find().header(), find().source)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "  ")
    assert "ANTHROPIC_AUTH_TOKEN" == find().source
    monkeypatch.setenv("ANTHROPIC_API_KEY", " key ")
    assert (("x-api-key", "key"), "ANTHROPIC_API_KEY") == (find().header(), find().source)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "typed")
    _credentials.login()
    assert (("x-api-key", "typed"), "nbfiles.login()") == (find().header(), find().source)
    assert ("x-api-key", "given") == find(Secret("given")).header()
    assert ("authorization", "Bearer given") == find(auth_token=Secret("given")).header()
    with pytest.raises(CredentialError, match="both given"):
        find(Secret("a"), Secret("b"))


@pytest.mark.parametrize("value", ["a b", "a\nb", "schlüssel", "a\x00b", "“a”"])
def test_a_key_that_is_none(monkeypatch, value):
    """A key that cannot stand in a header is refused without being shown."""
    if "\x00" in value:
        with pytest.raises(CredentialError) as caught:
            find(Secret(value))
    else:
        monkeypatch.setenv("ANTHROPIC_API_KEY", value)
        with pytest.raises(CredentialError) as caught:
            find()
    assert value not in str(caught.value)


def test_login_saves_where_it_is_asked_to(monkeypatch):
    """``login(save=True)`` stores the key in the keyring, where a later kernel finds it; without one it says so."""
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "typed")
    with pytest.raises(CredentialError, match="no keyring"):
        _credentials.login(save=True)
    assert None is _credentials._from_login

    class Ring(dict):
        def set_password(self, *entry):
            self[entry[:2]] = entry[2]

        def get_password(self, *entry):
            return self.get(entry)

    ring = Ring()
    monkeypatch.setattr(_credentials, "_keyring", lambda: ring)
    _credentials.login(save=True)
    monkeypatch.setattr(_credentials, "_from_login", None)
    assert (("x-api-key", "typed"), "the keyring") == (find().header(), find().source)


@pytest.mark.parametrize("failure", [EOFError, RuntimeError("raw_input was called, but")])
def test_login_without_a_person(monkeypatch, failure):
    """Where nobody can type, login says what to do instead."""

    def nobody(_prompt):
        raise failure

    monkeypatch.setattr("getpass.getpass", nobody)
    with pytest.raises(CredentialError, match="nobody here"):
        _credentials.login()


def test_a_secret_does_not_show_itself():
    """No way of looking at a secret gives it away, and it is not pickled or copied."""
    secret = Secret(CANARY)
    assert "<hidden>" == repr(secret) == str(secret) == f"{secret}"
    assert CANARY not in repr(dir(secret)) + repr(secret.reveal)
    for give_away in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError):
            give_away(secret)


def test_the_key_is_no_setting():
    """No trait holds a key, so no ``%config`` prints one."""
    assert [] == [name for name in NbFiles().traits() if "key" in name or "token" in name]


# ---- places ----------------------------------------------------------------------------------------------------------


def test_the_order_in_which_addresses_are_found(monkeypatch):
    """An argument, the setting, ANTHROPIC_BASE_URL, the default, in this order; the place knows which."""
    config = NbFiles()
    assert ("https://api.anthropic.com", "default", "Claude") == (
        place(config).base_url, place(config).came_from, place(config).who)  # fmt: skip
    monkeypatch.setenv("ANTHROPIC_BASE_URL", " https://one.test/ ")
    assert ("https://one.test", "ANTHROPIC_BASE_URL") == (place(config).base_url, place(config).came_from)
    config.base_url = "https://two.test"
    assert ("https://two.test", "NbFiles.base_url") == (place(config).base_url, place(config).came_from)
    assert "argument" == place(config, base_url="https://three.test").came_from


@pytest.mark.parametrize(
    "url",
    [
        "http://api.anthropic.com", "http://10.0.0.1", "http://127.0.0.1.evil.test", "http://localhost.evil.test",
        "ftp://x", "api.anthropic.com", "https://", "", "https://user:pw@x.test", "https://@x.test", "https://x.test?a=b",
        "https://x.test#a", "https://x.test:99999", "https://x\n.test", "https://x test", "http://127.0.0.1@evil.test",
        "https://[::1", "https://x.test\\@evil.test",
    ],
)  # fmt: skip
def test_addresses_that_are_refused(url):
    """Plain http leaves this machine never; what two programs could read differently is refused."""
    with pytest.raises(InputError) as caught:
        place(NbFiles(), base_url=url or " ")
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8", "http://localhost:8", "http://[::1]:8", "https://x.test/base"])
def test_addresses_that_are_taken(url):
    """https anywhere, and http on this machine."""
    assert url == place(NbFiles(), base_url=url).base_url


def test_loopback():
    """This machine is localhost and the loopback addresses."""
    assert [True, True, True, True, False, False, False] == [
        is_loopback(host) for host in ("localhost", "LOCALHOST.", "127.9.9.9", "::1", "localhost.test", "0.0.0.0", None)
    ]


@pytest.mark.parametrize("bad", [{"surface": "alpha"}, {"betas": ["a b"]}, {"betas": "abc"}, {"workspace_id": "a\nb"}])
def test_arguments_that_cannot_be(bad):
    """What could forge a header, or is not there, is refused when the client is made."""
    with pytest.raises(InputError):
        Session(NbFiles(), **bad)


def test_the_workspace_variable_is_not_sent(monkeypatch):
    """ANTHROPIC_WORKSPACE_ID is not sent with a plain key, as in the official SDK."""
    monkeypatch.setenv("ANTHROPIC_WORKSPACE_ID", "wrkspc_1")
    assert "" == place(NbFiles()).workspace_id


@pytest.mark.parametrize("seconds", [0, 3599, 7_776_001, True, 3600.0, "7d"])
def test_expiries_that_are_refused(seconds):
    """An expiry is a whole number of seconds from an hour to 90 days."""
    with pytest.raises(InputError):
        expiry(seconds)
    assert [None, 3600, 7_776_000] == [expiry(value) for value in (None, 3600, 7_776_000)]


def test_a_file_over_the_limit_is_refused_before_a_connection(tmp_path, monkeypatch):
    """One byte over the limit is refused at once; the limit itself is taken, with a note above 500 MB."""
    path = tmp_path / "big.bin"
    with path.open("wb") as file:
        file.truncate(524_288_000)
    session = Session(NbFiles(), base_url="https://x.test", api_key=Secret("k"))
    assert 1 == len(session.check([file_payload(path)]))
    os.truncate(path, 524_288_001)
    started = time.monotonic()
    with pytest.raises(FileTooLargeError, match="524,288,001 bytes"):
        session.check([file_payload(path)])
    assert time.monotonic() - started < 0.5


# ---- listing ---------------------------------------------------------------------------------------------------------


def listed(server, first=None):
    return manager(server.url).run([Session(NbFiles(), base_url=server.url).listing(first)], Watch())[0]


@pytest.mark.parametrize("ga", [True, False])
def test_all_pages_are_walked(ga):
    """Both shapes of pages are walked to their end, an empty page with a cursor included; the body decides which."""
    pages = [["a", "b"], [], ["c"]]
    bodies = []
    for number, ids in enumerate(pages):
        last = number == len(pages) - 1
        data = [metadata(one) for one in ids]
        bodies.append(
            {"data": data, "next_page": None if last else f"page_{number}"}
            if ga
            else {"data": data, "has_more": not last, "first_id": "x", "last_id": f"page_{number}"}
        )
    with Server(*[answers(200, body) for body in bodies]) as server:
        assert ["a", "b", "c"] == [file.id for file in listed(server)]
    cursor = "page" if ga else "after_id"
    expected = ["", f"&{cursor}=page_0", f"&{cursor}=page_1"]
    assert [f"GET /v1/files?beta=true&limit=1000{more}" for more in expected] == server.targets


def test_the_newest_are_enough():
    """Where the newest are asked for, no more is fetched."""
    with Server(answers(200, {"data": [metadata("a"), metadata("b")], "next_page": "p"})) as server:
        assert ["a", "b"] == [file.id for file in listed(server, 2)]
    assert ["GET /v1/files?beta=true&limit=2"] == server.targets


def test_a_list_without_end_is_an_error():
    """A server that gives a cursor again does not keep us for ever."""
    with Server(answers(200, {"data": [], "next_page": "same"})) as server:
        assert ResponseError is type(listed(server))
    assert len(server.exchanges) < 5
    assert [] == list(walk(lambda _cursor: Page((), {})))


@pytest.mark.parametrize("odd", ["../messages", "x?y", "x%2f..", "@evil", "é", "a/b", "a#b", "a b"])
def test_an_id_is_one_segment_of_a_path(odd):
    """Whatever an id holds, the request stays below /v1/files/."""
    with Server(answers(200, metadata())) as server:
        manager(server.url).run([Session(NbFiles(), base_url=server.url).metadata(odd)], Watch())
    ((method, target),) = [line.split(" ") for line in server.targets]
    assert "GET" == method
    assert 3 == target.partition("?")[0].count("/")
    assert target.startswith("/v1/files/")


@pytest.mark.parametrize("bad", ["", ".", "..", "a\nb", "a\u202eb", "x" * 1001])
def test_ids_that_are_refused(bad):
    """What can be no id is refused before a request."""
    with Server(answers(200, metadata())) as server:
        (result,) = manager(server.url).run([Session(NbFiles(), base_url=server.url).metadata(bad)], Watch())
    assert (InputError, []) == (type(result), server.targets)


def test_filters_and_orders():
    """Each filter keeps what it says; each order begins with what one wants to see first."""
    files = [
        FileMetadata(f"file_{n}", "file", name, mime, size, NOW - timedelta(days=n), expires_at=ends)
        for n, (name, mime, size, ends) in enumerate(
            [("b.csv", "text/plain", 5, None), ("A.pdf", "application/pdf", 50, NOW + timedelta(hours=2)),
             ("c.csv", "text/csv", 500, NOW - timedelta(hours=1)), ("d.png", "image/png", 1, NOW + timedelta(days=9))]
        )
    ]  # fmt: skip

    def names(**wanted):
        return "".join(file.filename[0] for file in Listing(**wanted).apply(files, NOW))

    day = 86_400
    assert ("bAcd", "bc", "c", "d", "bA", "cd", "Ac") == (
        names(), names(match="*.csv"), names(type="text/csv"), names(type="image/*"), names(newer=2 * day),
        names(older=day), names(expiring=day))  # fmt: skip
    assert ("c", "Ac", "bA") == (names(larger=50), names(larger=49), names(limit=2))
    assert {"created": "bAcd", "name": "Abcd", "size": "cAbd", "type": "Adcb", "expires": "cAdb"} == {
        sort: names(sort=sort) for sort in SORTS
    }
    assert "dcAb" == names(reverse=True)
    assert (2, None, None) == (Listing(limit=2).first, Listing().first, Listing(limit=2, sort="size").first)


# ---- downloads -------------------------------------------------------------------------------------------------------

NAMES = [
    "../../etc/passwd", "/etc/passwd", "..\\..\\boot.ini", "C:\\x\\y.txt", "a:b", "~/x", "a\x00b", "CON", "con.txt",
    "nul .txt", "COM1", "x.", "x ", "...", "..", ".", "", "-rf", ".bashrc", "a\u202egpj.exe", "é" * 200 + ".txt",
    "x" * 300 + ".parquet", "a\nb", "<script>", "aux", "LPT¹.x", " lead", "\u2028", "a/b/", "\\",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_stays_in_its_folder(name, tmp_path):
    """Whatever a server calls a file, it lands in the chosen folder under a harmless name."""
    folder = tmp_path / "in"
    folder.mkdir()
    with Arrival(folder, name, 1, overwrite=False) as arrival:
        arrival.write(b"x")
        path = arrival.publish()
    assert [path] == list(folder.iterdir())
    assert [folder] == list(tmp_path.iterdir())
    assert safe_name(name) == path.name
    assert len(path.name.encode()) <= 255
    assert path.name[0] not in ".-~ "
    assert path.name[-1] not in ". "
    assert path.name.rpartition(".")[0] or "." not in path.name


def test_a_file_that_is_there_stays(tmp_path):
    """A file that is there, or a link that was planted, is not replaced unless asked; nothing half is left."""
    (tmp_path / "a.txt").write_bytes(b"old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "outside")
    for name in ("a.txt", "link.txt"):
        with pytest.raises(InputError, match="is there already"):
            Arrival(tmp_path, name, 1, overwrite=False)
    with Arrival(tmp_path, "late.txt", 1, overwrite=False) as arrival:
        arrival.write(b"x")
        (tmp_path / "late.txt").symlink_to(tmp_path / "outside")
        with pytest.raises(InputError, match="is there already"):
            arrival.publish()
    with Arrival(tmp_path, "link.txt", 3, overwrite=True) as arrival:
        arrival.write(b"new")
        arrival.publish()
    assert (b"old", b"new") == ((tmp_path / "a.txt").read_bytes(), (tmp_path / "link.txt").read_bytes())
    assert not (tmp_path / "outside").exists()
    assert {"a.txt", "link.txt", "late.txt"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("sent", [b"12", b"1234", b""])
def test_a_size_that_lies(sent, tmp_path):
    """Fewer or more bytes than the server said are no file, and nothing is left of them."""
    with Server(
        answers(200, metadata("f", size_bytes=3, filename="a.bin", downloadable=True)), answers(200, sent)
    ) as server:
        (result,) = manager(server.url).run([Download("f", tmp_path, overwrite=False)], Watch())
    assert (ResponseError, []) == (type(result), list(tmp_path.iterdir()))


def test_a_download(tmp_path):
    """A file that Claude made arrives whole, in a folder that is made for it, and is not unpacked on the way."""
    with Server(answers(200, metadata("f", size_bytes=3, filename="a.bin")), answers(200, b"123")) as server:
        (path,) = manager(server.url).run([Download("f", f"{tmp_path}/new/", overwrite=False)], Watch())
    assert (tmp_path / "new/a.bin", b"123") == (path, path.read_bytes())
    assert "identity" == server.exchanges[1].header("accept-encoding")
    assert ["GET /v1/files/f?beta=true", "GET /v1/files/f/content?beta=true"] == server.targets


# ---- the local child -------------------------------------------------------------------------------------------------


@pytest.fixture
def child(monkeypatch, tmp_path):
    """A local process of the test's own."""
    monkeypatch.setenv("NBFILES_LOCAL_DIR", os.fspath(tmp_path))
    monkeypatch.setenv("ANTHROPIC_API_KEY", CANARY)
    process = LocalProcess()
    yield process
    process.stop()


def test_the_child_starts_once_and_again(child):
    """The child starts when it is asked for, serves on, is started anew if it died, and ends when told."""
    first = child.address()
    assert first == child.address()
    pid = child._child.pid
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    assert first.credential.secret.reveal().encode() not in command
    assert CANARY.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
    assert os.getpgid(pid) != os.getpgid(0), "an interrupt of the kernel's group must not reach it"
    os.kill(pid, signal.SIGKILL)
    child._child.wait(5)
    second = child.address()
    assert second.base_url != first.base_url or child._child.pid != pid
    last = child._child
    child.stop()
    assert 0 == last.wait(5)


def test_the_child_ends_with_its_parent(tmp_path):
    """If the kernel is killed, its local Files API ends by itself."""
    code = (
        "import time; from nbfiles._local_process import LOCAL; LOCAL.address(); "
        "print(LOCAL._child.pid, flush=True); time.sleep(60)"
    )
    environment = os.environ | {"NBFILES_LOCAL_DIR": os.fspath(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    assert becomes(True, lambda: not Path(f"/proc/{pid}").exists() or "Z" in _state(pid), 5)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


def test_a_child_that_does_not_start_says_why(child, monkeypatch, tmp_path):
    """If the local Files API cannot start, its own last line is the way out."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NBFILES_LOCAL_DIR", os.fspath(tmp_path / "file"))
    with pytest.raises(Exception, match="did not start") as caught:
        child.address()
    assert "It said" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("program", "reason"), [("/no/such/python", "No such file"), ("/dev/null", "Permission denied")]
)
def test_no_program_to_start_is_one_line(child, monkeypatch, program, reason):
    """Where the system starts no process the error is ours, says what the system said, and shows no environment."""
    monkeypatch.setenv("GATEWAY_KEY", CANARY)
    monkeypatch.setattr(sys, "executable", program)
    with pytest.raises(Error, match=f"the local Files API did not start. The system said: {reason}") as caught:
        child.address()
    keeps_the_secret(caught.value)


def test_an_interrupt_shows_no_environment(child, monkeypatch):
    """Ctrl-C while the child is made shows nothing of the environment, which may hold keys by any name."""

    def interrupted(*_arguments, env, **_options):
        assert CANARY == env["GATEWAY_KEY"]
        raise KeyboardInterrupt

    monkeypatch.setenv("GATEWAY_KEY", CANARY)
    monkeypatch.setattr(subprocess, "Popen", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught:
        child.address()
    keeps_the_secret(caught.value)

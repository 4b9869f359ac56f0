"""Paths: files, folders and globs; what is refused, and what a folder keeps to itself."""

import os
import socket
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from nbfiles import sources
from nbfiles._errors import FileNameError, InputError, SourceError
from nbfiles.sources import Request

posix = pytest.mark.skipif(sys.platform == "win32", reason="pipes, sockets and permissions as POSIX has them")


def write(folder, *names):
    """Make files whose content is their name."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def sent(made):
    """Return the paths that payloads came from."""
    with made:
        return [PurePosixPath(each.source).as_posix() for each in made]


@pytest.mark.parametrize("form", [str, Path, lambda name: Path(name).absolute()])
def test_file(here, send, form):
    """A path is one file, under its own name, however it is written."""
    write(here, "report.txt")
    arrived = send(form("report.txt"))
    assert ("report.txt", "text/plain", b"report.txt", ()) == (
        arrived.name,
        arrived.mime_type,
        arrived.content,
        arrived.notes,
    )


def test_path_protocol(here, send):
    """Any object with __fspath__ is a path, bytes included."""

    class Place:
        def __fspath__(self):
            return b"report.txt"

    write(here, "report.txt")
    assert b"report.txt" == send(Place()).content


def test_name_and_type(here, send):
    """A name and a type that are asked for are sent instead of the file's own."""
    write(here, "report.txt")
    arrived = send("report.txt", name="r.csv", for_="container")
    assert ("r.csv", "text/csv") == (arrived.name, arrived.mime_type)
    assert "text/x-log" == send("report.txt", type="text/x-log").mime_type


def test_home(here, send, monkeypatch):
    """A tilde is filled in at the start of a string."""
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setenv("USERPROFILE", str(here))
    write(here, "a.txt")
    assert b"a.txt" == send("~/a.txt").content


@pytest.mark.parametrize("size", [0, 1, (1 << 16) - 1, 1 << 16, (1 << 16) + 1, (1 << 20) + 1])
def test_sizes(here, send, size):
    """A file of any size arrives with exactly its bytes."""
    (here / "a.bin").write_bytes(b"\x07" * size)
    assert b"\x07" * size == send("a.bin").content


@posix
def test_sparse_file_is_not_read(here):
    """A file of five gigabytes is a payload at once, with its exact size."""
    with (here / "big.bin").open("wb") as file:
        file.truncate(5 << 30)
    with sources.payloads("big.bin") as made:
        assert [5 << 30] == [each.size for each in made]


def test_exact_name_before_glob(here, send):
    """A file whose name looks like a glob is that file."""
    write(here, "data[1].csv", "data1.csv")
    assert b"data[1].csv" == send("data[1].csv").content


@posix
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("fifo", "is a pipe, not a file"),
        ("socket", "is a socket or a device, not a file"),
        ("device", "is a device, not a file"),
        ("broken", "is a link to a file that is not there"),
        ("loop", "is a link that leads back to itself"),
        ("missing", "there is no file"),
        ("under a file", "there is no file"),
        ("too long", "cannot be read"),
    ],
)
@pytest.mark.parametrize("form", [str, Path])
def test_not_a_file(here, kind, words, form):
    """What is not a file is refused by what it is, at once and before anything is sent."""
    path = here / "x"
    server = socket.socket(socket.AF_UNIX)
    try:
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "socket":
            os.chdir(here)
            server.bind("x")
        elif kind == "device":
            path = Path("/dev/zero")
        elif kind == "broken":
            path.symlink_to("nowhere")
        elif kind == "loop":
            path.symlink_to("x")
        elif kind == "under a file":
            path.write_bytes(b"")
            path = path / "y"
        elif kind == "too long":
            path = here / ("x" * 300)
        with pytest.raises(SourceError, match=words):
            sources.payloads(form(path))
    finally:
        server.close()


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_impossible_paths(here, name):
    """A string that no file can be called is refused with its hidden part shown."""
    for form in (str, Path):
        with pytest.raises(InputError) as caught:
            sources.payloads(form(name))
        assert "<U+" in str(caught.value)


AS_NOBODY = """
import os
from nbfiles import sources
if os.geteuid() == 0:
    os.seteuid(65534)  # root may read everything
for name in ("secret.txt", "closed"):
    try:
        sources.payloads(name)
    except sources._registry.SourceError as error:
        print(error.cause)
"""


@posix
def test_unreadable(here):
    """A file or folder without the permission to read it is refused."""
    write(here, "secret.txt", "closed/a.txt")
    (here / "secret.txt").chmod(0)
    (here / "closed").chmod(0)
    here.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", AS_NOBODY], check=True, capture_output=True, text=True, timeout=60)
    (here / "closed").chmod(0o755)
    expected = ["secret.txt may not be read by you", "the folder closed cannot be read"]
    assert expected == done.stdout.splitlines()


@posix
def test_vanished_after_measuring(here):
    """A file that is gone when it should be sent is an error that says so, not half a body."""
    write(here, "a.txt")
    with sources.payloads("a.txt") as made:
        (here / "a.txt").unlink()
        with pytest.raises(SourceError, match="there is no file"):
            list(made.items[0].chunks())


@posix
def test_link_is_followed_and_told(here, send):
    """A link is sent as its target under its own name, and the receipt says where it leads."""
    write(here, "real/a.txt")
    (here / "b.txt").symlink_to("real/a.txt")
    arrived = send("b.txt")
    assert ("b.txt", b"real/a.txt") == (arrived.name, arrived.content)
    assert (f"b.txt is a link to {here.resolve() / 'real/a.txt'}",) == arrived.notes


def test_empty_string():
    """The empty string names nothing, least of all the current folder."""
    with pytest.raises(SourceError, match="the path is empty"):
        sources.payloads("")


# -- folders


@pytest.mark.parametrize("form", [str, Path, lambda name: f"{name}/"])
def test_folder(here, send_many, form):
    """A folder is all its files at every depth, sorted by their path, even if there is one."""
    write(here, "data/b.txt", "data/a/z.txt", "data/a/y/x.txt", "data/B.txt", "data/a.txt")
    assert ["data/B.txt", "data/a.txt", "data/a/y/x.txt", "data/a/z.txt", "data/b.txt"] == [
        each.content.decode() for each in send_many(form("data"))
    ]
    write(here, "one/a.txt")
    assert 1 == len(send_many(form("one")))


def test_folder_equal_names(here, send_many):
    """The same file name in two subfolders is fine."""
    write(here, "d/a/x.txt", "d/b/x.txt")
    assert ["x.txt", "x.txt"] == [each.name for each in send_many("d")]


PRIVATE = [
    ".env", ".env.local", ".hidden", "id_rsa", "id_rsa.pub", "id_ed25519", "server.pem", "SERVER.PEM", "tls.key",
    "cert.p12", "cert.pfx", "credentials.json", "credentials-prod.json", "client_secret_1.json",
    ".ipynb_checkpoints/a-checkpoint.ipynb", "__pycache__/a.pyc", ".git/config", "deep/.env", "deep/.git/config",
]  # fmt: skip


@pytest.mark.parametrize("private", PRIVATE)
def test_folder_keeps_secrets(here, send_many, private):
    """A folder never takes hidden files, keys and tools' own files along by itself."""
    write(here, "d/a.txt", f"d/{private}")
    assert [b"d/a.txt"] == [each.content for each in send_many("d")]
    assert [b"d/a.txt"] == [each.content for each in send_many("d", include=("*",), exclude=("*.pyx",))]


@pytest.mark.parametrize("private", PRIVATE)
def test_private_folder_alone(here, private):
    """A folder with nothing but private files is refused rather than sent."""
    write(here, f"d/{private}")
    with pytest.raises(SourceError, match="no file to send in d"):
        sources.payloads("d")


def test_left_out_is_told(here, send_many):
    """The receipt says what a folder left out, and how to send it."""
    write(here, "d/a.txt", "d/.env", "d/k.pem", "d/.git/config")
    assert ("Left out as hidden or a key: .env, k.pem. --include sends them.",) == send_many("d")[0].notes


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        (".env", ["d/.env"]),
        (".env*", ["d/.env", "d/.env.local"]),
        ("*.pem", ["d/k.pem"]),
        ("deep/.git/config", ["d/deep/.git/config"]),
        ("credentials.json", ["d/credentials.json"]),
    ],
)
def test_include_names_private(here, send_many, include, expected):
    """A private file is sent where --include names it by its private part."""
    write(here, "d/a.txt", "d/.env", "d/.env.local", "d/k.pem", "d/deep/.git/config", "d/credentials.json")
    assert expected == [each.content.decode() for each in send_many("d", include=(include,))]


def test_include_star_json_is_no_name_for_credentials(here, send_many):
    """A broad pattern does not pull a key file along that happens to fit it."""
    write(here, "d/a.json", "d/credentials.json")
    assert ["d/a.json"] == [each.content.decode() for each in send_many("d", include=("*.json",))]


@pytest.mark.parametrize("private", [".env", "server.pem", ".git"])
def test_named_directly(here, private):
    """What is named directly is sent, private or not."""
    write(here, ".env", "server.pem", ".git/config")
    assert 1 == len(sent(sources.payloads(private)))


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"include": ("*.csv",)}, ["d/a.csv", "d/tmp/c.csv"]),
        ({"include": ("*.csv", "*.txt")}, ["d/a.csv", "d/b.txt", "d/tmp/c.csv"]),
        ({"include": ("tmp/*",)}, ["d/tmp/c.csv"]),
        ({"exclude": ("tmp/*",)}, ["d/a.csv", "d/b.txt"]),
        ({"exclude": ("**/a.csv",)}, ["d/b.txt", "d/tmp/c.csv"]),
        ({"include": ("*.csv",), "exclude": ("c.*",)}, ["d/a.csv"]),
    ],
)
def test_include_and_exclude(here, send_many, request_, expected):
    """The globs match the path inside the folder, or the file name."""
    write(here, "d/a.csv", "d/b.txt", "d/tmp/c.csv")
    assert expected == [each.content.decode() for each in send_many("d", **request_)]


@posix
def test_folder_links(here, send_many):
    """A linked folder is followed once; a link back up ends there; a real path wins over a link to it."""
    write(here, "d/real/a.txt", "outside/b.txt")
    (here / "d/aaa").symlink_to("real")
    (here / "d/real/up").symlink_to("..")
    (here / "d/out").symlink_to(here / "outside")
    (here / "outside/back").symlink_to(here / "d")
    assert ["d/out/b.txt", "d/real/a.txt"] == sent(sources.folder("d", Request()))


@posix
@pytest.mark.parametrize(
    ("kind", "words"), [("fifo", "is a pipe"), ("broken", "not there"), ("loop", "back to itself")]
)
def test_folder_with_what_is_no_file(here, kind, words):
    """A pipe or a broken link in a folder is named, not passed over; --exclude leaves it out."""
    write(here, "d/a.txt")
    path = here / "d/x"
    os.mkfifo(path) if kind == "fifo" else path.symlink_to("nowhere" if kind == "broken" else "x")
    with pytest.raises(SourceError, match=words):
        sources.payloads("d")
    assert ["d/a.txt"] == sent(sources.payloads("d", Request(exclude=("x",))))


@pytest.mark.parametrize("name", ["d", "d/sub"])
def test_empty_folder(here, name):
    """An empty folder is an error, not an empty list."""
    (here / name).mkdir(parents=True)
    with pytest.raises(SourceError, match="no file to send in d"):
        sources.payloads("d")


def test_folder_that_is_none(here):
    """folder() of a file or of nothing says so."""
    write(here, "a.txt")
    for name in ("a.txt", "nothing"):
        with pytest.raises(SourceError, match="there is no folder"):
            sources.folder(name, Request())


def test_file_that_is_a_folder(here):
    """file() of a folder names the form that sends folders."""
    (here / "d").mkdir()
    with pytest.raises(SourceError, match="%upload folder/"):
        sources.file("d", Request())


def test_name_for_many(here):
    """One file name for many files is refused."""
    write(here, "d/a.txt")
    for source in ("d", "d/*"):
        with pytest.raises(InputError, match="--name is for one file"):
            sources.payloads(source, Request(name="b.txt"))


# -- globs


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", ["1.csv", "2.csv"]),
        ("?.csv", ["1.csv", "2.csv"]),
        ("[1-1].csv", ["1.csv"]),
        ("[!1].csv", ["2.csv"]),
        ("d/*.csv", ["d/3.csv"]),
        ("*/*.csv", ["d/3.csv"]),
        ("**/*.csv", ["1.csv", "2.csv", "d/3.csv", "d/e/4.csv"]),
        ("d/**/*.csv", ["d/3.csv", "d/e/4.csv"]),
        ("d/**", ["d/3.csv", "d/e/4.csv"]),
        ("d/**/e/*", ["d/e/4.csv"]),
        ("./*.csv", ["1.csv", "2.csv"]),
        ("d/../[12].csv", ["d/../1.csv", "d/../2.csv"]),
        ("*", ["1.csv", "2.csv"]),
    ],
)
def test_glob(here, pattern, expected):
    """A glob is the files that match, sorted by their path; folders are no files."""
    write(here, "2.csv", "1.csv", "d/3.csv", "d/e/4.csv", ".hidden/5.csv")
    assert expected == sent(sources.glob_(pattern, Request()))
    with sources.payloads(pattern) as made:
        assert made.many is True


def test_glob_absolute(here):
    """An absolute glob matches too, even below a hidden folder that it names."""
    write(here, ".cache/a.csv")
    assert [(here / ".cache/a.csv").as_posix()] == sent(sources.glob_(str(here / ".cache/*.csv"), Request()))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("*", ["a.txt"]), ("*.pem", ["k.pem"]), (".*", [".env"]), ("[.]env", None), ("k*", ["kk.txt"]), ("*.p*", None)],
)
def test_glob_and_private_files(here, pattern, expected):
    """A glob takes private files only where the pattern itself reads as one."""
    write(here, "a.txt", "k.pem", ".env")
    if pattern == "k*":
        write(here, "kk.txt")
    if expected is None:
        with pytest.raises(SourceError, match="Left out as hidden or a key"):
            sources.glob_(pattern, Request())
    else:
        assert expected == sent(sources.glob_(pattern, Request()))


@pytest.mark.parametrize("pattern", ["*.cvs", "nothing/*.csv", "1.csv/*", "d/[x"])
def test_glob_without_match(here, pattern):
    """A glob that matches nothing is an error."""
    write(here, "1.csv")
    with pytest.raises(SourceError, match="no file matches"):
        sources.payloads(pattern) if "[" not in pattern else sources.glob_(pattern, Request())


@posix
def test_glob_in_a_loop(here):
    """A glob with ** ends in a folder of links that lead back, and names each file once."""
    write(here, "d/a.csv")
    for name in ("x", "y", "z"):
        (here / "d" / name).symlink_to(".")
    assert ["d/a.csv"] == sent(sources.glob_("d/**/*.csv", Request()))


def test_glob_exclude(here):
    """--exclude narrows a glob."""
    write(here, "1.csv", "2.csv")
    assert ["1.csv"] == sent(sources.glob_("*.csv", Request(exclude=("2*",))))


@posix
def test_bad_name_in_a_folder(here):
    """A file in a folder whose name the API would refuse is named before anything is sent."""
    write(here, "d/a.txt", "d/b:c.txt")
    with pytest.raises(FileNameError, match=r"b:c\.txt"):
        sources.payloads("d")

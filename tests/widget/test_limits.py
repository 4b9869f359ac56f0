"""What an upload widget takes, and the sentence with which it does not take the rest."""

from __future__ import annotations

import pytest

from nbfiles import Files, InputError, UploadWidget
from nbfiles.widget._limits import Limits


def limits(**given) -> Limits:
    """Limits that take anything but what `given` says."""
    return Limits(**{"accept": (), "multiple": True, "max_files": None, "max_bytes": 1_000_000} | given)


def refusal(name: str, path: str = "", count: int = 5, others: int = 0, **given) -> str | None:
    return limits(**given).refusal(name, path, count, others)


@pytest.mark.parametrize(
    ("written", "tokens"),
    [
        ("", ()),
        (".pdf", (".pdf",)),
        (" .PDF , image/*,text/csv,", (".pdf", "image/*", "text/csv")),
        ([".tar.gz", " Image/PNG "], (".tar.gz", "image/png")),
        ((".c++", ""), (".c++",)),
    ],
)
def test_accept_is_read(written, tokens):
    """What may be chosen is written as in HTML or as a list, in capitals or not, with spaces or without."""
    assert tokens == Limits.accepted(written)
    assert tokens == limits(accept=Limits.accepted(written)).accept


@pytest.mark.parametrize(
    "token", ["pdf", "*", "*.pdf", "image", "image/", "/png", ".", ".p df", "image/*.png", "<b>", ".é"]
)
def test_accept_that_is_none(token):
    """What is neither an ending nor a MIME type is refused, and the right way is shown."""
    with pytest.raises(InputError, match="is not something to accept") as caught:
        limits(accept=Limits.accepted(token))
    assert "Write '.pdf', 'image/*' or 'text/csv'." == caught.value.way_out


@pytest.mark.parametrize(
    ("accept", "name", "taken"),
    [
        ("", "anything.xyz", True),
        (".pdf", "Report.PDF", True),
        (".pdf", "report.pdf.exe", False),
        (".pdf", "pdf", False),
        (".tar.gz", "a.tar.gz", True),
        (".tar.gz", "a.gz", False),
        ("image/*", "a.png", True),
        ("image/*", "a.pdf", False),
        ("image/*", "a", False),
        ("text/csv", "a.csv", True),
        (".pdf,image/*", "a.jpeg", True),
    ],
)
def test_accept(accept, name, taken):
    """The kernel itself sees that only what is accepted gets in; the browser's chooser is no guard."""
    said = refusal(name, accept=Limits.accepted(accept))
    assert (None if taken else f"Not sent: only {accept.replace(',', ', ')} is accepted here.") == said


def test_sizes():
    """A file may have the limit and no byte more, and must have one."""
    assert None is refusal("a.bin", count=1_000_000)
    assert "Not sent: 1.00\u00a0MB is over the 1.00\u00a0MB limit for one file." == refusal("a.bin", count=1_000_001)
    assert "Not sent: empty file." == refusal("a.bin", count=0)


def test_no_limit_is_above_the_settings():
    """A limit can only be lower than that of the settings."""
    assert 10 == limits(max_bytes=10).within(1000).max_bytes
    assert 1000 == limits(max_bytes=5000).within(1000).max_bytes


def test_counts():
    """The file beyond the number allowed is refused; a single one replaces, so no number is looked at."""
    assert None is refusal("a", max_files=2, others=1)
    assert "Not sent: 2 files at most." == refusal("a", max_files=2, others=2)
    assert None is refusal("a", max_files=1, others=1, multiple=False)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("n" * 255, None),
        ("n" * 256, "has 256 characters, and the Files API takes 255"),
        ("", "the file name is empty"),
        ("a:b.txt", "holds :, which the Files API refuses"),
        ("what?.txt", "holds ?, which the Files API refuses"),
        ("../../etc/passwd", "holds /"),
        ("..\\evil.exe", "holds \\"),
        ("..", "is a folder"),
        ("a\x00b", "holds <U+0000>"),
        ("a\nb", "holds <U+000A>"),
        ("<script>alert(1)</script>", "holds <"),
        ("половина 🐛.txt", None),
        ("gpj\u202e.exe", None),
    ],
)
def test_names(name, said):
    """A name goes as it is or not at all, and the reason never holds a hidden character."""
    reason = refusal(name)
    if said is None:
        assert None is reason
    else:
        assert reason.startswith("Not sent: ")
        assert said in reason
        assert "\x00" not in reason
        assert "\n" not in reason


def test_a_direction_override_is_marked():
    """A name with a direction override that is refused for something else is shown with the override as a mark."""
    assert "Not sent: the file name gpj<U+202E>.?exe holds ?, which the Files API refuses." == refusal("gpj\u202e.?exe")


@pytest.mark.parametrize(
    "path",
    [
        "data/.env",
        ".ssh/config",
        "data/id_rsa",
        "certs/server.pem",
        "a/../../etc/shadow",
        "keys/MY.KEY",
        "x/kubeconfig",
    ],
)
def test_secrets_of_a_folder(path):
    """Hidden and key files, and paths that climb, do not go with a folder."""
    assert "Not sent: hidden or a key file. Choose it by itself to send it." == refusal(path.split("/")[-1], path)


def test_secrets_by_themselves():
    """What was chosen by itself is meant."""
    assert [None, None] == [refusal(".env"), refusal("server.pem")]


def test_tools_are_passed_over():
    """What tools keep in a folder is passed over; a file that is named like that but for a letter is not."""
    passed = ["p/.git/config", "p/__pycache__/a.pyc", ".DS_Store", "p/.ipynb_checkpoints/a.ipynb", "p/.venv/bin/x"]
    assert [True] * 5 == [limits().passes_over(path) for path in passed]
    assert [False] * 3 == [limits().passes_over(path) for path in ("", "p/git/config", "p/.github/x.yml")]


@pytest.mark.parametrize(
    ("given", "name", "said"),
    [
        ({"for_": "image"}, "a.pdf", "an image must be a JPEG, PNG, GIF or WebP"),
        ({"for_": "document"}, "a.zip", "a document must be a PDF or plain text"),
        ({"type": "text/plain"}, "a.png", "is not text"),
        ({"for_": "image"}, "a", None),
        ({"for_": "document"}, "README", None),
    ],
)
def test_what_they_are_for(given, name, said):
    """A file that by its name cannot serve is refused at once; where only the bytes can tell, they are awaited."""
    reason = refusal(name, **given)
    assert None is reason if said is None else said in reason


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"accept": "pdf"}, "Write '.pdf', 'image/*' or 'text/csv'."),
        ({"accept": 5}, "Write '.pdf, image/*', or leave it out."),
        ({"accept": [".pdf", 5]}, "Write '.pdf, image/*', or leave it out."),
        ({"accept": None}, "Write '.pdf, image/*', or leave it out."),
        ({"max_files": 0}, "max_files must be a whole number from 1 on, not 0. Leave it out for no limit."),
        ({"max_files": 2.5}, "max_files must be a whole number from 1 on, not 2.5."),
        ({"max_files": True}, "max_files must be a whole number from 1 on, not True."),
        ({"max_bytes": -1}, "max_bytes must be a whole number from 1 on, not -1."),
        ({"max_bytes": "1 GB"}, "max_bytes must be a whole number from 1 on, not '1 GB'."),
        ({"name": "a.csv"}, "Leave it out, or say multiple=False."),
        ({"name": "a/b.csv", "multiple": False}, "Give another with --name (name= in Python)."),
        ({"name": "", "multiple": False}, "Give it one: --name report.pdf (name= in Python)."),
        ({"type": "text"}, "Write it like text/plain or application/pdf."),
        ({"type": "text/plain\r\nx: y"}, "text/plain<U+000D><U+000A>x: y is not a MIME type."),
        ({"for_": "nothing"}, "takes auto, document, container or image"),
        ({"expires": 5}, "Write '7d', '36h', a timedelta, or seconds from 3600 to 7776000."),
        ({"expires": "soon"}, "takes a whole number and one unit: 7d, 36h, 2w"),
        ({"jobs": 0}, "Leave it out to let nbfiles choose."),
        ({"jobs": 65}, "Leave it out to let nbfiles choose."),
    ],
    ids=str,
)
def test_wrong_arguments(given, said):
    """An argument that cannot be right is refused when the widget is made, and the error says what to write."""
    with pytest.raises(InputError) as caught:
        UploadWidget(files=Files(base_url="http://127.0.0.1:9", api_key="x"), **given)
    assert said in str(caught.value)


def test_name_for_one_file():
    """One name for one file."""
    with pytest.raises(InputError, match="name is for one file") as caught:
        limits(name="a.csv")
    assert "Leave it out, or say multiple=False." == caught.value.way_out
    assert "a.csv" == limits(name="a.csv", multiple=False).name


def test_what_the_browser_gets():
    """The browser gets what its chooser needs, and nothing else."""
    shown = limits(accept=(".pdf", "image/*"), max_files=3, name=None, type="application/pdf").shown()
    assert {"accept": ".pdf,image/*", "multiple": True, "max_files": 3, "max_bytes": 1_000_000} == shown

"""Web addresses: read with the standard library, from where they say and from nowhere else, as they are now."""

from __future__ import annotations

import os
import re
import threading

import pytest
from doubles import Server, answers, says
from workbench import becomes, bundle, tls

from nbfiles import sources
from nbfiles._config import MAX_FILE_SIZE, NbFiles, settings
from nbfiles._errors import FileTooLargeError, InputError, SourceChangedError, SourceError
from nbfiles.sources import Request, _urls, _web

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
DATA = os.urandom(3 << 20) + b"the end"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Wait a hundredth of what a person waits, and begin without this machine's proxies."""
    monkeypatch.setattr(_web, "FIRST_WAIT", 0.0025)
    for name in (*PROXIES, "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def serves(data=DATA, *, ranges=True, etag='"1"', **headers):
    """Serve `data` as a web server does: all of it, or the range that is asked for."""

    def script(exchange):
        exchange.read()
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", exchange.header("range") or "")
        said = {"etag": etag, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if not asked or not ranges:
            exchange.answer(200, data, said)
        elif int(asked[1]) >= len(data):
            exchange.answer(416, b"", {"content-range": f"bytes */{len(data)}"})
        else:
            first, last = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
            exchange.answer(206, data[first : last + 1], said | {"content-range": f"bytes {first}-{last}/{len(data)}"})

    return script


def breaks_after(count, data=DATA):
    """Promise all that is asked for, send `count` bytes of it, and end the connection."""

    def script(exchange):
        exchange.read()
        first = int(re.match(r"bytes=(\d+)-", exchange.header("range") or "bytes=0-")[1])
        headers = {"etag": '"1"', "content-length": str(len(data) - first)}
        if first:
            headers["content-range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        exchange.begin(206 if first else 200, headers)
        exchange.wire.write(data[first : first + count])
        exchange.wire.wake()

    return script


def loopback(server, path="/data.csv"):
    return f"{server.url}{path}"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_web_address_is_one_file(send, ranges):
    """The file comes whole, whether its server sends parts or not; what is shown of the address is its place."""
    with Server(serves(ranges=ranges)) as server:
        arrived = send(loopback(server, "/a/big%20one.bin?signature=SECRET#part"))
    assert ("big one.bin", DATA) == (arrived.name, arrived.content)
    assert f"{server.url}/a/big%20one.bin?…" == arrived.source


def test_nothing_but_the_address_is_asked_with(send):
    """The server sees a plain request: no key, no cookie, nothing packed."""
    with Server(serves(b"x")) as server:
        send(loopback(server))
    for exchange in server.exchanges:
        names = {name for name, _ in exchange.headers}
        assert names <= {"host", "user-agent", "accept", "accept-encoding", "range", "connection"}
        assert "identity" == exchange.header("accept-encoding")


@pytest.mark.parametrize("content", [b"", b"a"])
def test_a_tiny_file(send, content):
    """A file of no bytes has no first byte to ask for, and arrives all the same."""
    with Server(serves(content)) as server:
        assert content == send(loopback(server)).content


def test_an_unknown_size_goes_through_a_temporary_file(send):
    """Where the server sends pieces without saying how many, the size is found by writing them down."""
    pieces = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    with Server(says(pieces)) as server:
        assert b"hello world" == send(loopback(server, "/a.txt")).content


def test_an_unknown_size_that_breaks_off_is_no_file():
    """Pieces that end too soon are not taken for a whole file, and no temporary file stays."""
    half = says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel")
    with Server(half) as server, pytest.raises(SourceError, match="the connection broke"):
        sources.payloads(loopback(server))


def test_an_unknown_size_has_a_limit(monkeypatch):
    """A stream without an end is given up at the limit for one file."""
    monkeypatch.setattr(settings(), "max_file_size", 7)
    pieces = says(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\n12345678\r\n0\r\n\r\n")
    with Server(pieces) as server, pytest.raises(FileTooLargeError, match="over 7 bytes"):
        sources.payloads(loopback(server))
    assert MAX_FILE_SIZE == NbFiles().max_file_size


@pytest.mark.parametrize(
    ("path", "disposition", "name"),
    [
        ("/a/report.pdf", 'attachment; filename="other.pdf"', "report.pdf"),
        ("/download?id=5", 'attachment; filename="report.pdf"', "report.pdf"),
        ("/download", "", "download"),
        ("/download", 'attachment; filename="../../etc/passwd"', "passwd"),
        ("/download", 'attachment; filename="..\\\\boot.ini"', "boot.ini"),
        ("/a%2Fb%5Cc.txt", "", "c.txt"),
        ("/%C3%A9t%C3%A9.txt", "", "été.txt"),
        ("/", "", "index.html"),
    ],
)
def test_the_name_is_data(send, path, disposition, name):
    """The name is the path's if that has an ending, else the server's; folders in it lead nowhere."""
    with Server(serves(b"x", content_disposition=disposition)) as server:
        assert name == send(loopback(server, path)).name


def test_a_name_that_the_api_refuses_is_refused():
    """A name that cannot be sent is said so, and another can be given."""
    with Server(serves(b"x")) as server:
        with pytest.raises(InputError, match=r"a:b\.txt holds :"):
            sources.payloads(loopback(server, "/a%3Ab.txt"))
        with sources.payloads(loopback(server, "/a%3Ab.txt"), Request(name="ab.txt")) as made:
            assert ["ab.txt"] == [each.name for each in made]


def test_a_page_instead_of_a_file_is_told(send):
    """A page to sign in that comes where a table was named is sent, and the receipt says what it is."""
    with Server(serves(b"<html>", content_type="text/html; charset=utf-8")) as server:
        (note,) = send(loopback(server)).notes
    assert note.endswith("/data.csv is a web page, whatever its name says")


# -- where it may be read from -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/a.csv",
        "HTTP://example.org/a.csv",
        "http://127.0.0.1.example.org/a.csv",
        "http://0x7f.1/a.csv",
        "http://user@127.0.0.1/a.csv",
        "https://user:word@example.org/a.csv",
        "https://user@example.org/a.csv",
        "https://exa mple.org/a.csv",
        "https:///a.csv",
        "https://example.org:99999/a.csv",
        "https://[::1/a.csv",
        "ftp://user:word@example.org/a.csv",
    ],
)
def test_an_address_that_may_not_be_read(url, monkeypatch):
    """In the clear, with a password, or no address at all: refused before any connection is made."""
    monkeypatch.setattr("socket.create_connection", lambda *_: pytest.fail("a connection was made"))
    with pytest.raises(InputError) as caught:
        sources.payloads(url)
    assert "word" not in str(caught.value).replace("password", "")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(send, status):
    """Where the file has moved it is read, once and for the file alone."""
    with Server(serves()) as target, Server(answers(status, b"", location=loopback(target))) as server:
        assert DATA == send(loopback(server)).content


@pytest.mark.parametrize(
    "location", ["http://example.org/a", "file:///etc/passwd", "ftp://127.0.0.1/a", "https://u:p@h/"]
)
def test_a_redirect_that_leads_down_is_not_followed(location):
    """A server cannot send a reader to where the first address could not have led."""
    with Server(answers(302, b"", location=location)) as server, pytest.raises(InputError) as caught:
        sources.payloads(loopback(server))
    assert "passwd" not in str(caught.value)


def test_a_stranger_cannot_lead_to_this_machine(tmp_path, monkeypatch):
    """A redirect from another machine to a server on this one is refused; that server sees no connection."""
    monkeypatch.setattr(settings(), "ca_bundle", bundle(tmp_path))
    real = _urls.is_loopback
    for module in ("_urls", "_get"):  # the name that the certificate is for stands for another machine
        monkeypatch.setattr(f"nbfiles.sources.{module}.is_loopback", lambda host: host != "localhost" and real(host))
    with (
        Server(serves()) as inside,
        Server(answers(302, b"", location=loopback(inside)), tls=tls("localhost")) as server,
    ):
        with pytest.raises(SourceError, match="sends its readers on to this machine"):
            sources.payloads(f"https://localhost:{server.address[1]}/a.csv")
        assert [] == inside.wires


def test_headers_stay_with_their_host(send):
    """Headers from Python reach the host they were given for, and no other that it leads to."""
    with Server(serves(b"x")) as target, Server(answers(302, b"", location=loopback(target))) as server:
        send(loopback(server), storage_options={"Authorization": "Bearer SECRET"})
    assert {"Bearer SECRET"} == {exchange.header("authorization") for exchange in server.exchanges}
    assert {None} == {exchange.header("authorization") for exchange in target.exchanges}


def test_headers_and_signatures_do_not_show():
    """No repr of what a traceback may show holds a header or the query."""
    with Server(serves(b"x")) as server:
        request = Request(storage_options={"Authorization": "SECRET"})
        with sources.payloads(loopback(server, "/a.csv?sig=SECRET"), request) as made:
            assert "SECRET" not in f"{request!r}{made.items!r}{made.items[0].open.__self__._address!r}"


def test_https_with_a_certificate_of_ones_own(send, tmp_path, monkeypatch):
    """TLS trusts what the rest of the package trusts, the bundle of the settings included."""
    with Server(serves(), tls=tls("localhost")) as server:
        url = f"https://localhost:{server.address[1]}/a.bin"
        with pytest.raises(SourceError, match="its certificate is not trusted"):
            sources.payloads(url)
        monkeypatch.setattr(settings(), "ca_bundle", bundle(tmp_path))
        assert DATA == send(url).content


def test_loopback_goes_round_proxies(send, monkeypatch):
    """A proxy of the environment never sees what is read from this machine."""
    with Server(answers(502)) as proxy, Server(serves()) as server:
        for name in PROXIES:
            monkeypatch.setenv(name, proxy.url)
        assert DATA == send(loopback(server)).content
        assert [] == proxy.wires


@pytest.mark.parametrize(
    ("status", "said"),
    [(404, "there is no file at"), (410, "there is no file at"), (401, "does not let you read"),
     (403, "does not let you read"), (500, "answered 500 for"), (204, "answered 204 for")],
)  # fmt: skip
def test_what_the_server_refuses(status, said):
    """The error says what the server said, and shows neither its HTML nor a signature."""
    script = answers(status, b"" if status == 204 else b"<h1>secret page</h1>")
    with Server(script) as server, pytest.raises(SourceError) as caught:
        sources.payloads(loopback(server, "/a.csv?sig=SECRET"))
    assert re.search(said, str(caught.value))
    assert "ecret page" not in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_a_packed_answer_is_refused():
    """What comes packed although it was not asked for is not the file's own bytes, and is not sent as if it were."""
    with Server(serves(content_encoding="gzip")) as server, pytest.raises(SourceError, match="sends it packed"):
        sources.payloads(loopback(server))


def test_nobody_there():
    """A port where nobody listens is said in a line, without the address's query."""
    with Server() as server:
        port = server.address[1]
    with pytest.raises(SourceError, match=rf"127\.0\.0\.1:{port} could not be read from \(connection refused\)"):
        sources.payloads(f"http://127.0.0.1:{port}/a.csv")


# -- while it is read --------------------------------------------------------------------------------------------------


def test_a_broken_connection_is_taken_up(send):
    """A server that breaks off after each MiB still gives every byte, once."""
    with Server(serves(), *[breaks_after(1 << 20)] * 4, serves()) as server:
        assert DATA == send(loopback(server, "/a.bin")).content


def test_a_connection_that_always_breaks_is_given_up():
    """After four connections that brought nothing the upload fails, and says so."""
    with Server(serves(), breaks_after(0)) as server, sources.payloads(loopback(server, "/a.bin")) as made:
        with pytest.raises(SourceError, match="the connection broke"):
            list(made.items[0].chunks())
        assert 5 == len(server.exchanges)


@pytest.mark.parametrize("when", ["before", "within", "after"])
def test_a_change_is_seen(when):
    """Another version before the first byte, in the middle, or just after the last: the last piece is never sent."""
    changed = serves(DATA[::-1], etag='"2"')
    scripts = {
        "before": [serves(), changed],
        "within": [serves(), breaks_after(1 << 20), changed],
        "after": [serves(), serves(), changed],
    }[when]
    got = []
    with Server(*scripts) as server, sources.payloads(loopback(server, "/a.bin")) as made:
        pieces = made.items[0].chunks()
        with pytest.raises(SourceChangedError, match="Nothing was bound"):
            got.extend(len(piece) for piece in pieces)
    assert sum(got) < len(DATA)


def test_closing_the_payload_stops_its_reader():
    """Whoever waits for a silent server ends as soon as the payload is closed."""

    def stalls(exchange):
        exchange.read()
        exchange.begin(200, {"etag": '"1"', "content-length": str(len(DATA))})
        exchange.server.go_on.wait(30)

    with Server(serves(), stalls) as server:
        made = sources.payloads(loopback(server, "/a.bin"))
        ends = []

        def read():
            try:
                list(made.items[0].chunks())
            except SourceError as error:
                ends.append(str(error))

        thread = threading.Thread(target=read)
        thread.start()
        server.wait_for(2)
        made.close()
        thread.join(5)
        assert not thread.is_alive()
    assert becomes(1, lambda: len(ends))


# -- file:// -----------------------------------------------------------------------------------------------------------


def test_a_file_url_is_a_path(here, send, send_many):
    """``file://`` names a file of this machine, a glob of them, and no other machine's."""
    (here / "a b.txt").write_text("a")
    (here / "b.txt").write_text("b")
    assert b"a" == send(f"file://{here}/a%20b.txt").content
    assert [b"a", b"b"] == [each.content for each in send_many(f"file://{here}/*.txt")]
    with pytest.raises(SourceError, match="is on another machine"):
        sources.payloads("file://elsewhere/a.txt")

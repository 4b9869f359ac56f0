"""The client alone: what it says, in one line and without a secret, when nobody answers or half an answer comes."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading

import pytest
from doubles import Proxy, Server, answers, metadata, says, silent, silent_after_the_head
from workbench import CANARY, big, bundle, client, keeps_the_secret, key, tls, where

from nbfiles import _client, _connection
from nbfiles._client import Client
from nbfiles._errors import (
    AuthenticationError,
    CertificateError,
    ConnectionFailedError,
    Error,
    InputError,
    ServerError,
)
from nbfiles._multipart import Multipart


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """Begin without the proxies and certificates of the machine that runs the tests, and wait for nobody."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("CONNECT_TIMEOUT", "STALL_TIMEOUT", "ANSWER_TIMEOUT"):
        monkeypatch.setattr(_client, name, 0.3)
    monkeypatch.setattr(_connection, "TIMEOUT", dict.fromkeys(("connect", "read", "write", "pool"), 0.3))


def fails(one: Client) -> Error:
    """Ask for a file, in vain; return the error, which shows no key."""
    with contextlib.closing(one), pytest.raises(Error) as caught:
        one.metadata("file_1")
    keeps_the_secret(caught.value)
    return caught.value


# ---- nobody answers --------------------------------------------------------------------------------------------------


def test_a_server_that_is_silent():
    """A server that has the request and says nothing is named, and how long it was waited for."""
    with Server(silent) as server:
        error = fails(client(server.url))
    assert (ConnectionFailedError, True) == (type(error), "did not answer for 0 s" in str(error))


def test_a_server_that_takes_nothing():
    """A server that reads nothing of the file is named, and how long it took no byte."""
    form = Multipart(big())
    with Server(lambda exchange: exchange.server.go_on.wait(10)) as server, contextlib.ExitStack() as stack:
        one = client(server.url)
        stack.callback(one.close)
        with pytest.raises(ConnectionFailedError) as caught:
            one.upload(form, form.chunks())
    assert "took no byte for 0 s" in str(caught.value)
    keeps_the_secret(caught.value)


def test_a_host_that_takes_no_connection():
    """A host behind which nobody takes the connection is named, and how long it was waited for."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        host = f"127.0.0.1:{full.getsockname()[1]}"
        error = fails(client(f"http://{host}"))
    assert f"{host} did not answer within 0 s" in str(error)


def test_a_proxy_that_refuses(monkeypatch):
    """What a proxy refuses is said of the proxy, and its address, which may hold a password, is not."""
    with Proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", f"//bob:{CANARY}@"))
        error = fails(client("https://files.test"))
    assert "the proxy before files.test refused" in str(error)


@pytest.fixture
def free_address():
    """An address on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as once:
        return f"http://127.0.0.1:{once.getsockname()[1]}"


def test_the_local_api_has_gone(free_address):
    """Where the local Files API does not answer any more, the way out is to start it anew."""
    error = fails(Client(where(free_address, local=True), key()))
    assert str(error).endswith(
        "could not be reached (connection refused). Run %files use local again to start it anew."
    )


def test_a_server_without_tls(tmp_path):
    """A server that does not speak TLS is told from one that is away: the reason is OpenSSL's own."""

    def greet():
        with server.accept()[0] as line:
            line.sendall(b"220 mail.test ESMTP\r\n")
            line.recv(1 << 16)

    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
        thread = threading.Thread(target=greet)
        thread.start()
        error = fails(client(f"https://{host}", ca_bundle=bundle(tmp_path)))
        thread.join()
    assert f"{host} could not be reached (TLS: wrong version number)" in str(error)


def test_a_certificate_of_nobody(tmp_path):
    """A certificate that nobody here trusts is named as what it is, with the way to name its authority."""
    with Server(tls=tls()) as server:
        error = fails(client(server.url))
    assert (CertificateError, True) == (type(error), "name its file in NbFiles.ca_bundle" in str(error))


# ---- half an answer --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationError), (503, ServerError)])
def test_a_refusal_that_breaks_off(status, kind):
    """A refusal counts by its status, though the rest of it never comes."""
    with Server(says(f"HTTP/1.1 {status} No\r\ncontent-length: 99\r\n\r\n{{".encode())) as server:
        assert kind is type(fails(client(server.url)))


def test_an_answer_that_does_not_go_on():
    """A success whose body does not come is none."""
    with Server(silent_after_the_head) as server:
        assert "did not answer for 0 s" in str(fails(client(server.url)))


# ---- what the environment says ---------------------------------------------------------------------------------------


PROXIES = {
    "no address": "nonsense://[",
    "no proxy": f"ftp://bob:{CANARY}@proxy.test",
    "half an address": f"http://bob:{CANARY}@[::1",
}


@pytest.mark.parametrize("kind", PROXIES)
def test_a_proxy_that_is_none(monkeypatch, kind):
    """A proxy that cannot be used is an error of ours that repeats nothing of it, before anything is connected."""
    monkeypatch.setenv("HTTPS_PROXY", PROXIES[kind])
    with pytest.raises(InputError, match="HTTPS_PROXY, ALL_PROXY or the address") as caught:
        client("https://files.test")
    keeps_the_secret(caught.value)
    assert "nonsense" not in str(caught.value)


@pytest.mark.parametrize("named", ["ca_bundle", "SSL_CERT_FILE"])
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_are_none(monkeypatch, tmp_path, named, content):
    """A file of certificates that is missing or holds none is named, with where its name stands."""
    path = os.fspath(tmp_path / "authority.pem")
    if content is not None:
        (tmp_path / "authority.pem").write_text(content)
    if named == "SSL_CERT_FILE":
        monkeypatch.setenv("SSL_CERT_FILE", path)
    with pytest.raises(InputError) as caught:
        client("https://files.test", **({"ca_bundle": path} if named == "ca_bundle" else {}))
    assert f"{named} names no file of certificates: {path}. It must be PEM." == str(caught.value)


@pytest.mark.parametrize("way", ["ca_bundle", "SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_a_company_that_signs_its_own(monkeypatch, tmp_path, way):
    """Each of the three ways to name an authority makes its servers trusted."""
    path = bundle(tmp_path)
    if way == "SSL_CERT_DIR":  # OpenSSL looks for files named after a hash of the authority's name
        subprocess.run(["openssl", "rehash", tmp_path], check=True)
    if way != "ca_bundle":
        monkeypatch.setenv(way, path if way == "SSL_CERT_FILE" else os.fspath(tmp_path))
    with Server(answers(200, metadata("file_1")), tls=tls()) as server:
        one = client(server.url, **({"ca_bundle": path} if way == "ca_bundle" else {}))
        with contextlib.closing(one):
            assert "file_1" == one.metadata("file_1").id

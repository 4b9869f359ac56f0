"""Where key and bytes may go: to the one address that was meant, over TLS, and nowhere else."""

from __future__ import annotations

import pytest
import trustme
from doubles import Proxy, Server, answers, metadata
from workbench import Watch, bundle, manager, send, tls

from nbfiles._errors import CertificateError, ResponseError, UnknownOutcomeError
from nbfiles._models import FileMetadata
from nbfiles._tasks import Ask, Download

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """Begin without the proxies and certificates of the machine that runs the tests."""
    for name in (*PROXIES, "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


TASKS = {
    "metadata": lambda folder: Ask(lambda client: client.metadata("file_1")),
    "list": lambda folder: Ask(lambda client: client.page({})),
    "delete": lambda folder: Ask(lambda client: client.delete("file_1")),
    "download": lambda folder: Download("file_1", folder, overwrite=False),
}


def do(verb, url, folder, **arguments):
    """Do `verb` at `url`; return its result or its error."""
    if verb == "upload":
        (result,) = send(url, **arguments)
    else:
        (result,) = manager(url, **arguments).run([TASKS[verb](folder)], Watch())
    return result


@pytest.mark.parametrize("verb", ["upload", *TASKS])
@pytest.mark.parametrize("other", ["host", "port", "scheme"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_verb_follows_a_redirect(status, other, verb, tmp_path):
    """Whatever is asked for, where a redirect points nobody sees a connection; the message names the host alone."""
    with Server(tls=tls() if other == "scheme" else None) as target:
        host = "localhost" if other == "host" else "127.0.0.1"
        scheme = "https" if other == "scheme" else "http"
        location = f"{scheme}://{host}:{target.address[1]}/v1/secret"
        with Server(answers(status, b"", location=location)) as server:
            result = do(verb, server.url, tmp_path, ca_bundle=bundle(tmp_path))
        assert [] == target.wires
    assert (UnknownOutcomeError if verb == "upload" else ResponseError) is type(result)
    assert (True, False) == (f"redirects to {host} " in str(result), "secret" in str(result))
    assert ["authority.pem"] == [path.name for path in tmp_path.iterdir()]


def test_no_redirect_of_the_content_is_followed(tmp_path):
    """A download that is sent elsewhere once its metadata are known goes nowhere, and leaves no file."""
    with Server() as target:
        with Server(answers(200, metadata("file_1")), answers(302, location=target.url)) as server:
            result = do("download", server.url, tmp_path)
        assert [] == target.wires
    assert (ResponseError, []) == (type(result), list(tmp_path.iterdir()))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_tls_on_loopback_goes_round_every_proxy(host, monkeypatch, tmp_path):
    """What is on this machine is not told to a proxy, over https as over http."""
    with Proxy() as proxy, Server(tls=tls()) as server:
        for name in PROXIES:
            monkeypatch.setenv(name, proxy.url)
        result = do("upload", f"https://{host}:{server.address[1]}", tmp_path, ca_bundle=bundle(tmp_path))
        assert [] == proxy.tunnels
    assert isinstance(result, FileMetadata)


def test_a_proxy_that_opens_the_tunnel_sees_nothing(monkeypatch, tmp_path):
    """A proxy that answers as the server, with a certificate of its own authority, gets no header and no byte."""
    with Server(tls=tls("files.test", by=trustme.CA())) as spy, Proxy({"files.test": spy.address}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        result = do("upload", "https://files.test", tmp_path, ca_bundle=bundle(tmp_path))
        assert [] == spy.exchanges
        assert 1 == len(proxy.tunnels)
    assert CertificateError is type(result)

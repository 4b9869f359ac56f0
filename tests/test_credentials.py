"""Where keys lie: keyrings that refuse, notebooks in Colab, and people who type nothing."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from nbfiles import _credentials
from nbfiles._credentials import NO_KEY, find, login
from nbfiles._errors import CredentialError


class Failing:
    """What the keyring package gives where nothing stores."""


class Keyring:
    """A backend that keeps what it is given, unless it is locked."""

    def __init__(self, *, locked: bool = False) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = locked

    def get_password(self, service, name):
        self._check()
        return self.kept.get((service, name))

    def set_password(self, service, name, password):
        self._check()
        self.kept[service, name] = password

    def _check(self):
        if self.locked:
            raise OSError("the keyring is locked; the key was not taken")


@pytest.fixture(autouse=True)
def nobody_logged_in(monkeypatch):
    """Begin in a kernel in which nobody has logged in, on a machine without a keyring."""
    monkeypatch.setattr(_credentials, "_from_login", None)
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.delitem(sys.modules, "google.colab", raising=False)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "typed")


@pytest.fixture
def install(monkeypatch):
    """Return a function that puts a keyring package with a backend into this process."""

    def install(backend):
        package = ModuleType("keyring")
        package.get_keyring = lambda: backend
        package.get_password, package.set_password = (
            getattr(backend, name, None) for name in ("get_password", "set_password")
        )
        monkeypatch.setitem(sys.modules, "keyring", package)
        monkeypatch.setitem(sys.modules, "keyring.backends", ModuleType("keyring.backends"))
        fail = ModuleType("keyring.backends.fail")
        fail.Keyring = Failing
        monkeypatch.setitem(sys.modules, "keyring.backends.fail", fail)

    return install


@pytest.fixture
def colab(monkeypatch):
    """Return a function that makes this process one of Colab's, whose secrets are what `get` gives."""

    def colab(get):
        package = ModuleType("google.colab")
        package.userdata = SimpleNamespace(get=get)
        google = ModuleType("google")
        google.colab = package
        monkeypatch.setitem(sys.modules, "google", google)
        monkeypatch.setitem(sys.modules, "google.colab", package)

    return colab


def test_a_keyring_keeps_the_key(install, monkeypatch):
    """A key that is saved is found by the next kernel, under a name of ours."""
    ring = Keyring()
    install(ring)
    login(save=True)
    assert {("nbfiles", "anthropic-api-key"): "typed"} == ring.kept
    monkeypatch.setattr(_credentials, "_from_login", None)
    assert ("the keyring", ("x-api-key", "typed")) == (find().source, find().header())


def test_a_keyring_that_stores_nothing_is_none(install):
    """Where the keyring package has no backend, login says that nothing can be saved, and asks for nothing."""
    install(Failing())
    with pytest.raises(CredentialError, match="no keyring here to save the key in"):
        login(save=True)
    with pytest.raises(CredentialError) as caught:
        find()
    assert NO_KEY == str(caught.value)


def test_a_keyring_that_does_not_take_it(install):
    """Where the keyring refuses the key it serves for this kernel; the line names the kind of refusal, no more."""
    install(Keyring(locked=True))
    with pytest.raises(CredentialError) as caught:
        login(save=True)
    assert "the keyring did not take the key (OSError). It is kept for this kernel only." == str(caught.value)
    assert ("nbfiles.login()", ("x-api-key", "typed")) == (find().source, find().header())


def test_a_locked_keyring_is_none(install):
    """A keyring that does not open is passed over, whatever it raises."""
    install(Keyring(locked=True))
    with pytest.raises(CredentialError) as caught:
        find()
    assert NO_KEY == str(caught.value)


def test_colabs_secrets(colab):
    """In Colab the notebook's secret of that name is the key, if nothing else is set."""
    colab({"ANTHROPIC_API_KEY": "kept-in-Colab"}.get)
    assert ("Colab's secrets", ("x-api-key", "kept-in-Colab")) == (find().source, find().header())


@pytest.mark.parametrize("failure", [None, KeyError("not set"), PermissionError("access was not granted")])
def test_colab_without_a_secret(colab, failure):
    """In Colab a secret that is not set, or not granted, is none."""

    def get(_name):
        if failure is not None:
            raise failure

    colab(get)
    with pytest.raises(CredentialError) as caught:
        find()
    assert NO_KEY == str(caught.value)


@pytest.mark.parametrize("typed", ["", "  \t"])
def test_nothing_typed(monkeypatch, typed):
    """Whoever types nothing is not logged in."""
    monkeypatch.setattr("getpass.getpass", lambda _prompt: typed)
    with pytest.raises(CredentialError, match="nothing was typed"):
        login()
    with pytest.raises(CredentialError) as caught:
        find()
    assert NO_KEY == str(caught.value)

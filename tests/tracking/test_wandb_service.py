"""Reachability of a W&B service."""

import threading

import pytest

from lightseg.tracking import wandb_run, wandb_service
from tests.helpers.fake_wandb import KEY, FakeWandb


@pytest.fixture
def find_unreachable(tmp_path, monkeypatch):
    """What keeps a service from being reached that has no address, but for a proxy."""

    def ask(**environment):
        for name, value in {"WANDB_BASE_URL": "http://wandb.example.invalid", **environment}.items():
            monkeypatch.setenv(name, value)
        with wandb_run.redirect_files(tmp_path):
            return wandb_service.unreachable()

    monkeypatch.setenv("WANDB_API_KEY", KEY)
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return ask


def test_unreachable__the_proxy_is_what_must_answer(find_unreachable):
    with FakeWandb() as proxy:
        assert "wandb.example.invalid does not answer" in find_unreachable()
        assert find_unreachable(http_proxy=proxy.url) is None
        assert "wandb.example.invalid does not answer" in find_unreachable(no_proxy="example.invalid")
    assert "127.0.0.1 does not answer" in find_unreachable(no_proxy="")


@pytest.mark.parametrize(
    ("proxy", "message"), [("http://h:abc", "Port could not be cast"), ("http://[h", "Invalid IPv6 URL")]
)
def test_unreachable__an_address_that_is_none_is_named(find_unreachable, proxy, message):
    assert find_unreachable(http_proxy=proxy).startswith(f"http_proxy: is no address: {message}")


def test_unreachable__a_name_that_is_looked_up_for_ever(find_unreachable, monkeypatch):
    ever = threading.Event()

    def look_up(*_):
        ever.wait()
        raise OSError

    monkeypatch.setattr(wandb_service, "CONNECT", 0.1)
    monkeypatch.setattr(wandb_service.socket, "create_connection", look_up)
    assert "no answer within" in find_unreachable()
    ever.set()

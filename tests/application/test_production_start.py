"""A production start refuses what is dangerous, and names all of it at once."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import Any

import pytest

from so.application import Application
from so.application.dangers import dangers
from so.console import Kernel
from so.console.output import Output
from so.errors import ConfigError
from so.support.ids import token
from so.support.signing import weakness

GOOD = "base64:" + base64.b64encode(bytes(range(7, 250, 8)) + b"Zk").decode()


def application(folder: Path, **topics: Any) -> Application:
    given = {
        "app": {"env": "production", "key": GOOD, "providers": [], "routes": [], "debug": False},
        "session": {"driver": "array"},
        "logging": {"default": "null", "channels": {}},
    }
    for topic, values in topics.items():
        given[topic] = {**given.get(topic, {}), **values}
    return Application(folder, given)


@pytest.mark.parametrize(
    "key",
    [
        "short", "changeme", "changemechangeme", "ChangeMe-ChangeMe!", "SomeRandomString",
        "your-secret-key!", "my secret application key",
        "0" * 32, "k" * 40, "ab" * 16, "abcabcabcabcabcabc", "0123456789abcdef",
        "abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba",
        "base64:" + base64.b64encode(bytes(32)).decode(),
        "base64:" + base64.b64encode(b"changemechangeme").decode(),
        "base64:AAAA", "base64:???",
    ],
)  # fmt: skip
def test_keys_that_others_can_guess_are_refused(tmp_path: Path, key: str):
    assert weakness(key)
    with pytest.raises(ConfigError, match="APP_KEY"):
        application(tmp_path, app={"key": key}).ready()


def test_keys_from_the_random_source_are_not():
    for _ in range(200):
        assert weakness(token(32)) is None
        assert weakness(os.urandom(16).hex()) is None
        assert weakness("base64:" + base64.b64encode(os.urandom(32)).decode()) is None


def test_all_dangers_are_named_at_once(tmp_path: Path):
    app = application(
        tmp_path,
        app={
            "key": None,
            "debug": True,
            "url": "https://erp.example.com",
            "previous_keys": ["changemechangeme"],
        },
        session={"secure": False},
    )

    with pytest.raises(ConfigError) as caught:
        app.ready()
    for name in ("APP_KEY is not set", "APP_PREVIOUS_KEYS", "APP_DEBUG", "SESSION_SECURE_COOKIE"):
        assert name in str(caught.value)
    assert "changeme" not in str(caught.value)


def test_serve_and_check_say_the_same(tmp_path: Path):
    app = application(tmp_path, app={"key": "0" * 40, "debug": True})

    def said(*words: str) -> str:
        out = io.StringIO()
        assert Kernel(app).run(words, Output(out, out)) == 1
        return out.getvalue()

    served, checked = said("serve", "--simple"), said("check")
    for fault in dangers(app):
        assert fault in served
        assert fault in checked


def test_a_sound_production_starts_and_elsewhere_nothing_is_refused(tmp_path: Path):
    assert callable(application(tmp_path).ready())
    for env in ("local", "testing", "staging"):
        dangerous = application(tmp_path, app={"env": env, "key": "0" * 40, "debug": True})
        assert callable(dangerous.ready()), env


def test_an_insecure_cookie_is_a_danger_over_https_alone(tmp_path: Path):
    insecure = {"secure": False}

    assert dangers(application(tmp_path, session=insecure)) == []
    assert dangers(application(tmp_path, session=insecure, server={"cert": "a.pem"})) != []


def test_a_name_in_a_header_of_whoever_connects_is_a_danger(tmp_path: Path):
    guards = {"sso": {"driver": "header", "header": "X-Remote-User"}}
    anybody, ours = {"proxies": ["*"]}, {"proxies": ["10.0.0.1"]}

    [said] = dangers(application(tmp_path, auth={"guards": guards}, trustedproxy=anybody))

    assert "the guard sso" in said
    assert dangers(application(tmp_path, auth={"guards": guards}, trustedproxy=ours)) == []
    assert dangers(application(tmp_path, trustedproxy=anybody)) == []

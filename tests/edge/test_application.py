"""The whole way: an application's configuration, its short names and its commands."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from so import DB, Gate, Hash, Router, app, auth, csrf_field, rate_limiter, session, sessions
from so.application import Application
from so.console.kernel import Kernel
from so.errors import ConfigError
from so.support.clock import Clock
from so.systems.auth import PasswordHasher
from so.systems.cache.limits import Limit
from so.testing import Client
from tests.edge.conftest import CHEAP, Member

ROOT = Path(__file__).resolve().parents[2]
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
NOW = 1_768_478_400


@pytest.fixture
def settings(db_config: dict[str, Any]) -> dict[str, Any]:
    return {
        "app": {"key": "k" * 40, "env": "testing", "providers": [], "routes": []},
        "database": {"default": "main", "connections": {"main": db_config, "cache": db_config}},
        "auth": {"model": Member, "scrypt": {"ln": 4, "r": 1, "p": 1}},
        "logging": {"default": "null", "channels": {}},
    }


@pytest.fixture
def erp(
    settings: dict[str, Any], tmp_path: Path, members: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Application]:
    for name in ("SESSION_DRIVER", "SESSION_COOKIE", "SESSION_SECURE_COOKIE", "SESSION_LIFETIME"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(ROOT / "config", tmp_path / "config")
    settings.pop("logging")
    with Application(tmp_path, settings) as application:
        application.clock.freeze(NOW)
        with Router.group(middleware="web"):
            Router.post("/login", lambda: {"ok": auth().attempt(credentials())})
            Router.get("/me", lambda: {"email": auth().user().email}).middleware("auth")
            Router.get("/form", lambda: str(csrf_field()))
            Router.get("/cart", lambda: session().put("user_id", 42) or session("user_id"))
        yield application


def credentials() -> dict[str, str]:
    return {"email": "ada@x.y", "password": "secret"}


def test_sessions_work_without_further_ado_and_are_ended_by_sql(erp: Application):
    """features.md, system 5, as printed there."""
    client = Client(erp)
    assert client.get("/cart").text == "42"

    active = DB.table("sessions").where("last_activity", ">", NOW - 7200).count()
    deleted = DB.table("sessions").where("user_id", 42).delete()

    assert (active, deleted) == (1, 1)
    assert DB.table("sessions").count() == 0


def test_a_login_over_http_and_the_end_of_it_everywhere(erp: Application):
    client = Client(erp)
    client.get("/me").assert_redirect("/login")
    assert client.post("/login", headers=SAME_ORIGIN).json("ok") is True
    assert client.get("/me").json("email") == "ada@x.y"

    assert sessions().active().count() == 1
    assert sessions().logout_everywhere(Member.find(1)) == 1

    client.get("/me").assert_redirect("/login")


def test_a_form_carries_its_token(erp: Application):
    client = Client(erp)
    assert client.post("/login").status == 419
    token = re.search(r'value="([^"]+)"', client.get("/form").text)
    assert token

    assert client.post("/login", {"_token": token[1]}).json("ok") is True


def test_abilities_and_limits_by_their_short_names(erp: Application):
    Gate.define("reports", lambda user: user.email == "ada@x.y")
    rate_limiter().limit("twice", lambda request: Limit.per_minute(2))
    with Router.group(middleware="web"):
        Router.get("/reports", lambda: "reports").middleware("auth", "can:reports")
        Router.get("/gate", lambda: {"allowed": Gate.allows("reports")})
        Router.get("/limited", lambda: "ok").middleware("throttle:twice")
    client = Client(erp)
    assert client.get("/gate").json("allowed") is False
    client.post("/login", headers=SAME_ORIGIN)

    assert client.get("/gate").json("allowed") is True
    assert client.get("/reports").text == "reports"
    assert [client.get("/limited").status for _ in range(3)] == [200, 200, 429]


def test_settings_reach_the_cookie(settings: dict[str, Any], tmp_path: Path, members: Any):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    settings.pop("logging")
    settings["session"] = {"cookie": "erp", "minutes": 0, "same_site": "strict", "secure": True}
    with Application(tmp_path, settings) as application:
        Router.get("/x", lambda: session().put("a", 1) or "x").middleware("web")
        result = Client(application).get("/x")

    (written, _) = result.headers.get_all("Set-Cookie")
    assert written.startswith("__Host-erp=")
    assert written.endswith("; Path=/; Secure; HttpOnly; SameSite=Strict")


def test_encryption_that_cannot_be_had_refuses_to_start(settings: dict[str, Any], tmp_path: Path):
    settings["session"] = {"encrypt": True}
    with Application(tmp_path, settings) as application, pytest.raises(ConfigError, match="cipher"):
        application.make("sessions")


def test_a_session_driver_that_does_not_exist_is_refused_and_memory_serves_tests(
    settings: dict[str, Any], tmp_path: Path
):
    settings["session"] = {"driver": "redis"}
    with pytest.raises(ConfigError, match="SESSION_DRIVER.*'redis'.*database, array"):
        Application(tmp_path, settings).boot()
    settings["session"] = {"driver": "array"}
    with Application(tmp_path, settings) as application:
        begun = application.make("sessions").open()
        begun.put("a", 1)
        begun.save()
        assert DB.table("sessions").count() == 0
        assert sessions().active().count() == 1


# --- commands ---


def run(application: Application, line: str) -> tuple[int, str]:
    kernel = Kernel(application)
    return kernel.call(line), kernel.output()


def test_session_cleanup_never_asks_and_prints_the_count(erp: Application, clock: Clock):
    client = Client(erp)
    client.get("/cart")
    client.post("/login", headers=SAME_ORIGIN)
    erp.make("authentication").remember.begin(1, None)
    erp.clock.travel(31 * 86_400)

    code, text = run(erp, "session:cleanup")

    assert code == 0
    assert "1 expired sessions removed." in text
    assert "1 remembered devices forgotten." in text
    assert json.loads(run(erp, "session:cleanup --json")[1]) == {
        "sessions": 0,
        "remembered_devices": 0,
    }


def test_session_list_and_revoke(erp: Application):
    client = Client(erp, headers={"User-Agent": "Firefox"})
    client.post("/login", headers=SAME_ORIGIN)
    Client(erp).get("/form")

    code, text = run(erp, "session:list")
    assert code == 0
    assert "Firefox" in text
    assert "guest" in text
    assert "2 sessions." in text

    (device,) = json.loads(run(erp, "session:list --user=1 --json")[1])
    assert device["user_id"] == "1"

    assert run(erp, f"session:revoke {device['handle']}")[0] == 0
    client.get("/me").assert_redirect("/login")
    client.post("/login", headers=SAME_ORIGIN)
    assert "1 sessions ended." in run(erp, "session:revoke 1")[1]
    assert run(erp, "session:revoke 1")[0] == 1


def test_token_prune(erp: Application):
    from datetime import timedelta

    Member.find(1).create_token("old", expires_at=timedelta(hours=1))
    erp.clock.travel(timedelta(hours=30))

    assert "1 expired access tokens deleted." in run(erp, "token:prune")[1]
    assert run(erp, "token:prune --hours=x")[0] == 2


@pytest.fixture
def bare(tmp_path: Path, settings: dict[str, Any]) -> Iterator[Application]:
    settings["app"]["key"] = None
    with Application(tmp_path, settings) as application:
        yield application


def test_key_generate_writes_a_key_once(bare: Application, tmp_path: Path):
    (tmp_path / ".env.example").write_text("APP_NAME=Shop\nAPP_KEY=  # secret\nDB=x\n")

    code, _ = run(bare, "key:generate")

    file = tmp_path / ".env"
    text = file.read_text()
    assert code == 0
    assert re.fullmatch(r"APP_NAME=Shop\nAPP_KEY=base64:[A-Za-z0-9+/]{43}=  # secret\nDB=x\n", text)
    assert file.stat().st_mode & 0o077 == 0
    assert run(bare, "key:generate")[0] == 1
    assert file.read_text() == text


def test_key_generate_can_replace_and_can_rotate(bare: Application, tmp_path: Path):
    file = tmp_path / ".env"
    file.write_text('export APP_KEY="old"')
    file.chmod(0o640)

    assert run(bare, "key:generate --rotate")[0] == 0
    first = re.search(r"^export APP_KEY=(.+)$", file.read_text(), re.M)
    assert first
    assert "APP_PREVIOUS_KEYS=old\n" in file.read_text()

    assert run(bare, "key:generate --rotate")[0] == 0
    assert f"APP_PREVIOUS_KEYS={first[1]},old\n" in file.read_text()

    assert run(bare, "key:generate --force")[0] == 0
    assert file.read_text().count("APP_KEY=") == 1
    assert file.stat().st_mode & 0o777 == 0o640


def test_key_generate_may_only_show(bare: Application, tmp_path: Path):
    code, text = run(bare, "key:generate --show")

    assert code == 0
    assert text.startswith("base64:")
    assert not (tmp_path / ".env").exists()


def test_the_hasher_of_the_application_is_the_configured_one(erp: Application):
    assert not app(PasswordHasher).needs_rehash(CHEAP.make("x"))
    assert not Hash.needs_rehash(CHEAP.make("x"))
    assert Hash.check("x", Hash.make("x"))

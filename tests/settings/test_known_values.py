"""Settings with a few known values, and switches: understood in common spellings, or refused."""

from __future__ import annotations

import base64
import json
import logging
import shutil
import socketserver
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from so import Application, MailMessage, Notification, config, route
from so.errors import ConfigError, NotificationFailed
from so.release.files import files_below
from so.settings import TOPICS, settings_class
from so.support.settings import OFF, ON

ROOT = Path(__file__).resolve().parents[2]
KEY = "k" * 32
REFUSED = "REFUSED"  # a text: two processes of one test run must name a case alike


@pytest.fixture
def said(tmp_path):
    """What an application understands of `.env` and of settings that are given."""

    def ask(key: str, env: str = "", given: dict[str, Any] | None = None) -> Any:
        (tmp_path / ".env").write_text(f"APP_KEY={KEY}\nAUDIT_KEY={KEY}\n{env}\n")
        app = Application(tmp_path, given or {})
        try:
            app.boot()
        except ConfigError as error:
            named = env.partition("=")[0] if env else key
            return REFUSED if named in str(error) else error
        return app.config.get(key)

    return ask


def switches() -> list[tuple[str, str]]:
    """Every switch of the framework with a variable: its key, and that."""
    found = []
    for topic in TOPICS:
        told = settings_class(topic).told()
        for name, one in told.items():
            if one.variable and isinstance(settings_class(topic).default_of(name), bool):
                found.append((f"{topic}.{name}", one.variable))
    return found


@pytest.mark.parametrize(("key", "variable"), switches(), ids=lambda one: one)
def test_every_switch_is_on_or_off_in_every_spelling_and_never_guessed(said, key, variable):
    for word in ("off", "False", "NO", "0", "disabled", "(false)"):
        assert said(key, f"{variable}={word}") is False, word
    for word in ("on", "True", "YES", "1", "enabled", '" true "'):
        assert said(key, f"{variable}={word}") is True, word
    for word in ("junk", "2", "-", "offf", "nein"):
        assert said(key, f"{variable}={word}") is REFUSED, word


@pytest.mark.parametrize("spelling", [*ON, *OFF, True, False, 1, 0])
def test_a_switch_that_is_given_from_code_is_read_alike(said, spelling):
    assert said("app.debug", given={"app": {"debug": spelling}}) is (
        spelling in ON or spelling in (True, 1)
    )


WORDS = [
    ("MAIL_ENCRYPTION", "mail.encryption", {
        "ssl": "tls", "SSL": "tls", "tls": "tls", "TLS": "tls", "Tls ": "tls", "smtps": "tls",
        "starttls": "starttls", "STARTTLS": "starttls", "start-tls": "starttls", "": "starttls",
        "none": "none", "None": "none", "null": "none", "NULL": "none",
        "junk": REFUSED, "true": REFUSED, "false": REFUSED, "off": REFUSED, "1": REFUSED,
        "sslv3": REFUSED, "startls": REFUSED,
    }),
    ("APP_ENV", "app.env", {
        "production": "production", "Production": "production", "PROD": "production",
        "prod": "production", "' production '": "production", "production ": "production",
        "Staging": "staging", "LOCAL": "local", "development": "local", "testing": "testing",
        "test": "testing", "": "local", "producton": REFUSED, "junk": REFUSED, "true": REFUSED,
    }),
    ("LOG_CHANNEL", "logging.default", {
        "null": "null", "NULL": "null", "(null)": "null", "'null'": "null", "Daily": "daily",
        "stderr": "stderr", "": "stderr", "junk": REFUSED, "nul": REFUSED, "false": REFUSED,
    }),
    ("LOG_LEVEL", "logging.level", {
        "INFO": "info", "Warning": "warning", "warn": "warning", "": "info",
        "verbose": REFUSED, "null": REFUSED,
    }),
    ("LOG_FORMAT", "logging.format", {"JSON": "json", "": "line", "xml": REFUSED}),
    ("SESSION_SAME_SITE", "session.same_site", {
        "Lax": "lax", "STRICT": "strict", "null": "lax", "": "lax", "junk": REFUSED,
    }),
    ("SESSION_DRIVER", "session.driver", {
        "Database": "database", "ARRAY": "array", "": "database",
        "null": REFUSED, "file": REFUSED, "redis": REFUSED, "cookie": REFUSED,
    }),
    ("CACHE_DRIVER", "cache.default", {
        "Database": "database", "FILE": "file", "null": "null", "": "database",
        "redis": REFUSED, "databse": REFUSED, "false": REFUSED,
    }),
    ("QUEUE_CONNECTION", "queue.default", {
        "Sync": "sync", "DATABASE": "database", "": "database",
        "redis": REFUSED, "null": REFUSED, "snyc": REFUSED,
    }),
    ("ACTIVITY_INTEGRITY", "activity.integrity", {
        "OFF": "off", "Seal": "seal", "mac": "mac", "": None, "null": None,
        "sealed": REFUSED, "junk": REFUSED, "true": REFUSED,
    }),
    ("NOTIFICATION_CHANNEL", "notifications.default", {
        "Mail": ["mail"], "DATABASE , log": ["database", "log"], "": ["database"],
        "sms": REFUSED, "databse": REFUSED,
    }),
    ("MAIL_DRIVER", "mail.driver", {
        "SMTP": "smtp", "Log": "log", "": "log", "sendmail": REFUSED, "null": REFUSED,
    }),
    ("DB_CONNECTION", "database.default", {
        "SQLite": "sqlite", "MySQL": "mysql", "mariadb": "mariadb", "": "sqlite",
        "sqlte": REFUSED, "pgsql": REFUSED, "null": REFUSED,
    }),
    ("SERVER_PAGES", "server.pages", {
        "Off": "off", "EVERYONE": "everyone", "": "loopback", "all": REFUSED, "no": REFUSED,
    }),
    ("SERVER_ACCESS_FORMAT", "server.access_format", {"JSON": "json", "combined": REFUSED}),
    ("TRUSTED_PROXY_HEADERS", "trustedproxy.headers", {
        "For, HOST": ["for", "host"], "junk": REFUSED,
    }),
    ("TRUSTED_PROXIES", "trustedproxy.proxies", {
        "10.0.0.0/8": ["10.0.0.0/8"], "*": ["*"], "unix": ["unix"], "": [],
        "10.0.0.0/99": REFUSED, "proxy.example.com": REFUSED,
    }),
]  # fmt: skip


@pytest.mark.parametrize(("variable", "key", "table"), WORDS, ids=lambda one: str(one)[:24])
def test_a_known_value_is_understood_in_its_spellings_and_any_other_refused(
    said, variable, key, table
):
    for spelling, meaning in table.items():
        assert said(key, f"{variable}={spelling}") == meaning, spelling


@pytest.mark.parametrize(("variable", "key", "table"), WORDS, ids=lambda one: str(one)[:24])
def test_the_same_holds_for_what_code_gives(said, variable, key, table):
    topic, _, name = key.partition(".")
    for spelling, meaning in table.items():
        assert said(key, given={topic: {name: spelling.strip("'")}}) == meaning, spelling


IN_A_CONNECTION = [
    ("DB_STRICT", "mysql", "strict", {"off": False, "No": False, "on": True, "junk": REFUSED}),
    ("DB_SSL_VERIFY_CERT", "mysql", "ssl_verify_cert", {"yes": True, "requird": REFUSED}),
    ("DB_SSL_VERIFY_IDENTITY", "mysql", "ssl_verify_identity", {"1": True, "verify": REFUSED}),
    ("DB_SSL_DISABLED", "mysql", "ssl_disabled", {"off": False, "": False, "junk": REFUSED}),
    ("DB_STICKY", "mysql", "sticky", {"off": False, "junk": REFUSED}),
    ("DB_CHARSET", "mysql", "charset", {"UTF8MB4": "utf8mb4", "latin1": REFUSED}),
    ("DB_ISOLATION", "mysql", "isolation", {
        "READ-COMMITTED": "read committed", "Repeatable_Read": "repeatable read",
        "": None, "null": None, "snapshot": REFUSED,
    }),
    ("DB_FOREIGN_KEYS", "sqlite", "foreign_keys", {"off": False, "ON": True, "junk": REFUSED}),
    ("DB_JOURNAL_MODE", "sqlite", "journal_mode", {"WAL": "wal", "": "wal", "wall": REFUSED}),
    ("DB_SYNCHRONOUS", "sqlite", "synchronous", {"FULL": "full", "2": "full", "fast": REFUSED}),
    ("DB_TRANSACTION_MODE", "sqlite", "transaction_mode", {
        "Immediate": "immediate", "IMMEDIATE ": "immediate", "eager": REFUSED, "defered": REFUSED,
    }),
    ("DB_BUSY_TIMEOUT", "sqlite", "busy_timeout", {"50": 50, "2_0": REFUSED, "soon": REFUSED}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("variable", "driver", "name", "table"), IN_A_CONNECTION, ids=lambda one: str(one)[:24]
)
def test_connections_are_read_alike(said, variable, driver, name, table):
    key = f"database.connections.{driver}.{name}"
    for spelling, meaning in table.items():
        assert said(key, f"{variable}={spelling}") == meaning, spelling

    key = f"database.connections.own.{name}"
    for spelling, meaning in table.items():
        own = {"driver": driver.upper(), "database": "x", name: spelling}
        given = {"default": "own", "connections": {"own": own}}
        assert said(key, given={"database": given}) == meaning, spelling


def test_a_misspelt_setting_of_a_connection_is_refused_at_the_start(tmp_path):
    own = {"driver": "mysql", "hots": "x"}

    with pytest.raises(ConfigError, match="'hots' of connection 'own': did you mean 'host'"):
        Application(tmp_path, {"database": {"connections": {"own": own}}}).boot()


def test_what_env_makes_of_null_in_a_file_of_the_application_means_the_same(tmp_path):
    (tmp_path / ".env").write_text("LOG_CHANNEL=null\nCACHE_DRIVER=null\n")
    (tmp_path / "config").mkdir()
    for topic, variable in (("logging", "LOG_CHANNEL"), ("cache", "CACHE_DRIVER")):
        (tmp_path / "config" / f"{topic}.py").write_text(
            f"from so import env\nconfig = {{'default': env({variable!r}, 'database')}}\n"
        )

    with Application(tmp_path) as app:
        assert (config("logging.default"), config("cache.default")) == ("null", "null")
        assert [type(h) for h in app.make("logger").handlers] == [logging.NullHandler]


def test_what_a_file_leaves_out_is_read_from_its_variable(tmp_path):
    (tmp_path / ".env").write_text("SESSION_LIFETIME=7\nSESSION_DRIVER=array\n")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "session.py").write_text("config = {'driver': 'database'}\n")

    with Application(tmp_path):
        assert config("session.lifetime") == 7
        assert config("session.driver") == "database"
        assert config("session.absolute_lifetime") == 43_200


@pytest.mark.parametrize("topic", sorted(TOPICS))
def test_a_misspelt_name_of_any_topic_is_refused_with_the_near_one(tmp_path, topic):
    name = next(iter(settings_class(topic).told()))
    wrong = f"{name}s" if len(name) > 3 else f"{name}{name[-1]}"

    with pytest.raises(ConfigError, match=f"config {topic}.{wrong} is unknown: did you mean"):
        Application(tmp_path, {topic: {wrong: 1}}).boot()


def test_every_fault_is_named_at_once(tmp_path):
    with pytest.raises(ConfigError) as raised:
        Application(tmp_path, {"app": {"debug": "x"}, "mail": {"driver": "pigeon"}}).boot()

    assert "APP_DEBUG" in str(raised.value)
    assert "MAIL_DRIVER" in str(raised.value)


def test_an_application_that_was_refused_is_not_the_running_one(tmp_path):
    with pytest.raises(ConfigError), Application(tmp_path, {"app": {"debug": "x"}}):
        pass

    with pytest.raises(RuntimeError, match="no application is running"):
        config("app.debug")


TELL = """
import json, sys
from so import Application
with Application(sys.argv[1]) as app:
    print(json.dumps(app.config.all(), default=str, sort_keys=True))
"""


@pytest.mark.parametrize("env", ["", "SESSION_LIFETIME=7\nDB_CONNECTION=mysql\nMAIL_DRIVER=smtp\n"])
def test_so_alone_behaves_as_with_config_beside_it(tmp_path, env):
    told = []
    for folder in ("alone", "whole"):
        base = tmp_path / folder
        for file in files_below(ROOT / "so"):
            (base / file.relative_to(ROOT)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, base / file.relative_to(ROOT))
        (base / ".env").write_text(env)
        if folder == "whole":
            shutil.copytree(ROOT / "config", base / "config")
            app = base / "config" / "app.py"  # of the demo, whose code is not here
            app.write_text("config = {}\n")
        done = subprocess.run(
            [sys.executable, "-S", "-B", "-c", TELL, base],
            env={"PYTHONPATH": str(base)},
            capture_output=True,
            text=True,
            check=True,
        )
        told.append(json.loads(done.stdout))

    assert told[0] == told[1]
    assert told[0]["session"]["absolute_lifetime"] == 43_200


# --- the password ---------------------------------------------------------------------------------


class Hi(Notification):
    def via(self, notifiable=None):
        return ["mail"]

    def to_mail(self, notifiable):
        return MailMessage("hi").line("x")


class _Mailbox(socketserver.StreamRequestHandler):
    def handle(self):
        def say(text: str) -> None:
            self.wfile.write(text.encode() + b"\r\n")

        say("220 x")
        while line := self.rfile.readline().decode("latin-1").strip():
            self.server.seen.append(line)
            if line.upper().startswith("EHLO"):
                say("250-x\r\n250-STARTTLS\r\n250 AUTH PLAIN")
            elif line.upper() == "STARTTLS":
                return
            elif line.upper() == "DATA":
                say("354 go")
                while self.rfile.readline() != b".\r\n":
                    pass
                say("250 ok")
            else:
                say({"AUTH": "235 ok", "QUIT": "221 bye"}.get(line.upper()[:4], "250 ok"))


@pytest.fixture
def mailbox():
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Mailbox)
    server.daemon_threads, server.seen = True, []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("spelling", ["TLS", "ssl", "SSL", "StartTLS", "", "tls ", "Start TLS"])
def test_no_spelling_of_encryption_sends_the_password_in_clear(tmp_path, mailbox, spelling):
    mail = {
        "driver": "smtp", "host": "127.0.0.1", "port": mailbox.server_address[1],
        "encryption": spelling, "username": "u", "password": "geheim", "timeout": 0.3,
    }  # fmt: skip

    with Application(tmp_path, {"app": {"key": KEY}, "mail": mail}) as app:
        app.install_tables()
        with pytest.raises(NotificationFailed):
            route("mail", "c@d.example").notify(Hi())

    secret = base64.b64encode(b"\0u\0geheim").decode()
    assert [line for line in mailbox.seen if secret in line or line.startswith("AUTH")] == []

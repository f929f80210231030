"""A whole application with accounts: two kinds of users, on both engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from so import (
    HasApiTokens,
    HasRoles,
    Model,
    MustVerifyEmail,
    Notifiable,
    Router,
    TwoFactor,
    auth,
    request,
)
from so.application import Application
from so.db.manager import Database
from so.systems.auth import PasswordHasher
from so.testing import Client

CHEAP = PasswordHasher(ln=4, r=1, p=1)
NOW = 1_768_478_400
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
JSON = {**SAME_ORIGIN, "Accept": "application/json"}
PASSWORD = "correct horse battery"
NEW = "another horse, another day"


class Worker(HasApiTokens, HasRoles, TwoFactor, MustVerifyEmail, Notifiable, Model):
    """The application's own users."""

    table = "workers"
    type_alias = "worker"
    timestamps = False
    fillable = ["name", "email", "password"]
    hidden = ["password"]
    casts = {"active": bool}

    def can_sign_in(self) -> bool:
        return bool(self.active)


class Client_(HasApiTokens, HasRoles, Model):
    """Users of the portal, with keys of their own that begin at 1 as well."""

    table = "portal_clients"
    type_alias = "client"
    timestamps = False
    guarded: list[str] = []


@pytest.fixture
def tables(db: Database) -> Database:
    integer = "integer primary key autoincrement"
    if db.connection().dialect.name == "mysql":
        integer = "bigint unsigned not null auto_increment primary key"
    for name in ("workers", "portal_clients"):
        db.connection().statement(
            f"create table {name} (id {integer}, name varchar(100), email varchar(190) unique, "
            "password varchar(255), active int not null default 1)"
        )
    return db


@pytest.fixture
def make_app(
    db_config: dict[str, Any], tmp_path: Path, tables: Database
) -> Iterator[Callable[..., Application]]:
    """An application, with settings of `auth` and others laid over the usual ones."""
    opened: list[Application] = []

    def make(*, more: dict[str, Any] | None = None, **auth_settings: Any) -> Application:
        settings = {
            "app": {"key": "0123456789abcdef-tests-0123", "env": "testing", "providers": [],
                    "routes": [], "url": "http://localhost"},
            "database": {"default": "main", "connections": {"main": db_config, "cache": db_config}},
            "auth": {"model": Worker, "scrypt": {"ln": 4, "r": 1, "p": 1}, **auth_settings},
            "logging": {"default": "null", "channels": {}},
            **(more or {}),
        }  # fmt: skip
        application = Application(tmp_path, settings)
        application.__enter__()
        opened.append(application)
        application.clock.freeze(NOW)
        routes()
        return application

    yield make
    for application in reversed(opened):
        application.__exit__(None, None, None)


def routes() -> None:
    """What the tests of every topic ask for."""
    with Router.group(middleware="web"):
        Router.post("/login", login)
        Router.post("/logout", lambda: auth().logout() or {"bye": True})
        Router.post("/code", lambda: {"ok": auth().two_factor(request().input("code"))})
        Router.post("/confirm", lambda: {"ok": auth().confirm(request().input("password"))})
        Router.get("/me", me).middleware("auth")
        Router.get("/danger", lambda: "done").middleware("auth", "confirm")


def login() -> Any:
    fields = request().only("email", "password")
    return {"ok": auth().attempt(fields, request().boolean("remember"))}


def me() -> Any:
    return {"email": auth().user().email, "id": auth().id()}


@pytest.fixture
def erp(make_app: Callable[..., Application]) -> Application:
    return make_app()


@pytest.fixture
def ada(erp: Application) -> Any:
    return worker("ada@x.y", "Ada King")


def worker(email: str, name: str = "Somebody", password: str = PASSWORD) -> Any:
    return Worker.create(name=name, email=email, password=CHEAP.make(password))


def browser(app: Application, **options: Any) -> Client:
    return Client(app, headers=SAME_ORIGIN, **options)


def log_in(client: Client, email: str = "ada@x.y", password: str = PASSWORD, **more: Any) -> Any:
    return client.post("/login", {"email": email, "password": password, **more}).json()["ok"]

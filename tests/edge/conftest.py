"""A small application: router, kernel and container with this room's middleware in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from so.container import Container
from so.db.manager import Database
from so.db.model import Model
from so.edge.authenticate import Doors
from so.edge.context import ContextSettings
from so.edge.cookies import CookieSettings
from so.edge.csrf import CsrfSettings
from so.edge.groups import ALIASES, GROUPS, PRIORITY
from so.edge.session import auth_here
from so.http.errors import ErrorHandler
from so.http.kernel import Kernel
from so.http.router import Router
from so.http.settings import HttpSettings
from so.support.clock import Clock
from so.support.scope import current_scope
from so.systems.auth import (
    AccessTokens,
    Authentication,
    Gate,
    HasApiTokens,
    LoginThrottle,
    ModelUsers,
    PasswordHasher,
    RememberTokens,
)
from so.systems.cache.limits import MemoryCounters, RateLimiter, SteadyCounters
from so.systems.sessions import Session, Sessions
from so.testing import Client

CHEAP = PasswordHasher(ln=4, r=1, p=1)


class Member(HasApiTokens, Model):
    table = "members"
    timestamps = False
    guarded: list[str] = []
    casts = {"active": bool, "admin": bool}

    def can_sign_in(self) -> bool:
        return bool(self.active)


class House:
    """One server: its router, its clients, and what it shares with others."""

    def __init__(self, db: Database | None, clock: Clock, **settings: Any) -> None:
        self.router = Router()
        self.counters = MemoryCounters(clock)
        self.limiter = RateLimiter(SteadyCounters(self.counters, clock))
        self.sessions = Sessions(db, clock=clock)
        self.authentication = Authentication(
            ModelUsers(Member),
            hasher=CHEAP,
            throttle=LoginThrottle(self.limiter),
            remember=None if db is None else RememberTokens(db, clock=clock),
            tokens=None if db is None else AccessTokens(db, clock=clock),
            clock=clock,
        )
        self.gate = Gate(lambda: auth_here(self.authentication).user())
        container = Container()
        for abstract, thing in {
            Sessions: self.sessions,
            Authentication: self.authentication,
            AccessTokens: AccessTokens(db, clock=clock) if db else None,
            Gate: self.gate,
            Clock: clock,
            RateLimiter: self.limiter,
            CookieSettings: settings.get("cookies", CookieSettings()),
            CsrfSettings: settings.get("csrf", CsrfSettings()),
            ContextSettings: settings.get("context", ContextSettings()),
            Doors: Doors(),
        }.items():
            container.instance(abstract, thing)
        self.router.registry.make = container.make
        self.router.middleware_alias(ALIASES)
        for name, members in GROUPS.items():
            self.router.middleware_group(name, members)
        self.router.middleware_priority(PRIORITY)
        self.kernel = Kernel(
            self.router,
            ErrorHandler(),
            container.make,
            settings=HttpSettings(trusted_proxies=settings.get("proxies", ())),
        )

    def client(self, **options: Any) -> Client:
        return Client(self.kernel, **options)

    def page(self, uri: str, work: Callable[[], Any], *middleware: str, method: str = "GET"):
        """A route that does *work*, in the group web unless told otherwise."""
        return self.router.match(method, uri, work).middleware(*(middleware or ("web",)))


def session() -> Session:
    scope = current_scope()
    assert scope is not None
    found: Session = scope.session
    return found


def auth() -> Any:
    scope = current_scope()
    assert scope is not None
    return scope.data["auth"]


@pytest.fixture
def house(clock: Clock) -> House:
    """A server with sessions in memory and no users."""
    return House(None, clock)


@pytest.fixture
def members(db: Database) -> Database:
    integer = "integer primary key autoincrement"
    if db.connection().dialect.name == "mysql":
        integer = "bigint unsigned not null auto_increment primary key"
    db.connection().statement(
        f"create table members (id {integer}, email varchar(190), password varchar(255), "
        "active int not null default 1, admin int not null default 0)"
    )
    Member.create(email="ada@x.y", password=CHEAP.make("secret"))
    return db


@pytest.fixture
def company(members: Database, clock: Clock) -> House:
    """A server on a database, with Ada as a user and the usual pages."""
    return with_pages(House(members, clock))


def with_pages(house: House) -> House:
    from so.http.helpers import request

    def login() -> Any:
        fields = request().only("email", "password")
        done = auth().attempt(fields, request().boolean("remember"))
        return {"ok": done}

    def me() -> Any:
        user = auth().user()
        return {"email": user.email, "via_remember": auth().via_remember()}

    house.page("/form", lambda: session().csrf_token())
    house.page("/login", login, method="POST")
    house.page("/logout", lambda: auth().logout() or "bye", method="POST")
    house.page("/me", me, "web", "auth")
    house.page("/hello", lambda: "hello")
    return house


SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


def log_in(client: Client, remember: bool = False) -> None:
    fields = {"email": "ada@x.y", "password": "secret", "remember": int(remember)}
    result = client.post("/login", fields, headers=SAME_ORIGIN)
    assert result.json() == {"ok": True}, result.text

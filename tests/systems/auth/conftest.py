"""A user model on both engines, and authentication with passwords that cost little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from so.db.manager import Database
from so.db.model import Model
from so.support.clock import Clock
from so.systems.auth import (
    Auth,
    Authentication,
    HasApiTokens,
    LoginThrottle,
    ModelUsers,
    PasswordHasher,
    RememberTokens,
)
from so.systems.cache.limits import MemoryCounters, RateLimiter
from so.systems.sessions import Session, Sessions

CHEAP = PasswordHasher(ln=4, r=1, p=1)


class Person(HasApiTokens, Model):
    table = "people"
    timestamps = False
    guarded: list[str] = []
    casts = {"active": bool}

    def can_sign_in(self) -> bool:
        return bool(self.active)


class Browser:
    """What a browser keeps between requests: two cookies."""

    def __init__(self, authentication: Authentication, sessions: Sessions) -> None:
        self.authentication, self.sessions = authentication, sessions
        self.session_cookie: str | None = None
        self.remember_cookie: str | None = None
        self.device_cookie: str | None = None
        self.address = "10.0.0.1"

    def request(self, work: Callable[[Auth, Session], Any] | None = None) -> Any:
        """One request that does *work*; cookies are kept as the response says."""
        session = self.sessions.open(self.session_cookie)
        auth = self.authentication.open(
            session,
            remember_cookie=self.remember_cookie,
            device_cookie=self.device_cookie,
            address=self.address,
        )
        result = (work or (lambda auth, _: auth.user()))(auth, session)
        auth.finish()
        session.save()
        self.keep(auth, session)
        return result

    def keep(self, auth: Auth, session: Session) -> None:
        change = session.cookie_change()
        if change is not None:
            self.session_cookie = change or None
        remember = auth.cookie_change()
        if remember is not None:
            self.remember_cookie = remember or None
        self.device_cookie = auth.device_change() or self.device_cookie

    def login(self, remember: bool = False, password: str = "secret", email: str = "ada@x.y"):
        return self.request(
            lambda auth, _: auth.attempt({"email": email, "password": password}, remember)
        )

    def user(self) -> Any:
        return self.request()


@pytest.fixture
def people(db: Database) -> Database:
    """The table of users, with Ada in it."""
    integer = "integer primary key autoincrement"
    if db.connection().dialect.name == "mysql":
        integer = "bigint unsigned not null auto_increment primary key"
    db.connection().statement(
        f"create table people (id {integer}, email varchar(190), password varchar(255), "
        "active int not null default 1)"
    )
    Person.create(email="ada@x.y", password=CHEAP.make("secret"))
    return db


@pytest.fixture
def ada(people: Database) -> Any:
    return Person.first_where({"email": "ada@x.y"})


@pytest.fixture
def sessions(people: Database, clock: Clock) -> Sessions:
    return Sessions(people, clock=clock)


@pytest.fixture
def make_authentication(people: Database, clock: Clock) -> Callable[..., Authentication]:
    def make(**options: Any) -> Authentication:
        return Authentication(
            ModelUsers(lambda: Person),
            **{
                "hasher": CHEAP,
                "remember": RememberTokens(people, clock=clock),
                "throttle": LoginThrottle(RateLimiter(MemoryCounters(clock))),
                "clock": clock,
                **options,
            },
        )

    return make


@pytest.fixture
def authentication(make_authentication: Callable[..., Authentication]) -> Authentication:
    return make_authentication()


@pytest.fixture
def browser(authentication: Authentication, sessions: Sessions) -> Browser:
    return Browser(authentication, sessions)


@pytest.fixture
def other_browser(authentication: Authentication, sessions: Sessions) -> Browser:
    return Browser(authentication, sessions)

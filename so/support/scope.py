"""What belongs to one request, one job or one command, and to nothing else.

One `Scope` in one ContextVar, entered by the HTTP kernel per request, by the worker per job and
by the console per command, and reset in `finally`; nothing request-bound lives in a global or in
a thread-local. Streaming bodies run inside the scope of their request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, Final

from so.support.ids import short_id


class _Unset:
    """The type of UNSET: nobody has said anything yet, which is not the same as None."""

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Final = _Unset()


class Scope:
    """The state of one unit of work; every attribute is free for its owner to fill.

    kind: 'request', 'job', 'command' or 'test'. instances: the container's scoped services.
    sticky: names of the connections whose reads go to the writer, as of those written to.
    data: anything else, by the name of the room that keeps it there; "log" holds what every line
    of the log tells besides, such as the id of a job.
    """

    __slots__ = (
        "_exits",
        "_request_id",
        "batch",
        "causer",
        "data",
        "instances",
        "kind",
        "request",
        "route",
        "session",
        "sticky",
        "user",
    )

    def __init__(self, kind: str = "request", *, request_id: str | None = None) -> None:
        self.kind = kind
        self._request_id = request_id
        self.request: Any = None
        self.route: Any = None
        self.session: Any = None
        self.user: Any = None
        self.causer: Any = UNSET
        self.batch: str | None = None
        self.instances: dict[Any, Any] = {}
        self.sticky: set[str] = set()
        self.data: dict[str, Any] = {}
        self._exits: list[Callable[[], object]] = []

    @property
    def request_id(self) -> str:
        """The id under which this unit of work stands in the log; made when first asked for."""
        if self._request_id is None:
            self._request_id = short_id()
        return self._request_id

    @request_id.setter
    def request_id(self, value: str) -> None:
        self._request_id = value

    def on_exit(self, fn: Callable[[], object]) -> None:
        """Run *fn* when the scope ends, last added first; its errors are logged, not raised."""
        self._exits.append(fn)

    def close(self) -> None:
        """Run what `on_exit` collected; safe to call twice."""
        while self._exits:
            fn = self._exits.pop()
            try:
                fn()
            except Exception:
                logging.getLogger("so").exception("error while leaving a %s scope", self.kind)


_current: ContextVar[Scope | None] = ContextVar("so_scope", default=None)


@dataclass(frozen=True, slots=True)
class Said:
    """What the blocks that this code runs in say of it; a script has no scope, and blocks.

    Who acts and in which batch stand with the scope that the block was entered in: a job or
    command that runs inside it has its own.
    """

    causer: tuple[Scope | None, Any] | None = None
    batch: tuple[Scope | None, str] | None = None
    silenced: list[int] | None = None  # counts what is not logged; None: everything is
    is_unaudited: bool = False


_NOTHING: Final = Said()
_said: ContextVar[Said] = ContextVar("so_said", default=_NOTHING)
said = _said.get


@contextmanager
def saying(**more: Any) -> Iterator[None]:
    """Let a block say *more* (attributes of Said) than those around it."""
    token = _said.set(replace(_said.get(), **more))
    try:
        yield
    finally:
        _said.reset(token)


def causer_said() -> Any:
    """Who acts, as the block or the scope says; UNSET where nobody said (then it is the user)."""
    block, scope = _said.get().causer, _current.get()
    if block is not None and block[0] is scope:
        return block[1]
    if scope is not None and (scope.causer is not UNSET or scope.user is not None):
        return scope.causer
    return UNSET if block is None else block[1]


def batch_said() -> str | None:
    """The batch that changes belong to, as the block or the scope says."""
    block, scope = _said.get().batch, _current.get()
    if block is not None and (block[0] is scope or scope is None or scope.batch is None):
        return block[1]
    return scope.batch if scope is not None else None


def current_scope() -> Scope | None:
    """The scope this code runs in; None outside any request, job or command."""
    return _current.get()


def current_request() -> Any:
    """The request under way; None outside one."""
    scope = _current.get()
    return None if scope is None else scope.request


def current_session() -> Any:
    """The session of the request under way; None outside one, and where none was started."""
    scope = _current.get()
    return None if scope is None else scope.session


# For the HTTP kernel, which leaves a scope and comes back to it while a body streams:
# `token = enter(scope)` … `leave(token)`; neither closes the scope.
enter = _current.set
leave = _current.reset


@contextmanager
def entered(scope: Scope) -> Iterator[Scope]:
    """Make *scope* the current one for the block, then close it and restore the outer one."""
    token = _current.set(scope)
    try:
        yield scope
    finally:
        try:
            scope.close()
        finally:
            _current.reset(token)


def captured(user: Callable[[], Any] | None = None) -> Mapping[str, Any]:
    """Request id, activity batch and causer of the code that dispatches.

    *user* finds who is logged in where nobody said who acts; without it, whom the scope knows.
    """
    if user is None and _current.get() is None and _said.get() is _NOTHING:
        return {}  # a script, in which nobody said anything
    scope, batch, causer = current_scope(), batch_said(), causer_said()
    found: dict[str, Any] = {} if scope is None else {"request_id": scope.request_id}
    if batch is not None:
        found["batch"] = batch
    if causer is not UNSET:
        found["causer"] = causer
    else:
        who = user() if user is not None else scope and scope.user
        if who is not None:
            found["causer"] = who
    return found


def restored(scope: Scope, context: Mapping[str, Any]) -> None:
    """Give a job's scope the activity batch and the causer of its dispatcher."""
    scope.batch = context.get("batch")
    if "causer" in context:
        scope.causer = context["causer"]

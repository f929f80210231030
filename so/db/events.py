"""What happens to models, and who wants to hear of it: listeners and observers of one class.

A listener is a function of the model; an observer is an object (or a class, made when first
needed) with methods named after events. A listener that returns False, exactly, stops what is
about to happen. Listeners of a class hear of its subclasses too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakSet

from so.support import current
from so.support.near import nearest
from so.support.plain import plain

Listener = Callable[[Any], object]

BEFORE = frozenset("saving creating updating deleting restoring force_deleting replicating".split())
AFTER = frozenset("retrieved saved created updated deleted restored force_deleted".split())
EVENTS = BEFORE | AFTER

_muted: ContextVar[bool] = ContextVar("so_model_events_muted", default=False)


@contextmanager
def muted() -> Iterator[None]:
    """No listener hears anything inside this block."""
    token = _muted.set(True)
    try:
        yield
    finally:
        _muted.reset(token)


class Events:
    """The listeners of one model class; its parents' are asked first."""

    def __init__(self, model: type, parents: list[Events]) -> None:
        self._model = model
        self._own: dict[str, list[Listener]] = {}
        self._observers: list[Any] = []
        self._parents = parents
        self._children: WeakSet[Events] = WeakSet()  # a class may come and go
        self._heard: dict[str, list[Listener]] | None = None
        for parent in parents:
            parent._children.add(self)

    def listen(self, event: str, listener: Listener) -> Listener:
        """Call *listener* at every *event*; gives it back, so this serves as a decorator."""
        self._own.setdefault(event, []).append(plain(listener, f"the listener of {event!r}"))
        self.forget()
        return listener

    def observe(self, observer: Any) -> None:
        """Call the methods of *observer*, an object or a class, that are named after events.

        Raises TypeError where none is: it would never be called.
        """
        _check_hears(observer)
        self._observers.append(observer)
        self.forget()

    def forget(self) -> None:
        """Work out anew who listens, when it is next needed."""
        self._heard = None
        for child in list(self._children):
            child.forget()

    def fire(self, event: str, model: Any) -> bool:
        """Tell the listeners; False if one of them cancelled what is about to happen."""
        heard = self._heard if self._heard is not None else self._gather()
        listeners = heard.get(event)
        if not listeners or _muted.get():
            return True
        return not any(fn(model) is False and event in BEFORE for fn in listeners)

    def wanted(self, event: str) -> bool:
        """Would anybody hear *event* now?"""
        heard = self._heard if self._heard is not None else self._gather()
        return event in heard and not _muted.get()

    def heard(self) -> dict[str, list[Listener]]:
        """Every listener by the event it hears, observers' methods among them."""
        return self._heard if self._heard is not None else self._gather()

    def _gather(self) -> dict[str, list[Listener]]:
        heard: dict[str, list[Listener]] = {}
        for events in [*self._ancestors(), self]:
            for event, listeners in events._own.items():
                heard.setdefault(event, []).extend(listeners)
            for observer in events._observers:
                _add_methods(heard, observer)
        for observer in getattr(self._model, "observers", ()):
            _add_methods(heard, observer)
        self._heard = heard
        return heard

    def _ancestors(self) -> list[Events]:
        found: list[Events] = []
        for parent in self._parents:
            for events in [*parent._ancestors(), parent]:
                if events not in found:
                    found.append(events)
        return found


def _check_hears(observer: Any) -> None:
    """Even a single misspelt method is found so, as long as it is the only one."""
    if hasattr(observer, "__getattr__") or any(hasattr(observer, event) for event in EVENTS):
        return
    named = [name for name in dir(observer) if not name.startswith("_")]
    near = ((name, nearest(name, EVENTS)) for name in named)
    close = next((f"; did you mean {event!r} by {name!r}?" for name, event in near if event), "")
    raise TypeError(
        f"{observer!r} hears of no event: give an object or a class with methods named after "
        f"events ({', '.join(sorted(EVENTS))}){close}"
    )


def _add_methods(heard: dict[str, list[Listener]], observer: Any) -> None:
    made = current.made(observer) if isinstance(observer, type) else observer
    for event in EVENTS:
        method = getattr(made, event, None)
        if callable(method):
            plain(method, "the observer's")
            defer = event in AFTER and getattr(made, "after_commit", False)
            heard.setdefault(event, []).append(_after_commit(method) if defer else method)


def _after_commit(method: Listener) -> Listener:
    def wait_for_commit(model: Any) -> None:
        model._connection().after_commit(lambda: method(model))

    return wait_for_commit

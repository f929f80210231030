"""`PendingActivity`: an entry on its way, `activity().performed_on(x).caused_by(y).log("…")`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from so.support.scope import UNSET
from so.systems.activity.model import Activity
from so.systems.activity.rows import not_reserved, reference

if TYPE_CHECKING:
    from so.systems.activity.log import ActivityLog

_PLACEHOLDER = re.compile(r":(subject|causer|properties)\.([A-Za-z_][\w.]*\w|[A-Za-z_])")
Tap = Callable[[dict[str, Any]], object]


@dataclass(frozen=True)
class PendingActivity:
    """Every step gives a new one, so a half-built entry never leaks into another."""

    _log: ActivityLog
    _log_name: str
    _subject: Any = None
    _causer: Any = UNSET
    _properties: Mapping[str, Any] = field(default_factory=dict)
    _event: str | None = None
    _at: datetime | None = None
    _taps: tuple[Tap, ...] = ()

    def performed_on(self, model: Any) -> PendingActivity:
        """What it happened to."""
        return replace(self, _subject=model)

    on = performed_on

    def caused_by(self, who: Any) -> PendingActivity:
        """Who did it: a model, 'system:name', or None for nobody, whoever is logged in."""
        return replace(self, _causer=who)

    by = caused_by

    def with_properties(self, properties: Mapping[str, Any]) -> PendingActivity:
        """Add *properties* to those given before."""
        return replace(self, _properties={**self._properties, **properties})

    def with_property(self, key: str, value: Any) -> PendingActivity:
        """Add one property; dots in *key* make nested ones."""
        return replace(self, _properties=_with(self._properties, key.split("."), value))

    def in_log(self, name: str) -> PendingActivity:
        """Write into the log called *name*."""
        return replace(self, _log_name=not_reserved(name))

    use_log = in_log

    def event(self, name: str) -> PendingActivity:
        """What kind of thing happened, in a word."""
        return replace(self, _event=name)

    def created_at(self, moment: datetime) -> PendingActivity:
        """When it happened, if not now."""
        return replace(self, _at=moment)

    def tap(self, fn: Tap) -> PendingActivity:
        """Let *fn* change the row's columns (a dict) just before it is written."""
        return replace(self, _taps=(*self._taps, fn))

    def log(self, description: str) -> Activity | None:
        """Write it, and give the saved Activity; None when logging is off.

        `:subject.name`, `:causer.name` and `:properties.a.b` in *description* are filled in; one
        that means nothing stays as it is.
        """
        log = self._log
        if not log.is_on:
            return None
        who = log.causer() if self._causer is UNSET else self._causer
        row = log.row(
            self._filled(description, who),
            log_name=self._log_name,
            event=self._event,
            subject=reference(self._subject),
            causer=who,
            properties=log.mask.apply(self._properties),
            created_at=self._at,
        )
        for tap in self._taps:
            tap(row)
        home = getattr(self._subject, "_connection", None)
        connection = home() if home is not None else log.db.connection()
        return log.find(connection, log.write(connection, [row]))

    def _filled(self, description: str, who: Any) -> str:
        sources = {"subject": self._subject, "causer": who, "properties": self._properties}

        def fill(match: re.Match[str]) -> str:
            value = sources[match.group(1)]
            for part in match.group(2).split("."):
                value = _step(value, part)
            return match.group(0) if value is None else str(value)

        return _PLACEHOLDER.sub(fill, description)


def _step(value: Any, part: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(part)
    if value is None or isinstance(value, str):
        return None
    if part in getattr(value, "hidden", ()):
        return None
    try:
        return getattr(value, part)
    except AttributeError:
        return None


def _with(properties: Mapping[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    head, *rest = path
    if rest:
        inner = properties.get(head)
        value = _with(inner if isinstance(inner, Mapping) else {}, rest, value)
    return {**properties, head: value}

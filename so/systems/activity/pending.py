"""`PendingActivity`: an entry on its way, `activity().performed_on(x).caused_by(y).log("…")`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from so.db.rows import Row
from so.errors import ActivityError
from so.support.masking import MASK, Masker
from so.support.plain import plain
from so.support.scope import UNSET
from so.systems.activity.entries import learned
from so.systems.activity.model import Activity
from so.systems.activity.rows import aware, concealed, not_reserved, reference, written

if TYPE_CHECKING:
    from so.systems.activity.trail import Trail

_PLACEHOLDER = re.compile(r":(subject|causer|properties)\.([A-Za-z_][\w.]*\w|[A-Za-z_])")
Tap = Callable[[dict[str, Any]], object]


@dataclass(frozen=True)
class PendingActivity:
    """Every step gives a new one, so a half-built entry never leaks into another."""

    _log: Trail
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
        """Add *properties* to those given before; ActivityError for what is no dict."""
        if not isinstance(properties, Mapping):
            raise ActivityError(f"properties must be a dict, not {properties!r}")
        return replace(self, _properties={**self._properties, **properties})

    def with_property(self, key: str, value: Any) -> PendingActivity:
        """Add one property; dots in *key* make nested ones. ActivityError for a key of no text."""
        if not isinstance(key, str):
            raise ActivityError(f"the name of a property must be text, not {key!r}")
        return replace(self, _properties=_with(self._properties, key.split("."), value))

    def in_log(self, name: str) -> PendingActivity:
        """Write into the log called *name*."""
        return replace(self, _log_name=not_reserved(name))

    use_log = in_log

    def event(self, name: str) -> PendingActivity:
        """What kind of thing happened, in a word."""
        return replace(self, _event=name)

    def created_at(self, moment: datetime) -> PendingActivity:
        """When it happened, if not now; ActivityError for a moment that does not say its zone."""
        return replace(self, _at=aware(moment))

    def tap(self, fn: Tap) -> PendingActivity:
        """Let *fn* change the columns of the row (a Row) just before it is written."""
        return replace(self, _taps=(*self._taps, plain(fn, "tap's function")))

    def log(self, description: str) -> Activity | None:
        """Write it, and give the saved Activity; None when logging is off.

        `:subject.name`, `:causer.name` and `:properties.a.b` in *description* are filled in; one
        that means nothing stays as it is.
        """
        log = self._log
        if not log.wants():
            return None
        try:
            if not isinstance(description, str):
                raise ActivityError(f"the description must be text, not {description!r}")
            return self._written(description)
        except Exception as error:
            log.failed(f"entry {self._told_safely(description)!r}", error)
        return None

    def _told_safely(self, description: str) -> str:
        try:
            return learned(self._log.mask, self._properties).text(str(description))[:80]
        except Exception:  # what could not be logged may be what cannot even be read
            return "(unreadable)"

    def _written(self, description: str) -> Activity:
        log = self._log
        who = log.causer() if self._causer is UNSET else self._causer
        subject = self._subject
        secrets = learned(log.mask, self._properties, _hidden(subject, log), _hidden(who, log))
        properties: Any = secrets.named(self._properties)
        columns = log.row(
            self._filled(description, who, properties),
            log_name=self._log_name,
            event=self._event,
            subject=reference(subject, log.mask),
            causer=who,
            properties=properties,
            created_at=self._at,
        )
        row = Row(columns)
        for tap in self._taps:
            tap(row)
        _mask_texts(row, secrets)
        is_model = hasattr(subject, "_connection") and not isinstance(subject, type)
        connection = subject._connection() if is_model else log.db.connection()
        log.write_safely(connection, [row])
        return log.find(connection, row["uid"])

    def _filled(self, description: str, who: Any, properties: Mapping[str, Any]) -> str:
        sources = {"subject": self._subject, "causer": who, "properties": properties}
        mask = self._log.mask

        def fill(match: re.Match[str]) -> str:
            value = sources[match.group(1)]
            for part in match.group(2).split("."):
                value = _step(value, part, mask)
            return match.group(0) if value is None else str(mask.named(value))

        return _PLACEHOLDER.sub(fill, description)


def _mask_texts(row: dict[str, Any], secrets: Masker) -> None:
    """The last thing before it is written: no text of the row holds what stands under a mask."""
    for column in ("description", "event", "subject_label", "causer_label"):
        if isinstance(row[column], str):
            row[column] = secrets.text(row[column])
    for column in ("properties", "context"):
        given = row[column]
        values = json.loads(given) if isinstance(given, str) else given
        masked = secrets.mask(values)
        if masked != given and (masked != values or values is given):
            row[column] = written(masked)


def _hidden(model: Any, log: Trail) -> dict[str, Any]:
    """What a model holds under names that nobody is to read in the trail."""
    if model is None or isinstance(model, (str, type)):
        return {}
    mask, held = log.mask.beside(concealed(type(model))), getattr(model, "_attributes", None) or {}
    return {f"secret {name}": value for name, value in held.items() if mask.is_secret(name)}


def _step(value: Any, part: str, mask: Masker) -> Any:
    if isinstance(value, Mapping):
        found = value.get(part)
        return MASK if found is not None and mask.is_secret(part) else found
    if value is None or isinstance(value, str) or part in concealed(type(value)):
        return None
    if mask.is_secret(part):
        return MASK
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

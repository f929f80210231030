"""The values of one row: who, what, where from, and JSON that can always be stored."""

from __future__ import annotations

import base64
import json
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

from so.db.options import zone_of
from so.db.values import datetime_text
from so.errors import ActivityError
from so.support.codec import to_jsonable
from so.support.masking import MASK, Masker
from so.support.naming import ClassNames, of_one_table
from so.support.scope import Scope, current_scope

COLUMNS = (
    "log_name", "description", "subject_type", "subject_id", "causer_type", "causer_id",
    "properties", "event", "batch_uuid", "created_at", "updated_at", "uid", "subject_label",
    "causer_label", "context",
)  # fmt: skip
PROOF = ("salt", "row_mac", "key_id")
LONGEST = {
    "log_name": 255, "event": 255, "subject_type": 255, "causer_type": 255, "subject_id": 64,
    "causer_id": 64, "batch_uuid": 36,
}  # fmt: skip
LONGEST_LABEL = 191
LONGEST_DESCRIPTION = 65_535  # bytes
LABELS = ("number", "name", "title", "sku", "email")
AUDIT = "audit"
"""The log of certificates and verifications: the trail's own."""
ERASED = "[erased]"  # stands where a personal value was
audited = ClassNames(
    ActivityError,
    "in the trail, and would share one history",
    of_one_table,
)
"""The classes that log, and those that entries are about or by; two of one table may share their
name, as they share their rows."""
Reference = tuple[str | None, str | None, str | None]
_zone = lru_cache(maxsize=16)(zone_of)
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


def settle(row: dict[str, Any], zone_name: str) -> None:
    """Make every value what the database will hold; ActivityError for one that does not fit.

    Moments become text in the connection's zone: that very text is signed.
    """
    created, updated = row["created_at"], row["updated_at"]
    row["created_at"] = _moment(created, zone_name)
    row["updated_at"] = row["created_at"] if updated is created else _moment(updated, zone_name)
    for column, most in LONGEST.items():
        value = row[column]
        if value is not None:
            if type(value) is not str or not value.isascii():
                value = row[column] = clean(str(value))
            if len(value) > most:
                raise ActivityError(f"{column} {value[:40]!r}… is longer than {most} characters")
    description = row["description"]
    if not (type(description) is str and description.isascii()):
        description = row["description"] = clean(str(description))
    if len(description) > LONGEST_DESCRIPTION // 4:
        size = len(description.encode())
        if size > LONGEST_DESCRIPTION:
            raise ActivityError(
                f"the description {description[:40]!r}… has {size} bytes, more than "
                f"{LONGEST_DESCRIPTION}: put long texts into the properties"
            )


def _moment(value: Any, zone_name: str) -> str | None:
    return None if value is None else datetime_text(aware(value), _zone(zone_name))


def aware(moment: Any) -> datetime:
    """*moment*, a datetime or its ISO text, which must say its zone; ActivityError if it does not.

    What has none is the reader's guess: an entry would be an hour or a day off, and signed so.
    """
    try:
        found = moment if isinstance(moment, datetime) else datetime.fromisoformat(moment)
    except (TypeError, ValueError):
        found = None
    if found is None or found.tzinfo is None:
        raise ActivityError(
            f"{moment!r} is no moment: give a datetime with a zone, such as "
            "datetime(2026, 4, 1, tzinfo=UTC) or app().clock.now()"
        )
    return found


@lru_cache(maxsize=256)
def not_reserved(log_name: Any) -> Any:
    """*log_name*, unless it is the trail's own log, or what a database may take for that."""
    plain = unicodedata.normalize("NFKD", str(log_name)).encode("ascii", "ignore").decode()
    if plain.strip().lower() == AUDIT:
        raise ActivityError(
            f"the log {log_name!r} is the trail's own, where certificates stand: use another name"
        )
    return log_name


def clean(text: str) -> str:
    """*text* without lone surrogates, which no database takes: they become escapes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def reference(who: Any, mask: Masker) -> Reference:
    """(type, id, label) of a model or its class, of 'system:x', or of nobody."""
    if who is None:
        return None, None, None
    if isinstance(who, str):
        kind, colon, name = who.partition(":")
        if not (colon and kind and name):
            raise ActivityError(f"{who!r} is nobody: give a model, 'system:name' or None")
        return kind, name[: LONGEST["causer_id"]], clean(who[:LONGEST_LABEL])
    if isinstance(who, type):
        return str(getattr(who, "type_alias", None) or who.__name__), None, None
    if not hasattr(who, "get_key"):
        raise ActivityError(f"{who!r} is nobody: give a model, 'system:name' or None")
    alias, key = str(getattr(who, "type_alias", None) or type(who).__name__), who.get_key()
    if hasattr(type(who), "table") and not audited.knows(alias, type(who)):
        audited.know(alias, type(who))
    held = getattr(who, "_attributes", None) or {}
    return alias, None if key is None else str(key), label(type(who), held, mask)


def acting(who: Any) -> Any:
    """*who*, unless it is a class: none of its rows, and so nobody, has done anything."""
    if isinstance(who, type):
        raise ActivityError(f"{who!r} is nobody: give one of its models, 'system:name' or None")
    return who


def label(cls: Any, held: Mapping[str, Any], mask: Masker) -> str | None:
    """What people call a model with these values: kept in the row, so that it outlives the model.

    No value of a column that is hidden or masked.
    """
    hidden = concealed(cls)
    return first_label(held, [n for n in LABELS if n not in hidden and not mask.is_secret(n)])


def first_label(held: Mapping[str, Any], columns: Iterable[str]) -> str | None:
    """The first text among these columns, as long as a label may be."""
    for column in columns:
        value = held.get(column)
        if isinstance(value, str):
            return clean(value[:LONGEST_LABEL])
    return None


def concealed(cls: Any) -> frozenset[str]:
    """The columns of a model class that nobody is to read in the trail, by what the class says."""
    return frozenset((*getattr(cls, "hidden", ()), *getattr(cls, "log_mask", ())))


def context(mask: Masker) -> str:
    """Where this happens, as JSON; worked out once a request or job."""
    scope = current_scope()
    if scope is None:
        return "{}"
    if scope.kind not in ("request", "job"):
        return written(_context(scope, mask))
    known = scope.data.get("activity.context")
    if known is None:
        known = scope.data["activity.context"] = written(_context(scope, mask))
    return str(known)


def _context(scope: Scope, mask: Masker) -> dict[str, Any]:
    found: dict[str, Any] = {"source": scope.kind, "request_id": scope.request_id}
    request = scope.request
    if request is not None:
        agent = request.user_agent()
        url = _without_secrets(request.url(), mask)
        found |= {"ip": request.ip(), "url": url, "user_agent": agent and agent[:500]}
    behind = scope.data.get("impersonator")  # who acts as the user of this request
    if behind is not None:
        found["impersonator"] = f"{behind.type_alias}:{behind.get_key()}"
    for name in ("job", "command"):
        if name in scope.data:
            found[name] = scope.data[name]
    if scope.kind == "command" and isinstance(scope.causer, str):
        found.setdefault("command", scope.causer.partition(":")[2])
    return {key: value for key, value in found.items() if value is not None}


def _without_secrets(url: str, mask: Masker) -> str:
    """*url*, the values of secret names in its query masked."""
    path, mark, query = url.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&")]
    kept = [f"{n}={MASK}" if eq and mask.is_secret(unquote_plus(n)) else n + eq + v
            for n, eq, v in pairs]  # fmt: skip
    return path + mark + "&".join(kept)


def written(value: Any) -> str:
    """*value* as JSON text that can always be stored: bytes and bad Unicode do not stop a save.

    Raises ActivityError, which names the place, for a value that JSON cannot hold.
    """
    try:
        text = _encode(value)
        if not text.isascii():
            text.encode()  # a lone surrogate would only be refused by the database
    except (TypeError, ValueError):  # also UnicodeEncodeError
        return _encode(_storable(value, ""))
    return text


def _storable(value: Any, place: str) -> Any:
    if value is None or type(value) in (int, bool):
        return value
    if type(value) is str:
        return clean(value)
    if isinstance(value, Mapping):
        return {
            clean(str(key)): _storable(item, f"{place}.{key}" if place else str(key))
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_storable(item, f"{place}.{at}") for at, item in enumerate(value)]
    if isinstance(value, (bytes, bytearray)):
        return {"$b64": base64.b64encode(value).decode()}
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else repr(value)
    try:
        return _storable(to_jsonable(value), place)
    except (TypeError, ValueError) as error:  # also CodecError
        raise ActivityError(
            f"{place} of the properties is a {type(value).__name__}, which the trail cannot hold "
            "as JSON: give text, numbers, lists or dicts, or name the column in "
            "log_attributes_except"
        ) from error

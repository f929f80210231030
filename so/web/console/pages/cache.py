"""Cache: what it holds, a key looked at, locks that somebody holds."""

from __future__ import annotations

from collections import Counter
from typing import Any

from so.http.request import Request
from so.settings.cache import CacheSettings
from so.support.markup import Markup, h, join
from so.web.console.parts import facts, filters, link, moment, row, seconds, section, size, table
from so.web.console.reading import HOW_MANY, as_json, masked

TITLE = "Cache"
ENDLESS = 365 * 86_400  # seconds ahead: the end of a lock that has none
SAMPLE = 1000  # keys that are grouped


def data(app: Any, request: Request) -> dict[str, Any]:
    """Figures, groups of keys, one key, locks; all of this application's prefix alone."""
    cache, key, group = app.make("cache"), request.query("key"), str(request.query("group") or "")
    found: dict[str, Any] = {"stats": cache.stats(), "filter": {"key": key}, "value": None}
    if key:
        missing = object()
        value = cache.get(str(key), missing)
        here = value is not missing
        found["value"] = {
            "key": key,
            "found": here,
            "value": _shown(value) if here else None,
            "ttl": cache.ttl(str(key)),
        }
    names = _names(app, group) if group else []
    return {**found, "groups": _groups(app), "group": group, "keys": names, "locks": _locks(app)}


def _names(app: Any, group: str) -> list[str]:
    """The first names that begin with *group*."""
    prefix = f"{app.settings(CacheSettings).prefix}:"
    rows = own_rows(app, "cache").where("key", ">=", f"{prefix}{group}").order_by("key")
    names = [key_text(key)[len(prefix) :] for key in rows.limit(HOW_MANY).pluck("key")]
    return [name for name in names if name.startswith(group)]


def _shown(value: Any) -> Any:
    try:
        return masked(value)
    except Exception:
        return repr(value)[:2000]


def own_rows(app: Any, table: str) -> Any:
    """The rows of this application's prefix in `cache` or `cache_locks`."""
    settings = app.settings(CacheSettings)
    db = app.make("db")
    source = db.source(settings.connection if settings.connection in db.configured() else None)
    rows = source.connection().table(table)
    return rows.where("key", ">=", f"{settings.prefix}:").where("key", "<", f"{settings.prefix};")


def _groups(app: Any) -> list[dict[str, Any]]:
    """The first part of the newest names, and how often it comes."""
    start = len(app.settings(CacheSettings).prefix) + 1
    names = [key_text(key)[start:] for key in own_rows(app, "cache").limit(SAMPLE).pluck("key")]
    # The cache counts its hits below names that nobody can give.
    counts = Counter(n.partition(":")[0].partition(".")[0] for n in names if n[:1] != "\x1f")
    return [{"group": group, "keys": count} for group, count in counts.most_common(30)]


def key_text(key: object) -> str:
    """A key as text: MySQL keeps it in bytes, so that no collation makes two keys one."""
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)


def _locks(app: Any) -> list[dict[str, Any]]:
    start, now = len(app.settings(CacheSettings).prefix) + 1, int(app.clock.time())
    rows = own_rows(app, "cache_locks").where("expiration", ">", now).limit(HOW_MANY).get()
    return [
        {
            "name": key_text(row["key"])[start:],
            "owner": row["owner"],
            "expiration": row["expiration"],
            "endless": int(row["expiration"]) > now + ENDLESS,
            "token": row["token"],
            "held_seconds": held_seconds(row, now),
        }
        for row in rows
    ]


def held_seconds(row: Any, now: float) -> float | None:
    """For how long a lock has been held: its token is the microsecond in which it was taken."""
    taken = int(row["token"]) / 1_000_000
    return max(0.0, now - taken) if 0 < taken <= now + 60 else None


def draw(data: dict[str, Any], view: Any) -> Markup:
    """Figures, a search, groups, locks."""
    stats, url = data["stats"], view.url("/cache")
    reads = stats["hits"] + stats["misses"]
    figures = facts(
        {
            "Entries": stats["entries"],
            "Size": size(stats["bytes"]),
            "Hits": f"{100 * stats['hits'] / reads:.0f} %" if reads else "–",
            "Reads": reads,
        }
    )
    groups = table(
        "Groups of keys",
        [
            ("Begins with", lambda r: link(r["group"], url, group=r["group"])),
            ("Keys of the sample", "keys"),
        ],
        data["groups"],
    )
    return join(
        [
            section("What it holds", figures, id="stats"),
            section("A key", *_value(data, view)),
            section("Groups of keys", groups, _keys(data, url), id="groups"),
            section("Locks", _lock_table(data["locks"], view), id="locks"),
        ]
    )


def _lock_table(locks: list[dict[str, Any]], view: Any) -> Markup:
    columns: list[Any] = [
        ("Lock", "name"),
        ("Owner", "owner"),
        ("Held for", lambda r: seconds(r["held_seconds"])),
        ("Ends", lambda r: "never" if r["endless"] else moment(r["expiration"])),
    ]
    if view.may_operate:
        columns.append(
            ("Actions", lambda r: view.button("Release", "release-lock", name=r["name"]))
        )
    return table("Locks", columns, locks)


def _keys(data: dict[str, Any], url: str) -> Any:
    """The keys of the group that was asked for, each to be looked at."""
    if not data["group"]:
        return None
    listed = [h("li", link(name, url, group=data["group"], key=name)) for name in data["keys"]]
    return [h("h3", f"Keys that begin with {data['group']}"), h("ul", listed)]


def _value(data: dict[str, Any], view: Any) -> list[Any]:
    search = filters(view.url("/cache"), [("key", "Its name", None)], data["filter"])
    value = data["value"]
    if value is None:
        return [search]
    if not value["found"]:
        return [search, h("p", f"{value['key']!r} is not in the cache.", class_="soft")]
    forget = row(view.button("Forget", "forget-key", key=value["key"]))
    ttl = "forever" if value["ttl"] is None else f"{value['ttl']} s"
    return [
        search,
        facts({"Key": value["key"], "Stays": ttl}),
        h("pre", as_json(value["value"]), tabindex="0"),
        forget,
    ]

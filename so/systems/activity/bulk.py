"""`Bulk`: a write through the query of an audited model, told row by row in few statements.

The rows are found and locked once, by the caller's query. From then on they are named by their
keys: what is read before, written, read after and logged are the same rows, whatever the query
was (a limit, a random order, a condition that the write itself makes untrue) and whatever columns
change, the key included. Memory holds the keys of all rows and the values of one part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from so.db.expressions import Expression
from so.db.query.core import is_queryable
from so.db.query.read_back import unique_keys
from so.errors import ActivityError, UniqueConstraintError, UnsupportedError
from so.support.listed import parts
from so.systems.activity.entries import Entries, filled
from so.systems.activity.rows import reference
from so.systems.activity.tracking import differing

if TYPE_CHECKING:
    from so.systems.activity.trail import Trail

R = TypeVar("R")
ROWS_AT_ONCE = 1000
CHANGES = {
    "update": "updated",
    "increment": "updated",
    "decrement": "updated",
    "restore": "restored",
    "delete": "deleted",
    "force_delete": "force_deleted",
}
WHOLE = ("created", "restored", "deleted", "force_deleted")  # told with every column
PLACEHOLDERS = 20_000  # of one insert whose rows are logged
Rows = dict[Any, dict[str, Any]]


class Bulk:
    """One write, inside a transaction."""

    def __init__(self, cls: Any, log: Trail, query: Any) -> None:
        self._cls = cls
        self._log = log
        self._query = query
        self._connection = query.runner
        self._key: str = cls.primary_key

    def run(self, kind: str, values: Any, perform: Callable[[Any], R]) -> R:
        """Have *perform* write, and log what it did."""
        event = CHANGES.get(kind)
        if event is not None:
            if event not in self._cls.log_events:
                return perform(self._query)
            return self._change(kind, event, values, perform)  # type: ignore[return-value]
        if kind == "truncate":
            return self._truncate(perform)
        if kind == "upsert":
            return self._upsert(values, perform)
        if "created" not in self._cls.log_events:
            return perform(self._query)
        return self._insert(kind, values, perform)

    # --- rows that are there: update, delete, restore

    def _change(self, kind: str, event: str, values: Any, perform: Callable[[Any], Any]) -> int:
        moves = kind != "restore" and self._key in map(_column, values or ())
        is_gone = kind == "force_delete" or (kind == "delete" and not self._cls._plan.deleted_at)
        count = 0
        for keys in parts(self._keys(), ROWS_AT_ONCE):
            before = self._read(keys)
            now = (
                self._new_keys(keys, kind, values) if moves else dict(zip(keys, keys, strict=True))
            )
            changed = self._written(perform, keys, values)
            if is_gone:
                self._log_gone(event, before, changed)
            else:
                after = self._read(list(now.values()))
                self._tell(event, self._paired(before, after, now))
            count += changed
        return count

    def _written(self, perform: Callable[[Any], Any], keys: Sequence[Any], values: Any) -> int:
        """Have the rows with these keys written; how many were."""
        try:
            return int(perform(self._of(keys, values)) or 0)
        except UniqueConstraintError:
            if self._connection.dialect.name != "sqlite" or not self._query.tree.orders:
                raise
            # An update has no order there: a shift of unique values goes row by row.
            return sum(int(perform(self._of([key], values)) or 0) for key in keys)

    def _paired(self, before: Rows, after: Rows, now: Mapping[Any, Any]) -> Iterator[Any]:
        """Each row as it was and as it is, whatever became of its key, in the order of the write.

        So a key that passes from one row to the next is told by each before the other takes it.
        """
        for key in now:
            row, found = before.get(key), after.get(now[key])
            if row is None:
                continue
            if found is None:
                raise ActivityError(
                    f"cannot tell what became of {self._cls.__name__} {key!r}: its "
                    f"{self._key} was changed to what only the database knows; change it row by row"
                )
            yield row, found

    def _keys(self) -> list[Any]:
        """The keys of the rows that the caller's query finds, which it locks."""
        # An update or delete looks at no union either.
        query = self._query._plain().clone_without(("unions", "union_orders", "union_limit"))
        column = query.qualify(self._key)
        found = query.select(column).lock_for_update().get()
        return list(dict.fromkeys(row[self._key] for row in found))

    def _of(self, keys: Sequence[Any], values: Any) -> Any:
        """A query for the rows with these keys; with the caller's joins if *values* need them.

        In the caller's order, without which a shift of unique values meets the ones before it.
        """
        query, tree = self._query, self._query.tree
        if tree.table != self._cls.table or (tree.joins and _needs_joins(values, self._cls.table)):
            query = query.clone_without(("orders", "limit", "offset"))
            return query.where_in(query.qualify(self._key), keys)
        plain = self._cls.on(self._connection).without_global_scopes()
        if not tree.joins:
            plain.tree.orders = list(tree.orders or ()) or None
        return plain.where_in(plain.qualify(self._key), keys)

    def _read(self, keys: Sequence[Any]) -> Rows:
        """The rows with these keys as they are now, past any snapshot."""
        table = self._connection.table(self._cls.table)
        found = table.where_in(self._key, keys).lock_for_update().use_write().get()
        return {row[self._key]: dict(row) for row in found}

    def _new_keys(self, keys: Sequence[Any], kind: str, values: Mapping[str, Any]) -> Rows:
        """The key that each row is about to be given, worked out by the database."""
        value = next(value for name, value in values.items() if _column(name) == self._key)
        if kind in ("increment", "decrement"):
            step = Decimal(str(value)) * (1 if kind == "increment" else -1)
            return {key: type(key)(Decimal(str(key)) + step) for key in keys}
        if not (isinstance(value, Expression) or is_queryable(value)):
            return dict.fromkeys(keys, value)
        query = self._of(keys, values)._plain()
        column = query.qualify(self._key)
        query = query.select(column)
        if isinstance(value, Expression):
            query.select_expression(value, "so_new_key")
        else:
            query.select_sub(value, "so_new_key")
        return {row[self._key]: row["so_new_key"] for row in query.get()}

    # --- what is told

    def _log_gone(self, event: str, before: Rows, count: int) -> None:
        left = self._read(list(before)) if count != len(before) else {}
        self._tell(event, ((row, {}) for key, row in before.items() if key not in left))

    def _tell(
        self, event: str, pairs: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]
    ) -> None:
        """An entry for each row of which something tracked is not as it was."""
        try:
            entries = Entries(self._cls, self._log, event)
            probe = self._cls()
            for before, after in pairs:
                probe.set_raw_attributes({**before, **after}, sync=True)
                if event in WHOLE:
                    entries.add(probe, before, after)
                    continue
                names = list(differing(self._cls, before, after))
                entries.add(probe, {n: before.get(n) for n in names}, {n: after[n] for n in names})
            self._log.write_safely(self._connection, entries.made)
        except Exception as error:
            self._log.failed(f"{event} of {self._cls.__name__}", error)

    # --- new rows: insert, upsert

    def _insert(self, kind: str, values: Any, perform: Callable[[Any], R]) -> R:
        if kind != "insert_using" and not values:
            return perform(self._query)
        if kind == "insert_or_ignore_returning":
            return self._insert_given_back(values, perform)
        if not self._connection.server.returns_rows:
            return self._insert_apart(kind, values, perform)
        given = _names_given(values)
        return self._returned(perform, lambda rows: self._tell_born(given, rows))

    def _insert_given_back(self, values: Any, perform: Callable[[Any], R]) -> R:
        query = self._query.clone()
        query.must_tell_keys = True
        models: Any = perform(query)
        for some in parts([model.get_raw_original(self._key) for model in models], ROWS_AT_ONCE):
            self._tell_born(_names_given(values), self._read(some).values())
        return models  # type: ignore[no-any-return]

    def _tell_born(self, given: Sequence[str], rows: Iterable[dict[str, Any]]) -> None:
        self._tell("created", (({}, filled(given, row)) for row in rows))

    def _returned(
        self, perform: Callable[[Any], R], tell: Callable[[list[dict[str, Any]]], None]
    ) -> R:
        """Have *perform* insert, and *tell* what rows there are then, some hundred at a time."""
        query, answers = self._query.clone(), Returning(self._connection, self._key, tell)
        query.runner = answers
        query.placeholders_in_a_part = PLACEHOLDERS
        done = perform(query)
        answers.flush()
        return done

    def _insert_apart(self, kind: str, values: Any, perform: Callable[[Any], R]) -> R:
        """As above on MySQL, which does not return rows: read back by the keys it gave."""
        given = [values] if isinstance(values, Mapping) else list(values or ())
        if kind == "insert_or_ignore":
            with suppress(UnsupportedError):  # no key to read them by
                table = self._connection.table(self._cls.table)
                born = table.insert_or_ignore_returning(given)
                self._tell_born(list(given[0]), born)
                return len(born)  # type: ignore[return-value]
        if kind != "insert":
            count = perform(self._query)
            self._summarise(kind, count if isinstance(count, int) else None)
            return count
        result: Any = True
        for part in parts(given, max(1, PLACEHOLDERS // max(1, len(given[0])))):
            table = self._connection.table(self._cls.table)
            if len(part) == 1:
                result = table.insert_get_id(part[0])
            else:
                table.insert(list(part))
            rows = self._read(_keys_given(self._connection, part, self._key))
            self._tell_born(list(part[0]), rows.values())
        return result  # type: ignore[no-any-return]

    def _upsert(self, values: Any, perform: Callable[[Any], R]) -> R:
        rows = [values] if isinstance(values, Mapping) else values
        if not rows:
            return perform(self._query)
        keys = self._keys_of_upsert()
        before = self._present(rows, keys)
        highest = self._connection.table(self._cls.table).use_write().max(self._key)

        def tell(now: list[dict[str, Any]]) -> None:
            known = [row for row in now if row[self._key] in before]
            new = [row for row in now if row[self._key] not in before]
            if "updated" in self._cls.log_events:
                self._tell("updated", ((before[row[self._key]], row) for row in known))
                old = [row for row in new if _is_older(row[self._key], highest)]
                self._tell("updated", (({}, row) for row in old))
            if "created" in self._cls.log_events:
                born = (row for row in new if not _is_older(row[self._key], highest))
                self._tell_born(list(rows[0]), born)

        if self._connection.server.returns_rows:
            return self._returned(perform, tell)
        result = perform(self._query)
        if all(any(_tells(row, names) for names in keys) for row in rows):
            tell(list(self._present(rows, keys).values()))
        else:
            self._summarise("upsert", result if isinstance(result, int) else None)
        return result

    def _keys_of_upsert(self) -> list[Sequence[str]]:
        """The columns by which an upsert finds a row that is there: on MySQL every unique key."""
        keys: list[Sequence[str]] = [self._query.unique_by, [self._key]]
        if self._connection.dialect.name == "mysql":
            table = self._connection.grammar.table(self._cls.table, [])
            keys += unique_keys(self._connection, table).values()
        return list({tuple(names): names for names in keys if names}.values())

    def _present(self, rows: Sequence[Mapping[str, Any]], keys: Sequence[Sequence[str]]) -> Rows:
        """The rows that are there already, by the columns that must be unique and by the key."""
        found: Rows = {}
        for part in parts(rows, 200):
            query = self._connection.table(self._cls.table).lock_for_update().use_write()
            for row in part:
                for names in keys:
                    if _tells(row, names):
                        query.or_where({name: row[name] for name in names})
            if query.tree.conditions:
                found.update((row[self._key], dict(row)) for row in query.get())
        return found

    # --- what cannot be told row by row

    def _truncate(self, perform: Callable[[Any], R]) -> R:
        # Told first: on MySQL it commits, and what was done must not be without its entry.
        self._summarise("truncate", self._connection.table(self._cls.table).use_write().count())
        return perform(self._query)

    def _summarise(self, kind: str, rows: int | None) -> None:
        """One row for a write whose rows cannot be told one by one."""
        row = self._log.row(
            f"{kind} on {self._cls.table}",
            log_name=self._cls.log_name,
            event=kind,
            subject=reference(self._cls, self._log.mask),
            causer=self._log.causer(),
            properties={"kind": kind, "rows": rows},
        )
        self._log.write_safely(self._connection, [row])


class Returning:
    """A connection whose inserts give back the rows as the database has them."""

    def __init__(
        self, connection: Any, key: str, tell: Callable[[list[dict[str, Any]]], None]
    ) -> None:
        self._connection = connection
        self._key = key
        self._tell = tell
        self._rows: list[dict[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def insert(self, sql: str, bindings: Any = ()) -> bool:
        """Run an insert; True."""
        self.affecting_statement(sql, bindings)
        return True

    def insert_get_id(self, sql: str, bindings: Any = ()) -> Any:
        """Run an insert of one row; its key."""
        names, rows = self._connection.fetch(f"{sql} returning *", bindings, False)
        self._take(names, rows)
        return self._rows[-1].get(self._key) if self._rows else 0

    def affecting_statement(self, sql: str, bindings: Any = ()) -> int:
        """Run an insert; how many rows went in or were changed."""
        names, rows = self._connection.fetch(f"{sql} returning *", bindings, False)
        self._take(names, rows)
        if len(self._rows) >= ROWS_AT_ONCE:
            self.flush()
        return len(rows)

    def transaction(self, work: Callable[[], Any] | None = None) -> Any:
        """Run *work* in a transaction; rows that it takes back are not told of."""
        if work is None:  # a block, whose end is the end of all
            return self._connection.transaction()
        self.flush()
        try:
            done = self._connection.transaction(work)
        except BaseException:
            self._rows = []
            raise
        return done

    def _take(self, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self._rows += [dict(zip(names, row, strict=True)) for row in rows]

    def flush(self) -> None:
        """Tell of the rows gathered so far."""
        for part in parts(self._rows, ROWS_AT_ONCE):
            self._tell(list(part))
        self._rows = []


def _keys_given(connection: Any, rows: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    """The keys that one insert statement gave to *rows*, in their order."""
    if key in rows[0]:
        return [row[key] for row in rows]
    # MySQL gives one insert of known size a range of its own, in the server's steps.
    sql = "select last_insert_id() as first, @@auto_increment_increment as step"
    found = connection.select(sql, use_read=False)[0]
    return [int(found["first"]) + n * int(found["step"]) for n in range(len(rows))]


def _tells(row: Mapping[str, Any], names: Sequence[str]) -> bool:
    return all(row.get(name) is not None for name in names)


def _names_given(values: Any) -> list[str]:
    """The columns of rows to insert, or those of an `insert_using`."""
    if isinstance(values, Mapping):
        return list(values)
    return list(values[0]) if isinstance(values[0], Mapping) else list(values)


def _is_older(key: Any, highest: Any) -> bool:
    """A numbered row that was there, though nobody looked for it by this key."""
    return isinstance(key, int) and isinstance(highest, int) and key <= highest


def _column(name: str) -> str:
    return name.partition("->")[0].rpartition(".")[2]


def _needs_joins(values: Any, table: str) -> bool:
    """Do *values* speak of another table, or of what only the whole query knows?"""
    if not isinstance(values, Mapping):
        return False
    return any(
        isinstance(value, Expression)
        or is_queryable(value)
        or name.rpartition(".")[0] not in ("", table)
        for name, value in values.items()
    )

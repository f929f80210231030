"""Bulk writes name exactly the rows that they changed, whatever the query was."""

from __future__ import annotations

import itertools

import pytest

from so.db.expressions import Expression, raw
from so.db.model import Model, SoftDeletes, relation
from so.db.query import Query
from so.errors import ActivityError, UniqueConstraintError
from so.support.current import replaced
from so.systems.activity import Activity, ActivityLog, LogsActivity

COLUMNS = (
    "number varchar(20) not null, note varchar(50), qty int, status varchar(20) not null"
    " default 'draft', customer_id int, deleted_at datetime"
)


class Customer(Model):
    table = "bulk_customers"
    timestamps = False
    guarded = []

    @relation
    def orders(self):
        return self.has_many(Order, "customer_id")


class Order(LogsActivity, Model):
    table = "bulk_orders"
    type_alias = "bulk_order"
    timestamps = False
    guarded = []


class Paper(LogsActivity, SoftDeletes, Model):
    table = "bulk_orders"
    type_alias = "bulk_paper"
    timestamps = False
    guarded = []


class Coded(LogsActivity, Model):
    table = "bulk_coded"
    type_alias = "bulk_coded"
    primary_key = "code"
    key_type = str
    incrementing = False
    timestamps = False
    guarded = []


@pytest.fixture
def log(db, clock):
    connection = db.connection()
    auto = " auto_increment" if connection.dialect.name == "mysql" else ""
    for name, columns in {
        "bulk_orders": f"id integer primary key{auto}, {COLUMNS}, unique (number)",
        "bulk_customers": f"id integer primary key{auto}, name varchar(20)",
        "bulk_coded": "code varchar(20) primary key, qty int",
    }.items():
        connection.unprepared(f"drop table if exists {name}")
        connection.unprepared(f"create table {name} ({columns})")
    connection.unprepared("create index bulk_note on bulk_orders (note)")
    connection.table("bulk_customers").insert([{"name": "a"}, {"name": "b"}])
    connection.table("bulk_orders").insert(
        [
            {"number": f"N{n:02}", "note": f"n{99 - n}", "qty": n, "customer_id": n % 2 + 1}
            for n in range(1, 21)
        ]
    )
    with replaced("activity", ActivityLog(db, clock=clock)) as activity:
        yield activity
    for name in ("bulk_orders", "bulk_customers", "bulk_coded"):
        connection.unprepared(f"drop table if exists {name}")


def state(db, table="bulk_orders", key="id"):
    return {row[key]: dict(row) for row in db.connection().table(table).get()}


def told():
    """What the trail says: (event, key) → changes."""
    return [(row.event, row["subject_id"], row.changes()) for row in Activity.order_by("id").get()]


def differences(before, after):
    """What the tables say: the same."""
    found = []
    for key in {**before, **after}:
        old, new = before.get(key, {}), after.get(key, {})
        if old != new:
            event = "created" if not old else "deleted" if not new else "updated"
            found.append((event, str(key)))
    return sorted(found)


def check(db, work, table="bulk_orders", key="id"):
    """Run *work*; the trail must name exactly the rows that differ, with what they were and are."""
    before = state(db, table, key)
    result = work()
    after = state(db, table, key)
    names = {"force_deleted": "deleted"}
    entries = told()
    assert sorted((names.get(e, e), k) for e, k, _ in entries) == differences(before, after)
    for event, id, changes in entries:
        for column, (old, new) in changes.items():
            kind = str if key == "code" else int
            if event in ("updated", "deleted"):
                assert before[kind(id)][column] == old, (event, id, column)
            if event in ("updated", "created"):
                assert after[kind(id)][column] == new, (event, id, column)
    return result


READS = {
    "limit": lambda q: q.where("note", "!=", "q").limit(4),
    "limit and order": lambda q: q.order_by_desc("qty").limit(4),
    "random order": lambda q: q.in_random_order().limit(5),
    "volatile": lambda q: q.where_raw("abs(random()) % 2 = 0"),
    "own column": lambda q: q.where("qty", "<", 10),
    "or": lambda q: q.where("qty", 3).or_where("qty", 7),
    "join": lambda q: q.join(
        "bulk_customers", "bulk_customers.id", "=", "bulk_orders.customer_id"
    ).where("bulk_customers.name", "a"),
    "sub-query": lambda q: q.where_in(
        "customer_id", lambda s: s.select("id").from_("bulk_customers").where("name", "b")
    ),
    "none": lambda q: q.where("qty", -5),
}
WRITES = {
    "update": lambda q: q.update(qty=3, note="new"),
    "update its own condition": lambda q: q.update({"note": "q", "qty": 50}),
    "expression": lambda q: q.update(qty=Expression("bulk_orders.qty + 1")),
    "increment": lambda q: q.increment("qty", 2),
    "decrement": lambda q: q.decrement("qty", 1, {"status": "less"}),
    "increment each": lambda q: q.increment_each({"qty": 1}, {"note": "x"}),
    "decrement each": lambda q: q.decrement_each({"qty": 1}),
    "delete": lambda q: q.delete(),
    "same values": lambda q: q.update(status="draft"),
}


@pytest.mark.parametrize(("read", "write"), list(itertools.product(READS, WRITES)))
def test_exactly_the_rows_that_changed_are_named(log, db, read, write):
    if read == "volatile" and db.connection().dialect.name == "mysql":
        query = Order.where_raw("rand() < 0.5")
    else:
        query = READS[read](Order.query())

    check(db, lambda: WRITES[write](query))


def test_a_union_counts_for_a_logged_write_as_little_as_for_any(log, db):
    query = Order.where("id", 1).union(Order.where("id", 2))

    assert check(db, lambda: query.update(note="x")) == 1


@pytest.mark.parametrize(
    "work", [lambda: Order.where("id", 1).update(note="x"), lambda: Order.insert({"number": "X"})]
)
def test_a_write_that_is_only_pretended_is_not_told(log, db, work):
    queries = db.connection().pretend(lambda *_: work())

    assert len(queries) == 1
    assert told() == []


@pytest.mark.parametrize("write", ["update", "delete"])
def test_in_one_update_or_delete_by_key_only_that_row(log, db, write):
    if write == "update":
        assert check(db, lambda: Order.where("id", 4).update(note="x")) == 1
    else:
        assert check(db, lambda: Order.query().delete(4)) == 1


def test_a_write_through_a_relation_names_its_rows(log, db):
    customer = Customer.find(1)

    assert check(db, lambda: customer.related("orders").limit(3).update(note="x")) == 3
    Activity.query().delete()
    assert check(db, lambda: customer.related("orders").where("qty", ">", 8).delete()) > 0


KEYS = {
    "one": lambda: Order.where("id", 3).update(id=300, note="x"),
    "expression": lambda: Order.where("qty", "<", 5).update(id=Expression("id + 1000")),
    "increment": lambda: Order.where("qty", "<", 5).increment("id", 1000),
    "decrement": lambda: Order.where("qty", "<", 5).decrement("id", 1000, {"note": "y"}),
    "sub-query": lambda: Order.where("id", 3).update(
        id=lambda q: q.select_raw("max(m.id) + 1").from_sub(
            lambda s: s.from_("bulk_orders").select("id"), "m")),
}  # fmt: skip


@pytest.mark.parametrize("how", KEYS)
def test_a_change_of_the_key_is_told_under_the_new_one_with_both(log, db, how):
    before = state(db)
    count = KEYS[how]()
    after = state(db)

    entries = told()
    assert count == len(entries) > 0
    assert {int(id) for _, id, _ in entries} == set(after) - set(before)
    assert {changes["id"][0] for _, _, changes in entries} == set(before) - set(after)
    assert all(str(changes["id"][1]) == id for _, id, changes in entries)


def test_a_text_key_changes(log, db):
    Coded.insert([{"code": "a", "qty": 1}, {"code": "b", "qty": 2}])
    Activity.query().delete()

    Coded.where("code", "a").update(code="z", qty=9)

    assert told() == [("updated", "z", {"code": ("a", "z"), "qty": (1, 9)})]


def test_the_time_machine_follows_a_row_through_its_keys(log, db, clock):
    Coded.create(code="a", qty=1)
    Coded.create(code="b", qty=2)
    made = clock.now()
    clock.travel(60)
    Coded.where("code", "a").delete()
    Coded.where("code", "b").update(code="a")
    last = Coded.find("a")
    last.update(code="c", qty=3)

    found = Coded.find("c")
    assert [dict(version.attributes) for version in found.versions()] == [
        {"code": "b", "qty": 2},
        {"code": "a", "qty": 2},
        {"code": "c", "qty": 3},
    ]
    assert found.as_of(made).to_dict() == {"code": "b", "qty": 2}


def test_keys_that_are_passed_on_are_told_in_the_order_they_were_written(log, db):
    upwards = db.connection().dialect.name == "mysql"  # SQLite writes rows in its own order
    Order.where("id", ">", 3).delete()
    write = Order.order_by("id", "desc" if upwards else "asc")
    write.update({"id": Expression(f"id {'+' if upwards else '-'} 1")})

    orders = Order.order_by("id").get()
    assert len(orders) == 3
    for order in orders:
        assert [version.attributes["qty"] for version in order.versions()] == [order.qty]
        assert order.versions()[0].attributes["id"] == order.id


@pytest.mark.parametrize("model", [Order, Paper])
def test_a_logged_update_keeps_its_order(log, db, model):
    numbers = model.order_by("id").pluck("id")

    assert model.order_by_desc("id").update({"id": Expression("id + 1")}) == len(numbers)
    assert model.order_by("id").pluck("id") == [id + 1 for id in numbers]
    told = Activity.for_event("updated").order_by("id").get()
    assert [entry.changes()["id"] for entry in told] == [(id, id + 1) for id in numbers[::-1]]


def test_a_shift_that_fails_half_way_changes_and_logs_nothing(log, db):
    numbers = Order.order_by("id").pluck("id")

    with pytest.raises(UniqueConstraintError):
        Order.order_by_desc("id").update({"number": "the same"})

    assert Order.order_by("id").pluck("id") == numbers
    assert Activity.for_event("updated").count() == 0


INSERTS = {
    "insert one": lambda: Order.insert({"number": "X1"}),
    "insert many": lambda: Order.insert([{"number": f"X{n}", "qty": n} for n in range(5)]),
    "insert_batch": lambda: Order.insert_batch([{"number": "X1"}, {"number": "X2"}]),
    "insert_get_id": lambda: Order.insert_get_id({"number": "X1", "qty": 7}),
    "with keys": lambda: Order.insert([{"id": 77, "number": "X1"}, {"id": 70, "number": "X2"}]),
    "insert_or_ignore": lambda: Order.insert_or_ignore(
        [{"number": "N01"}, {"number": "X2"}, {"number": "N03"}, {"number": "X4"}]),
    "insert_or_ignore_returning one column": lambda: Order.insert_or_ignore_returning(
        {"number": "X2"}, returning=["number"], unique_by=["number"]),
    "upsert": lambda: Order.upsert(
        [{"number": "N01", "qty": 100}, {"number": "X2", "qty": 5}, {"number": "N03", "qty": 3}],
        "number", ["qty"]),
    "upsert all": lambda: Order.upsert([{"number": "N01", "qty": 9, "note": None}], ["number"]),
    "upsert by key": lambda: Order.upsert(
        [{"id": 3, "number": "N03", "qty": 9}, {"id": 88, "number": "X", "qty": 1}], ["id"]),
    "upsert values": lambda: Order.upsert(
        [{"number": "N01", "qty": 1}], ["number"], {"note": "seen"}),
    "update_or_insert old": lambda: Order.update_or_insert({"number": "N01"}, {"qty": 50}),
    "update_or_insert new": lambda: Order.update_or_insert({"number": "X1"}, {"qty": 50}),
    "insert_using": lambda: Order.insert_using(
        ["number", "qty"],
        Query(*_source()).from_("bulk_customers").select_raw("concat('Z', id), id")
        if _source()[0].dialect.name == "mysql"
        else Query(*_source()).from_("bulk_customers").select_raw("'Z' || id, id")),
    "insert_or_ignore_using": lambda: Order.insert_or_ignore_using(
        ["number", "qty"],
        Query(*_source()).from_("bulk_orders").select("number", "qty")),
    "first_or_create": lambda: Order.first_or_create({"number": "X1"}),
    "update_or_create": lambda: Order.update_or_create({"number": "N01"}, {"qty": 70}),
    "create_many": lambda: Order.query().create_many([{"number": "X1"}, {"number": "X2"}]),
}  # fmt: skip


def _source():
    connection = Order.query().runner
    return connection, connection.grammar


@pytest.mark.parametrize("how", INSERTS)
def test_new_rows_are_told_as_the_database_has_them(log, db, how):
    if "using" in how and not db.connection().server.returns_rows:
        INSERTS[how]()
        assert [event for event, _, _ in told()] == ["insert_using"]
        return
    check(db, INSERTS[how])

    for event, _, changes in told():
        if event == "created":
            assert changes["status"] == (None, "draft")


def test_the_id_of_an_inserted_row_is_given(log, db):
    id = Order.insert_get_id({"number": "X1"})

    assert id == Order.where("number", "X1").value("id")
    assert Coded.insert_get_id({"code": "c", "qty": 1}) is not True


def test_an_insert_that_fails_leaves_no_row_of_either(log, db):
    with pytest.raises(UniqueConstraintError):
        Order.insert([{"number": "X1"}, {"number": "N01"}])

    assert Order.count() == 20
    assert told() == []


def test_soft_deletes_are_told_as_what_they_are(log, db):
    Paper.where("qty", "<", 4).limit(2).delete()
    Paper.only_trashed().restore()
    Paper.where("qty", "<", 3).force_delete()

    assert [(e, id) for e, id, _ in told()] == [
        ("deleted", "1"), ("deleted", "2"), ("restored", "1"), ("restored", "2"),
        ("force_deleted", "1"), ("force_deleted", "2"),
    ]  # fmt: skip


def test_only_the_events_asked_for_cost_anything(log, db):
    class Quiet(Order):
        log_events = ["deleted"]

    connection = db.connection()
    connection.enable_query_log()
    Quiet.where("qty", ">", 0).update(note="x")

    assert len(connection.get_query_log()) == 1
    connection.disable_query_log()
    assert told() == []


@pytest.mark.parametrize(
    "work",
    [
        lambda: Order.where("qty", "<", 2000).update(note="x"),
        lambda: Order.where("qty", "<", 2000).delete(),
        lambda: Order.where("qty", "<", 2000).increment("qty"),
        lambda: Order.insert([{"number": f"Y{n}", "qty": n, "note": "x"} for n in range(1000)]),
    ],
    ids=["update", "delete", "increment", "insert"],
)
def test_a_thousand_rows_take_few_statements(log, db, work):
    connection = db.connection()
    connection.table("bulk_orders").delete()
    connection.table("bulk_orders").insert(
        [{"number": f"M{n}", "qty": n, "note": "n"} for n in range(1000)]
    )
    connection.enable_query_log()

    work()

    statements = connection.get_query_log()
    connection.disable_query_log()
    assert len(statements) <= 6, [s["query"][:60] for s in statements]
    assert Activity.count() == 1000


@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
def test_under_read_committed_a_row_that_appears_meanwhile_is_left_alone(log, db, clock):
    connection = db.connection()
    other = connection.separate()
    connection.begin_transaction(isolation="read committed")
    phantoms = []

    def slip_in(sql, bindings, conn):
        if sql.startswith("update `bulk_orders`") and not phantoms:
            phantoms.append(1)
            other.unprepared("insert into bulk_orders (number, qty) values ('P', 1)")

    connection.before_executing(slip_in)
    Order.where("qty", "<", 4).update(note="seen")
    connection.commit()
    other.close()

    changed = connection.table("bulk_orders").where("note", "seen").pluck("id")
    assert phantoms
    assert sorted(int(id) for _, id, _ in told()) == sorted(changed) == [1, 2, 3]


def test_a_key_that_only_the_database_knows_is_refused(log, db):
    with pytest.raises(ActivityError, match="row by row"):
        Order.where("qty", "<", 3).update(
            id=raw("abs(random()) % 1000000 + 5000")
            if db.connection().dialect.name == "sqlite"
            else raw("floor(rand() * 1000000) + 5000")
        )
    assert state(db)[1]["number"] == "N01"

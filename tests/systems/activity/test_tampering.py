"""Everything that somebody with full rights over the database might do to the trail.

Three seals of five rows, two rows that are not sealed yet, then one attack each. T-numbers are
those of the list of attacks in the design.
"""

from __future__ import annotations

import shutil
import sqlite3
from datetime import timedelta

import pytest

from so.errors import ActivityError, ConfigError, IntegrityError
from so.systems.activity import Activity, framing, stored
from so.systems.activity.keys import KeyRing
from tests.systems.activity.conftest import KEY, fill, make


def set_(column, value, where="id = 7"):
    return lambda c: c.unprepared(f"update activity_log set {column} = {value} where {where}")


def sql(*statements):
    def attack(connection):
        for statement in statements:
            connection.unprepared(statement)

    return attack


def concat(connection, *parts):
    return (
        " || ".join(parts) if connection.dialect.name == "sqlite" else f"concat({', '.join(parts)})"
    )


def longer_text(column):
    return lambda c: c.unprepared(
        f"update activity_log set {column} = {concat(c, column, repr(' '))} where id = 7"
    )


def swap(column, first, second):
    def attack(connection):
        both = {
            id: connection.scalar(f"select {column} from activity_log where id = ?", [id])
            for id in (first, second)
        }
        if column == "id":
            for a, b in ((first, 999), (second, first), (999, second)):
                connection.update("update activity_log set id = ? where id = ?", [b, a])
            return
        for id, other in ((first, second), (second, first)):
            connection.update(
                f"update activity_log set {column} = ? where id = ?", [both[other], id]
            )

    return attack


def copy_row(id, new, **other):
    """Insert a row that looks like row *id*, with another id."""

    def attack(connection):
        row = dict(connection.table("activity_log").where("id", id).first())
        connection.table("activity_log").insert({**row, "id": new, **other})

    return attack


def replay(connection):
    index = "drop index activity_log_uid_unique"
    mysql = connection.dialect.name == "mysql"
    connection.unprepared(index + " on activity_log" if mysql else index)
    copy_row(7, 900, seal_no=None)(connection)


def move_bytes(connection):
    connection.unprepared(
        "update activity_log set log_name = 'book', event = 'snoted' where id = 7"
    )


def recompute_without_key(connection):
    """Edit a row, and make root and chain fit again: all that needs no key."""
    connection.unprepared("update activity_log set description = 'forged' where id = 7")
    ring = KeyRing("nobody-knows-" + "x" * 20)
    previous = connection.scalar("select seal_hash from activity_seals where seal_no = 1")
    for no in (2, 3):
        members = stored.rows(connection, "seal_no = ?", [no])
        leaves = [
            framing.leaf_hash(row.id, stored.judge(row, ring, {})[1], row.row_mac)
            for row in members
        ]
        connection.update(
            "update activity_seals set merkle_root = ?, prev_hash = ? where seal_no = ?",
            [framing.merkle_root(leaves), previous, no],
        )
        columns = ", ".join(framing.SEAL)
        values = connection.select_tuples(
            f"select {columns} from activity_seals where seal_no = {no}"
        )
        previous = framing.seal_hash(values[0])
        connection.update(
            "update activity_seals set seal_hash = ? where seal_no = ?", [previous, no]
        )


def old_seal_as_head(connection):
    seal = dict(connection.table("activity_seals").where("seal_no", 2).first())
    connection.table("activity_seals").insert({**seal, "seal_no": 4})


def fork(connection):
    second = dict(connection.table("activity_seals").where("seal_no", 2).first())
    connection.table("activity_seals").where("seal_no", 3).update(
        {name: value for name, value in second.items() if name != "seal_no"}
    )


def tombstone_by_hand(connection):
    row = stored.rows(connection, "id = ?", [7])[0]
    message = stored.judge(row, KeyRing("nobody-knows-" + "x" * 20), {})[1]
    connection.table("activity_tombstones").insert(
        {
            "activity_id": 7,
            "seal_no": 2,
            "leaf_hash": framing.leaf_hash(7, message, row.row_mac).hex(),
            "cert_uid": row.uid,
            "mac": "0" * 64,
        }
    )
    connection.unprepared("delete from activity_log where id = 7")


TIME = "'2026-01-15 12:00:07.000001'"
ATTACKS = {
    "T1 another description": (set_("description", "'forged'"), "edited"),
    "T2 one digit inside the properties": (
        set_("properties", "replace(properties, '106', '107')"), "edited"),
    "T3 only a blank in the stored JSON": (longer_text("properties"), "edited"),
    "T3 a blank at the end of a text": (longer_text("log_name"), "edited"),
    "T4 NULL becomes empty": (set_("subject_label", "''"), "edited"),
    "T4 a value becomes NULL": (set_("causer_label", "null"), "edited"),
    "T5 a microsecond": (set_("created_at", TIME), "edited"),
    "T5 the time of the change": (set_("updated_at", TIME), "edited"),
    "T6 another causer": (set_("causer_id", "'42'"), "edited"),
    "T6 another subject": (set_("subject_id", "'42'"), "edited"),
    "T6 another batch": (set_("batch_uuid", "'42'"), "edited"),
    "T6 another context": (set_("context", "'{\"ip\":\"::1\"}'"), "edited"),
    "T6 another letter case": (set_("log_name", "'Books'"), "edited"),
    "T7 bytes moved over a column's edge": (move_bytes, "edited"),
    "T8 the first row of a seal": (sql("delete from activity_log where id = 6"), "deleted"),
    "T9 a middle row of a seal": (sql("delete from activity_log where id = 8"), "deleted"),
    "T10 the last row of the newest seal": (
        sql("delete from activity_log where id = 15"), "deleted"),
    "T11 a whole seal with its rows": (
        sql("delete from activity_log where seal_no = 2",
            "delete from activity_seals where seal_no = 2"), "deleted"),
    "T11 a seal, its rows given to the next": (
        sql("delete from activity_seals where seal_no = 2",
            "update activity_log set seal_no = 3 where seal_no = 2"), "deleted"),
    "T12 the newest seal without its rows": (
        sql("delete from activity_seals where seal_no = 3"), "truncated"),
    "T14 a forged row in a sealed range": (
        lambda c: (c.unprepared("delete from activity_log where id = 7"),
                   c.unprepared("insert into activity_log (id, description, seal_no, row_mac, salt)"
                                " values (7, 'forged', 2, 'abc', 'abc')")), "edited"),
    "T14 a row more in a seal": (copy_row(7, 800, uid="1" * 32), "inserted"),
    "T15 an unsealed row without a MAC": (
        sql("insert into activity_log (description) values ('forged')"), "inserted"),
    "T15 an unsealed row with a MAC of its own": (
        copy_row(16, 800, uid="1" * 32), "edited"),
    "T16 a valid row once more": (replay, "inserted"),
    "T17 two rows change ids": (swap("id", 7, 8), "reordered"),
    "T18 two rows change seals": (swap("seal_no", 7, 12), "reordered"),
    "T19 an edit, root and chain made to fit": (recompute_without_key, "edited"),
    "T20 another row count": (
        sql("update activity_seals set row_count = 4 where seal_no = 2"), "edited"),
    "T20 another first id": (
        sql("update activity_seals set first_id = 1 where seal_no = 2"), "edited"),
    "T20 another root": (
        sql(f"update activity_seals set merkle_root = '{'0' * 64}' where seal_no = 2"), "edited"),
    "T20 another time of sealing": (
        sql("update activity_seals set sealed_by = 'x:1' where seal_no = 2"), "edited"),
    "T21 an old seal as the newest": (old_seal_as_head, "edited"),
    "T22 two seals after one": (fork, "reordered"),
    "T23 a seal that says it was pruned": (
        sql("delete from activity_log where seal_no = 2",
            f"update activity_seals set pruned_at = sealed_at, prune_uid = '{'1' * 32}',"
            f" prune_mac = '{'0' * 64}' where seal_no = 2"), "pruned without certificate"),
    "T24 a tombstone made by hand": (tombstone_by_hand, "pruned without certificate"),
    "T24 a tombstone that is no digest": (
        lambda c: (tombstone_by_hand(c),
                   c.unprepared(f"update activity_tombstones set leaf_hash = '{'z' * 64}'")),
        "pruned without certificate"),
    "T27 the salt is gone": (set_("salt", "null"), "erased without certificate"),
    "T27 another salt": (set_("salt", f"'{'0' * 32}'"), "edited"),
    "T31 sealed rows that are unsealed again": (
        sql("update activity_log set seal_no = null where seal_no = 2"), "deleted"),
    "T31 a seal that is hidden as refused": (
        sql("update activity_log set seal_no = 0 where id = 7"), "deleted"),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_the_attack_is_found_and_named(trail, db, name):
    attack, kind = ATTACKS[name]
    assert trail.verify().exit_code == 0

    attack(db.connection())
    report = trail.verify()

    assert report.exit_code == 1
    assert kind in {fault.kind for fault in report.faults}, report.faults


def test_an_edit_names_row_and_seal_and_a_verification_of_the_subject_finds_it(trail, db):
    db.connection().unprepared("update activity_log set causer_id = 'x' where id = 7")
    db.connection().unprepared(
        "update activity_log set subject_type = 'user', subject_id = '1' where id = 8"
    )

    assert [(f.seal, f.row) for f in trail.verify().faults] == [(2, 7), (2, 8)]
    assert {f.row for f in trail.verify(subject="user:1").faults} == {7, 8}
    assert trail.verify(subject="user:2").exit_code == 0


def test_t8_a_deleted_row_is_named_where_the_ids_tell(trail, db):
    db.connection().unprepared("delete from activity_log where id = 8")

    fault = trail.verify().faults[0]

    assert (fault.kind, fault.seal, fault.row) == ("deleted", 2, 8)


def cut(connection):
    connection.unprepared("delete from activity_log where id > 10")
    connection.unprepared("delete from activity_seals where seal_no > 2")


def empty(connection):
    connection.unprepared("delete from activity_log")
    connection.unprepared("delete from activity_seals")


@pytest.mark.parametrize("attack", [cut, empty], ids=["T12", "T13"])
def test_a_trail_without_its_end_is_only_found_by_an_anchor(trail, db, tmp_path, attack):
    file = tmp_path / "anchor"
    trail.anchor(file)

    attack(db.connection())

    assert trail.verify().exit_code == 0  # the documented limit
    lines = file.read_text().splitlines()
    report = trail.verify(anchors=lines)
    assert report.exit_code == 1
    assert [fault.kind for fault in report.faults] == ["truncated"]
    assert trail.verify(anchors=["what?", ""]).exit_code == 2


def test_t30_a_trail_that_was_set_back_and_went_on_does_not_fit_its_anchor(
    trail, db, clock, tmp_path
):
    file = tmp_path / "anchor"
    trail.anchor(file)
    trail.anchor(file)  # nothing new: no second line
    cut(db.connection())
    fill(trail, 5, clock)

    trail.sealer.seal()
    report = trail.verify(anchors=file.read_text().splitlines())

    assert len(file.read_text().splitlines()) == 1
    assert [fault.kind for fault in report.faults] == ["edited"]


def test_t15_the_sealer_refuses_what_was_forged_and_seals_the_rest(trail, db):
    connection = db.connection()
    connection.unprepared("insert into activity_log (description) values ('forged')")
    connection.unprepared("update activity_log set description = 'x' where id = 16")

    done = trail.sealer.seal()

    assert (done.rows, done.refused) == (1, 2)
    assert connection.scalar("select count(*) from activity_log where seal_no = 0") == 2
    assert {f.kind for f in trail.verify().faults} == {"edited", "inserted"}
    assert trail.sealer.seal(recheck=True).refused == 2


def test_t16_a_copy_is_not_sealed(trail, db):
    replay(db.connection())

    assert trail.sealer.seal().refused == 1


def test_nothing_is_sealed_on_top_of_a_forged_seal(trail, db):
    db.connection().unprepared("update activity_seals set sealed_by = 'x' where seal_no = 3")

    with pytest.raises(IntegrityError, match="seal 3 was altered"):
        trail.sealer.seal()


def test_rows_are_not_sealed_inside_a_transaction(trail, db):
    with db.transaction(), pytest.raises(IntegrityError, match="outside transactions"):
        trail.sealer.seal()


def test_t29_a_wrong_key_cannot_check_and_a_rotated_one_can(trail, db, clock):
    wrong = make(db, clock, "another-" + "w" * 32)
    rotated = make(db, clock, "another-" + "w" * 32, KEY)

    report = wrong.verify()
    assert report.exit_code == 2
    assert not report.faults
    with pytest.raises(IntegrityError, match="AUDIT_PREVIOUS_KEYS"):
        wrong.sealer.seal()

    fill(rotated, 3, clock)
    assert rotated.sealer.seal(recheck=True).refused == 0
    assert rotated.verify().exit_code == 0
    assert trail.verify().exit_code == 2


def test_t29_a_key_id_that_was_changed_is_an_edit(trail, db):
    db.connection().unprepared("update activity_log set key_id = 'nobodys' where id = 7")

    assert [(f.kind, f.row) for f in trail.verify().faults] == [("edited", 7)]


def test_settings_that_cannot_be_are_refused(db, clock):
    with pytest.raises(ConfigError, match="use one of off, mac, seal"):
        make(db, clock, integrity_mode="chain")
    with pytest.raises(ConfigError, match="there is no AUDIT_KEY"):
        make(db, clock, None, integrity_mode="mac")
    with pytest.raises(ConfigError, match="AUDIT_KEY cannot be used"):
        make(db, clock, "short")
    assert make(db, clock, None).integrity is None
    assert make(db, clock, integrity_mode="off").integrity is None


def test_without_a_key_nothing_can_be_verified(db, clock, tmp_path):
    log = make(db, clock, None)

    with pytest.raises(IntegrityError, match="set AUDIT_KEY"):
        log.verify()
    with pytest.raises(IntegrityError, match="nothing to anchor"):
        log.anchor(tmp_path / "a")


def test_since_last_looks_at_what_is_new(trail, db, clock):
    assert trail.verify().is_clean
    fill(trail, 5, clock)
    trail.sealer.seal()

    report = trail.verify(since_last=True)

    assert report.is_clean
    assert report.seals == 2
    assert report.rows == 2 + 1 + 5


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("delete from activity_seals where seal_no = 3", "truncated"),
        (f"update activity_seals set seal_hash = '{'0' * 64}' where seal_no = 3", "edited"),
    ],
)
def test_since_last_starts_from_the_very_seal_of_the_last_run(trail, db, statement, kind):
    trail.verify()
    db.connection().unprepared(statement)

    assert kind in {fault.kind for fault in trail.verify(since_last=True).faults}


def test_a_forged_mark_of_a_run_is_not_believed(trail, db):
    trail.verify()
    db.connection().unprepared(
        'update activity_log set properties = \'{"seal":3,"hash":"x"}\' where event = \'verified\''
    )

    assert trail.verify(since_last=True).seals == 3


def test_rows_that_stay_unsealed_are_a_backlog(trail, clock):
    clock.travel(timedelta(minutes=10))

    report = trail.verify()

    assert report.exit_code == 3
    assert "17" not in report.stale[0]
    assert "2 rows are not sealed" in report.stale[0]
    trail.sealer.seal()
    assert trail.verify().exit_code == 0


def test_a_trail_without_a_sign_of_life_is_stale(trail, clock):
    trail.sealer.seal()
    clock.travel(timedelta(days=3))

    assert trail.verify(heartbeat_seconds=86_400).exit_code == 3
    assert trail.sealer.seal(heartbeat_seconds=86_400).seals == 1
    assert trail.sealer.seal(heartbeat_seconds=86_400).seals == 0
    assert trail.verify(heartbeat_seconds=86_400).exit_code == 0


def test_rows_of_before_are_adopted_on_request_only(db, clock):
    log = make(db, clock, None)
    fill(log, 3, clock)
    db.connection().unprepared("insert into activity_log (description) values ('by hand')")
    signed = make(db, clock)
    assert {f.kind for f in signed.verify().faults} == {"inserted"}

    assert signed.adopt() == 4
    signed.sealer.seal()

    assert signed.verify().is_clean
    assert signed.adopt() == 0


def test_mac_alone_signs_without_seals(db, clock):
    log = make(db, clock, integrity_mode="mac")
    fill(log, 3, clock)
    clock.travel(timedelta(days=1))
    assert log.verify().exit_code == 0

    db.connection().unprepared("update activity_log set description = 'x' where id = 2")

    assert [(f.kind, f.row) for f in log.verify().faults] == [("edited", 2)]


# --- pruning and erasing -------------------------------------------------------------------------


def test_t25_a_pruned_trail_verifies_and_keeps_its_roots(trail, db, clock):
    clock.travel(timedelta(days=40))
    fill(trail, 4, clock, "new")
    connection = db.connection()

    assert trail.prune(30, dry_run=True) == 17
    assert trail.prune(30) == 17  # those not yet sealed were sealed first

    report = trail.verify()
    assert report.exit_code == 0
    assert report.pruned == 17
    assert connection.scalar("select count(*) from activity_seals where pruned_at is null") == 2
    assert Activity.for_event("pruned").count() == 1
    assert [a.description for a in Activity.in_log("books").get()] == [f"new {n}" for n in range(4)]


def test_t25_one_log_is_pruned_out_of_the_middle_of_seals(trail, db, clock):
    for n in range(10):
        trail.entry("api" if n % 2 else "books").log(str(n))
    trail.sealer.seal()
    clock.travel(timedelta(days=40))

    assert trail.prune(30, log="api", batch=2) == 5

    report = trail.verify()
    assert (report.exit_code, report.pruned) == (0, 5)
    assert trail.prune(30) == 22
    assert trail.verify().exit_code == 0
    assert db.connection().scalar("select count(*) from activity_tombstones") == 0


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("delete from activity_log where event = 'pruned'", "pruned without certificate"),
        (
            "update activity_log set event = 'x' where event = 'pruned'",
            "pruned without certificate",
        ),
        (
            "update activity_seals set prune_mac = null where seal_no = 1",
            "pruned without certificate",
        ),
        (
            "update activity_seals set pruned_at = null, prune_uid = null, prune_mac = null",
            "deleted",
        ),
    ],
)
def test_t24_a_pruning_whose_certificate_was_touched_is_found(trail, db, clock, statement, kind):
    clock.travel(timedelta(days=40))
    trail.prune(30)

    db.connection().unprepared(statement)

    assert kind in {fault.kind for fault in trail.verify().faults}


def test_a_row_put_back_into_a_pruned_seal_is_found(trail, db, clock):
    row = dict(db.connection().table("activity_log").where("id", 7).first())
    clock.travel(timedelta(days=40))
    trail.prune(30)

    db.connection().table("activity_log").insert(row)

    assert "inserted" in {fault.kind for fault in trail.verify().faults}


def test_evidence_is_neither_pruned_nor_erased_and_stops_nothing_else(trail, db, clock):
    db.connection().unprepared("update activity_log set description = 'x' where id = 7")
    clock.travel(40 * 86_400)

    with pytest.raises(IntegrityError, match="row 7 is not what was written.*16 others were"):
        trail.prune(30)
    assert Activity.in_log("books").pluck("id") == [7]
    assert {fault.row for fault in trail.verify().faults} == {7}
    with pytest.raises(IntegrityError, match="row 7 is not what was written"):
        trail.erase("system", "test")
    with pytest.raises(IntegrityError, match="without AUDIT_KEY"):
        make(db, clock, None).prune(30)
    with pytest.raises(IntegrityError, match="without AUDIT_KEY"):
        make(db, clock, None).erase("system", "test")


def test_a_certificate_of_pruning_says_how_much_and_which(trail, clock):
    clock.travel(40 * 86_400)
    trail.prune(30)

    told = Activity.for_event("pruned").first().properties
    assert (told["rows"], told["ids"], told["seals"]) == (17, [1, 17], [1, 4])


def test_each_log_is_kept_as_long_as_its_rule_says(trail, clock):
    for name in ("api", "books", None):
        trail.entry(name).log("x")
    clock.travel(40 * 86_400)

    rules = {"api": 30, "books": 3650}
    assert trail.prune_by_rules(rules, 35, dry_run=True) == {"api": 1, "books": 0, "*": 1}
    assert trail.prune_by_rules(rules, 35) == {"api": 1, "books": 0, "*": 1}
    assert Activity.in_log("books").count() == 18
    assert trail.verify().is_clean


@pytest.mark.parametrize("days", [0, -1, True, 1.5, "30", None, 10**20])
def test_days_that_are_none_delete_nothing(trail, days):
    with pytest.raises(ActivityError, match="days"):
        trail.prune(days)
    assert Activity.in_log("books").count() == 17


@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
def test_one_server_prunes_at_a_time(trail, db, clock):
    from so.systems.activity.sealing import lock

    clock.travel(40 * 86_400)
    with db.connection().separate() as other, lock(other, "prune") as is_ours:
        assert is_ours
        assert trail.prune(30) == 0
    assert trail.prune(30) == 17


# --- odd data ------------------------------------------------------------------------------------

ODD = {
    "emoji": "😀👩‍👩‍👧",
    "lone surrogate": "a\ud800b",
    "one megabyte": "ä" * 500_000,
    "not a number": float("nan"),
    "bytes": b"\xff\x00",
    "nul": "a\x00b",
    "nothing": None,
    "blanks": "  x  ",
}


@pytest.mark.parametrize("name", ODD)
def test_t34_odd_values_raise_no_false_alarm(trail, name):
    trail.entry("odd").event("odd").with_properties({"value": ODD[name]}).log(f"odd {name}")
    if isinstance(ODD[name], str) and len(ODD[name]) < 100:
        trail.entry(ODD[name]).event(ODD[name]).by(f"system:{ODD[name]}").log(ODD[name])

    assert trail.verify().exit_code == 0
    trail.sealer.seal()
    assert trail.verify().exit_code == 0


def test_t34_times_far_apart_and_with_zones_raise_no_false_alarm(trail, clock):
    from datetime import UTC, datetime, timezone

    for moment in (
        datetime(2026, 3, 29, 1, 30, tzinfo=timezone(timedelta(hours=2))),
        datetime(2026, 10, 25, 2, 30, 0, 1, tzinfo=UTC),
        datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ):
        trail.entry().created_at(moment).log("then")
    trail.entry().tap(lambda row: row.update(created_at="2026-02-01T10:00:00+02:00")).log("text")
    trail.entry().tap(lambda row: row.update(created_at=None)).log("never")
    trail.entry().tap(lambda row: row.update(subject_id=42)).log("number")

    trail.sealer.seal()

    assert trail.verify().exit_code == 0


def test_t34_another_session_zone_and_collation_raise_no_false_alarm(trail, db):
    connection = db.connection()
    if connection.dialect.name == "mysql":
        connection.unprepared("set time_zone = '+05:30'")
        connection.unprepared(
            "alter table activity_log modify log_name varchar(255)"
            " character set utf8mb4 collate utf8mb4_general_ci null default null"
        )

    assert trail.verify().exit_code == 0
    connection.reconnect()


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_t35_a_copy_of_the_database_verifies(trail, db, db_config, clock, tmp_path):
    from so.db.connection import Connection

    source, target = sqlite3.connect(db_config["database"]), sqlite3.connect(tmp_path / "copy")
    source.backup(target)
    source.close()
    target.close()
    with Connection(str(tmp_path / "copy"), clock=clock) as copy:
        assert make(copy, clock).verify().exit_code == 0
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)


def test_t33_a_row_that_is_committed_late_lands_in_a_later_seal(trail, db, mysql_late_row, clock):
    mysql_late_row(trail)

    trail.sealer.seal()

    assert trail.verify().exit_code == 0
    late = Activity.in_log("late").first()
    newest = db.connection().scalar("select max(seal_no) from activity_seals")
    assert late["seal_no"] == newest


@pytest.fixture
def mysql_late_row(db, clock):
    """Write a row in a transaction that is open while others write and seal, then commits."""

    def write(trail):
        other = db.connection().separate()
        if db.connection().dialect.name == "sqlite":  # one writer at a time: it cannot be late
            other.close()
            trail.entry("late").log("late")
            return
        with other, other.transaction():
            late = make(other, clock)
            late.write(other, [late.row("late", log_name="late", subject=(None,) * 3, causer=None,
                                        properties={})])  # fmt: skip
            fill(trail, 3, clock)
            trail.sealer.seal()

    return write


def test_what_no_column_could_hold_is_refused_before_anything_is_written(trail):
    before = Activity.count()

    with pytest.raises(ActivityError, match="no moment"):
        trail.entry().tap(lambda row: row.update(created_at="soon")).log("x")
    with pytest.raises(ActivityError, match="put long texts into the properties"):
        trail.entry().log("ä" * 40_000)
    with pytest.raises(ActivityError, match="log_name"):
        trail.entry("x" * 256).log("x")

    assert Activity.count() == before
    assert trail.entry().by(f"system:{'y' * 300}").log("x").causer_label.startswith("system:yyy")


def test_each_uid_comes_after_the_one_before_and_none_comes_twice(trail, clock):
    uids = []
    for _ in range(20):
        clock.travel(0.01)
        uids.append(trail.entry().log("x")["uid"])

    assert uids == sorted(set(uids))
    assert {len(uid) for uid in uids} == {32}


def test_a_subject_whose_seal_is_missing_is_found(trail, db):
    trail.entry().tap(lambda row: row.update(subject_type="user", subject_id=9)).log("x")
    trail.sealer.seal()
    db.connection().unprepared("delete from activity_seals where seal_no = 4")

    assert [fault.kind for fault in trail.verify(subject="user:9").faults] == ["deleted"]

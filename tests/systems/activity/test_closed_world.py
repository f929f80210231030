"""What verify must not pass over: rows, seals and values that no application wrote."""

from __future__ import annotations

import json

import pytest

from so.errors import ActivityError, IntegrityError
from so.systems.activity import Activity, stored
from tests.systems.activity.conftest import fill, make

sqlite_only = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


def kinds(report):
    return {fault.kind for fault in report.faults}


def run(db, *statements):
    for statement in statements:
        db.connection().unprepared(statement)


def loosen(db, *columns):
    """Let the columns of activity_log take what the tables of the framework would not."""
    if db.connection().dialect.name == "mysql":
        for column in columns:
            run(db, f"alter table activity_log modify {column} double null")


FOREIGN_NUMBERS = ("-1", "1.5", "99", "2.5", "-9e9")


@pytest.mark.parametrize("number", FOREIGN_NUMBERS)
@pytest.mark.parametrize("forged", [True, False], ids=["forged", "a loose row parked"])
def test_a_row_with_a_number_that_no_seal_has_is_found(trail, db, number, forged):
    loosen(db, "seal_no")
    if forged:
        run(db, f"insert into activity_log (description, seal_no) values ('forged', {number})")
    else:
        run(db, f"update activity_log set seal_no = {number} where id = 16")

    assert trail.verify().exit_code == 1
    trail.sealer.seal(recheck=True)
    assert trail.verify().exit_code == 1


def test_a_whole_seal_below_one_is_found_with_its_rows(trail, db):
    loosen(db, "seal_no")
    if db.connection().dialect.name == "mysql":
        run(db, "alter table activity_seals modify seal_no bigint not null")
    seal = dict(db.connection().table("activity_seals").where("seal_no", 2).first())
    db.connection().table("activity_seals").insert({**seal, "seal_no": -1})
    run(db, "update activity_log set seal_no = -1 where id in (16, 17)")

    report = trail.verify()

    assert report.exit_code == 1
    run(db, "drop table activity_seals")


@sqlite_only
@pytest.mark.parametrize("column", ["subject_id", "log_name", "description", "properties", "uid"])
def test_bytes_where_text_was_signed_are_an_edit(trail, db, column):
    trail.entry("books").tap(lambda row: row.update(subject_id="7", subject_type="o")).log("x")
    trail.sealer.seal()
    last = db.connection().scalar("select max(id) from activity_log")

    run(db, f"update activity_log set {column} = cast({column} as blob) where id = {last}")

    report = trail.verify()
    assert (report.exit_code, kinds(report)) == (1, {"edited"})


@sqlite_only
@pytest.mark.parametrize("column", ["description", "subject_label", "context", "salt"])
def test_bytes_beside_text_beyond_ascii_are_an_edit_and_no_crash(trail, db, column):
    run(db, f"update activity_log set {column} = x'ff00' where id = 7")

    for asked in ({}, {"between": (1, 3)}, {"newest": 15}):
        report = trail.verify(**asked)
        assert (report.exit_code, kinds(report)) == (1, {"edited"})
    with pytest.raises(ActivityError, match="not what was written"):
        trail.proof(7)


def test_a_row_of_a_seal_that_there_is_not_has_no_proof(trail, db):
    run(db, "update activity_log set seal_no = 99 where id = 7")

    with pytest.raises(ActivityError, match="seal 99, which is not there"):
        trail.proof(7)


@sqlite_only
def test_text_that_is_no_utf8_is_an_edit_and_no_crash(trail, db):
    run(db, "update activity_log set description = cast(x'656e747279ff' as text) where id = 3",
        "update activity_log set description = cast(x'656e747279ff' as text) where id = 17",
        "update activity_seals set sealed_by = cast(x'ff' as text) where seal_no = 2")  # fmt: skip

    report = trail.verify()

    assert {(f.seal, f.row) for f in report.faults} >= {(1, 3), (2, None), (None, 17)}
    assert kinds(report) == {"edited"}
    assert trail.sealer.seal().refused == 1


@sqlite_only
@pytest.mark.parametrize(
    "change",
    [
        "row_count = 'five'",
        "row_count = 5.5",
        "row_count = x'05'",
        "first_id = 'a'",
        "last_id = 1.5",
        "sealed_at = 5",
        "seal_hash = 5",
        "seal_mac = x'00'",
        "prev_hash = 1",
        "merkle_root = 1.5",
        "pruned_at = 5",
        "prune_mac = 'ä'",
        "key_id = 7",
        "sealed_by = x'00'",
    ],
)
@pytest.mark.parametrize("no", [1, 3])
def test_a_malformed_seal_is_a_finding_and_never_a_crash(trail, db, change, no):
    run(db, f"update activity_seals set {change} where seal_no = {no}")

    report = trail.verify()

    assert report.exit_code == 1
    assert no in {fault.seal for fault in report.faults}
    json.dumps(report.to_dict())
    trail.verify(since_last=True)
    trail.verify(subject="user:1")


@sqlite_only
@pytest.mark.parametrize(
    "change",
    ["leaf_hash = 5", "leaf_hash = x'00'", "mac = 1", "cert_uid = 7", "seal_no = 'x'"],
)
def test_a_malformed_tombstone_is_a_finding(trail, db, clock, change):
    for n in range(4):
        trail.entry("api" if n % 2 else "books").log(str(n))
    trail.sealer.seal()
    clock.travel(40 * 86_400)
    trail.prune(30, log="api")

    run(db, f"update activity_tombstones set {change}")

    assert trail.verify().exit_code == 1


@sqlite_only
@pytest.mark.parametrize("change", ["mac = 1.5", "content_hash = x'00'", "cert_uid = 5"])
def test_a_malformed_erasure_is_a_finding(trail, db, change):
    trail.erase("system", "test")

    run(db, f"update activity_erasures set {change}")

    assert trail.verify().exit_code == 1


def test_findings_are_listed_up_to_a_limit_and_counted_in_full(trail, db):
    db.connection().table("activity_log").insert([{"description": "x"} for _ in range(400)])

    report = trail.verify()

    assert (report.fault_count, report.kinds["inserted"], len(report.faults)) == (400, 400, 100)
    assert report.to_dict()["fault_count"] == 400


def test_rows_of_before_are_adopted_once_and_later_only_by_their_ids(trail, db):
    run(db, "insert into activity_log (description) values ('forged')")
    id = db.connection().scalar("select max(id) from activity_log")

    with pytest.raises(IntegrityError, match=f"--ids={id}"):
        trail.adopt()
    assert kinds(trail.verify()) == {"inserted"}

    with pytest.raises(IntegrityError, match="rows 7 are not there, or are sealed"):
        trail.adopt([id, 7])
    assert trail.adopt([id]) == 1
    trail.sealer.seal()
    assert trail.verify().is_clean
    assert Activity.for_event("adopted").first().properties == {"rows": 1, "ids": [id]}


@pytest.mark.parametrize("ids", ["12", ["x"], [1.5], [True], [None], [0], [1 << 63]], ids=repr)
def test_what_is_no_id_is_not_adopted(trail, ids):
    with pytest.raises(IntegrityError, match="is no id of a row: nothing was adopted"):
        trail.adopt(ids)


def test_an_edited_row_cannot_be_adopted(trail, db):
    run(db, "update activity_log set description = 'x' where id = 16")

    with pytest.raises(IntegrityError, match="row 16 is signed"):
        trail.adopt([16])


@pytest.mark.parametrize("name", ["audit", "Audit", " AUDIT ", "áudit"])
def test_nobody_else_writes_to_the_log_audit(trail, db, name):
    entry = trail.entry("books").event("verified").with_properties({"seal": 3, "hash": "x"})

    with pytest.raises(ActivityError, match="trail's own"):
        trail.entry(name)
    with pytest.raises(ActivityError, match="trail's own"):
        entry.in_log(name)
    with pytest.raises(ActivityError, match="trail's own"):
        entry.use_log(name)
    with pytest.raises(ActivityError, match="trail's own"):
        entry.tap(lambda row: row.update(log_name=name)).log("forged")
    with pytest.raises(ActivityError, match="trail's own"):
        make(db, trail.clock, default_log=name)
    assert Activity.in_log("audit").count() == 0


MODEL_DOORS = {
    "create": lambda: Activity.create(log_name="audit", description="x"),
    "save": lambda: Activity(log_name="Audit", description="x").save(),
    "update": lambda: Activity.find(1).update(log_name="audit"),
    "insert": lambda: Activity.insert([{"description": "y"}, {"log_name": "audit"}]),
    "insert_or_ignore": lambda: Activity.insert_or_ignore({"log_name": "audit"}),
    "upsert": lambda: Activity.upsert([{"id": 1, "log_name": "audit"}], ["id"]),
    "bulk update": lambda: Activity.where("id", 1).update(log_name="audit"),
    "qualified": lambda: Activity.where("id", 1).update({"activity_log.log_name": "audit"}),
}


@pytest.mark.parametrize("door", MODEL_DOORS)
def test_nobody_writes_to_the_log_audit_through_the_model_of_the_trail(trail, door):
    with pytest.raises(ActivityError, match="trail's own"):
        MODEL_DOORS[door]()

    assert Activity.in_log("audit").count() == 0


def test_what_says_it_is_a_certificate_cannot_be_adopted_by_its_id(trail, db):
    run(
        db,
        "insert into activity_log (log_name, event, description) values ('audit', 'verified', '')",
    )
    id = db.connection().scalar("select max(id) from activity_log")

    with pytest.raises(IntegrityError, match="certificate"):
        trail.adopt([id])
    assert kinds(trail.verify()) == {"inserted"}


@sqlite_only
def test_a_trail_that_can_only_be_read_is_verified_all_the_same(trail, db, caplog):
    run(db, "update activity_log set description = 'x' where id = 3")
    told = []
    trail.on_tampering = told.append
    db.connection().select_tuples("pragma query_only = on")

    report = trail.verify()

    db.connection().select_tuples("pragma query_only = off")
    assert (report.exit_code, told) == (1, [report])
    assert "not noted" in caplog.text


def test_an_erasure_of_no_row_is_a_finding(trail, db):
    trail.erase("system", "test")
    erasure = dict(db.connection().table("activity_erasures").first())
    db.connection().table("activity_erasures").insert({**erasure, "activity_id": 999})

    assert kinds(trail.verify()) == {"inserted"}


@pytest.mark.parametrize("column", ["pruned_at", "prune_uid", "prune_mac"])
def test_an_empty_mark_of_pruning_is_a_mark(trail, db, column):
    run(db, f"update activity_seals set {column} = '' where seal_no = 2")

    assert kinds(trail.verify()) == {"pruned without certificate"}


def test_a_model_cannot_name_the_log_audit_either(log):
    from tests.systems.activity.conftest import Person

    class Sneaky(Person):
        log_name = "audit"

    with pytest.raises(ActivityError, match="trail's own"):
        Sneaky.create(name="x")
    assert Person.count() == 0


@sqlite_only
def test_a_row_that_a_trigger_swallows_takes_the_change_with_it(log, db):
    from tests.systems.activity.conftest import Person

    run(db, "create trigger hush before insert on activity_log when new.subject_type = 'person' "
            "begin select raise(ignore); end")  # fmt: skip

    with pytest.raises(ActivityError, match="look for a trigger on activity_log"):
        Person.create(name="x")
    assert Person.count() == 0
    with pytest.raises(ActivityError, match="trigger"):
        Person.insert([{"name": "a"}, {"name": "b"}])
    assert Person.count() == 0


def test_a_subject_whose_rows_were_deleted_is_found_by_the_counts_of_the_seals(trail, db):
    for n in range(7):
        trail.entry("x").tap(
            lambda row, n=n: row.update(subject_type="Invoice", subject_id=str(n // 5))
        ).log("x")
    trail.sealer.seal()
    assert trail.verify(subject="Invoice:1").exit_code == 0

    run(db, "delete from activity_log where subject_type = 'Invoice' and subject_id = '1'")

    report = trail.verify(subject="Invoice:1")
    assert (report.exit_code, kinds(report)) == (1, {"deleted"})
    assert any("Invoice:1" in limit for limit in report.limits)


def test_erased_values_that_come_back_from_a_backup_are_noticed(trail, db):
    rows = [dict(r) for r in db.connection().table("activity_log").where("seal_no", 1).get()]
    trail.erase("system", "test")
    assert trail.verify().exit_code == 0

    for row in rows:
        db.connection().table("activity_log").where("id", row["id"]).update(row)

    assert kinds(trail.verify()) == {stored.RESTORED}


def test_only_the_seals_asked_for_are_verified(trail, db):
    run(db, "update activity_log set description = 'x' where id = 2")

    assert trail.verify(between=(2, 3)).exit_code == 0
    assert trail.verify(between=(1, 1)).exit_code == 1
    assert kinds(trail.verify(between=(2, 9))) == {"deleted"}


def test_the_newest_rows_alone_are_verified_in_two_statements(trail, db):
    ran = []
    db.listen(ran.append)
    report = trail.verify(newest=10)
    db.forget_listener(ran.append)

    assert (report.exit_code, report.seals, report.rows, len(ran)) == (0, 2, 10, 2)
    assert trail.verify(newest=1).rows == 5  # a seal at least
    assert trail.verify(newest=500).rows == 15


@pytest.mark.parametrize(
    ("harm", "kind"),
    [
        ("update activity_log set description = 'x' where id = 12", "edited"),
        ("delete from activity_log where id = 12", "deleted"),
        ("update activity_log set seal_no = 3 where id = 10", "inserted"),
        ("update activity_seals set prev_hash = merkle_root where seal_no = 3", "edited"),
        ("update activity_seals set seal_no = 4 where seal_no = 3", "deleted"),
    ],
)
def test_what_is_wrong_among_the_newest_rows_is_found(trail, db, harm, kind):
    run(db, harm)

    assert kind in kinds(trail.verify(newest=10))


def test_newest_rows_that_were_erased_are_no_fault(trail):
    trail.erase("system", "test")

    assert trail.verify(newest=1000).exit_code == 0


def test_the_hash_of_a_seal_that_was_noted_elsewhere_must_be_there(trail, db):
    head = trail.sealer.head(db.connection()).seal_hash

    assert trail.verify(head=head).exit_code == 0
    assert kinds(trail.verify(head="0" * 64)) == {"truncated"}


def test_an_empty_anchor_or_two_that_contradict_each_other_are_findings(trail, tmp_path):
    line = trail.anchor(tmp_path / "a")
    no, seal_hash, when = line.split(" ", 2)

    assert trail.verify(anchors=[line, line]).exit_code == 0
    assert trail.verify(anchors=[]).exit_code == 1
    assert trail.verify(anchors=["", " \n"]).exit_code == 1
    assert trail.verify(anchors=[line, f"{no} {'0' * 64} {when}"]).exit_code == 1


def test_an_anchor_is_not_appended_to_one_of_another_trail(trail, db, clock, tmp_path):
    file = tmp_path / "anchor"
    trail.anchor(file)
    run(db, "delete from activity_log", "delete from activity_seals")
    fill(trail, 20, clock)
    trail.sealer.seal()

    with pytest.raises(IntegrityError, match="ends with another trail"):
        trail.anchor(file)
    assert len(file.read_text().splitlines()) == 1


def test_an_anchor_in_another_database_finds_a_trail_that_was_cut(trail, db, clock):
    from so.db.connection import Connection
    from so.systems.activity.anchoring import lines_of

    with Connection(":memory:") as second:
        line = trail.anchor_in(second)
        assert trail.anchor_in(second) == line
        assert lines_of(second) == [line]
        assert trail.verify(anchors=lines_of(second)).exit_code == 0
        run(db, "delete from activity_log", "delete from activity_seals")
        assert trail.verify(anchors=lines_of(second)).exit_code == 1
        fill(trail, 20, clock)
        trail.sealer.seal()
        with pytest.raises(IntegrityError, match="ends with another trail"):
            trail.anchor_in(second)


def test_every_verification_says_what_it_cannot_show_and_one_that_found_something_is_an_entry(
    trail, db
):
    heard = []
    trail.on_tampering = heard.append
    assert any("cut off" in limit for limit in trail.verify().limits)
    run(db, "update activity_log set description = 'x' where id = 7")

    report = trail.verify()

    assert heard == [report]
    entry = Activity.for_event("tampered").first()
    assert (entry.log_name, entry.properties["findings"]) == ("audit", 1)


def test_signed_rows_without_seals_say_that_deletions_are_not_found(db, clock):
    log = make(db, clock, integrity_mode="mac")
    fill(log, 2, clock)

    assert any("deleted" in limit and "mac" in limit for limit in log.verify().limits)


@pytest.mark.parametrize("between", [(0, 1), (3, 1), (-1, 2)])
def test_seals_that_there_cannot_be_are_refused(trail, between):
    with pytest.raises(ActivityError, match="two numbers from 1"):
        trail.verify(between=between)


def test_an_anchor_of_anything_but_text_cannot_be_checked(trail, tmp_path):
    file = tmp_path / "anchor"
    file.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(IntegrityError, match="another trail"):
        trail.anchor(file)

"""A key that was replaced signs nothing any more: neither rows nor seals nor certificates."""

from __future__ import annotations

import pytest

from so.errors import IntegrityError
from so.systems.activity import Activity, framing, stored
from so.systems.activity.keys import ROW, TOMBSTONE, KeyRing
from tests.systems.activity.conftest import KEY, fill, make

NEW = "newer-" + "n" * 32
STRANGE = "strange-" + "s" * 32


def kinds(report):
    return {fault.kind for fault in report.faults}


@pytest.fixture
def rotated(trail, db, clock):
    """The trail of before, gone on under a new key."""
    log = make(db, clock, NEW, KEY)
    fill(log, 6, clock, "new")
    log.sealer.seal()
    return log


def test_what_the_old_key_left_is_sealed_with_it_before_the_new_one_takes_over(rotated, db):
    found = stored.seals(db.connection(), "seal_no > 0 order by seal_no")

    assert rotated.verify().is_clean
    keys = [KeyRing(KEY).key_id, KeyRing(NEW).key_id]
    assert [(seal.row_count, keys.index(seal.key_id)) for seal in found] == [
        (5, 0), (5, 0), (5, 0), (2, 0), (0, 0), (0, 1), (5, 1), (1, 1)
    ]  # fmt: skip
    assert found[4].sealed_by == framing.handing_over(keys[1])


def test_a_row_that_the_old_key_signs_afterwards_is_refused(rotated, trail, clock):
    fill(trail, 1, clock, "forged")

    assert kinds(rotated.verify()) == {"inserted"}
    assert rotated.sealer.seal().refused == 1
    report = rotated.verify()
    assert (report.exit_code, kinds(report)) == (1, {"inserted"})


def test_a_row_that_the_old_key_signs_after_the_first_of_the_new_one_is_refused(trail, db, clock):
    log = make(db, clock, NEW, KEY)
    fill(log, 1, clock, "new")
    fill(trail, 1, clock, "forged")

    assert log.sealer.seal().refused == 1
    assert kinds(log.verify()) == {"inserted"}


def test_a_trail_written_anew_with_the_old_key_is_found(rotated, trail, db):
    connection = db.connection()
    connection.unprepared("delete from activity_seals")
    ring = KeyRing(KEY)
    for row in stored.rows(connection, "1 = 1", []):
        framed = (ring.key_id, *row.framed[1:])
        message = framing.row_frame(framed, framing.content_hash(row.salt, row.content))
        connection.update(
            "update activity_log set key_id = ?, row_mac = ?, seal_no = null where id = ?",
            [ring.key_id, ring.mac(message, ROW), row.id],
        )
    trail.sealer.seal()
    assert trail.verify().fault_count == 0

    assert rotated.verify().exit_code == 1


def test_a_seal_of_the_old_key_after_its_time_is_found(rotated, trail, db, clock):
    from so.systems.activity.sealing import Head, insert

    connection = db.connection()
    head = rotated.sealer.head(connection)
    forged = trail.sealer.make(
        Head(head.seal_no, head.seal_hash, None), [], framing.merkle_root([])
    )
    insert(connection, forged)

    assert (rotated.verify().exit_code, kinds(rotated.verify())) == (1, {"edited"})
    with pytest.raises(IntegrityError):
        make(db, clock, NEW).sealer.seal()


def test_a_seal_of_another_copy_of_the_trail_does_not_continue_this_one(trail, db):
    """Made with the key, as a copy set back and gone on has it: genuine, and out of its place."""
    from so.systems.activity.sealing import Head, insert

    connection = db.connection()
    head = trail.sealer.head(connection)
    elsewhere = Head(head.seal_no, "0" * len(head.seal_hash), None)
    insert(connection, trail.sealer.make(elsewhere, [], framing.merkle_root([])))

    report = trail.verify()
    assert (report.exit_code, kinds(report)) == (1, {"reordered"})


@pytest.mark.parametrize("kept", [0, 6])
def test_an_end_written_anew_with_an_unknown_key_is_tampering(rotated, db, clock, kept):
    connection = db.connection()
    stranger = make(db, clock, STRANGE, KEY, NEW)
    if kept:
        connection.unprepared("delete from activity_seals where seal_no > 6")
        connection.unprepared("delete from activity_log where seal_no > 6")
        connection.unprepared("delete from activity_log where seal_no is null")
        forged = make(db, clock, STRANGE)
        fill(forged, 3, clock, "forged")
        seals = stored.seals(connection, "seal_no = 6")
        from so.systems.activity.sealing import Head, insert

        ids = [row.id for row in stored.rows(connection, "seal_no is null", [])]
        head = Head(6, seals[0].seal_hash, None)
        insert(connection, forged.sealer.make(head, ids, framing.merkle_root([])))
        connection.unprepared("update activity_log set seal_no = 7 where seal_no is null")
    else:
        fill(stranger, 1, clock, "forged")  # one loose row

    assert rotated.verify().exit_code == 1


def test_a_loose_row_with_an_unknown_key_is_tampering_where_seals_name_another(trail, db, clock):
    fill(make(db, clock, STRANGE), 1, clock, "forged")

    report = trail.verify()

    assert (report.exit_code, kinds(report)) == (1, {"inserted"})


def test_who_has_only_the_old_key_cannot_check_what_came_after(rotated, trail):
    assert (trail.verify().exit_code, trail.verify().fault_count) == (2, 0)


def test_certificates_made_with_the_old_key_after_its_time_are_found(trail, db, clock):
    clock.travel(40 * 86_400)
    trail.prune(30, log="nothing")
    for n in range(4):
        trail.entry("api" if n % 2 else "books").log(str(n))
    trail.sealer.seal()
    clock.travel(40 * 86_400)
    assert trail.prune(30, log="api") == 2
    trail.erase("system", "test")
    trail.sealer.seal()
    log = make(db, clock, NEW, KEY)
    log.sealer.seal()
    assert log.verify().exit_code == 0

    connection, old = db.connection(), KeyRing(KEY)
    grave = connection.table("activity_tombstones").first()
    message = framing.tombstone_message(
        grave["activity_id"], grave["seal_no"], grave["leaf_hash"], grave["cert_uid"]
    )
    connection.update("update activity_tombstones set mac = ?", [old.mac(message, TOMBSTONE)])

    assert kinds(log.verify()) == {stored.PRUNED}


def test_a_key_may_be_replaced_again_and_again(trail, db, clock):
    keys = [KEY]
    for n in range(3):
        keys.insert(0, f"key-{n}-" + "x" * 32)
        log = make(db, clock, *keys)
        fill(log, 2, clock)
        log.sealer.seal()

    assert log.verify().is_clean
    assert Activity.in_log("books").count() == 23


def test_a_rotation_whose_new_key_never_sealed_is_no_place_to_go_on(rotated, db):
    db.connection().unprepared("delete from activity_log where seal_no > 5")
    db.connection().unprepared("delete from activity_seals where seal_no > 5")

    with pytest.raises(IntegrityError, match="seal 5 was altered"):
        rotated.sealer.seal()

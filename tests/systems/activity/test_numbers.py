"""What people ask of an audit trail, and how it is attacked: number by number, and the test of each.

Rows of what users ask for (26 to 39 are of notifications):

1   test_activity.test_the_same_value_in_another_spelling_is_no_change
2   test_activity.test_leading_zeros_and_false_to_none_are_changes
3   test_activity.test_leading_zeros_and_false_to_none_are_changes
4   test_activity.test_the_same_instant_and_reordered_json_are_no_change
5   test_activity.test_touching_only_timestamps_writes_nothing
6   test_causers.test_each_job_has_its_own_and_none_leaks_into_the_next
7   tests.crash.test_audit_killed.test_no_row_has_the_name_of_another
8   test_activity.test_the_scopes_user_is_the_causer_and_an_explicit_none_beats_it
9   test_original_defects.test_o9_keys_may_be_text_and_times_have_microseconds
10  test_reading.test_fifty_entries_with_subject_and_causer_take_four_queries
11  test_reading.test_the_values_of_a_pair_stand_beside_its_keys_as_they_were_and_are
12  test_bulk.test_exactly_the_rows_that_changed_are_named
13  test_bulk.test_a_thousand_rows_take_few_statements
14  test_failing.test_no_door_lets_a_secret_into_an_entry
15  test_activity.test_bytes_and_broken_text_do_not_stop_a_save
16  test_activity.test_the_row_lives_and_dies_with_its_transaction
17  test_numbers.test_row_17_what_the_framework_keeps_for_itself_is_not_told
17  test_numbers.test_row_17_an_update_takes_little_more_than_what_changed
18  test_original_defects.test_o9_prune_is_bounded_and_batches_have_an_index
19  test_reading.test_a_timeline_comes_in_the_order_of_the_ids
20  test_tampering.test_days_that_are_none_delete_nothing
21  test_activity.test_a_batch_groups_rows_and_a_nested_one_keeps_the_outer
22  test_numbers.test_row_22_words_of_a_class_are_asked_for_once_an_event
23  test_exporting.test_a_report_has_a_line_for_each_field_that_changed
23  tests.application.test_trail.test_settings_are_noted_once_and_then_what_changed
24  test_erasing.test_only_whole_values_under_names_of_a_person_go_from_rows_about_others
25  test_reading.test_who_reads_a_sensitive_row_is_logged_in_one_statement

Attacks:

T1 to T11, T14 to T24, T27, T31  test_tampering.test_the_attack_is_found_and_named
T12, T13  test_tampering.test_a_trail_without_its_end_is_only_found_by_an_anchor
T25  test_tampering.test_t25_a_pruned_trail_verifies_and_keeps_its_roots
T26  test_erasing.test_t26_erased_values_are_gone_and_the_trail_verifies
T28  test_erasing.test_a_forged_erasure_is_found
T29  test_tampering.test_t29_a_wrong_key_cannot_check_and_a_rotated_one_can
T30  test_tampering.test_t30_a_trail_that_was_set_back_and_went_on_does_not_fit_its_anchor
T32, T36  tests.crash.test_audit_processes.test_every_committed_row_is_in_exactly_one_seal_whoever_is_killed
T33  test_tampering.test_t33_a_row_that_is_committed_late_lands_in_a_later_seal
T34  test_tampering.test_t34_odd_values_raise_no_false_alarm
T35  test_tampering.test_t35_a_copy_of_the_database_verifies
"""  # noqa: E501  the names of tests

from __future__ import annotations

import importlib
import re

import pytest

from so.db.model import Model
from so.systems.activity import Activity, LogsActivity
from tests.systems.activity.conftest import Person
from tests.systems.activity.test_tampering import ATTACKS

NAMED = re.findall(r"^(\S.*?)  +(\S+)\.(test_\w+)$", __doc__ or "", re.MULTILINE)


@pytest.mark.parametrize(("number", "module", "name"), NAMED)
def test_the_test_of_each_number_is_there(number, module, name):
    place = module if module.startswith("tests.") else f"tests.systems.activity.{module}"

    assert callable(getattr(importlib.import_module(place), name))


def test_every_number_has_its_test():
    rows = {int(number) for number, _, _ in NAMED if number.isdecimal()}
    attacks = {int(n) for name in ATTACKS for n in re.findall(r"^T(\d+) ", name)}
    attacks |= {
        int(n)
        for numbers, _, name in NAMED
        if name != "test_the_attack_is_found_and_named"
        for n in re.findall(r"T(\d+)", numbers)
    }

    assert rows == set(range(1, 26))
    assert attacks == set(range(1, 37))


KEPT = {
    "activity_log": ("id", {"description": "x"}),
    "cache": ("key", {"key": "k", "value": "v", "expiration": 1}),
    "migrations": ("id", {"migration": "m", "batch": 1}),
}


@pytest.mark.parametrize("name", KEPT)
def test_row_17_what_the_framework_keeps_for_itself_is_not_told(log, name):
    key, values = KEPT[name]
    model = type("Kept", (LogsActivity, Model), {
        "__module__": __name__, "table": name, "type_alias": f"kept_{name}", "timestamps": False,
        "primary_key": key, "guarded": [], "incrementing": key == "id",
    })  # fmt: skip
    before = Activity.count()

    model.insert(values)
    model.query().update(dict(list(values.items())[-1:]))
    model.first().delete()

    assert Activity.count() == before


def test_row_17_an_update_takes_little_more_than_what_changed(log, ada, db):
    before = ada.name
    ada.update(name="n" * 80)

    row = db.connection().table("activity_log").order_by_desc("id").first()
    size = sum(len(str(value)) for value in dict(row).values() if value is not None)
    assert size <= 2 * (len(before) + 80) + 600


def test_row_22_words_of_a_class_are_asked_for_once_an_event(log):
    asked = []

    class Asked(Person):
        type_alias = "asked"

        def get_description_for_event(self, event):
            asked.append(event)
            return event

        def get_additional_log_properties(self, event):
            asked.append(event)
            return {}

    person = Asked.create(name="a")
    person.update(name="b")
    person.delete()

    assert asked == ["created", "created", "updated", "updated", "deleted", "deleted"]

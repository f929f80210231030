"""42 cases of security for sessions, logins and tokens (after OWASP ASVS 5.0), each with its test.

Most are shown where their room is tested: `SHOWN` says where. What had no test stands here, named
by its number; what does not apply is in `NOT_HERE`, with the reason.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from so.http.helpers import request
from tests.edge.conftest import House, company, house, members, session

__all__ = ["company", "house", "members"]

ROOT = Path(__file__).resolve().parents[2]
SESSIONS, AUTH = "tests/systems/sessions", "tests/systems/auth"
EDGE, ACCOUNTS = "tests/edge", "tests/systems/auth/accounts"
SHOWN = {
    1: [(f"{SESSIONS}/test_session.py", "test_a_well_formed_unknown_id_is_never_adopted")],
    2: [(f"{AUTH}/test_guard.py", "test_logging_in_changes_the_session_id_and_the_old_one_is")],
    3: [
        (f"{AUTH}/test_guard.py", "test_logging_in_again_changes_the_id_again"),
        (f"{ACCOUNTS}/test_confirmation.py", "test_the_session_has_another_id_afterwards"),
        (f"{ACCOUNTS}/test_impersonation.py", "test_the_session_has_another_id_at_each_step"),
        (f"{ACCOUNTS}/test_two_factor.py", "test_the_session_has_another_id_after_each_step"),
    ],
    4: [(f"{SESSIONS}/test_session.py", "test_ids_have_256_bits_and_never_repeat")],
    5: [
        (f"{SESSIONS}/test_session.py", "test_a_stolen_table_opens_nothing"),
        (f"{AUTH}/test_remember.py", "test_a_dump_of_the_table_opens_nothing"),
        (f"{AUTH}/test_tokens.py", "test_only_the_hash_is_stored"),
    ],
    6: [(f"{EDGE}/test_authenticate.py", "test_after_logout_the_old_cookie_is_worth_nothing")],
    7: [(f"{SESSIONS}/test_database_sessions.py", "test_a_logout_among_fifty_requests_under_way")],
    8: [
        (f"{EDGE}/test_authenticate.py", "test_deleting_the_users_rows_on_another_server"),
        (f"{AUTH}/test_remember.py", "test_deleting_a_users_sessions_forgets_his_devices"),
    ],
    9: [(f"{ACCOUNTS}/test_locks.py", "test_a_lock_ends_every_way_in_and_unlocking_opens_it")],
    10: [
        (f"{ACCOUNTS}/test_kinds_of_attacks.py", "test_a_new_password_gives_this_session_another"),
        (f"{ACCOUNTS}/test_reset.py", "test_it_ends_sessions_devices_and_tokens_and_is_told"),
        (f"{ACCOUNTS}/test_access_tokens.py", "test_a_new_password_ends_the_tokens"),
    ],
    11: [
        (f"{SESSIONS}/test_session.py", "test_a_session_idle_for_its_lifetime_is_over"),
        (f"{SESSIONS}/test_session.py", "test_noting_activity_is_never_so_rare"),
    ],
    12: [
        (f"{SESSIONS}/test_session.py", "test_a_busy_session_ends_at_its_absolute_lifetime"),
        (f"{AUTH}/test_remember.py", "test_the_absolute_lifetime_counts_from_the_password"),
        (f"{ACCOUNTS}/test_kinds_of_attacks.py", "test_acting_as_another_makes_no_session_last"),
    ],
    14: [(f"{SESSIONS}/test_service.py", "test_a_device_is_revoked_by_its_handle_and_by_its")],
    15: [
        (f"{EDGE}/test_session.py", "test_over_https_it_is_bound_to_this_host_and_to_https"),
        (
            "tests/application/test_production_start.py",
            "test_an_insecure_cookie_is_a_danger_over_https",
        ),
    ],
    16: [("tests/http/test_cookies.py", "test_what_a_browser_would_refuse_is_refused_here")],
    17: [(f"{EDGE}/test_session.py", "test_two_cookies_of_one_name_are_both_disbelieved")],
    18: [
        (f"{EDGE}/test_what_leaves.py", "test_a_cookie_that_browsers_would_drop_is_an_error"),
        (f"{EDGE}/test_session.py", "test_a_forty_kilobyte_cookie_header_does_no_harm"),
    ],
    19: [
        (f"{AUTH}/test_guard.py", "test_a_device_of_another_account_or_made_up_is_not_known"),
        (f"{SESSIONS}/test_session.py", "test_rows_signed_with_the_previous_key_are_read"),
    ],
    20: [(f"{SESSIONS}/test_session.py", "test_a_row_whose_payload_was_copied_from_another")],
    21: [(f"{SESSIONS}/test_session.py", "test_a_payload_that_cannot_be_read_is_dropped_not_run")],
    22: [
        (f"{SESSIONS}/test_session.py", "test_encryption_without_a_provider_refuses_to_start"),
        ("tests/application/test_production_start.py", "test_all_dangers_are_named_at_once"),
    ],
    23: [(f"{EDGE}/test_csrf.py", "test_a_wrong_token_of_any_kind_is_419_and_no_500")],
    24: [
        (f"{EDGE}/test_csrf.py", "test_without_a_token_only_a_page_of_ours_passes"),
        (f"{EDGE}/test_csrf.py", "test_over_https_a_foreign_origin_is_refused_even_with"),
    ],
    25: [
        (f"{EDGE}/test_csrf.py", "test_dressing_a_request_up_does_not_help"),
        (f"{EDGE}/test_authenticate.py", "test_a_login_needs_proof_that_it_comes_from_our"),
    ],
    26: [(f"{EDGE}/test_csrf.py", "test_every_page_shows_another_text_and_all_of_them_pass")],
    28: [(f"{EDGE}/test_session.py", "test_one_thread_serving_two_people_in_turn_mixes")],
    29: [
        (f"{AUTH}/test_remember.py", "test_a_stolen_cookie_used_after_its_owner_ends_the"),
        (f"{AUTH}/test_remember.py", "test_honest_requests_at_the_same_moment_all_succeed"),
    ],
    30: [(f"{ACCOUNTS}/test_confirmation.py", "test_a_remembered_login_never_counts_as_confirmed")],
    31: [
        (f"{ACCOUNTS}/test_guessing.py", "test_one_account_guessed_at_from_many_addresses_by"),
        (f"{AUTH}/test_guard.py", "test_a_stranger_guessing_at_an_account_cannot_lock_its"),
        (f"{EDGE}/test_authenticate.py", "test_an_address_made_up_in_a_header_does_not_help"),
    ],
    32: [
        ("tests/systems/cache/test_reservations.py", "test_four_processes_that_guess_get_five"),
        (f"{AUTH}/test_passwords.py", "test_only_so_many_hashes_are_computed_at_once"),
    ],
    33: [
        (f"{AUTH}/test_throttle.py", "test_with_the_shared_counters_down_this_process_counts"),
        ("tests/systems/cache/test_away.py", "test_locks_raise_and_so_does_a_flush"),
    ],
    34: [
        (f"{AUTH}/test_passwords.py", "test_passwords_are_taken_exactly_as_they_are"),
        (f"{AUTH}/test_passwords.py", "test_a_password_of_megabytes_is_refused_before"),
    ],
    35: [
        (f"{AUTH}/test_guard.py", "test_a_weak_hash_is_renewed_by_the_login_that_it_let_in"),
        (f"{AUTH}/test_passwords.py", "test_a_foreign_or_planted_hash_fits_nothing"),
    ],
    36: [
        (f"{AUTH}/test_tokens.py", "test_the_id_of_one_token_with_the_secret_of_another"),
        (f"{AUTH}/test_tokens.py", "test_a_token_is_worthless_from_the_second_it_expires"),
        (f"{EDGE}/test_authenticate.py", "test_anything_else_is_401_and_says_no_more"),
        (f"{EDGE}/test_authenticate.py", "test_a_token_of_nobody_is_401"),
    ],
    37: [(f"{EDGE}/test_authenticate.py", "test_a_cookie_does_not_open_the_api_and_a_token")],
    38: [
        (f"{AUTH}/test_tokens.py", "test_a_request_with_a_token_cannot_grant_more"),
        (f"{EDGE}/test_authenticate.py", "test_a_token_narrows_what_its_owner_may"),
    ],
    39: [
        (f"{AUTH}/test_gate.py", "test_what_is_not_defined_is_denied"),
        (f"{AUTH}/test_gate.py", "test_a_check_that_fails_is_never_a_yes"),
        (f"{AUTH}/test_gate.py", "test_only_true_allows"),
    ],
    40: [
        (f"{EDGE}/test_authenticate.py", "test_nothing_secret_is_written_to_the_log"),
        (f"{ACCOUNTS}/test_events.py", "test_events_are_written_into_the_log_auth"),
    ],
    41: [(f"{EDGE}/test_session.py", "test_what_a_session_saw_is_kept_by_no_cache")],
    42: [
        ("tests/systems/cache/test_original_defects.py", "test_42_a_server_whose_clock_is_wrong"),
        ("tests/systems/cache/test_single_flight.py", "test_a_clock_moved_by_an_hour_frees_no"),
    ],
}
NOT_HERE = {
    13: "nobody's sessions are counted: a user is logged in where he likes, sees it, and ends it",
}


def test_every_case_is_shown_somewhere_or_said_why_not():
    here = {int(number) for number in re.findall(r"^def test_(\d+)_", source(__file__), re.M)}

    assert here | SHOWN.keys() | NOT_HERE.keys() == set(range(1, 43))
    assert len(here) + len(SHOWN) + len(NOT_HERE) == 42
    for path, name in (one for shown in SHOWN.values() for one in shown):
        assert f"def {name}" in source(ROOT / path), f"{path} has no {name}"


def source(path: str | Path) -> str:
    return Path(path).read_text("utf-8")


@pytest.mark.parametrize(
    "referer",
    ["https://evil.example/login", "//evil.example", "http://localhost.evil.example/",
     "http://localhost@evil.example/", "javascript:alert(1)", "http://evil.example\\@localhost/"],
)  # fmt: skip
def test_27_a_form_that_is_refused_leads_to_no_other_site(company: House, referer: str):
    company.page("/save", lambda: session().put("a", request().input("a")) or "ok", method="POST")
    client = company.client()
    client.get("/form")

    answer = client.post("/save", {"a": "b"}, headers={"Referer": referer})

    assert answer.status == 419
    assert "evil" not in str(answer.headers.get("Location", ""))

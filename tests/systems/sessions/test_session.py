"""One session as one request sees it: values, id, token, lifetimes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from enum import Enum, StrEnum
from typing import Any

import pytest

from so.errors import ConfigError, ReadOnlyError, SessionError
from so.support.clock import Clock
from so.support.signing import Signer
from so.systems.sessions import Sessions, StoredSession, clean_user_agent, id_of, mask, unmask

Start = Callable[..., str]
MINUTE = 60


def test_a_guest_who_touches_nothing_gets_no_row_and_no_cookie(sessions: Sessions):
    session = sessions.open()

    session.get("x")
    session.save()

    assert session.cookie_change() is None
    assert not session.started
    assert sessions.active().count() == 0


def test_a_session_that_nobody_looks_into_reads_and_writes_nothing(sessions: Sessions):
    session = sessions.open("A" * 43)

    session.save()

    assert not session.is_stored
    assert session.cookie_change() is None


def test_what_is_put_is_there_in_the_next_request(sessions: Sessions):
    first = sessions.open()
    first.put("user_id", 42)
    first.put({"a": 1, "b": [1, 2]})
    first.save()

    second = sessions.open(first.cookie_change())

    assert second.get("user_id") == 42
    assert second.all() == {"user_id": 42, "a": 1, "b": [1, 2]}
    assert second.started


def test_reading_values_in_every_way(sessions: Sessions, started: Start):
    session = sessions.open(started(a=1, none=None, deep={"x": {"y": 2}}, list=["p"]))

    assert session.get("deep.x.y") == 2
    assert session.get("nothing", "default") == "default"
    assert session.only("a", "nothing") == {"a": 1}
    assert session.only(["a", "none"]) == {"a": 1, "none": None}
    assert session.except_("deep", "list") == {"a": 1, "none": None}
    assert session.has("a", "deep.x") is True
    assert session.has("none") is False
    assert session.exists("none") is True
    assert session.missing("a", "nothing") is True


def test_changing_values_in_every_way(sessions: Sessions, started: Start):
    cookie = started(a=1, gone=1, also=2, list=["p"])
    session = sessions.open(cookie)

    assert session.pull("gone") == 1
    assert session.pull("gone", "d") == "d"
    session.push("list", "q")
    assert session.increment("a") == 2
    assert session.increment("n", 5) == 5
    assert session.decrement("n", 2) == 3
    assert session.remember("made", lambda: "once") == "once"
    assert session.remember("made", lambda: "twice") == "once"
    session.forget(["also"], "nothing")
    session.save()

    assert sessions.open(cookie).all() == {"a": 2, "list": ["p", "q"], "n": 3, "made": "once"}


def test_flash_now_keep_and_reflash(sessions: Sessions):
    first = sessions.open()
    first.flash("status", "Saved")
    first.now("hint", "only here")
    assert first.get("hint") == "only here"
    first.save()
    cookie = first.cookie_change()

    second = sessions.open(cookie)
    assert second.get("status") == "Saved"
    assert second.get("hint") is None
    second.keep("status")
    second.save()

    third = sessions.open(cookie)
    third.reflash()
    third.save()

    fourth = sessions.open(cookie)
    assert fourth.get("status") == "Saved"
    fourth.save()

    assert sessions.open(cookie).get("status") is None


def test_old_input_is_there_for_one_more_request(sessions: Sessions):
    first = sessions.open()
    first.flash_input({"email": "a@b.c", "tags": ["x"]})
    first.save()

    second = sessions.open(first.cookie_change())

    assert second.old("email") == "a@b.c"
    assert second.old("tags.0") == "x"
    assert second.old("nothing", "d") == "d"
    assert second.old() == {"email": "a@b.c", "tags": ["x"]}


def test_the_previous_url_is_what_was_noted(sessions: Sessions, started: Start):
    session = sessions.open(started())
    assert session.previous_url() is None

    session.note_page("/not-noted-by-reading-alone")
    assert session.previous_url() is None

    session.put("a", 1)
    session.note_page("/orders")
    assert session.previous_url() == "/orders"

    session.set_previous_url("/customers")
    assert session.previous_url() == "/customers"
    assert session.all() == {"begun": True, "a": 1}


# --- ids ---


def test_the_table_holds_only_the_hash_of_what_the_cookie_holds(sessions: Sessions, started: Start):
    cookie = started()

    session = sessions.open(cookie)

    assert session.id() == hashlib.sha256(cookie.encode()).hexdigest() == id_of(cookie)


def test_a_stolen_table_opens_nothing(sessions: Sessions, started: Start):
    session = sessions.open(started(secret=1))

    thief = sessions.open(session.id())

    assert thief.get("secret") is None


def test_a_well_formed_unknown_id_is_never_adopted(sessions: Sessions):
    unknown = "A" * 43
    session = sessions.open(unknown)

    session.put("a", 1)
    session.save()

    assert session.cookie_change() not in (None, "", unknown)
    assert session.id() != id_of(unknown)
    assert sessions.open(unknown).get("a") is None


@pytest.mark.parametrize("junk", ["", "x", "A" * 44, "é" * 43, "a" * 42 + "\n", "A" * 100_000])
def test_a_malformed_id_costs_no_query_and_is_taken_back(sessions: Sessions, junk: str):
    session = sessions.open(junk)

    assert session.get("a") is None
    session.save()

    assert session.cookie_change() == ""


def test_ids_have_256_bits_and_never_repeat(sessions: Sessions):
    secrets = set()
    for _ in range(50):
        session = sessions.open()
        session.put("a", 1)
        session.save()
        secrets.add(session.cookie_change())

    assert len(secrets) == 50
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", secret) for secret in secrets)


def test_regenerating_changes_the_id_keeps_the_values_and_kills_the_old_id_at_once(
    sessions: Sessions, started: Start
):
    old = started(cart=[1])
    session = sessions.open(old)
    token = session.token()

    session.regenerate()
    session.save()

    new = session.cookie_change()
    assert new not in (None, "", old)
    assert sessions.open(new).get("cart") == [1]
    assert sessions.open(new).token() != token
    assert sessions.open(old).get("cart") is None
    assert sessions.active().count() == 1


def test_regenerating_with_grace_leaves_requests_under_way_their_session(
    sessions: Sessions, started: Start, clock: Clock
):
    old = started(cart=[1])
    session = sessions.open(old)
    token = session.token()
    session.regenerate(destroy=False)
    session.save()
    new = session.cookie_change()
    assert new

    late = sessions.open(old)
    assert late.get("cart") == [1]
    assert late.token() == token
    late.put("late", True)
    late.save()
    assert late.cookie_change(refresh=True) is None
    assert sessions.open(new).get("late") is True

    clock.travel(31)
    assert sessions.open(old).get("cart") is None


@pytest.mark.parametrize("destroys", [(True, False), (False, True)])
def test_of_two_new_ids_in_one_request_the_stricter_one_counts(
    sessions: Sessions, started: Start, destroys: tuple[bool, bool]
):
    old = started(cart=[1])
    session = sessions.open(old)
    for destroy in destroys:
        session.regenerate(destroy=destroy)
    session.save()

    assert sessions.open(old).get("cart") is None
    assert sessions.open(session.cookie_change()).get("cart") == [1]


def test_a_request_under_way_while_its_session_gets_a_new_id_merges_within_the_grace(
    sessions: Sessions, started: Start
):
    old = started(cart=[1])
    under_way, rotating = sessions.open(old), sessions.open(old)
    under_way.put("mine", 1)

    rotating.regenerate(destroy=False)
    rotating.save()
    under_way.save()

    assert sessions.open(rotating.cookie_change()).get("mine") == 1
    assert under_way.cookie_change() is None


def test_two_requests_rotating_at_once_leave_one_session(sessions: Sessions, started: Start):
    old = started(cart=[1])
    first, second = sessions.open(old), sessions.open(old)
    for session in (first, second):
        session.get("cart")
        session.regenerate(destroy=False)

    first.save()
    second.put("x", 1)
    second.save()

    assert sessions.active().count() == 1
    assert sessions.open(second.cookie_change()).all() == {"cart": [1], "x": 1}
    assert sessions.open(first.cookie_change()).get("x") == 1  # followed through the grace


def test_parallel_requests_at_login_neither_lose_the_login_nor_write_into_it(
    sessions: Sessions, started: Start, clock: Clock
):
    """A request of the guest that ends after the login must not take the new cookie back."""
    old = started(cart=[1])
    login, under_way = sessions.open(old), sessions.open(old)
    under_way.put("planted", True)
    login.sign_in({"id": 7})
    login.save()

    under_way.save()
    late = sessions.open(old)
    late.put("also", 1)
    late.save()

    assert under_way.cookie_change() is None
    assert late.cookie_change() is None
    assert sessions.open(login.cookie_change()).all() == {"cart": [1]}
    assert sessions.active().count() == 1

    clock.travel(301)
    too_late = sessions.open(old)
    assert too_late.get("cart") is None
    assert too_late.cookie_change() == ""


def test_invalidating_ends_the_session_and_what_follows_is_in_a_new_one(
    sessions: Sessions, started: Start
):
    old = started(cart=[1])
    session = sessions.open(old)

    session.invalidate()
    assert session.all() == {}
    session.flash("status", "Goodbye")
    session.save()

    new = session.cookie_change()
    assert new not in (None, "", old)
    assert sessions.open(new).get("status") == "Goodbye"
    assert sessions.open(old).all() == {}
    assert sessions.active().count() == 1


def test_invalidating_and_nothing_more_takes_the_cookie_back(sessions: Sessions, started: Start):
    session = sessions.open(started())

    session.invalidate()
    session.save()

    assert session.cookie_change() == ""
    assert sessions.active().count() == 0


def test_invalidating_a_session_that_is_being_rotated_ends_it_under_its_new_id(
    sessions: Sessions, started: Start
):
    old = started()
    leaving, rotating = sessions.open(old), sessions.open(old)
    leaving.invalidate()
    rotating.regenerate(destroy=False)
    rotating.save()

    leaving.save()

    assert sessions.active().count() == 0


def test_flushing_removes_the_login_and_the_token_too(sessions: Sessions, started: Start):
    session = sessions.open(started(a=1))
    session.sign_in({"id": 7})
    session.save()

    session.flush()
    session.save()

    again = sessions.open(session.cookie_change())
    assert again.identity() is None
    assert again.all() == {}
    assert sessions.for_user(7) == []


def test_a_guest_may_regenerate_and_invalidate_without_leaving_a_trace(sessions: Sessions):
    session = sessions.open()

    session.regenerate()
    session.invalidate()
    session.save()

    assert session.cookie_change() is None
    assert sessions.active().count() == 0


# --- writing as little as possible ---


def test_reading_writes_nothing_but_the_activity_once_a_minute(
    sessions: Sessions, started: Start, clock: Clock
):
    cookie = started(cart=[1])
    begun = clock.time()

    for _ in range(5):
        clock.travel(11)
        session = sessions.open(cookie)
        session.get("cart")
        session.save()
        assert session.cookie_change(refresh=True) is None
    assert sessions.active()[0].last_activity == begun

    clock.travel(5)
    session = sessions.open(cookie, ip_address="10.0.0.9")
    session.get("cart")
    session.save()

    assert sessions.active()[0].last_activity == begun + 60
    assert sessions.active()[0].ip_address == "10.0.0.9"
    assert session.cookie_change() is None
    assert session.cookie_change(refresh=True) == cookie


def test_activity_that_cannot_be_noted_does_not_fail_the_request(
    sessions: Sessions, started: Start, clock: Clock, monkeypatch, caplog
):
    cookie = started(a=1)
    clock.travel(61)
    session = sessions.open(cookie)
    session.get("a")

    def broken(row: object) -> bool:
        raise ReadOnlyError("update")

    monkeypatch.setattr(session._store, "touch", broken)
    session.save()

    assert "could not be noted" in caplog.text
    assert session.cookie_change(refresh=True) is None


def test_putting_the_value_that_is_there_already_writes_nothing(
    sessions: Sessions, started: Start, clock: Clock
):
    cookie = started(a=1)
    clock.travel(30)
    before = clock.time() - 30

    session = sessions.open(cookie)
    session.put("a", 1)
    session.save()

    assert sessions.active()[0].last_activity == before


def test_saving_twice_and_in_the_middle_of_a_request_is_safe(sessions: Sessions):
    session = sessions.open()
    session.put("a", 1)
    session.save()
    cookie = session.cookie_change()
    session.save()
    session.increment("a")
    session.save()

    assert session.cookie_change() == cookie
    assert sessions.open(cookie).get("a") == 2


@pytest.mark.parametrize("rotates", [False, True])
def test_a_request_that_is_overtaken_each_time_holds_the_row_and_gets_its_turn(
    sessions: Sessions, started: Start, monkeypatch, rotates: bool
):
    cookie = started(n=1)
    slow = sessions.open(cookie)
    slow.increment("n")
    if rotates:
        slow.regenerate(destroy=False)
    replace, lost = slow._store.replace, [1, 1, 1]

    def overtaken(*arguments: Any) -> bool:
        return False if lost and lost.pop() else replace(*arguments)

    monkeypatch.setattr(slow._store, "replace", overtaken)
    slow.save()

    assert sessions.open(slow.cookie_change() or cookie).get("n") == 2
    assert sessions.open(cookie).get("n") == 2


# --- lifetimes ---


def test_a_session_idle_for_its_lifetime_is_over(sessions: Sessions, started: Start, clock: Clock):
    cookie = started(a=1)
    clock.travel(120 * MINUTE - 1)
    assert sessions.open(cookie).get("a") == 1

    clock.travel(1)
    session = sessions.open(cookie)
    session.put("b", 2)
    session.save()

    assert session.get("a") is None
    assert session.cookie_change() not in (None, "", cookie)


def test_touching_keeps_a_used_session_alive(sessions: Sessions, started: Start, clock: Clock):
    cookie = started(a=1)

    for _ in range(5):
        clock.travel(100 * MINUTE)
        session = sessions.open(cookie)
        assert session.get("a") == 1
        session.save()


def test_noting_activity_is_never_so_rare_that_a_short_lifetime_ends_early(make_sessions):
    assert make_sessions(lifetime_minutes=2).limits.touch_seconds == 12
    assert make_sessions(lifetime_minutes=120).limits.touch_seconds == 60


def test_a_busy_session_ends_at_its_absolute_lifetime_whatever_its_id(make_sessions, clock: Clock):
    sessions = make_sessions(absolute_lifetime_minutes=300)
    session = sessions.open()
    session.sign_in({"id": 7})
    session.save()
    cookie = session.cookie_change()

    for _ in range(4):
        clock.travel(70 * MINUTE)
        session = sessions.open(cookie)
        assert session.identity() == {"id": 7}
        session.regenerate()
        session.save()
        cookie = session.cookie_change()
    clock.travel(20 * MINUTE)

    assert sessions.open(cookie).identity() is None


def test_a_row_that_says_no_beginning_has_no_absolute_end(make_sessions, clock: Clock):
    sessions = make_sessions(absolute_lifetime_minutes=1)
    row_by_hand(sessions, "B" * 43, '{"a": 1}', clock)

    assert sessions.open("B" * 43).get("a") == 1


def row_by_hand(sessions: Sessions, secret: str, payload: str, clock: Clock) -> None:
    now = int(clock.time())
    sessions._store.insert(StoredSession(id_of(secret), None, None, None, payload, now))


# --- the token ---


def test_the_token_is_stable_over_requests_and_tabs(sessions: Sessions, started: Start):
    cookie = started()

    tokens = {sessions.open(cookie).token() for _ in range(3)}

    assert len(tokens) == 1


def test_asking_for_a_token_begins_a_session(sessions: Sessions):
    session = sessions.open()

    token = session.token()
    session.save()

    assert sessions.open(session.cookie_change()).token() == token


def test_every_rendering_of_the_token_differs_and_all_of_them_fit(
    sessions: Sessions, started: Start
):
    session = sessions.open(started())

    shown = {session.csrf_token() for _ in range(100)}

    assert len(shown) == 100
    assert all(session.token_matches(text) for text in shown)
    assert session.token_matches(session.token())


@pytest.mark.parametrize(
    "given",
    [None, "", "x", ["a"], {"a": 1}, 7, "\x00", "é", "a" * 1_000_000, "====", mask("other")],
    ids=range(11),
)
def test_what_is_not_the_token_does_not_fit(sessions: Sessions, started: Start, given: object):
    session = sessions.open(started())

    assert session.token_matches(given) is False


def test_without_a_session_no_token_fits(sessions: Sessions):
    session = sessions.open()

    assert not any(session.token_matches(text) for text in ("", "None", mask("None"), mask("")))
    assert not session.has_token()


def test_another_sessions_token_does_not_fit(sessions: Sessions, started: Start):
    mine, theirs = sessions.open(started()), sessions.open(started())

    assert not mine.token_matches(theirs.csrf_token())


def test_masking_hides_and_unmasking_shows():
    assert unmask(mask("abc")) == "abc"
    assert unmask("YWJj") == ""
    assert unmask("é") == ""


# --- limits and damage ---


def test_a_session_that_grows_too_large_is_refused_and_the_stored_one_stays(make_sessions):
    sessions = make_sessions(max_bytes=1000)
    session = sessions.open()
    session.put("a", 1)
    session.save()
    cookie = session.cookie_change()

    session = sessions.open(cookie)
    session.put("big", "ä" * 600)
    with pytest.raises(SessionError, match=r"max_bytes"):
        session.save()

    assert sessions.open(cookie).all() == {"a": 1}


def test_a_row_whose_payload_was_copied_from_another_row_is_dropped(make_sessions, caplog):
    sessions = make_sessions(signer=Signer("k" * 32))
    cookies = {}
    for user in (1, 2):
        session = sessions.open()
        session.sign_in({"id": user})
        session.save()
        cookies[user] = session.cookie_change()
    assert sessions.open(cookies[2]).identity() == {"id": 2}

    one, two = (sessions._store.read(id_of(cookies[user])) for user in (1, 2))
    swapped = type(two)(two.id, "2", None, None, one.payload, two.last_activity)
    swapped.version, swapped.created_at, swapped.mac = two.version, two.created_at, one.mac
    sessions._store.delete(two.id)
    sessions._store.insert(swapped)

    assert sessions.open(cookies[2]).identity() is None
    assert "altered outside" in caplog.text
    assert cookies[2] not in caplog.text


def test_rows_signed_with_the_previous_key_are_read_while_it_is_listed(make_sessions):
    old, new = "o" * 32, "n" * 32
    before = make_sessions(signer=Signer(old))
    session = before.open()
    session.put("a", 1)
    session.save()
    cookie = session.cookie_change()

    assert make_sessions(signer=Signer(new, old)).open(cookie).get("a") == 1
    assert make_sessions(signer=Signer(new)).open(cookie).get("a") is None


@pytest.mark.parametrize(
    "payload",
    [
        "\x80\x04\x95pickle",
        "[" * 20_000,
        '{"a": {"$": "unknown", "v": 1}}',
        "not json",
        '{"a": ' + "9" * 6000 + "}",
    ],
)
def test_a_payload_that_cannot_be_read_is_dropped_not_run(
    sessions: Sessions, clock: Clock, payload: str
):
    row_by_hand(sessions, "B" * 43, payload, clock)

    session = sessions.open("B" * 43)

    assert session.all() == {}
    session.put("a", 1)
    session.save()
    assert session.cookie_change() not in ("", "B" * 43)


def test_encryption_without_a_provider_refuses_to_start(make_sessions):
    with pytest.raises(ConfigError, match="no cipher is installed"):
        make_sessions(encrypt=True)


class Rot13:
    """Stands for an installed provider: what matters is that the text is hidden."""

    def encrypt(self, text: str) -> str:
        return text[::-1]

    def decrypt(self, text: str) -> str:
        if not text.endswith("{"):
            raise ValueError("altered")
        return text[::-1]


def test_with_a_provider_payloads_are_stored_encrypted(make_sessions):
    sessions = make_sessions(encrypt=True, cipher=Rot13())
    session = sessions.open()
    session.put("salary", 1000)
    session.save()
    cookie = session.cookie_change()

    assert "salary" not in sessions._store.read(id_of(cookie)).payload
    again = sessions.open(cookie)
    assert again.increment("salary") == 1001
    again.save()
    assert sessions.open(cookie).get("salary") == 1001
    assert make_sessions().open(cookie).all() == {}


@pytest.mark.parametrize("minutes", [0, -5])
def test_a_lifetime_of_nothing_is_a_mistake(make_sessions, minutes: int):
    with pytest.raises(ConfigError, match="SESSION_LIFETIME"):
        make_sessions(lifetime_minutes=minutes)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (None, None),
        ("Mozilla/5.0", "Mozilla/5.0"),
        (b"caf\xe9", "caf�"),
        ("x" * 900, "x" * 500),
        ("a\x00b\ud800c\nd", "a�b�c�d"),
        ("😀", "😀"),
    ],
)
def test_any_user_agent_can_be_stored(sessions: Sessions, given, stored):
    assert clean_user_agent(given) == stored

    session = sessions.open(user_agent=given, ip_address="2001:db8::1")
    session.put("a", 1)
    session.save()

    assert sessions.active()[0].user_agent == stored
    assert sessions.active()[0].ip == "2001:db8::1"


class Key(Enum):
    CART = "cart"
    YEAR = 2026
    NONE = None


class Word(StrEnum):
    CART = "cart"


def test_an_enum_as_a_key_is_its_value(sessions: Sessions):
    session = sessions.open()
    session.put(Key.CART, ["a"])
    session.push(Word.CART, "b")
    session.put({Key.YEAR: 1})
    session.increment(Key.YEAR)
    session.flash(Word.CART.name, "x")
    session.now(Key.YEAR.name, 1)
    session.save()

    again = sessions.open(session.cookie_change())
    assert again.all() == {"cart": ["a", "b"], "2026": 2, "CART": "x"}
    assert again.get(Key.CART) == again.get(Word.CART) == again.get("cart")
    assert again.only(Key.CART, [Word.CART]) == {"cart": ["a", "b"]}
    assert again.except_(Key.CART, "CART") == {"2026": 2}
    assert (again.has(Key.CART), again.exists(Key.YEAR), again.missing(Word.CART)) == (
        True,
        True,
        False,
    )
    assert again.remember(Key.YEAR, lambda: 5) == 2
    assert again.pull(Key.YEAR) == 2
    again.forget([Word.CART])
    assert again.missing("cart")


@pytest.mark.parametrize("key", [Key.NONE, 5, None, b"x", object()])
def test_what_is_no_key_is_refused_by_name(sessions: Sessions, key: Any):
    session = sessions.open()

    with pytest.raises(TypeError, match="a session key is text"):
        session.put(key, 1)
    assert session.all() == {}


def test_a_request_that_a_page_sends_by_itself_is_no_activity(
    make_sessions: Callable[..., Sessions], clock: Clock
) -> None:
    sessions = make_sessions(lifetime_minutes=10)
    begun = sessions.open()
    begun.put("begun", True)
    begun.save()
    cookie = begun.cookie_change()

    for _ in range(3):
        clock.travel(5 * 60)
        session = sessions.open(cookie)
        found = session.get("begun")
        session.leave_idle()
        session.save()

    assert found is None

"""Personal access tokens: shown once, stored hashed, never more than their owner allows."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from so.db.manager import Database
from so.db.model import Model
from so.errors import AuthError, AuthorizationException, DatabaseError
from so.support.clock import Clock
from so.support.scope import Scope, entered
from so.systems.auth import AccessTokens, HasApiTokens


@pytest.fixture
def tokens(people: Database) -> AccessTokens:
    return AccessTokens(people)


@pytest.fixture
def namesakes() -> Iterator[None]:
    """Classes made under another one's name are gone after the test: nobody is found as them."""
    yield
    gc.collect()


def test_a_token_is_found_by_its_plain_text_and_by_nothing_else(ada: Any, tokens: AccessTokens):
    made = ada.create_token("laptop")

    found = tokens.find(made.plain_text)

    assert found is not None
    assert (found.name, found.tokenable_type, found.tokenable_id) == (
        "laptop",
        "Person",
        str(ada.id),
    )
    assert made.token.id == found.id


def test_only_the_hash_is_stored(ada: Any, people: Database, tokens: AccessTokens):
    made = ada.create_token("laptop")
    secret = made.plain_text.partition("|")[2]
    row = people.table("personal_access_tokens").first()

    assert row is not None
    assert secret not in str(dict(row))
    assert tokens.find(f"{row['id']}|{row['token']}") is None
    assert tokens.find(f"{row['id']}|{row['token'][:43]}") is None


def test_the_id_of_one_token_with_the_secret_of_another_is_refused(ada, tokens: AccessTokens):
    one, two = ada.create_token("one").plain_text, ada.create_token("two").plain_text

    assert tokens.find(one.partition("|")[0] + "|" + two.partition("|")[2]) is None


@pytest.mark.parametrize("change", ["0{}", "{}\n", " {}", "{}x", "٣{}"])
def test_a_token_written_differently_is_another_token(ada: Any, tokens: AccessTokens, change: str):
    assert tokens.find(change.format(ada.create_token("x").plain_text)) is None


@pytest.mark.parametrize("text", [None, "", "|", "1|", "|x", "x" * 43, "9" * 30 + "|" + "A" * 43])
def test_rubbish_is_no_token(tokens: AccessTokens, text: str | None):
    assert tokens.find(text) is None


def test_abilities_narrow_what_a_token_may_do(ada: Any, tokens: AccessTokens):
    reading = ada.create_token("r", ["orders.read"]).token
    everything = ada.create_token("all").token
    nothing = ada.create_token("none", []).token

    assert reading.can("orders.read")
    assert reading.cant("orders.write")
    assert everything.can("orders.write")
    assert nothing.cant("orders.read")


@pytest.mark.parametrize("stored", [None, "", "not json", '"*"', "[1]", '{"a": 1}'])
def test_abilities_that_cannot_be_read_allow_nothing(
    ada: Any, people: Database, tokens: AccessTokens, stored: str | None
):
    plain = ada.create_token("x").plain_text
    people.table("personal_access_tokens").update({"abilities": stored})

    found = tokens.find(plain)

    assert found is not None
    assert found.cant("x")


def test_a_token_is_worthless_from_the_second_it_expires(ada, tokens: AccessTokens, clock: Clock):
    by_delta = ada.create_token("d", expires_at=timedelta(hours=1)).plain_text
    by_time = ada.create_token("t", expires_at=clock.now() + timedelta(hours=1)).plain_text
    clock.travel(3599)
    assert tokens.find(by_delta)
    assert tokens.find(by_time)

    clock.travel(1)
    assert tokens.find(by_delta) is None
    assert tokens.find(by_time) is None


def test_a_revoked_token_is_worthless_at_once(ada: Any, tokens: AccessTokens):
    plain = ada.create_token("x").plain_text
    found = tokens.find(plain)
    assert found is not None

    assert found.revoke() is True
    assert found.revoke() is False
    assert tokens.find(plain) is None


def test_a_user_lists_and_revokes_his_own_tokens(ada: Any, tokens: AccessTokens, clock: Clock):
    ada.create_token("one", ["a"])
    ada.create_token("two")
    tokens.create("Person", 999, "somebody else's")

    listed = ada.tokens()

    assert [token.name for token in listed] == ["one", "two"]
    assert listed[0].to_dict() == {
        "id": listed[0].id,
        "name": "one",
        "abilities": ["a"],
        "last_used_at": None,
        "expires_at": None,
        "created_at": clock.now(),
    }
    assert ada.revoke_tokens() == 2
    assert ada.tokens() == []
    assert len(tokens.for_owner("Person", 999)) == 1


def test_its_use_is_noted_at_most_once_a_minute(ada: Any, tokens: AccessTokens, clock: Clock):
    plain = ada.create_token("x").plain_text

    def use() -> Any:
        found = tokens.find(plain)
        assert found is not None
        tokens.used(found)
        return ada.tokens()[0].last_used_at

    first = clock.now()
    assert use() == first
    clock.travel(59)
    assert use() == first
    clock.travel(1)
    assert use() == clock.now()


def test_a_use_that_cannot_be_noted_is_no_reason_to_refuse(
    ada: Any, people: Database, tokens: AccessTokens, monkeypatch, caplog
):
    found = tokens.find(ada.create_token("x").plain_text)
    assert found is not None

    def broken(*_: object) -> int:
        raise DatabaseError("read only")

    monkeypatch.setattr(people.connection(), "update", broken)
    tokens.used(found)

    assert "could not be noted" in caplog.text


def test_a_request_with_a_token_cannot_grant_more_than_that_token_has(ada: Any):
    own = ada.create_token("small", ["orders.read"]).token
    with entered(Scope()) as scope:
        scope.data["access_token"] = own

        ada.create_token("smaller", ["orders.read"])
        with pytest.raises(AuthorizationException):
            ada.create_token("bigger", ["orders.read", "orders.write"])
        with pytest.raises(AuthorizationException):
            ada.create_token("everything")


def test_tokens_that_expired_long_ago_are_pruned_in_batches(
    ada: Any, tokens: AccessTokens, clock: Clock
):
    for _ in range(5):
        ada.create_token("old", expires_at=timedelta(hours=1))
    ada.create_token("for ever")
    clock.travel(timedelta(hours=20))
    ada.create_token("fresh", expires_at=timedelta(hours=1))
    clock.travel(timedelta(hours=5))

    assert tokens.prune(hours=24, batch=2) == 5
    assert [token.name for token in ada.tokens()] == ["for ever", "fresh"]


def test_tokens_follow_the_connection_of_their_model(ada: Any, people: Database):
    kind = type(ada)
    kind.connection = people
    try:
        assert len(ada.tokens()) == 0
        ada.create_token("x")
    finally:
        kind.connection = None
    assert len(ada.tokens()) == 1


@pytest.mark.parametrize("id", ["{}abc", "{}_0", "９{}", 2**70, True, None])
def test_what_is_no_id_revokes_no_token(ada: Any, tokens: AccessTokens, id: Any):
    own = ada.create_token("cli").token.id

    assert not tokens.revoke(id.format(own) if isinstance(id, str) else id)
    assert tokens.revoke(str(own))


@pytest.mark.usefixtures("namesakes")
def test_a_token_never_opens_the_account_of_another_class_of_its_name(ada: Any):
    with pytest.raises(AuthError, match="both called 'Person'"):
        type("Person", (HasApiTokens, Model), {"table": "portal_people", "__module__": "portal"})


@pytest.mark.usefixtures("namesakes")
def test_a_class_of_its_name_without_tokens_is_not_asked(ada: Any, tokens: AccessTokens):
    other = type("Person", (Model,), {"table": "portal_people", "__module__": "portal"})
    token = tokens.find(ada.create_token("cli").plain_text)

    assert token is not None
    assert tokens.owner(token) == ada
    assert tokens.owner(token).__class__ is not other

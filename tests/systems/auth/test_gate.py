"""Abilities and policies: no, unless somebody said yes."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from so.errors import AuthError, AuthorizationException
from so.systems.auth import Gate


class User:
    def __init__(self, id: int, admin: bool = False) -> None:
        self.id, self.admin = id, admin


class Order:
    def __init__(self, owner_id: int) -> None:
        self.owner_id = owner_id


class UrgentOrder(Order):
    pass


class OrderPolicy:
    def update(self, user: User, order: Order) -> bool:
        return user.id == order.owner_id

    def create(self, user: User) -> bool:
        return user.admin

    def view_any(self, user: User | None) -> bool:
        return True

    def _private(self, user: User) -> bool:
        return True


ada, admin = User(1), User(2, admin=True)


@pytest.fixture
def gate() -> Gate:
    gate = Gate(lambda: ada)
    gate.define("approve", lambda user, *_: user.admin)
    gate.policy(Order, OrderPolicy)
    return gate


def test_an_ability_is_asked_with_user_and_arguments(gate: Gate):
    gate.define("spend", lambda user, amount: amount < 100)

    assert gate.allows("spend", 99)
    assert gate.denies("spend", 100)
    assert gate.has("spend")


def test_what_is_not_defined_is_denied(gate: Gate):
    assert not gate.allows("fly")
    assert not gate.allows("fly", Order(1))
    assert not gate.has("fly")


def test_a_policy_answers_for_its_model_and_its_subclasses(gate: Gate):
    assert gate.allows("update", Order(1))
    assert gate.denies("update", Order(2))
    assert gate.allows("update", UrgentOrder(1))
    assert gate.denies("update", "an order")
    assert gate.models() == [Order]


def test_a_class_stands_for_a_model_that_is_still_to_be_made(gate: Gate):
    assert gate.denies("create", Order)
    assert gate.for_user(admin).allows("create", Order)


def test_an_ability_with_a_dash_is_a_method_with_an_underscore(gate: Gate):
    assert gate.allows("view-any", Order)


def test_what_a_policy_does_not_know_is_left_to_the_abilities(gate: Gate):
    assert gate.denies("approve", Order(1))
    assert gate.for_user(admin).allows("approve", Order(1))
    assert gate.denies("_private", Order)


def test_authorize_raises_403(gate: Gate):
    gate.authorize("update", Order(1))
    with pytest.raises(AuthorizationException) as caught:
        gate.authorize("update", Order(2))
    assert caught.value.status == 403


@pytest.mark.parametrize(
    ("answer", "allowed"),
    [(True, True), (1, True), (None, False), (0, False), ("", False), ("yes", False), ([1], False)],
)
def test_only_true_allows(gate: Gate, answer: Any, allowed: bool):
    gate.define("x", lambda user: answer)

    assert gate.allows("x") is allowed


def test_a_check_that_fails_is_never_a_yes(gate: Gate):
    def broken(user: User) -> bool:
        raise LookupError("role table is gone")

    gate.define("x", broken)

    with pytest.raises(LookupError):
        gate.allows("x")


def test_a_guest_is_refused_unless_the_check_admits_guests():
    gate = Gate()
    gate.policy(Order, OrderPolicy)

    def default(user: Any = None) -> bool:
        return True

    def optional(user: Optional[User]) -> bool:  # noqa: UP045
        return True

    def unknown(user: Missing | None) -> bool:  # noqa: F821
        return True

    def nobody() -> bool:
        return True

    def only_none(user: None) -> bool:
        return True

    for name, check in {
        "plain": lambda user: True,
        "default": default,
        "optional": optional,
        "unknown": unknown,
        "nobody": nobody,
        "only_none": only_none,
        "odd": int,
        "built_in": print,
    }.items():
        gate.define(name, check)

    assert gate.allows("view_any", Order)
    assert gate.denies("update", Order(1))
    assert [
        n for n in ("plain", "default", "optional", "unknown", "only_none") if gate.allows(n)
    ] == [
        "default",
        "optional",
        "unknown",
        "only_none",
    ]
    assert all(gate.denies(name) for name in ("nobody", "odd", "built_in"))


def test_policies_are_made_by_the_container(gate: Gate):
    made = []

    def make(cls: type) -> Any:
        made.append(cls)
        return cls()

    gate = Gate(lambda: ada, make)
    gate.policy(Order, OrderPolicy)

    assert gate.allows("update", Order(1))
    assert made == [OrderPolicy]


def test_an_ability_that_cannot_be_asked_is_a_mistake(gate: Gate):
    with pytest.raises(AuthError, match="cannot be called"):
        gate.define("x", True)  # type: ignore[arg-type]

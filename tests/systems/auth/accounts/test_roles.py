"""Roles and permissions in tables, asked by the Gate."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from so import DB, Activity, Decision, Gate, HasRoles, Model, Role, Router, auth
from so.errors import AuthError, AuthorizationException
from so.support.scope import Scope, entered
from tests.systems.auth.accounts.conftest import JSON, Client_, Worker, browser, log_in, worker


def test_a_user_may_do_what_his_roles_allow_by_name_and_by_wildcard(erp, ada):
    Role.named("buyer").allow("orders.*", "customers.read")
    ada.assign_role("buyer")

    assert ada.can("orders.approve")
    assert ada.can("orders.lines.read")
    assert ada.can("customers.read")
    assert not ada.can("customers.write")
    assert not ada.can("invoices.read")
    assert ada.cannot("orders")
    assert ada.permissions() == ["customers.read", "orders.*"]


def test_rows_written_by_hand_count_as_well(erp, ada):
    role = DB.table("roles").insert_get_id({"name": "clerk"})
    permission = DB.table("permissions").insert_get_id({"name": "orders.approve"})
    DB.table("permission_role").insert({"role_id": role, "permission_id": permission})
    DB.table("role_user").insert({"role_id": role, "user_id": ada.id})

    assert ada.has_role("clerk")
    assert ada.can("orders.approve")


def test_roles_are_given_taken_and_set(erp, ada):
    ada.assign_role("clerk")
    ada.assign_role("buyer", "clerk")
    assert ada.roles() == ["buyer", "clerk"]
    assert ada.has_role("buyer", "clerk")
    assert not ada.has_role("buyer", "boss")
    assert ada.has_any_role(["boss", "clerk"])
    assert not ada.has_any_role("boss")

    ada.remove_role("clerk")
    assert ada.roles() == ["buyer"]
    ada.sync_roles(["boss", "clerk"])
    assert ada.roles() == ["boss", "clerk"]
    ada.sync_roles()
    assert ada.roles() == []
    assert not ada.has_role()


@pytest.mark.parametrize("name", ["", " clerk", "clerk ", "x" * 151, None, 5, b"clerk"])
def test_what_is_no_name_of_a_role_is_refused(erp, ada, name: Any):
    with pytest.raises((AuthError, TypeError)):
        ada.sync_roles([name])

    assert ada.roles() == []


@pytest.mark.parametrize("other", ["Clerk", "clérk", "CLERK"])
def test_names_are_exact_on_both_engines(erp, ada, other: str):
    Role.named("clerk").allow("orders.read")
    ada.assign_role(other)

    assert not ada.has_role("clerk")
    assert not ada.can("orders.read")


def test_what_a_form_says_gives_nobody_a_role(erp, ada):
    Role.named("admin").allow("*")
    Worker.create({"name": "Eve", "email": "eve@x.y", "password": "x"})
    eve = Worker.first_where({"email": "eve@x.y"})
    try:
        eve.fill({"roles": ["admin"], "role": "admin", "name": "Eve II"}).save()
    except Exception:  # refused, or left out
        eve = Worker.find(eve.id)

    assert eve.roles() == []
    assert not eve.can("anything")


def test_users_of_another_kind_with_the_same_key_have_roles_of_their_own(make_app):
    make_app(guards={"portal": {"model": Client_}})
    ada = worker("ada@x.y")
    bob = Client_.create(name="Bob", email="bob@x.y", password="x")
    ada.assign_role("clerk")

    assert ada.id == bob.id
    assert bob.roles() == []


def test_one_query_a_request_says_it_all(erp, ada):
    Role.named("buyer").allow("orders.*")
    ada.assign_role("buyer")
    seen: list[str] = []
    erp.make("db").listen(lambda query: seen.append(query.sql))

    with entered(Scope()):
        for _ in range(5):
            assert ada.can("orders.read")
            assert ada.has_role("buyer")
            assert ada.permissions()

    assert len([sql for sql in seen if "role" in sql]) == 1


def test_a_change_within_a_request_counts_at_once(erp, ada):
    with entered(Scope()):
        assert ada.roles() == []
        ada.assign_role("clerk")
        assert ada.roles() == ["clerk"]
        Role.named("clerk").allow("orders.read")
        assert ada.can("orders.read")
        Role.named("clerk").forbid("orders.read")
        assert not ada.can("orders.read")


def test_changes_are_told_and_audited(erp, ada):
    heard: list[Any] = []
    auth().on("role_changed", heard.append)
    ada.sync_roles("buyer", "clerk")
    ada.remove_role("clerk")
    ada.remove_role("clerk")  # nothing to tell
    Role.named("buyer").allow("orders.read")
    Role.named("buyer").demand_two_factor().demand_two_factor()  # told once

    assert [event.user and event.user.id for event in heard] == [ada.id, ada.id, None, None]
    assert heard[1].removed == ["clerk"]
    rows = Activity.in_log("auth").for_event("role_changed").order_by("id").get()
    *given, demanded = rows
    assert [row.properties["added"] for row in given] == [["buyer", "clerk"], [], ["orders.read"]]
    assert demanded.properties["two_factor"] is True


def test_what_code_defines_decides_for_itself(erp, ada):
    Role.named("buyer").allow("orders.*")
    ada.assign_role("buyer")
    Gate.define("orders.delete", lambda user: False)

    assert not ada.can("orders.delete")
    assert ada.can("orders.read")


def test_before_decides_first_and_after_last(erp, ada):
    Gate.before(lambda user, ability: True if ability == "root" else None)
    Gate.before(lambda user, ability: False if ability == "never" else None)
    Gate.after(lambda user, ability, decision: True if ability == "last" else None)
    Role.named("all").allow("never")
    ada.assign_role("all")

    assert ada.can("root")
    assert not ada.can("never")
    assert ada.can("last")
    assert not ada.can("other")


def test_after_changes_no_decision_that_was_made(erp, ada):
    Gate.define("no", lambda user: False)
    Gate.after(lambda user, ability, decision: True)

    assert not ada.can("no")


def test_a_decision_says_why(erp, ada):
    Gate.define("close", lambda user: Decision.deny("The period is closed."))
    gate = Gate.for_user(ada)

    found = gate.inspect("close")
    assert (found.allowed, found.denied, found.reason) == (False, True, "The period is closed.")
    assert gate.inspect("unknown").allowed is False
    with pytest.raises(AuthorizationException, match="period is closed"):
        gate.authorize("close")


def test_any_and_none(erp, ada):
    Role.named("buyer").allow("orders.read")
    ada.assign_role("buyer")
    gate = Gate.for_user(ada)

    assert gate.any(["orders.write", "orders.read"])
    assert not gate.any(["orders.write"])
    assert gate.none(["orders.write", "x"])
    assert not gate.none("orders.read")


def test_the_middleware_can_asks_roles_too(erp, ada):
    with Router.group(middleware="web"):
        Router.get("/approve", lambda: "approved").middleware("auth", "can:orders.approve")
    client = browser(erp)
    log_in(client)
    assert client.get("/approve", headers=JSON).status == 403

    Role.named("buyer").allow("orders.*")
    ada.assign_role("buyer")

    assert client.get("/approve").text == "approved"


def test_a_user_who_is_not_saved_has_no_roles_to_take(erp):
    with pytest.raises(AuthError, match="save it first"):
        Worker(name="x").assign_role("clerk")


def test_two_classes_of_one_name_do_not_share_their_roles(erp):
    name = Worker.type_alias
    with pytest.raises(AuthError, match=f"both called '{name}' among the classes with roles"):
        type(name, (HasRoles, Model), {"table": "portal_people", "__module__": "portal"})
    gc.collect()

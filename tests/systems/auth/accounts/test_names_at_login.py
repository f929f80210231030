"""By what a login names its user: one rule for capitals on both engines, no column made up."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from so import Router, auth, request
from so.errors import AuthError, CredentialsError, ValidationException
from so.testing import Client
from tests.support.needed import sqlite_only
from tests.systems.auth.accounts.conftest import JSON, PASSWORD, SAME_ORIGIN, worker

STORED = ["Ada.King@X.y", "eve@x.y", "MÜLLER@X.Y", "käse@x.y"]


@pytest.fixture
def house(erp: Any) -> Any:
    for address in STORED:
        worker(address)
    with Router.group(middleware="web"):
        Router.post("/all", lambda: {"ok": auth().attempt(request().all())})
    return erp


def right(house: Any, **names: Any) -> Any:
    return house.make("authentication").open().validate({**names, "password": PASSWORD})


@pytest.mark.parametrize(
    "given",
    ["ada.king@x.y", "ADA.KING@X.Y", "Ada.King@X.y", " EVE@x.y ", "ｅve@x.y", "müller@x.y",
     "Müller@X.y", "KÄSE@X.Y"],
)  # fmt: skip
def test_capitals_of_an_address_make_no_difference(house: Any, given: str):
    assert right(house, email=given) is True


@pytest.mark.parametrize("given", ["kase@x.y", "eve@x.y\u200b", "éve@x.y", "mueller@x.y", "eve@x%"])
def test_what_a_collation_alone_takes_for_the_same_is_another(house: Any, given: str):
    assert right(house, email=given) is False


@sqlite_only  # its unique key lets in one of them
def test_of_two_who_differ_in_capitals_the_one_written_so_is_meant(erp: Any, engine: str):
    small, capital = worker("ada@x.y"), worker("ADA@x.y")
    users = erp.make("users")

    assert users.by_credentials({"email": "ada@x.y"}).id == small.id
    assert users.by_credentials({"email": "ADA@x.y"}).id == capital.id


@pytest.mark.parametrize(
    ("condition", "is_met"),
    [({"active": 1}, True), ({"active": True}, True), ({"active": 0}, False),
     ({"name": None}, False), ({"name": 0}, False), ({"active": 10**30}, False),
     ({"active": [1]}, False), ({"active": 1.5}, False)],
)  # fmt: skip
def test_conditions_stand_beside_a_name(house: Any, condition: dict[str, Any], is_met: bool):
    assert right(house, email="eve@x.y", **condition) is is_met


@pytest.mark.parametrize("names", [{"id": 2}, {"active": 1}, {"active": True}, {"name": None}, {}])
def test_conditions_alone_name_nobody(house: Any, names: dict[str, Any]):
    assert right(house, **names) is False


@pytest.mark.parametrize("more", [{"nick": "e"}, {"remember": True}, {"_token": "x"}])
def test_a_column_there_is_not_is_named_where_it_is_written_down(house: Any, more: Any):
    with pytest.raises(CredentialsError, match=f"No user has a '{next(iter(more))}'") as caught:
        right(house, email="eve@x.y", **more)
    assert isinstance(caught.value, AuthError)
    assert isinstance(caught.value, ValidationException)


def test_a_column_there_is_not_in_a_body_is_the_senders_fault(house: Any, caplog: Any):
    client = Client(house, headers=JSON)

    with caplog.at_level(logging.ERROR):
        answer = client.post(
            "/all", json={"email": "eve@x.y", "password": PASSWORD, "is_admin": "1"}
        )

    assert answer.status == 422
    assert list(answer.json()["errors"]) == ["is_admin"]
    assert not caplog.records
    form = Client(house, headers=SAME_ORIGIN).post("/all", {"nick": "eve", "password": PASSWORD})
    assert form.status in (302, 422)

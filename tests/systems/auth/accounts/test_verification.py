"""Addresses count when they are confirmed; another one when the new one is."""

from __future__ import annotations

import re
from typing import Any

import pytest

from so import EmailChanged, Router, VerifyEmail, accounts, auth, notification_fake
from so.errors import AuthorizationException, ValidationException
from tests.systems.auth.accounts.conftest import JSON, Worker, browser, log_in, worker


def token_in(notification: Any) -> str:
    found = re.search(r"/verify-email/(.+)$", notification.url)
    assert found, notification.url
    return found[1]


def test_a_link_confirms_the_address(erp, ada):
    heard: list[str] = []
    auth().on("verified", lambda event: heard.append(event.user.email))
    assert ada.has_verified_email() is False
    with notification_fake() as fake:
        ada.send_email_verification()
    [sent] = fake.sent_to(ada, VerifyEmail)

    assert accounts().verify(token_in(sent)).id == ada.id

    assert ada.has_verified_email() is True
    assert heard == ["ada@x.y"]


def test_who_is_confirmed_is_sent_nothing(erp, ada):
    ada.mark_email_as_verified()
    with notification_fake() as fake:
        ada.send_email_verification()

    fake.assert_nothing_sent()


def test_the_middleware_verified_lets_in_those_who_are(erp, ada):
    with Router.group(middleware="web"):
        Router.get("/news", lambda: "news").middleware("auth", "verified")
    client = browser(erp)
    log_in(client)

    assert client.get("/news", headers=JSON).status == 403
    client.get("/news").assert_redirect("/verify-email")
    ada.mark_email_as_verified()
    assert client.get("/news").text == "news"


def test_another_address_has_to_be_confirmed_again(erp, ada):
    ada.mark_email_as_verified()
    ada.update({"email": "new@x.y"})

    assert ada.has_verified_email() is False


@pytest.mark.parametrize("why", ["time", "altered", "address", "locked", "none"])
def test_a_link_that_is_not_good_any_more_confirms_nothing(erp, ada, why: str):
    token = accounts().verify_token(ada)
    if why == "time":
        erp.clock.travel(24 * 3600)
    elif why == "altered":
        token = ("b" if token[0] != "b" else "c") + token[1:]
    elif why == "address":
        ada.update({"email": "new@x.y"})
    elif why == "locked":
        accounts().lock(ada)
    else:
        token = ""

    with pytest.raises(ValidationException):
        accounts().verify(token)
    assert Worker.find(ada.id).has_verified_email() is False


def test_the_link_of_one_user_is_worth_nothing_to_another(erp, ada):
    eve = worker("eve@x.y")

    with pytest.raises(AuthorizationException):
        accounts().verify(accounts().verify_token(ada), eve)
    assert ada.has_verified_email() is False


def test_a_link_for_one_purpose_serves_no_other(erp, ada):
    with pytest.raises(ValidationException):
        accounts().verify(erp.make("signer").sign("x", "password-reset"))
    with pytest.raises(ValidationException):
        accounts().reset(accounts().verify_token(ada), "another horse, another day")


def test_a_new_address_counts_when_it_is_confirmed_and_the_old_one_is_told(erp, ada):
    with notification_fake() as fake:
        accounts().change_email(ada, "new@x.y")
        assert Worker.find(ada.id).email == "ada@x.y"
        [(to, sent)] = fake.sent
        assert to.addresses == {"mail": "new@x.y"}

        accounts().verify(token_in(sent), ada)

        changed = [(who.addresses, n) for who, n in fake.sent if isinstance(n, EmailChanged)]
    assert Worker.find(ada.id).email == "new@x.y"
    assert Worker.find(ada.id).has_verified_email() is True
    assert [(to, n.address) for to, n in changed] == [({"mail": "ada@x.y"}, "new@x.y")]


def test_the_link_for_a_new_address_counts_once(erp, ada):
    with notification_fake():
        token = accounts().verify_token(ada, "new@x.y")
        accounts().verify(token)
        Worker.find(ada.id).update({"email": "third@x.y"})

        with pytest.raises(ValidationException):
            accounts().verify(token)
    assert Worker.find(ada.id).email == "third@x.y"


def test_an_address_that_somebody_has_is_not_taken_and_not_told_of(erp, ada):
    worker("bob@x.y")
    with notification_fake() as fake:
        accounts().change_email(ada, "bob@x.y")
    fake.assert_nothing_sent()

    token = accounts().verify_token(ada, "eve@x.y")
    worker("eve@x.y")
    with pytest.raises(ValidationException):
        accounts().verify(token)
    assert Worker.find(ada.id).email == "ada@x.y"

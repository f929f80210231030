"""An administrator keeps a user out, at once and everywhere, for a time or until he unlocks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from so import accounts, auth
from tests.systems.auth.accounts.conftest import JSON, browser, log_in


def test_a_lock_ends_every_way_in_and_unlocking_opens_it_again(erp, ada):
    heard: list[Any] = []
    auth().listen(heard.append)
    client, device = browser(erp), browser(erp)
    log_in(client)
    log_in(device, remember=1)
    remembered = {"so_remember": device.cookies["so_remember"]}

    accounts().lock(ada, "left the company")

    assert client.get("/me", headers=JSON).status == 401
    assert browser(erp).get("/me", cookies=remembered, headers=JSON).status == 401
    assert log_in(browser(erp)) is False
    assert accounts().is_locked(ada)
    assert accounts().unlock(ada) is True
    assert accounts().unlock(ada) is False
    assert log_in(browser(erp)) is True
    told = [event for event in heard if event.name in ("locked", "unlocked")]
    assert [event.name for event in told] == ["locked", "unlocked"]
    assert told[0].reason == "left the company"


def test_a_lock_may_end_by_itself(erp, ada):
    accounts().lock(ada, until=timedelta(hours=1))
    assert log_in(browser(erp)) is False

    erp.clock.travel(3600)

    assert not accounts().is_locked(ada)
    assert log_in(browser(erp)) is True


def test_a_session_that_came_about_beside_the_lock_is_ended_too(erp, ada):
    client = browser(erp)
    log_in(client)
    # As if the login had been on its way: its session is there, the lock as well.
    erp.make("security").write(str(ada.id), locked_at=erp.clock.now())

    assert client.get("/me", headers=JSON).status == 401


def test_a_reason_that_looks_like_a_date_stays_a_text(erp, ada):
    accounts().lock(ada, "2026-01-01 until further notice")

    assert erp.make("security").read(str(ada.id)).lock_reason == "2026-01-01 until further notice"

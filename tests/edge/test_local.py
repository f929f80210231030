"""Whose way of writing counts: the user's, else the application's."""

from __future__ import annotations

import pytest

from so import Application, local
from so.errors import ConfigError


class Person:
    def __init__(self, locale=None, zone=None):
        self.preferred_locale, self.preferred_timezone = locale, zone


@pytest.fixture
def application(tmp_path):
    settings = {"app": {"storage": str(tmp_path), "locale": "de-DE", "timezone": "Europe/Berlin"}}
    with Application(tmp_path, settings) as app:
        yield app


def shown(user=None):
    found = local(user)
    return found.locale, found.zone


def test_the_settings_count_where_nobody_says_otherwise(application):
    assert shown() == shown(object()) == shown(Person()) == ("de-DE", "Europe/Berlin")


def test_a_user_says_it_by_attributes_or_methods(application):
    class Methodical:
        def preferred_locale(self):
            return "fr-FR"

    assert shown(Person("en-US", "Asia/Tokyo")) == ("en-US", "Asia/Tokyo")
    assert shown(Methodical()) == ("fr-FR", "Europe/Berlin")


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (Person("xx-XX", "Asia/Tokyo"), ("de-DE", "Asia/Tokyo")),
        (Person("en-US", "Mars/Olympus"), ("en-US", "Europe/Berlin")),
        (Person("xx", "Mars"), ("de-DE", "Europe/Berlin")),
        (Person(7, ["UTC"]), ("de-DE", "Europe/Berlin")),
    ],
)
def test_what_a_user_asks_for_that_there_is_not_does_not_count(application, user, expected):
    assert shown(user) == expected


def test_a_setting_that_there_is_not_is_an_error(application):
    application.config.set("app.timezone", "Mars/Olympus")
    application.forget_instance("formats")

    with pytest.raises(ConfigError, match="Mars/Olympus"):
        local()

"""The mechanism of settings: names, spellings, defaults, and errors that name the mend."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import pytest

from so.errors import ConfigError
from so.support.settings import (
    OFF,
    ON,
    Settings,
    choice,
    choices,
    listed,
    number,
    part,
    switch,
    text,
    whole,
    word,
    zone,
)


@dataclass(frozen=True)
class Tea(Settings, topic="tea"):
    minutes: float = number(3.5, "TEA_MINUTES", "of brewing")


@dataclass(frozen=True)
class Kitchen(Settings, topic="kitchen", named={"from": "origin"}):
    open: bool = switch(True, "KITCHEN_OPEN", "whether there is anything")
    sugar: bool | None = switch(None, "KITCHEN_SUGAR", "unset: as the guest says")
    cups: int = whole(6, "KITCHEN_CUPS", "on the shelf", least=1)
    heat: str = choice(
        "low", "KITCHEN_HEAT", "low, high or off",
        of=("low", "high", "off"), also={"hot": "high", "null": "off"}, nothing="off",
    )  # fmt: skip
    brands: tuple[str, ...] = choices(("a",), "KITCHEN_BRANDS", "a or b", of=("a", "b"))
    driver: str = word("gas", "KITCHEN_DRIVER", "gas, null or your own", of=("gas", "null"))
    guests: tuple[str, ...] = listed((), "KITCHEN_GUESTS", "who may come in")
    origin: str | None = text(None, "KITCHEN_FROM", "where it was bought")
    key: str | None = text(None, "KITCHEN_KEY", "of the door", secret=True)
    tea: Tea = part(Tea)


def test_a_setting_that_nobody_gives_has_the_default_of_its_field():
    found = Kitchen.from_config({})

    assert (found.open, found.cups, found.heat, found.tea.minutes) == (True, 6, "low", 3.5)
    assert found == Kitchen()


@pytest.mark.parametrize("spelling", [*ON, "True", " YES ", "(true)", True, 1])
def test_a_switch_is_on_in_every_spelling_of_on(spelling):
    assert Kitchen.from_config({"open": spelling, "sugar": spelling}) == Kitchen(sugar=True)


@pytest.mark.parametrize("spelling", [*OFF, "False", " NO ", "(false)", False, 0])
def test_a_switch_is_off_in_every_spelling_of_off(spelling):
    found = Kitchen.from_config({"open": spelling, "sugar": spelling})

    assert (found.open, found.sugar) == (False, False)


@pytest.mark.parametrize(
    "given", ["maybe", "2", 2, "-1", -1, "-true", "_on_", 1.0, [], {}, object(), "tru e"]
)
def test_a_switch_is_never_guessed(given):
    with pytest.raises(
        ConfigError, match=r"KITCHEN_OPEN \(config kitchen\.open\) is .*true or fal"
    ):
        Kitchen.from_config({"open": given})


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_what_is_set_to_nothing_is_not_set(nothing):
    given = {"open": nothing, "sugar": nothing, "cups": nothing, "from": nothing}

    assert Kitchen.from_config(given) == Kitchen()


class Heat(Enum):
    HIGH = "HIGH"


@pytest.mark.parametrize("spelling", ["high", "HIGH", " High ", "hot", Heat.HIGH])
def test_a_known_value_is_understood_in_its_common_spellings(spelling):
    assert Kitchen.from_config({"heat": spelling}).heat == "high"


@pytest.mark.parametrize("spelling", ["null", "(NULL)", None])
def test_null_and_none_are_the_value_that_the_setting_has_for_them(spelling):
    assert Kitchen.from_config({"heat": spelling}).heat == "off"


@pytest.mark.parametrize("given", ["hihg", "warm", 5, [], True])
def test_any_other_value_is_refused_with_the_key_its_variable_and_the_choices(given):
    with pytest.raises(ConfigError) as raised:
        Kitchen.from_config({"heat": given})

    told = str(raised.value)
    assert "KITCHEN_HEAT (config kitchen.heat)" in told
    assert repr(given) in told
    assert "low, high, off" in told


def test_a_name_of_the_applications_own_is_kept_as_it_is():
    assert Kitchen.from_config({"driver": " GAS "}).driver == "gas"
    assert Kitchen.from_config({"driver": "Induction"}).driver == "Induction"


@pytest.mark.parametrize("given", ["2_0", "x", "1.5", 1.5, True, 0, -1, "٣", "1e3"])
def test_a_number_is_written_in_digits_and_within_its_limits(given):
    with pytest.raises(ConfigError, match=r"KITCHEN_CUPS .* whole number, 1 or above"):
        Kitchen.from_config({"cups": given})


@pytest.mark.parametrize("given", ["nan", "inf", "-1", True, "1_0"])
def test_a_number_of_seconds_is_finite(given):
    with pytest.raises(ConfigError, match=r"TEA_MINUTES \(config tea\.minutes\)"):
        Kitchen.from_config({"tea": {"minutes": given}})


def test_an_unknown_name_is_refused_with_the_near_one():
    with pytest.raises(ConfigError, match=r"kitchen\.opn is unknown: did you mean 'open'"):
        Kitchen.from_config({"opn": True})
    with pytest.raises(ConfigError, match=r"tea\.minuts is unknown: did you mean 'minutes'"):
        Kitchen.from_config({"tea": {"minuts": 1}})
    with pytest.raises(ConfigError, match=r"kitchen\.xyzzy is unknown: known are .*from"):
        Kitchen.from_config({"xyzzy": True})


def test_a_name_that_is_none_in_python_has_a_field_of_another_name():
    found = Kitchen.from_config({"from": "Ceylon"})

    assert (found.origin, found.to_config()["from"]) == ("Ceylon", "Ceylon")
    with pytest.raises(ConfigError, match="origin is unknown"):
        Kitchen.from_config({"origin": "Ceylon"})


def test_variables_are_read_for_what_is_not_given():
    variables = {
        "KITCHEN_OPEN": "off", "KITCHEN_CUPS": " 4 ", "KITCHEN_HEAT": "NULL",
        "KITCHEN_DRIVER": "null", "KITCHEN_GUESTS": "a, b", "KITCHEN_FROM": "null",
        "TEA_MINUTES": "2",
    }  # fmt: skip

    found = Kitchen.from_config({"cups": 3}, variables.get)

    assert found == Kitchen(
        open=False, cups=3, heat="off", driver="null", guests=("a", "b"), tea=Tea(minutes=2)
    )


def test_a_secret_is_not_shown_in_an_error():
    with pytest.raises(ConfigError) as raised:
        Kitchen.from_config({"key": ["very", "secret"]})

    assert "KITCHEN_KEY" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_settings_made_by_hand_are_checked_as_well():
    with pytest.raises(ConfigError, match="KITCHEN_HEAT"):
        Kitchen(heat="warm")


def test_a_time_zone_is_one_that_is_known_here():
    @dataclass(frozen=True)
    class Clocks(Settings, topic="clocks"):
        zone: str = zone("UTC", "CLOCK_ZONE", "of the wall")

    assert Clocks.from_config({"zone": "Europe/Berlin"}).zone == "Europe/Berlin"
    with pytest.raises(ConfigError, match=r"CLOCK_ZONE.* is 'Mars/X': give a time zone such as"):
        Clocks.from_config({"zone": "Mars/X"})

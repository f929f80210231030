"""The name that a mistyped one may have meant."""

from so.support.near import nearest


def test_a_name_that_is_much_alike_is_found() -> None:
    assert nearest("sqllite", {"mysql": 1, "sqlite": 2}) == "sqlite"


def test_a_name_like_nothing_known_has_no_neighbour() -> None:
    assert nearest("oracle", ["mysql", "sqlite"]) is None
    assert nearest("", []) is None


def test_how_alike_is_the_callers_choice() -> None:
    assert nearest("serv", ["service:restart"]) is None
    assert nearest("serv", ["service:restart"], 0.4) == "service:restart"

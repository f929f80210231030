"""The signature language: what it reads, and what it refuses."""

from __future__ import annotations

import pytest

from so.console.signature import Argument, Option, Signature
from so.errors import CommandError


def test_a_signature_is_read_into_arguments_and_options():
    signature = Signature.parse(
        "report:email {recipient : Who gets it} {count=3} {rest?* : More}"
        " {--type=daily : How often} {--Q|queue=} {--force} {--id=*} {--trace=?}"
    )

    assert signature.name == "report:email"
    assert signature.arguments == (
        Argument("recipient", "Who gets it"),
        Argument("count", optional=True, default="3"),
        Argument("rest", "More", optional=True, many=True),
    )
    assert signature.options == (
        Option("type", "How often", takes_value=True, default="daily"),
        Option("queue", short="Q", takes_value=True),
        Option("force"),
        Option("id", takes_value=True, many=True),
        Option("trace", takes_value=True, value_optional=True),
    )


def test_braces_may_stand_on_lines_of_their_own():
    signature = Signature.parse("a:b\n    {one}\n    {--two : Two\n words}")

    assert [a.name for a in signature.arguments] == ["one"]
    assert [o.name for o in signature.options] == ["two"]


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ([], {"a": "x", "many": []}),
        (["1"], {"a": "1", "many": []}),
        (["1", "2", "3"], {"a": "1", "many": ["2", "3"]}),
    ],
)
def test_defaults_and_lists(words, values):
    assert vars(Signature.parse("c {a=x} {many?*}").parser().parse(words)) == values


def test_a_value_may_be_optional_and_an_option_may_have_a_long_alias():
    parser = Signature.parse("c {--log=?} {--old|new=}").parser()

    assert vars(parser.parse([])) == {"log": None, "new": None}
    assert vars(parser.parse(["--log", "--old=1"])) == {"log": "-", "new": "1"}
    assert vars(parser.parse(["--log=x", "--new", "2"])) == {"log": "x", "new": "2"}


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("", "has no name"),
        ("{a}", "has no name"),
        ("c x", "put each argument or option in braces"),
        ("c {a", "put each argument or option in braces"),
        ("c {}", "an argument needs a name"),
        ("c {?}", "an argument needs a name"),
        ("c {--}", "cannot be the name"),
        ("c {a} {--a}", "'a' cannot be the name"),
        ("c {a?} {b}", "{b} is required and must stand before {a?}"),
        ("c {a*} {b?}", "{a*} takes all words; put it last"),
    ],
)
def test_a_signature_that_makes_no_sense_is_refused(signature, message):
    with pytest.raises(CommandError) as caught:
        Signature.parse(signature)

    assert message in str(caught.value)

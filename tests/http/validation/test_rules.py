"""Every rule by itself: what it accepts, what it refuses, and in which words."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from uuid import UUID

import pytest

from so.errors import ConfigError, InvalidRuleError
from so.http.validation import Rule, Validator, validate
from so.support.clock import Clock


def passes(rules: object, value: object, **others: object) -> bool:
    return Validator({"field": value, **others}, {"field": rules}).passes()


def message(rules: object, value: object, **others: object) -> str:
    validator = Validator({"field": value, **others}, {"field": rules})
    assert validator.fails(), f"{value!r} passed {rules!r}"
    return validator.errors()["field"][0]


@dataclass
class FakeFile:
    """Shaped as an uploaded file."""

    client_name: str = "a.png"
    size: int = 1024
    mime_type: str = "image/png"
    extension: str = "png"
    valid: bool = True
    pixels: tuple[int, int] | None = (600, 400)

    @property
    def client_extension(self) -> str:
        return self.client_name.rpartition(".")[2]

    def is_valid(self) -> bool:
        return self.valid

    def dimensions(self) -> tuple[int, int] | None:
        return self.pixels


GOOD = {
    "accepted": ["yes", "on", "1", 1, True, "true"],
    "alpha": ["abc", "Müller", "日本語", "o\u0308sel"],
    "alpha:ascii": ["abc"],
    "alpha_dash": ["a-b_c9", "naïve-7", 12],
    "alpha_num": ["abc9", "٣٤", 42],
    "array": [[], [1], {"a": 1}, (1, 2)],
    "ascii": ["abc~", 5],
    "contains:a,1": [["a", "b", 1], {"x": "1", "y": "a"}],
    "declined": ["no", "off", "0", 0, False, "false"],
    "doesnt_contain:a,1": [["b"], []],
    "doesnt_end_with:.com": ["x.org", 4],
    "doesnt_start_with:foo,4": ["bar", 5],
    "extensions:png,.jpg": [FakeFile(), FakeFile("a.JPG")],
    "hex_color": ["#abc", "#AbCd", "#aabbcc", "#aabbccdd"],
    "in_array_keys:a,b": [{"a": None, "c": 1}],
    "mac_address": ["00:1a:2B:3c:4d:5e", "00-1a-2b-3c-4d-5e", "001a.2b3c.4d5e"],
    "max_digits:3": ["012", 5],
    "min_digits:3": ["012", 5000],
    "array:a,b": [{"a": 1}, {"a": 1, "b": 2}],
    "array_keys:a,b": [{"a": 1}, {}],
    "boolean": [True, False, 0, 1, "0", "1"],
    "boolean:strict": [True, False],
    "date": ["2026-01-15", "20260115", "2026-01-15 10:00", "2026-01-15T10:00:00.5Z", "1/15/2026",
             "15-01-2026", "15.1.2026", "15 Jan 2026", "January 15, 2026", date(2026, 1, 15),
             datetime(2026, 1, 15, tzinfo=UTC), "Thu, 15 Jan 2026 10:00:00 +0000",
             "2026-01-15T10:00:00+02:00", 20260115, "2026-1-5", "2026-01-15 3:04 PM",
             "15 Jan 2026 10:00:01.5 +02:00", "January 15, 2026 9:05 am"],
    "date_format:Y-m-d": ["2026-01-15"],
    "date_format:d.m.y,H:i": ["15.01.26", "23:59"],
    "date_format:j F Y g:i a": ["5 May 2026 3:05 pm"],
    'date_format:"D, d M Y H:i:s O"': ["Thu, 15 Jan 2026 10:00:00 +0000"],
    "date_format:U": ["1768471200", 1768471200],
    "date_format:%d/%m/%Y": ["15/01/2026"],
    r"date_format:Y-m-d\TH:i:s.vP": ["2026-01-15T10:00:00.123+01:00"],
    "date_format:Y-m-d H:i e": ["2026-01-15 10:00 Europe/Berlin", "2026-01-15 10:00 UTC"],
    "date_format:c": ["2026-01-15T10:00:00+00:00"],
    "decimal:2": ["1.25", 1.25, Decimal("1.20"), "-0.10"],
    "decimal:0,2": ["1", 1, "1.5", Decimal("1E+3")],
    "digits:4": ["0042", 1234],
    "digits_between:2,4": ["12", "0000", 123],
    "email": ["a@b.co", "o'hara+x@sub.example.org", "müller@bücher.de", '"a b"@x.org',
              "user@localhost", "a@[127.0.0.1]", "a@[IPv6:::1]"],
    "email:filter": ["a@b.co"],
    "email:strict": ["a.b@c.de"],
    "ends_with:.com,.org": ["x.org"],
    "starts_with:foo,4": ["food", 42],
    "in:a,b,1": ["a", "b", 1, "1"],
    'in:"a,b",c': ["a,b", "c"],
    "array|in:a,b": [["a"], ["a", "b"]],
    "not_in:a,b": ["c", 1],
    "integer": [5, "5", "-5", 0, "0", 2**63 - 1, "-9223372036854775808"],
    "integer:strict": [5],
    "ip": ["127.0.0.1", "::1", "2001:db8::ff00:42:8329"],
    "ipv4": ["10.0.0.255"],
    "ipv6": ["::ffff:10.0.0.1"],
    "json": ['{"a": [1, null]}', "5", '"x"', 5, "null"],
    "list": [[], [1, 2]],
    "lowercase": ["abc", "straße", "a1"],
    "uppercase": ["ABC", "A1"],
    "min:3": ["abc", "äöü", [1, 2, 3], {"a": 1, "b": 2, "c": 3}, FakeFile(size=3 * 1024)],
    "numeric|min:3": [3, "3", "3.5", Decimal("3.01"), 3.0],
    "max:3": ["abc", "日本語", [1], FakeFile(size=3 * 1024)],
    "integer|max:3": [3, -70],
    "numeric|max:0.1": [0.1, "0.1"],
    "size:3": ["abc", [1, 2, 3], FakeFile(size=3 * 1024)],
    "numeric|size:3": [3, "3.0"],
    "between:2,3": ["ab", "abc", [1, 2]],
    "numeric|between:-1.5,1.5": [-1.5, 0, "1.5"],
    "multiple_of:5": [10, "25", 0, -5],
    "multiple_of:0.01": ["1.11", 19.99],
    "numeric": [1, 1.5, "1", "-1.5", "+.5", "1e3", " 7", Decimal("2"), "5."],
    "numeric:strict": [1.5],
    "regex:/^[a-z]+$/i": ["Abc"],
    "regex:#^a/b$#": ["a/b"],
    "regex:^\\d{2}$": ["42", 42],
    "regex:{^x+$}x": ["xx"],
    "not_regex:/[<>]/": ["plain"],
    "required_array_keys:a,b": [{"a": None, "b": 1, "c": 2}],
    "string": ["", "x"],
    "timezone": ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"],
    "ulid": ["01ARZ3NDEKTSV4RRFFQ69G5FAV", "01arz3ndektsv4rrffq69g5fav"],
    "uuid": ["a0a2a2d2-0b87-4a18-83f2-2529882be2de", UUID(int=5)],
    "uuid:4": ["a0a2a2d2-0b87-4a18-83f2-2529882be2de"],
    "uuid:max": ["ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "url": ["https://example.com", "http://localhost:8000/a?b=c#d", "https://müller.de/ä",
            "ftp://u:p@10.0.0.1/x", "http://[::1]/", "https://example.com."],
    "url:http,https": ["HTTPS://example.com"],
    "file": [FakeFile()],
    "image": [FakeFile()],
    "image:allow_svg": [FakeFile(extension="svg")],
    "mimes:jpg,png": [FakeFile(), FakeFile(extension="jpeg")],
    "mimes:csv": [FakeFile("orders.csv", mime_type="text/plain", extension="txt")],
    "mimetypes:image/*,text/plain": [FakeFile(), FakeFile(mime_type="text/plain; charset=utf-8")],
    "dimensions:min_width=600,max_height=400,ratio=3/2": [FakeFile()],
    "dimensions:width=600,height=400": [FakeFile()],
}  # fmt: skip

BAD = {
    "accepted": ["no", 0, False, "", None, [1], 2],
    "alpha": ["a1", "a b", 5, None, "abc\n", "x-"],
    "alpha:ascii": ["Müller", "日本"],
    "alpha_dash": ["a.b", "a b", None, [1]],
    "alpha_num": ["a-b", 1.5, None],
    "array": ["a", 5, None, True],
    "ascii": ["ä", None, [1]],
    "contains:a,1": [["a"], "a1", None, [["a", 1]]],
    "declined": ["yes", 1, True, "", None, [0], 2],
    "doesnt_contain:a,1": [["b", 1], "b", None],
    "doesnt_end_with:.com,.org": ["x.org", None, [".com"]],
    "doesnt_start_with:foo": ["food", None, True],
    "extensions:png": [FakeFile("a.gif"), FakeFile(valid=False), "a.png"],
    "hex_color": ["abc", "#ab", "#abcde", "#abg", "#abc\n", 5, None],
    "in_array_keys:a,b": [{"c": 1}, "a", None],
    "mac_address": ["00:1a:2b:3c:4d", "00:1a-2b:3c:4d:5e", "001a2b3c4d5e", "x", 5, None],
    "max_digits:3": ["0123", "1.5", "x", None],
    "min_digits:3": ["12", -123, None],
    "array:a,b": [{"c": 1}, [1]],
    "array_keys:a,b": [{"a": 1, "c": 2}, "a"],
    "boolean": ["yes", 2, "true", None, 1.0, [], "01"],
    "boolean:strict": [1, "1"],
    "date": ["tomorrow", "2026-02-30", "2026-13-01", "x", None, [], "25:00", "13/13/2026",
             "2026-01-15x10:00", "2026", "Fri, 15 Jan 2026", "x, y", 5, "9" * 200,
             "2026-01-15 25:00", "2026-01-15T1", True, "15.1.2026 10:61", "15.1.2026 1:2"],
    "date_format:Y-m-d": ["2026-1-15", "15.01.2026", "2026-02-30", None, ["2026-01-15"],
                          "2026-01-15\n"],
    "date_format:D Y-m-d": ["Fri 2026-01-15"],
    "date_format:h:i A": ["13:00 PM", "00:10 AM"],
    "date_format:H:i e": ["10:00 Mars/Phobos"],
    "date_format:%d/%m/%Y": ["31/02/2026", "1/02/2026", "٠١/02/2026", "01/02/2026\n"],
    "date_format:%Y-%m": ["2026-1", "٢٠٢٦-01", "2026-13"],
    "decimal:2": ["1.5", 1.555, "x", 1, None, True, "1e2"],
    "decimal:0,2": ["1.555"],
    "digits:4": ["123", "12a4", "١٢٣٤", 1.5, None, True, "-123", [1]],
    "digits_between:2,4": ["1", "12345", "ab"],
    "email": ["a", "a@", "@b.co", "a b@c.de", "a@b..co", "a..b@c.de", "a@-b.de", "a@b.co\n", 5,
              ".a@b.co", "a@b@c.de", "a" * 65 + "@b.co", "a@" + "b" * 64 + ".co", None, "a@[1.2.3]",
              "a@x.co\u2028", "a@b.co>"],
    "email:filter": ["user@localhost", "müller@b.co"],
    "email:filter_unicode": ["user@localhost"],
    "email:strict": ['"a b"@x.org'],
    "ends_with:.com": ["x.org", None, [".com"]],
    "starts_with:foo": ["bar", None, True],
    "in:a,b": ["c", "A", None, True, ["a"]],
    "array|in:a,b": [["a", "c"], [["a"]]],
    "not_in:a,1": ["a", 1, True, ["a"]],
    "integer": [True, "1.0", 1.0, "007", "+5", " 5", "x", None, 2**63, "9" * 5000, [5], "٣", "5\n"],
    "integer:strict": ["5"],
    "ip": ["256.0.0.1", "x", 5, "::1%eth0", None, "10.0.0.1/8"],
    "ipv4": ["::1"],
    "ipv6": ["10.0.0.1"],
    "json": ["{", "{'a': 1}", "NaN", None, [1], False, "[" * 100_000, "9" * 5000],
    "list": [{"a": 1}, "x", None],
    "lowercase": ["aB", 5],
    "uppercase": ["Ab", None],
    "min:3": ["ab", [1, 2], FakeFile(size=2000), 5, None],
    "numeric|min:3": [2, "2.99", "ab"],
    "max:3": ["abcd", [1, 2, 3, 4], FakeFile(size=4096), FakeFile(size=1, valid=False), 1234],
    "integer|max:3": [4, "4"],
    "size:3": ["ab", [1], FakeFile(size=1)],
    "between:2,3": ["a", "abcd"],
    "multiple_of:5": [7, "x", None, "1e999"],
    "multiple_of:0": [5, 0],
    "numeric": ["x", "", None, True, "1,5", "0x1A", float("nan"), float("inf"), [], "1e99999",
                "1" * 2000, "٣", Decimal("NaN")],
    "numeric:strict": ["1.5"],
    "regex:/^[a-z]+$/": ["Abc", None, ["a"], True],
    "not_regex:/[<>]/": ["<b>", None],
    "required_array_keys:a,b": [{"a": 1}, "x", []],
    "string": [5, None, ["x"], True],
    "timezone": ["Mars/Phobos", "europe/berlin", "../../etc/passwd", 5, "", None, "posix/UTC",
                 "localtime", "America", "x" * 100],
    "ulid": ["81ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ3NDEKTSV4RRFFQ69G5FAI", "x", 5],
    "uuid": ["x", "a0a2a2d20b874a1883f22529882be2de", 5, None],
    "uuid:7": ["a0a2a2d2-0b87-4a18-83f2-2529882be2de"],
    "uuid:max": ["a0a2a2d2-0b87-4a18-83f2-2529882be2de"],
    "url": ["example.com", "javascript://%0aalert(1)", "http://", "http://a b", "http:///x", 5,
            "http://x:99999", "http://x\n.de", "http://[::1", "http://-x.de", "http://x:0", None,
            "http://" + "a" * 9000, "data://x", "http://a.de/<script>"],
    "url:https": ["http://example.com"],
    "file": ["a.png", None, FakeFile(valid=False), {"size": 1}],
    "image": [FakeFile(extension="pdf"), "x", FakeFile(extension="svg")],
    "mimes:jpg,png": [FakeFile(extension="gif"), "a.png",
                      FakeFile("evil.png", mime_type="text/html", extension="html")],
    "mimes:csv": [FakeFile("a.csv", mime_type="application/zip", extension="zip")],
    "mimetypes:image/jpeg": [FakeFile(), "x"],
    "dimensions:min_width=601": [FakeFile(), "x", FakeFile(pixels=None)],
    "dimensions:max_width=599": [FakeFile()],
    "dimensions:ratio=1": [FakeFile()],
}  # fmt: skip


def cases(table: dict[str, list[object]]) -> list[object]:
    return [
        pytest.param(rules, value, id=f"{rules}-{str(value)[:30]!r}"[:80])
        for rules, values in table.items()
        for value in values
    ]


@pytest.mark.parametrize(("rules", "value"), cases(GOOD))
def test_a_good_value_passes(rules, value):
    assert passes(rules, value)


@pytest.mark.parametrize(("rules", "value"), cases(BAD))
def test_a_bad_value_fails(rules, value):
    # '' and what is absent skip rules that are not implicit, so blank cases need one that is
    blank = isinstance(value, str) and not value.strip()
    assert not passes(f"required|{rules}" if blank else rules, value)


MESSAGES = [
    ("accepted", "no", "The field field must be accepted."),
    ("declined", "yes", "The field field must be declined."),
    ("contains:a", ["b"], "The field field is missing a required value."),
    (
        "doesnt_start_with:a,b",
        "axe",
        "The field field must not start with one of the following: a, b.",
    ),
    ("hex_color", "red", "The field field must be a valid hexadecimal color."),
    ("mac_address", "x", "The field field must be a valid MAC address."),
    ("max_digits:2", "123", "The field field must not have more than 2 digits."),
    ("min_digits:2", "1", "The field field must have at least 2 digits."),
    ("extensions:pdf", "x", "The field field must have one of the following extensions: pdf."),
    ("alpha", "1", "The field field must only contain letters."),
    (
        "alpha_dash",
        ".",
        "The field field must only contain letters, numbers, dashes, and underscores.",
    ),
    ("alpha_num", "-", "The field field must only contain letters and numbers."),
    ("array", "x", "The field field must be an array."),
    ("array_keys:a,b", {"c": 1}, "The field field must only contain the following keys: a, b."),
    ("between:2,3", "x", "The field field must be between 2 and 3 characters."),
    ("numeric|between:2,3", 9, "The field field must be between 2 and 3."),
    ("array|between:2,3", [1], "The field field must have between 2 and 3 items."),
    ("between:2,3", FakeFile(), "The field field must be between 2 and 3 kilobytes."),
    ("boolean", "x", "The field field must be true or false."),
    ("confirmed", "x", "The field field confirmation does not match."),
    ("date", "x", "The field field must be a valid date."),
    ("date_equals:2026-01-01", "2026-01-02", "The field field must be a date equal to 2026-01-01."),
    ("date_format:Y-m-d", "x", "The field field must match the format Y-m-d."),
    ("decimal:2,4", "1", "The field field must have 2-4 decimal places."),
    ("digits:4", "1", "The field field must be 4 digits."),
    ("digits_between:2,3", "1", "The field field must be between 2 and 3 digits."),
    ("dimensions:width=1", FakeFile(), "The field field has invalid image dimensions."),
    ("email", "x", "The field field must be a valid email address."),
    ("ends_with:a,b", "c", "The field field must end with one of the following: a, b."),
    ("file", "x", "The field field must be a file."),
    ("filled", "", "The field field must have a value."),
    ("gt:3", 3, "The field field must be greater than 3."),
    ("gte:3", [1], "The field field must have 3 items or more."),
    ("lt:3", "abcd", "The field field must be less than 3 characters."),
    ("lte:3", [1, 2, 3, 4], "The field field must not have more than 3 items."),
    ("image", FakeFile(extension="pdf"), "The field field must be an image."),
    ("in:a,b", "c", "The selected field is invalid."),
    ("integer", "x", "The field field must be an integer."),
    ("ip", "x", "The field field must be a valid IP address."),
    ("ipv4", "x", "The field field must be a valid IPv4 address."),
    ("ipv6", "x", "The field field must be a valid IPv6 address."),
    ("json", "{", "The field field must be a valid JSON string."),
    ("list", {"a": 1}, "The field field must be a list."),
    ("lowercase", "A", "The field field must be lowercase."),
    ("uppercase", "a", "The field field must be uppercase."),
    ("max:2", "abc", "The field field must not be greater than 2 characters."),
    ("integer|max:2", 3, "The field field must not be greater than 2."),
    ("array|max:1", [1, 2], "The field field must not have more than 1 items."),
    ("max:0", FakeFile(), "The field field must not be greater than 0 kilobytes."),
    ("min:2", "a", "The field field must be at least 2 characters."),
    ("integer|min:2", 1, "The field field must be at least 2."),
    ("array|min:2", [1], "The field field must have at least 2 items."),
    ("min:2", FakeFile(), "The field field must be at least 2 kilobytes."),
    ("mimes:pdf,zip", FakeFile(), "The field field must be a file of type: pdf, zip."),
    ("mimetypes:text/css", FakeFile(), "The field field must be a file of type: text/css."),
    ("missing", "x", "The field field must be missing."),
    ("multiple_of:3", 4, "The field field must be a multiple of 3."),
    ("not_in:a", "a", "The selected field is invalid."),
    ("not_regex:/a/", "a", "The field field format is invalid."),
    ("numeric", "x", "The field field must be a number."),
    ("prohibited", "x", "The field field is prohibited."),
    ("regex:/a/", "b", "The field field format is invalid."),
    ("required", "", "The field field is required."),
    ("required_array_keys:a,b", {"a": 1}, "The field field must contain entries for: a, b."),
    ("size:2", "a", "The field field must be 2 characters."),
    ("numeric|size:2", 3, "The field field must be 2."),
    ("array|size:2", [1], "The field field must contain 2 items."),
    ("size:2", FakeFile(), "The field field must be 2 kilobytes."),
    ("starts_with:a", "b", "The field field must start with one of the following: a."),
    ("string", 5, "The field field must be a string."),
    ("timezone", "x", "The field field must be a valid timezone."),
    ("ulid", "x", "The field field must be a valid ULID."),
    ("url", "x", "The field field must be a valid URL."),
    ("uuid", "x", "The field field must be a valid UUID."),
    ("string", FakeFile(valid=False), "The field failed to upload."),
]


@pytest.mark.parametrize(("rules", "value", "said"), MESSAGES)
def test_the_default_messages_are_those_people_know_from_laravel(rules, value, said):
    assert message(rules, value) == said


OTHERS = [
    ("same:other", 1, {"other": 1}, {"other": "1"}, "The field field must match other."),
    ("different:other", "a", {"other": "b"}, {"other": "a"},
     "The field field and other must be different."),
    ("different:x,y", "a", {"x": 1, "y": 2}, {"x": 1, "y": "a"},
     "The field field and x must be different."),
    ("confirmed", "a", {"field_confirmation": "a"}, {"field_confirmation": "b"},
     "The field field confirmation does not match."),
    ("confirmed:again", "a", {"again": "a"}, {}, "The field field confirmation does not match."),
    ("gt:other", 5, {"other": 4}, {"other": 5}, "The field field must be greater than 5."),
    ("gt:other", "abc", {"other": "ab"}, {"other": "abcd"},
     "The field field must be greater than 4 characters."),
    ("gte:other", [1], {"other": [2]}, {"other": [1, 2]},
     "The field field must have 2 items or more."),
    ("lt:other", "9", {"other": "10"}, {"other": "8.5"}, "The field field must be less than 8.5."),
    ("lte:other", FakeFile(size=10), {"other": FakeFile(size=10)}, {"other": "text"},
     "The field field must be less than or equal to 4 kilobytes."),
    ("gt:other", 5, {"other": 1}, {}, "The field field must be greater than other."),
    ("in_array:list.*", "b", {"list": ["a", "b"]}, {"list": ["a"]},
     "The field field must exist in list.*."),
    ("after:other", "2026-01-02", {"other": "2026-01-01"}, {"other": "2026-01-02"},
     "The field field must be a date after other."),
    ("before:other", "2026-01-01", {"other": "2 Jan 2026"}, {"other": "1 Jan 2026"},
     "The field field must be a date before other."),
    ("after_or_equal:other", "2026-01-02", {}, {"other": "nonsense"},
     "The field field must be a date after or equal to other."),
    ("prohibited_if:other,a,b", "x", {"other": "c"}, {"other": "b"},
     "The field field is prohibited when other is b."),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "value", "good", "bad", "said"), OTHERS)
def test_a_rule_may_look_at_other_fields(rules, value, good, bad, said):
    assert passes(rules, value, **good)
    assert message(rules, value, **bad) == said


REQUIRED = [
    ("required_if:kind,company,club", {"kind": "club"}, {"kind": "person"},
     "The field field is required when kind is club."),
    ("required_if:flag,true", {"flag": True}, {"flag": False},
     "The field field is required when flag is true."),
    ("required_if:flag,null", {"flag": None}, {"flag": "x"},
     "The field field is required when flag is empty."),
    ("required_if:n,5", {"n": 5}, {"n": [5]}, "The field field is required when n is 5."),
    ("required_unless:kind,person", {"kind": "club"}, {"kind": "person"},
     "The field field is required unless kind is in person."),
    ("required_unless:kind,a,b", {}, {"kind": "b"},
     "The field field is required unless kind is in a, b."),
    ("required_unless:kind,null", {"kind": "x"}, {},
     "The field field is required unless kind is in null."),
    ("required_with:first_name,b", {"first_name": "x"}, {"first_name": " "},
     "The field field is required when first name / b is present."),
    ("required_with_all:a,b", {"a": 1, "b": 2}, {"a": 1},
     "The field field is required when a / b are present."),
    ("required_without:a,b", {"a": 1}, {"a": 1, "b": 2},
     "The field field is required when a / b is not present."),
    ("required_without_all:a,b", {}, {"a": 1},
     "The field field is required when none of a / b are present."),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "needed", "not_needed", "said"), REQUIRED)
def test_a_field_may_be_required_by_the_state_of_others(rules, needed, not_needed, said):
    validator = Validator(needed, {"field": rules})
    assert validator.errors() == {"field": [said]}
    assert Validator(needed | {"field": "x"}, {"field": rules}).passes()
    assert Validator(not_needed, {"field": rules}).passes()


def test_required_if_of_an_absent_field_asks_for_nothing():
    assert Validator({}, {"field": "required_if:kind,null"}).passes()


def test_a_field_ruled_boolean_is_compared_as_one():
    rules = {"flag": "boolean", "field": "required_if:flag,true"}

    assert Validator({"flag": "1"}, rules).fails()
    assert Validator({"flag": "0"}, rules).passes()


@pytest.mark.parametrize("value", [None, "", "  \t", [], {}, FakeFile(client_name="")])
def test_blank_is_not_enough_for_required(value):
    assert not passes("required", value)


@pytest.mark.parametrize("value", [0, False, "0", [0], FakeFile()])
def test_zero_and_false_are_given(value):
    assert passes("required", value)


def test_present_filled_and_missing_judge_the_key_itself():
    assert Validator({}, {"a": "present"}).errors() == {"a": ["The a field must be present."]}
    assert Validator({"a": None}, {"a": "present"}).passes()
    assert Validator({}, {"a": "filled"}).passes()
    assert Validator({"a": None}, {"a": "filled"}).fails()
    assert Validator({}, {"a": "missing"}).passes()
    assert Validator({"a": None}, {"a": "missing"}).fails()
    assert Validator({"a": ""}, {"a": "prohibited"}).passes()


# --- dates ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "good", "bad"),
    [
        ("after:today", "2026-01-15 00:00:01", "2026-01-15"),
        ("after_or_equal:today", "2026-01-15", "2026-01-14"),
        ("before:tomorrow", "2026-01-15", "2026-01-16"),
        ("before_or_equal:yesterday", "2026-01-14", "2026-01-15"),
        ("after:now", "2026-01-15 12:00:01", "2026-01-15 12:00"),
        ("date_equals:2026-01-15", "15.01.2026", "16.01.2026"),
        ("before:+1 week", "2026-01-22 11:59", "2026-01-22 12:00"),
        ("after:2 days ago", "2026-01-13 12:01", "2026-01-13 12:00"),
        ("before:today +1 month", "2026-02-14", "2026-02-15"),
        ("before:2026-01-31 +1 month", "2026-03-02", "2026-03-03"),
        ("after:last year", "2025-01-15 12:01", "2025-01-15 12:00"),
        ("before:next month", "2026-02-15 11:00", "2026-02-15 13:00"),
        ("after:noon", "2026-01-15 12:01", "2026-01-15 11:59"),
        ("date_format:d/m/Y|after:01/02/2026", "02/02/2026", "31/01/2026"),
        ("after:2026-01-15T12:00:00+02:00", "2026-01-15 10:01", "2026-01-15 10:00"),
    ],
)
def test_dates_are_compared_with_dates_and_relative_ones(rules, good, bad):
    clock = Clock(datetime(2026, 1, 15, 12, tzinfo=UTC))

    assert Validator({"field": good}, {"field": rules}, clock=clock).passes()
    assert Validator({"field": bad}, {"field": rules}, clock=clock).fails()


def test_the_message_names_the_date_as_it_was_written():
    assert message("after:tomorrow", "2020-01-01") == (
        "The field field must be a date after tomorrow."
    )


@pytest.mark.parametrize(
    "words",
    ["sometime", "today yesterday", "+1 weekday", "+999999 years", "1 week maybe", "5", "x" * 200],
)
def test_what_is_neither_date_nor_field_compares_with_nothing(words):
    assert Validator({"field": "x"}, {"field": f"after:{words}"}).fails()


# --- enumerations and builders ------------------------------------------------------------------


class Status(Enum):
    OPEN = "open"
    PAID = "paid"
    VOID = "void"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


def test_an_enum_accepts_the_values_of_its_members():
    assert passes(Rule.enum(Status), "open")
    assert passes([Rule.enum(Status)], Status.OPEN)
    assert passes(Rule.enum(Level), 2)
    assert passes(Rule.enum(Level), "2")
    assert not passes(Rule.enum(Level), True)
    assert message(Rule.enum(Status), "lost") == "The selected field is invalid."


def test_an_enum_may_be_narrowed():
    only = Rule.enum(Status).only(Status.OPEN, Status.PAID)
    without = Rule.enum(Status).except_([Status.VOID])

    assert passes(only, "paid")
    assert not passes(only, "void")
    assert not passes(without, "void")


def test_builders_take_values_a_text_cannot_hold():
    assert passes(Rule.in_("a,b", "c"), "a,b")
    assert passes(Rule.in_(["x", "y"]), "y")
    assert passes(Rule.in_(Status), "paid")
    assert not passes(Rule.in_([]), "x")
    assert not passes(Rule.not_in(["x"]), "x")
    assert passes(Rule.dimensions(min_width=100).ratio("3/2"), FakeFile())
    assert not passes(Rule.dimensions().max_height(10), FakeFile())


def test_required_if_takes_a_condition():
    assert Validator({}, {"a": Rule.required_if(True)}).errors() == {
        "a": ["The a field is required."]
    }
    assert Validator({}, {"a": [Rule.required_if(lambda: False), "string"]}).passes()
    assert Validator({"b": "x"}, {"a": Rule.required_if("b", "x", "y")}).fails()


def test_when_chooses_rules_by_the_data():
    rules = {"vat": Rule.when(lambda data: data["kind"] == "company", "required", ["nullable"])}

    assert Validator({"kind": "company"}, rules).fails()
    assert Validator({"kind": "person", "vat": None}, rules).passes()
    assert Validator({"a": 5}, {"a": [Rule.when(False, "string"), "integer"]}).passes()


def test_for_each_makes_the_rules_of_an_item_from_the_item():
    def limits(value, attribute):
        return ["integer", "max:10" if attribute.endswith(".0") else "max:20"]

    validator = Validator({"n": [15, 15, 25]}, {"n.*": Rule.for_each(limits)})

    assert list(validator.errors()) == ["n.0", "n.2"]
    assert Validator({"n": [1]}, {"n.*": ["required", Rule.for_each(lambda v: "string")]}).fails()


# --- distinct -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "values", "wrong"),
    [
        ("distinct", ["a", "b", "a"], [0, 2]),
        ("distinct", [1, "1", "1.0", 2], [0, 1, 2]),
        ("distinct:strict", [1, "1", 1], [0, 2]),
        ("distinct", ["A", "a"], []),
        ("distinct:ignore_case", ["A", "a"], [0, 1]),
        ("distinct", [{"x": 1}, {"x": 1}, {"x": 2}], [0, 1]),
        ("distinct", [0, "0.0"], [0, 1]),
    ],
)
def test_distinct_marks_every_double(rules, values, wrong):
    validator = Validator({"v": values}, {"v.*": rules})

    assert list(validator.errors()) == [f"v.{n}" for n in wrong]


# --- definitions that make no sense ---------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "mend"),
    [
        ("requird", "did you mean 'required'"),
        ("no_such_thing_at_all", "Validator.extend"),
        ("between:1", "needs at least 2 parameters"),
        ("min", "needs at least 1 parameter"),
        ("min:lots", "needs a number, not 'lots'"),
        ("regex:/(/", "bad pattern"),
        ("required|regex:/^a|b$/", "must be an item of a list"),
        ("email:dns", "unknown option 'dns'"),
        ("alpha:latin", "option ascii"),
        ("integer:loose", "option strict"),
        ("image:all", "allow_svg"),
        ("uuid:9", "versions 1 to 8"),
        ("distinct:maybe", "strict or ignore_case"),
        ("enum:app.Status", "Rule.enum"),
        ("dimensions:min_widht=5", "min_width"),
        ("dimensions:ratio=1/0", "ratio"),
        ("date_format:Q", "unknown letter 'Q'"),
        ("unique:users;drop", "no name of a table"),
        ("exists:users,na me", "no name of a table"),
        ("unique:users,email,1,id,status", "has no value"),
        ([object()], "no validation rule"),
        (5, "no validation rule"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_when_the_validator_is_made(rules, mend):
    with pytest.raises(InvalidRuleError, match=mend):
        Validator({}, {"field": rules})


def test_a_pattern_with_a_bar_stands_in_a_list():
    assert passes(["required", "regex:/^(a|b)$/"], "b")
    assert not passes(["regex:/^(a|b)$/"], "c")


def test_a_time_zone_cannot_be_judged_without_time_zone_data(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tzdata", None)
    zoneinfo.reset_tzpath(to=[str(tmp_path)])
    zoneinfo.ZoneInfo.clear_cache()
    try:
        assert passes("timezone", "UTC")
        with pytest.raises(ConfigError, match="install the system's package tzdata"):
            passes("timezone", "Europe/Berlin")
    finally:
        zoneinfo.reset_tzpath()
        zoneinfo.ZoneInfo.clear_cache()


def test_unique_without_a_database_says_what_to_do():
    with pytest.raises(ConfigError, match="presence=DatabasePresence"):
        validate({"email": "a@b.co"}, {"email": "unique:users"})

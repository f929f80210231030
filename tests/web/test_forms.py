"""Forms come back as they were sent: values, errors at their field, lines under their numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from so import Application, Response, Router
from so.errors import ValidationException
from so.support.formats import Formats
from so.support.markup import h
from so.testing import Client
from so.web.forms import Form, FormRow, bracketed, dotted, form

RULES = {
    "name": "required|string|max:20|min:2",
    "age": "required|integer|between:18,99",
    "price": "required|decimal:0,2|min:0",
    "weight": "numeric",
    "born": "date",
    "kind": ["required", lambda value: None],
    "items": "required|array",
    "items.*.quantity": "required|integer|min:1",
}


def draw(make: Callable[..., Form], parts: Callable[[Form], Any]) -> str:
    f = make()
    return str(parts(f))


@pytest.fixture
def application(tmp_path: Any) -> Iterator[Application]:
    settings = {"app": {"env": "testing", "key": "k" * 32, "storage": str(tmp_path)}}
    with Application(tmp_path, settings) as app:
        app.install_tables()
        yield app


def page_of(make: Callable[[], Any], path: str = "/form") -> None:
    Router.get(path, lambda: Response.html(make())).middleware("web")


def refused(
    application: Application, make: Callable[[], Any], data: Any, rules: Any, sent_to: str = "/save"
) -> str:
    """The page with the form after *data* was refused by *rules*."""
    page_of(make)
    Router.post(sent_to, lambda request: request.validate(rules)).middleware("web")
    client = Client(application)
    client.get("/form")
    headers = {"Referer": "http://localhost/form", "Sec-Fetch-Site": "same-origin"}
    client.post(sent_to, data=data, headers=headers).assert_redirect("/form")
    return client.get("/form").text


def control(html: str, name: str) -> str:
    """The tag of the control called *name*."""
    found = re.search(rf'<(?:input|select|textarea)[^>]* name="{re.escape(name)}"[^>]*>', html)
    assert found, f"no {name} in {html}"
    return found[0]


def described(html: str, name: str) -> str:
    """What the control called *name* says of itself: the text of the elements it points to."""
    ids = re.search(r'aria-describedby="([^"]*)"', control(html, name))
    texts = []
    for id in ids[1].split() if ids else []:
        element = re.search(rf'<(\w+)[^>]* id="{id}"[^>]*>(.*?)</\1>', html, re.DOTALL)
        assert element, id
        texts.append(re.sub("<[^>]*>", "", element[2]))
    return " ".join(texts)


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("name", "name"),
        ("items.0.quantity", "items[0][quantity]"),
        ("a.b.c.d", "a[b][c][d]"),
        ("items[0].quantity", "items[0][quantity]"),
    ],
)
def test_dotted_and_bracketed_names_are_one(one: str, other: str) -> None:
    assert bracketed(one) == bracketed(other) == other
    assert dotted(one) == dotted(other)
    assert (dotted("tags[]"), bracketed("tags[]")) == ("tags", "tags[]")


# --- a form at first ------------------------------------------------------------------------------


def test_a_field_has_a_label_a_name_and_what_the_rules_let_a_browser_check() -> None:
    f = form("/save", rules=RULES)

    name = f.text("name", "Your <name>", hint="As in your passport")
    assert '<label for="name">Your &lt;name&gt;</label>' in name
    assert control(name, "name") == (
        '<input type="text" value="" id="name" name="name" required maxlength="20" minlength="2"'
        ' aria-describedby="name-hint">'
    )
    assert described(name, "name") == "As in your passport"
    age = control(f.number("age", "Age"), "age")
    assert 'type="number"' in age
    assert 'max="99" min="18" step="1"' in age
    assert 'step="0.01"' in control(f.number("price", "Price"), "price")
    assert 'step="any"' in control(f.number("weight", "Weight"), "weight")
    assert 'inputmode="decimal"' in control(f.money("price", "Price"), "price")
    assert "maxlength" not in control(f.money("price", "Price"), "price")
    assert "required" in control(f.select("kind", "Kind", []), "kind")
    assert "aria-invalid" not in name


@dataclass
class Order:
    name: str
    born: date
    price: Decimal
    is_open: bool
    tags: list[str]
    items: list[dict[str, int]]


ORDER = Order("Ann", date(2026, 3, 1), Decimal("1E+3"), True, ["a", "c"], [{"quantity": 5}])


@pytest.mark.parametrize("values", [ORDER, vars(ORDER)])
def test_fields_hold_what_the_values_say(values: Any) -> None:
    f = form("/save", values=values)

    assert 'value="Ann"' in f.text("name", "Name")
    assert 'value="2026-03-01"' in f.date("born", "Born")
    assert 'value="1000' in f.money("price", "Price")
    assert "checked" in f.checkbox("is_open", "Open")
    tags = f.select("tags[]", "Tags", {"a": "A", "b": "B", "c": "C"})
    assert re.findall(r'value="(\w)" selected', tags) == ["a", "c"]
    assert "multiple" in tags
    assert 'name="tags[]"' in tags
    assert 'value="5"' in f.rows("items", lambda row: row.number("quantity", "Quantity"))
    assert 'value=""' in f.text("absent", "Absent")
    assert "<script" not in form("/x", values={"a": "<script>"}).textarea("a", "A")


def test_an_amount_is_shown_as_its_reader_writes_it_and_what_was_typed_as_it_was(
    application: Application,
) -> None:
    application.instance("formats", Formats("de-DE"))

    f = form("/save", values={"price": Decimal("1234.5"), "rate": "0.125", "odd": "x", "no": None})
    shown = {name: re.findall('value="([^"]*)"', f.money(name, "")) for name in f.values}
    assert shown == {"price": ["1.234,50"], "rate": ["0,125"], "odd": ["x"], "no": [""]}


def test_a_whole_form_carries_token_method_and_encoding(application: Application) -> None:
    def make() -> Any:
        f = form("/save", "PUT")
        return f(f.file("photo", "Photo"), f.hidden("version", 3), send="Keep")

    page_of(make)
    html = Client(application).get("/form").text

    assert '<form method="post" action="/save" enctype="multipart/form-data">' in html
    assert '<input type="hidden" name="_token"' in html
    assert '<input type="hidden" name="_method" value="PUT">' in html
    assert '<input type="hidden" name="version" value="3">' in html
    assert "<button>Keep</button>" in html
    assert 'role="alert"' not in html


def test_a_form_that_asks_shows_what_was_asked_for(application: Application) -> None:
    def make() -> Any:
        f = form("/form", "GET")
        return f(f.text("q", "Search"), send="Go")

    page_of(make)
    html = Client(application).get("/form?q=bolts").text

    assert 'method="get"' in html
    assert "_token" not in html
    assert 'value="bolts"' in html


# --- a form that was refused ----------------------------------------------------------------------


def test_what_was_typed_and_what_is_wrong_stand_at_the_field(application: Application) -> None:
    def make() -> Any:
        f = form("/save", rules=RULES, values={"name": "Old", "note": "old", "agree": "1"})
        return f(
            f.text("name", "Name"),
            f.number("age", "Age"),
            f.date("born", "Born"),
            f.textarea("note", "Note"),
            f.checkbox("agree", "Agree"),
            f.checkbox("again", "Again"),
            f.text("password", "Password", kind="password"),
            f.file("photo", "Photo"),
        )

    data = {
        "name": "A",
        "age": "2x",
        "born": "soon",
        "note": "\nnew",
        "again": "1",
        "password": "p",
    }
    rules = {"name": "min:2", "age": "integer", "born": "date"}
    html = refused(application, make, data, rules)

    assert 'value="A"' in control(html, "name")
    assert 'aria-invalid="true"' in control(html, "name")
    assert described(html, "name") == "The name field must be at least 2 characters."
    assert control(html, "age").startswith('<input type="text" value="2x"')
    assert control(html, "born").startswith('<input type="text" value="soon"')
    assert ">\n\nnew</textarea>" in html
    assert "checked" not in control(html, "agree")
    assert "checked" in control(html, "again")
    assert 'value=""' in control(html, "password")
    assert described(html, "photo") == "Choose the file again."
    assert "aria-invalid" not in control(html, "note")
    assert '<a href="#name">The name field must be at least 2 characters.</a>' in html


def lines_form() -> Any:
    f = form("/save", rules=RULES)

    def line(row: FormRow) -> Any:
        return [row.text("product", "Product"), row.number("quantity", "Quantity")]

    return f(f.rows("items", line, count=3), f.text("name", "Name"))


def test_an_error_about_a_line_stands_by_that_line(application: Application) -> None:
    data = {"items[0][product]": "bolt", "items[0][quantity]": "1",
            "items[4][product]": "nut", "items[4][quantity]": "0"}  # fmt: skip
    html = refused(application, lines_form, data, {"items.*.quantity": "integer|min:1"})

    assert re.findall(r'name="items\[(\d)\]\[product\]"', html) == ["0", "1", "4"]
    assert re.findall(r"<legend>(.*?)</legend>", html) == ["Line 1", "Line 2", "Line 3"]
    assert 'value="bolt"' in control(html, "items[0][product]")
    assert 'value="0"' in control(html, "items[4][quantity]")
    assert "must be at least 1" in described(html, "items[4][quantity]")
    assert "aria-invalid" not in control(html, "items[0][quantity]")
    assert re.search(r'<a href="#items-4-quantity">Line 3: The [^<]* at least 1', html)


def test_more_lines_than_the_form_has_come_back_all(application: Application) -> None:
    data = {f"items[{at}][quantity]": str(at) for at in range(12)} | {"name": ""}
    html = refused(application, lines_form, data, {"name": "required"})

    found = re.findall(r'value="(\d+)" id="items-\d+-quantity', html)
    assert found == [str(at) for at in range(12)]


def test_an_error_about_all_lines_or_a_whole_one_has_its_place(application: Application) -> None:
    page_of(lines_form)
    Router.post("/save", lambda: _raise({"items": "Too many.", "items.1": "Sold out."})).middleware(
        "web"
    )
    client = Client(application)
    headers = {"Referer": "http://localhost/form", "Sec-Fetch-Site": "same-origin"}
    client.post("/save", data={"name": "x"}, headers=headers)
    html = client.get("/form").text

    assert '<fieldset class="line" id="items-1" aria-describedby="items-1-error">' in html
    assert '<p class="error" id="items-1-error"><span>Sold out.</span></p></fieldset>' in html
    assert '<p class="error" id="items-error"><span>Too many.</span></p></div>' in html
    assert '<a href="#items-1">Line 2: Sold out.</a>' in html


def _raise(errors: Any) -> None:
    raise ValidationException(errors)


@pytest.mark.parametrize(
    "errors",
    ["Closed for today.", ["Closed for today."], {"": "Closed for today."},
     {"elsewhere": ["Closed for today."]}, {"version": "Closed for today."},
     ValidationException({"form": "Closed for today."})],
)  # fmt: skip
def test_an_error_that_is_at_no_field_stands_at_the_head(
    application: Application, errors: Any
) -> None:
    def make() -> Any:
        f = form("/save", errors=errors)
        return f(f.text("name", "Name"), f.hidden("version", 1))

    page_of(make)
    html = Client(application).get("/form").text

    head, _, rest = html.partition('<label for="name">')
    assert 'role="alert"' in head
    assert "<li>Closed for today.</li>" in head
    assert "Closed" not in rest


def test_errors_may_be_given_under_either_spelling() -> None:
    f = form("/save", errors={"items[0][quantity]": "bad"})

    html = f.rows("items", lambda row: row.number("quantity", "Quantity"))

    assert described(html, "items[0][quantity]") == "bad"


def test_each_of_several_values_may_be_wrong(application: Application) -> None:
    def make() -> Any:
        f = form("/save", values={"tags": ["a"]})
        return f(f.select("tags[]", "Tags", {"a": "A", "b": "B"}))

    html = refused(application, make, {"tags[]": ["b", "x"]}, {"tags.*": "in:a,b"})

    assert "selected tags.1 is invalid" in described(html, "tags[]")
    assert re.findall(r'value="(\w)" selected', html) == ["b"]


def test_several_values_of_which_none_was_sent_come_back_as_none(application: Application) -> None:
    def make() -> Any:
        f = form("/save", values={"tags": ["a"]})
        return f(f.select("tags[]", "Tags", {"a": "A"}))

    html = refused(application, make, {"other": "1"}, {"name": "required"})

    assert "selected" not in html


def test_of_two_forms_on_a_page_only_the_refused_one_says_so(application: Application) -> None:
    def make() -> Any:
        yes, no = form("/approve"), form("/save")
        return yes(yes.text("note", "Note")) + no(no.text("note", "Reason"))

    html = refused(application, make, {"note": "x"}, {"note": "min:5"})

    first, second = html.split('action="/save"')
    assert 'value=""' in control(first, "note")
    assert "aria-invalid" not in first
    assert 'value="x"' in control(second, "note")
    assert 'id="note-2"' in second
    assert '<label for="note-2">' in second
    assert described(second, "note") == "The note field must be at least 5 characters."


def test_below_a_prefix_the_form_is_sent_there_and_comes_back(application: Application) -> None:
    def make() -> Any:
        f = form("/save?draft=1")
        return f(f.text("name", "Name"))

    page_of(make)
    Router.post("/save", lambda request: request.validate({"name": "min:5"})).middleware("web")
    client = Client(application)
    environ = {"SCRIPT_NAME": "/erp"}
    assert 'action="/erp/save?draft=1"' in client.get("/form", environ=environ).text
    headers = {"Referer": "http://localhost/erp/form", "Sec-Fetch-Site": "same-origin"}
    client.post("/save", data={"name": "x"}, headers=headers, environ=environ)
    html = client.get("/form", environ=environ).text

    assert 'value="x"' in control(html, "name")
    assert 'aria-invalid="true"' in control(html, "name")


def test_nothing_typed_can_break_out_of_the_page(application: Application) -> None:
    evil = "\"><script>alert(1)</script>'"
    data = {f"items[{evil}][product]": evil, f"items[{evil}][quantity]": evil, "name": evil}

    html = refused(application, lines_form, data, {"name": "max:3", "items": "max:0"})

    assert "<script" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize("key", ["9" * 5000, "٣", "-1", "x y", "0x1", "²", "__proto__", "00"])
def test_whatever_the_keys_of_the_lines_are_they_come_back(
    application: Application, key: str
) -> None:
    data = {f"items[{key}][quantity]": "7", "name": ""}

    html = refused(application, lines_form, data, {"name": "required"})

    assert 'value="7"' in control(html, f"items[{key}][quantity]")


def test_a_part_may_stand_in_the_place_of_the_button(application):
    part = h("p", h("button", "Reject", class_="danger"))

    assert str(form("/x", "GET")(send=part)).count("<button") == 1
    assert "<p><button>Go &amp; on</button></p>" in str(form("/x", "GET")(send="Go & on"))
    assert "<button" not in str(form("/x", "GET")(send=""))


@pytest.mark.parametrize(
    "field", ["text", "number", "money", "date", "textarea", "select", "file", "checkbox"]
)
def test_a_field_without_a_label_is_called_by_its_name(
    application: Application, field: str
) -> None:
    page = draw(lambda: form("/save"), lambda f: getattr(f, field)("lines[0][first_name]"))

    assert "First name</label>" in page

"""Forms that come back as they were sent: fields with label, what was typed, and what was wrong.

    f = form("/orders", "POST", rules=RULES, values=order)
    page(f(f.text("name", "Name"), f.rows("items", lambda row: row.number("quantity", "Quantity"))))

Everything is Markup. `items.0.quantity` and `items[0][quantity]` are one name. A form shows old
input and errors only if it was the one refused; what no field shows stands at its head.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from so.edge.local import local
from so.http.flash import ERRORS, OLD_INPUT, REFUSED, error_lists
from so.http.helpers import csrf_field, method_field
from so.http.locations import below, header_text
from so.support.markup import Markup, h
from so.support.scope import current_request, current_scope, current_session

Options = Mapping[Any, str] | Iterable[tuple[Any, str]]

_BRACKETS = re.compile(r"\[([^\[\]]*)\]")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?|")
_DATE = re.compile(r"[0-9]{4,}-[0-9]{2}-[0-9]{2}|")
_INDEX_DIGITS = 10
_NUMERIC = frozenset(("integer", "numeric", "decimal"))


def form(
    action: str,
    method: str = "POST",
    rules: Mapping[str, Any] | None = None,
    values: Any = None,
    errors: Any = None,
) -> Form:
    """A form that sends to *action*, a path of this application.

    *rules* are those of `validate`: what a browser knows of them (required, lengths, limits) it
    checks before it sends. *values* are what the fields hold at first: a mapping or a model.
    *errors* (a dict by field, a list, a text, a ValidationException) are those that the session
    keeps of the request before, unless given. PUT, PATCH and DELETE travel in a field.
    """
    return Form(action, method.upper(), dict(rules or {}), values, errors)


def dotted(name: str) -> str:
    """`items.0.quantity` for `items[0][quantity]`, `tags` for `tags[]`."""
    return _BRACKETS.sub(lambda match: f".{match[1]}" if match[1] else "", name)


def bracketed(name: str) -> str:
    """`items[0][quantity]` for `items.0.quantity`, as browsers send it."""
    first, *rest = dotted(name).split(".")
    return first + "".join(f"[{part}]" for part in rest) + ("[]" if name.endswith("[]") else "")


class Fields:
    """The fields of a form, or of one of its rows; each is label, control, hint and error."""

    def __init__(self, form: Form, prefix: str = "", place: str = "") -> None:
        self._form = form
        self._prefix = prefix
        self._place = place

    def text(
        self,
        name: str,
        label: str | None = None,
        *,
        kind: str = "text",
        hint: Any = None,
        **more: Any,
    ) -> Markup:
        """One line of text; *kind* is the type of the input (`email`, `password`, `tel`, …)."""
        field = self._field(name, "" if kind == "password" else None)
        limits = field.limits("maxlength", "minlength")
        control = h("input", type=kind, value=field.text, **field.attributes(hint, limits, more))
        return field.drawn(label, control, hint)

    def number(
        self, name: str, label: str | None = None, *, hint: Any = None, **more: Any
    ) -> Markup:
        """A number, with the limits and the step that the rules allow."""
        field = self._field(name)
        # A browser shows nothing of a text in a field for numbers: what was typed would be gone.
        kind = "number" if _NUMBER.fullmatch(field.text) else "text"
        limits = {**field.limits("max", "min"), "step": field.step()}
        control = h("input", type=kind, value=field.text, **field.attributes(hint, limits, more))
        return field.drawn(label, control, hint)

    def money(
        self, name: str, label: str | None = None, *, hint: Any = None, **more: Any
    ) -> Markup:
        """An amount, exact to the digit, as whoever asks writes it: 1.234,50 in German.

        What was typed is shown as it was typed; `local().plain()` reads it.
        """
        field = self._field(name)
        text = field.text if field.is_typed else _amount(field.text)
        limits = field.limits("maxlength", "minlength")
        more = {"inputmode": "decimal", **more}  # phones show their keys for numbers
        control = h("input", type="text", value=text, **field.attributes(hint, limits, more))
        return field.drawn(label, control, hint)

    def date(self, name: str, label: str | None = None, *, hint: Any = None, **more: Any) -> Markup:
        """A day, picked from a calendar where the browser has one."""
        field = self._field(name)
        kind = "date" if _DATE.fullmatch(field.text) else "text"
        control = h("input", type=kind, value=field.text, **field.attributes(hint, {}, more))
        return field.drawn(label, control, hint)

    def textarea(
        self, name: str, label: str | None = None, *, hint: Any = None, rows: int = 4, **more: Any
    ) -> Markup:
        """Several lines of text."""
        field = self._field(name)
        limits = {"rows": rows, **field.limits("maxlength", "minlength")}
        # The first line end after the tag is no part of the text.
        text = f"\n{field.text}"
        control = h("textarea", text, **field.attributes(hint, limits, more))
        return field.drawn(label, control, hint)

    def select(
        self,
        name: str,
        label: str | None = None,
        options: Options = (),
        *,
        hint: Any = None,
        **more: Any,
    ) -> Markup:
        """One of *options* (value and text); several for a name that ends in `[]`."""
        field = self._field(name, kind="select")
        if name.endswith("[]"):
            more = {"multiple": True, **more}
        pairs = options.items() if isinstance(options, Mapping) else options
        choices = [
            h("option", text, value=_text(value), selected=_text(value) in field.texts)
            for value, text in pairs
        ]
        control = h("select", choices, **field.attributes(hint, {}, more))
        return field.drawn(label, control, hint)

    def checkbox(
        self,
        name: str,
        label: str | None = None,
        *,
        value: Any = "1",
        hint: Any = None,
        **more: Any,
    ) -> Markup:
        """A box to tick, which sends *value*."""
        field = self._field(name, kind="checkbox")
        attributes = field.attributes(hint, {}, more)
        attributes["checked"] = _text(value) in field.texts
        control = h("input", type="checkbox", value=_text(value), **attributes)
        told = field.label if label is None else label
        parts = [h("label", control, " ", told, for_=field.id), *field.below(hint)]
        return h("div", parts, class_="field check")

    def file(self, name: str, label: str | None = None, *, hint: Any = None, **more: Any) -> Markup:
        """A file to send; after a refusal it has to be chosen again, and that is said."""
        field = self._field(name, "")
        self._form.has_files = True
        if self._form.was_refused:
            again = "Choose the file again."
            hint = again if hint is None else [hint, " ", again]
        control = h("input", type="file", **field.attributes(hint, {}, more))
        return field.drawn(label, control, hint)

    def hidden(self, name: str, value: Any = None) -> Markup:
        """A value that goes along unseen; an error about it stands at the head of the form."""
        field = self._field(name, value)
        self._form.places.pop(field.name, None)
        return h("input", type="hidden", name=bracketed(name), value=field.text)

    def rows(
        self,
        name: str,
        make: Callable[[FormRow], Any],
        *,
        count: int = 1,
        label: str = "Line",
    ) -> Markup:
        """The lines of a document: *make* draws the fields of one.

        As many as were sent or are in the values, *count* at least; a line keeps its number.
        """
        full = self._full(name)
        lines = [
            self._line(FormRow(self._form, f"{full}.{key}", position, f"{label} {position}"), make)
            for position, key in enumerate(self._form.keys_of(full, count), 1)
        ]
        field = _Field(self._form, full, "")
        return h("div", lines, field.error(), class_="rows", id=field.id)

    def _line(self, row: FormRow, make: Callable[[FormRow], Any]) -> Markup:
        field = _Field(self._form, row.name, "", row.place)
        described = f"{field.id}-error" if field.wrong else None
        return h(
            "fieldset", h("legend", row.place), make(row), field.error(),
            class_="line", id=field.id, aria_describedby=described,
        )  # fmt: skip

    def _field(self, name: str, value: Any = None, kind: str = "") -> _Field:
        is_list = name.endswith("[]")
        return _Field(self._form, self._full(name), value, self._place, is_list, kind)

    def _full(self, name: str) -> str:
        return f"{self._prefix}.{dotted(name)}" if self._prefix else dotted(name)


class FormRow(Fields):
    """One line of `rows`: `position` counts from 1, `place` is what people call it (`Line 1`)."""

    def __init__(self, form: Form, name: str, position: int, place: str) -> None:
        super().__init__(form, name, place)
        self.name, self.position, self.place = name, position, place


class Form(Fields):
    """A form; called with its parts it is drawn, with the token, its errors and a button."""

    def __init__(
        self, action: str, method: str, rules: dict[str, Any], values: Any, errors: Any
    ) -> None:
        super().__init__(self)
        self._request, session = current_request(), current_session()
        mount = "" if self._request is None else self._request.script_name()
        self.shows_query = values is None and method == "GET"
        self.action, self.method = below(mount, header_text(action)), method
        if values is None and method == "GET" and self._request is not None:
            values = self._request.query()
        self.rules, self.values = rules, values
        mine = method != "GET" and session is not None and self._is_mine(session.get(REFUSED))
        kept = session.get(OLD_INPUT) if mine and session is not None else None
        self.old: Mapping[str, Any] = kept if isinstance(kept, Mapping) else {}
        if errors is None:
            errors = _kept_errors(session) if mine else {}
        self.errors = {dotted(name): texts for name, texts in error_lists(errors).items()}
        self.was_refused = isinstance(kept, Mapping)
        self.has_files = False
        # Of the fields that have an error: their ids, and the lines they stand in.
        self.places: dict[str, tuple[str, str]] = {}

    def _is_mine(self, refused: Any) -> bool:
        """False if it is known that another form of the page was refused."""
        here = re.split("[?#]", self.action)[0]
        return refused is None or str(refused).rstrip("/") == here.rstrip("/")

    def __call__(self, *parts: Any, send: Any = "Save", **more: Any) -> Markup:
        """The whole form with *parts*; *send* is what the button says, or a part of its own."""
        is_get = self.method == "GET"
        is_part = isinstance(send, Markup) or not isinstance(send, str)
        button = send or None if is_part else send and h("p", h("button", send))
        return h(
            "form",
            None if is_get else csrf_field(),
            None if self.method in ("GET", "POST") else method_field(self.method),
            self.summary(),
            list(parts),
            button,
            **{
                "method": "get" if is_get else "post",
                "action": self.action,
                "enctype": "multipart/form-data" if self.has_files else None,
                **more,
            },
        )

    def summary(self) -> Markup | None:
        """What was wrong: what no field shows in full, of the others a link to each."""
        if not self.errors:
            return None
        entries = []
        for name, texts in self.errors.items():
            id, place = self.places.get(name, ("", ""))
            for text in texts:
                told = f"{place}: {text}" if place else text
                entries.append(h("li", h("a", told, href=f"#{id}") if id else told))
        heading = h("p", "Please correct this first:")
        return h("div", heading, h("ul", entries), class_="errors", role="alert", tabindex="-1")

    def keys_of(self, name: str, count: int) -> list[str]:
        """The keys of the rows called *name*, in order, filled up to *count*."""
        held = _find(self.old, name) if self.was_refused else _find(self.values, name)
        if isinstance(held, Mapping):
            keys = [str(key) for key in held]
        else:
            keys = [str(at) for at in range(len(held))] if isinstance(held, (list, tuple)) else []
        free = (str(at) for at in range(len(keys) + count) if str(at) not in keys)
        keys += [key for key, _ in zip(free, range(count - len(keys)), strict=False)]
        return sorted(keys, key=int) if all(_is_index(key) for key in keys) else keys

    def rules_of(self, name: str) -> list[str]:
        """The rules for *name* that are written as text."""
        parts = name.split(".")
        for pattern, given in self.rules.items():
            wanted = dotted(pattern).split(".")
            if len(wanted) == len(parts) and all(
                one in ("*", other) for one, other in zip(wanted, parts, strict=True)
            ):
                listed = given.split("|") if isinstance(given, str) else given
                return [rule for rule in listed if isinstance(rule, str)]
        return []


class _Field:
    """One field of a form: its id, what it holds, what is wrong with it."""

    def __init__(
        self,
        form: Form,
        name: str,
        value: Any,
        place: str = "",
        is_list: bool = False,
        kind: str = "",
    ) -> None:
        self._form, self.name, self._is_list = form, name, is_list
        self.id = _unique(re.sub(r"[^A-Za-z0-9_-]+", "-", name))
        self.texts = self._texts(value, kind)
        self.text = self.texts[0] if self.texts else ""
        self.wrong = form.errors.get(name, [])
        if is_list:  # one of several values has no place of its own
            inner = [key for key in form.errors if key.startswith(f"{name}.")]
            self.wrong = [*self.wrong, *(text for key in inner for text in form.errors[key])]
            form.places.update(dict.fromkeys(inner, (self.id, place)))
        if name in form.errors:
            form.places[name] = (self.id, place)

    def _texts(self, value: Any, kind: str) -> list[str]:
        """What was typed, else *value*, else what the form's values hold."""
        typed = _find(self._form.old, self.name) if value is None else None
        if typed is None and self._form.was_refused and (kind == "checkbox" or self._is_list):
            typed = ""
        self.is_typed = typed is not None or self._form.shows_query
        held = typed if typed is not None else value
        if held is None:
            held = _find(self._form.values, self.name)
        several = held if isinstance(held, (list, tuple, set, frozenset)) else [held]
        return [_text(one) for one in several]

    def attributes(
        self, hint: Any, limits: Mapping[str, Any], more: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What every control has; *more* is the caller's and counts."""
        described = [f"{self.id}-error"] if self.wrong else []
        described += [f"{self.id}-hint"] if hint is not None else []
        is_line = "." in self.name  # lines that are left empty are none
        return {
            "id": self.id,
            "name": bracketed(self.name) + ("[]" if self._is_list else ""),
            "required": "required" in self._form.rules_of(self.name) and not is_line,
            **limits,
            **more,
            "aria_invalid": "true" if self.wrong else None,
            "aria_describedby": " ".join(described) or None,
        }

    def limits(self, most: str, least: str) -> dict[str, Any]:
        """The limits that the rules set, as attributes *most* and *least*."""
        rules = self._form.rules_of(self.name)
        is_number = not _NUMERIC.isdisjoint(rule.partition(":")[0] for rule in rules)
        found: dict[str, Any] = {}
        if is_number != (most == "max"):
            return found
        for rule in rules:
            name, _, value = rule.partition(":")
            if name in ("max", "between"):
                found[most] = value.rpartition(",")[2]
            if name in ("min", "between"):
                found[least] = value.partition(",")[0]
        return {name: value for name, value in found.items() if _NUMBER.fullmatch(value) and value}

    def step(self) -> str:
        """How exact a number may be: whole, or to the digits of `decimal:0,2`."""
        for rule in self._form.rules_of(self.name):
            name, _, value = rule.partition(":")
            digits = value.rpartition(",")[2]
            if name == "decimal" and digits.isdecimal() and 0 < int(digits) < 20:
                return str(Decimal(1).scaleb(-int(digits)))
            if name == "integer":
                return "1"
        return "any"

    @property
    def label(self) -> str:
        """What it is called where nothing else is said: `First name` for `first_name`."""
        return self.name.rpartition(".")[2].replace("_", " ").strip().capitalize()

    def drawn(self, label: str | None, control: Markup, hint: Any) -> Markup:
        """Label (without one, the field's name), control, hint and error."""
        told = h("label", self.label if label is None else label, for_=self.id)
        return h("div", told, control, *self.below(hint), class_="field")

    def below(self, hint: Any) -> list[Markup]:
        """Hint and error."""
        told = None if hint is None else h("p", hint, class_="hint", id=f"{self.id}-hint")
        return [part for part in (told, self.error()) if part is not None]

    def error(self) -> Markup | None:
        """What is wrong, where the field names it as its description."""
        if not self.wrong:
            return None
        texts = [h("span", text) for text in self.wrong]
        return h("p", texts, class_="error", id=f"{self.id}-error")


def _kept_errors(session: Any) -> Any:
    bags = session.get(ERRORS)
    return bags.get("default", {}) if isinstance(bags, Mapping) else {}


def _find(data: Any, name: str) -> Any:
    """What stands at the dotted *name* in mappings, lists and objects; None if nothing does."""
    here = data
    for part in name.split("."):
        if isinstance(here, Mapping):
            here = here.get(part, here.get(int(part)) if _is_index(part) else None)
        elif isinstance(here, (list, tuple)):
            here = here[int(part)] if _is_index(part) and int(part) < len(here) else None
        elif here is not None and not isinstance(here, (str, int, float)):
            here = getattr(here, part, None)
        else:
            return None
    return here


def _is_index(key: str) -> bool:
    """True for the number of a line; a client may send any text, and digits without end."""
    return key.isascii() and key.isdecimal() and len(key) < _INDEX_DIGITS


def _text(value: Any) -> str:
    """*value* as a field holds it."""
    if value is None or value is False:
        return ""
    if value is True:
        return "1"
    if isinstance(value, Enum):
        return _text(value.value)
    if isinstance(value, datetime):
        return value.isoformat(timespec="minutes")
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date) else str(value)


def _amount(text: str) -> str:
    """An amount with at least two places, as whoever asks writes it; what is none as it is."""
    with suppress(RuntimeError, ArithmeticError, ValueError):  # the first: no application runs
        exponent = Decimal(text).as_tuple().exponent
        if isinstance(exponent, int):
            return local().number(text, max(2, -exponent))
    return text


def _unique(id: str) -> str:
    """*id*, with a number behind it where this page has it already."""
    scope = current_scope()
    if scope is None:
        return id
    taken: dict[str, int] = scope.data.setdefault("forms.ids", {})
    taken[id] = taken.get(id, 0) + 1
    return id if taken[id] == 1 else f"{id}-{taken[id]}"

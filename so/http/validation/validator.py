"""Runs rules over data and collects what is wrong.

A `Validator` is made for one set of data; `Validation` is the factory an application keeps, with
its database and its own rules. Fields are checked in the order they are written; each pattern
such as `items.*.sku` is expanded once, when its turn comes, so a parent that has too many items
(`items: array|max:500`) stops the expansion of its children.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar

from so.errors import InvalidRuleError, ValidationException
from so.http.validation import messages as words
from so.http.validation import paths, spec
from so.http.validation.fields import At, Field, RuleCheck
from so.http.validation.paths import ABSENT
from so.http.validation.presence import Presence
from so.http.validation.pruning import pruned
from so.http.validation.registry import EXCLUDING
from so.http.validation.spec import Custom
from so.http.validation.values import has_arrived, is_file
from so.support.clock import Clock
from so.support.current import current
from so.support.listed import flat
from so.support.plain import plain

LIMITING = frozenset({"max", "size", "between", "array", "list", "lt", "lte"})
"""Rules of a list that, once failed, keep its items from being looked at."""

Rules = Mapping[str, Any]
After = Callable[["Validator"], object]


class Validator:
    """Data, the rules for it, and what came of them."""

    extensions: ClassVar[dict[str, Custom]] = {}
    """Rules added by `Validator.extend`, for the whole process."""

    _errors: dict[str, list[str]]
    _failed: dict[str, dict[str, list[Any]]]
    _excluded: set[tuple[str, ...]]
    _limited: set[tuple[str, ...]]
    _shared: dict[Any, Any]
    _said: list[str] | None

    def __init__(
        self,
        data: Mapping[str, Any],
        rules: Rules,
        messages: Mapping[str, Any] | None = None,
        attributes: Mapping[str, str] | None = None,
        *,
        presence: Presence | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Check *data* by *rules*; raises InvalidRuleError for a rule that makes no sense.

        *messages* are keyed `field.rule` or `rule`; *attributes* gives fields the names people
        know them by; *presence* answers `unique` and `exists`.
        """
        self.data = data
        self.messages = _flat_messages(messages or {})
        self.attribute_names: dict[str, str] = dict(attributes or {})
        self._presence = presence
        self._clock = clock
        self._fields: dict[str, Field] = {}
        self._after: list[After] = []
        self._bails = False
        self._stops = False
        self._reset()
        self._checked = False
        self.add_rules(rules)

    @classmethod
    def make(
        cls,
        data: Mapping[str, Any],
        rules: Rules,
        messages: Mapping[str, Any] | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> Validator:
        """The same as calling the class."""
        return cls(data, rules, messages, attributes)

    @classmethod
    def extend(
        cls,
        name: str,
        fn: Callable[..., Any],
        message: str | None = None,
        *,
        implicit: bool = False,
    ) -> None:
        """Add the rule *name*: `fn(attribute, value, parameters, validator)` gives a bool.

        A function of fewer arguments gets the first ones; one of a single argument gets the
        value. *implicit* rules also run where the value is absent or blank.
        """
        cls.extensions[name] = Custom(plain(fn, f"the rule {name!r}"), message, implicit)

    # --- set-up -----------------------------------------------------------------------------------

    def add_rules(self, rules: Rules) -> Validator:
        """Add *rules* to those there are."""
        if not isinstance(rules, Mapping):
            raise InvalidRuleError(f"rules are a dict of fields and their rules, not {rules!r:.80}")
        for name, written in rules.items():
            made = spec.field(name, written, self.data, self.extensions)
            known = self._fields.get(name)
            self._fields[name] = made if known is None else known.extended(made)
        self._checked = False
        return self

    def set_attribute_names(self, names: Mapping[str, str]) -> Validator:
        """Call fields by these *names* in messages."""
        self.attribute_names.update(names)
        return self

    def sometimes(
        self, field: str | list[str], rules: Any, condition: Callable[..., Any]
    ) -> Validator:
        """Add *rules* to *field* if `condition(data)` holds.

        For a wildcard field a condition of two arguments is asked `(data, item)` per item.
        """
        for name in [field] if isinstance(field, str) else field:
            takes_item = paths.STAR in name and spec.arity(condition) >= 2
            if takes_item:
                self._sometimes_per_item(name, rules, condition)
            elif condition(self.data):
                self.add_rules({name: rules})
        return self

    def _sometimes_per_item(self, name: str, rules: Any, condition: Callable[..., Any]) -> None:
        segments = paths.split(name)
        items = segments[: len(segments) - segments[::-1].index(paths.STAR)]
        for indexes, item in paths.Expansion(self.data).places(items):
            if condition(self.data, item):
                self.add_rules({".".join(paths.fill(segments, indexes)): rules})

    def after(self, fn: After) -> Validator:
        """Run `fn(validator)` once all rules have run; it may call `add_error`."""
        self._after.append(plain(fn, "after's function"))
        self._checked = False
        return self

    def bail(self, bails: bool = True) -> Validator:
        """Stop at the first failure of each field."""
        self._bails = bails
        return self

    def stop_on_first_failure(self, stops: bool = True) -> Validator:
        """Stop altogether at the first failure."""
        self._stops = stops
        return self

    # --- results ----------------------------------------------------------------------------------

    def passes(self) -> bool:
        """Check everything; True if nothing is wrong."""
        self._run()
        return not self._errors

    def fails(self) -> bool:
        """Check everything; True if something is wrong."""
        return not self.passes()

    def errors(self) -> dict[str, list[str]]:
        """Field → messages; checks first, if that was not done."""
        self._run_once()
        return self._errors

    def failed(self) -> dict[str, dict[str, list[Any]]]:
        """Field → failed rule (`RequiredIf`) → its parameters."""
        self._run_once()
        return self._failed

    def validate(self) -> dict[str, Any]:
        """The validated data; raises ValidationException with what is wrong."""
        if self.fails():
            raise ValidationException(self._errors)
        return self.validated()

    def validated(self) -> dict[str, Any]:
        """What of the data was ruled, nested as it came; raises if something is wrong."""
        self._run_once()
        if self._errors:
            raise ValidationException(self._errors)
        kept: dict[str, Any] = pruned(self.data, self._fields, self._excluded)
        return kept

    def safe(self) -> Safe:
        """The validated data with `only` and `except_`."""
        return Safe(self.validated())

    def add_error(self, field: str, message: str) -> None:
        """Add *message* to *field*; for `after` hooks and rules."""
        self._errors.setdefault(field, []).append(message)

    # --- what rules ask ---------------------------------------------------------------------------

    @property
    def presence(self) -> Presence | None:
        """Who answers `unique` and `exists`: the one given, else the running application's."""
        if self._presence is None:
            self._presence = getattr(_application(), "presence", None)
        return self._presence

    def now(self) -> datetime:
        """The time by which `today` and `+1 week` are meant."""
        if self._clock is None:
            self._clock = getattr(_application(), "clock", None) or Clock()
        return self._clock.now()

    def value_at(self, segments: tuple[str, ...]) -> Any:
        """The value at *segments*, or ABSENT if there is none or it was excluded."""
        if self._excluded and _is_under(self._excluded, segments):
            return ABSENT
        return paths.find(self.data, segments)

    def values_at(self, segments: tuple[str, ...]) -> list[Any]:
        """Every value that the pattern *segments* stands for."""
        places = self._expansion.places(segments)
        return [value for _, value in places if value is not ABSENT]

    def is_ruled(self, name: str, rule: str) -> bool:
        """True if the field *name* has *rule* among its own."""
        known = self._fields.get(name)
        return known is not None and rule in known.names

    def shared(self, key: Any, make: Callable[..., Any], *args: Any) -> Any:
        """What *make* gives, made once a run for all places that ask by *key*."""
        if key not in self._shared:
            self._shared[key] = make(*args)
        return self._shared[key]

    def say(self, at: At, said: str | list[str] | None) -> None:
        """Keep what a rule object says of its failure, instead of a message from the table."""
        texts = [said] if isinstance(said, str) else list(said or [])
        self._said = texts or None

    # --- the run ----------------------------------------------------------------------------------

    def _reset(self) -> None:
        self._errors = {}
        self._failed = {}
        self._excluded = set()
        self._limited = set()
        self._shared = {}
        self._said = None
        self._expansion = paths.Expansion(self.data)

    def _run_once(self) -> None:
        if not self._checked:
            self._run()

    def _run(self) -> None:
        self._reset()
        self._checked = True
        for field in self._fields.values():
            self._run_field(field)
            if self._stops and self._errors:
                break
        for fn in self._after:
            fn(self)

    def _run_field(self, field: Field) -> None:
        if self._limited and self._is_limited(field):
            return
        for at, value in self._places(field):
            here = field if field.for_each is None else self._made_for(field, at, value)
            self._check(here, at, value)
            if self._stops and self._errors:
                return

    def _places(self, field: Field) -> Iterator[tuple[At, Any]]:
        for indexes, value in self._expansion.places(field.segments):
            at = At(field, indexes, self)
            if self._excluded or self._limited:
                here = paths.fill(field.segments, indexes)
                if _is_under(self._excluded, here) or _is_under(self._limited, here[:-1]):
                    continue
            yield at, value

    def _made_for(self, field: Field, at: At, value: Any) -> Field:
        """The field with the rules that `Rule.for_each` makes for this item."""
        assert field.for_each is not None
        make = field.for_each.make
        given = (None if value is ABSENT else value, at.path)
        written = make(*given[: min(spec.arity(make), 2)])
        rules = written if isinstance(written, Mapping) else {field.name: written}
        made = spec.field(field.name, rules.get(field.name, ()), self.data, self.extensions)
        at.field = field.extended(made)
        return at.field

    def _is_limited(self, field: Field) -> bool:
        """True if the list whose items *field* is about has failed its own limits."""
        if paths.STAR not in field.segments:
            return False
        return _is_under(self._limited, field.segments[: field.segments.index(paths.STAR)])

    def _check(self, field: Field, at: At, value: Any) -> None:
        names = field.names
        absent = value is ABSENT
        if absent and "sometimes" in names:
            return
        skips = absent or (isinstance(value, str) and not value.strip())
        skips = skips or (value is None and "nullable" in names)
        checks = field.implicit_checks if skips else field.checks
        for check in checks:
            if not check.test(value, check.params, at) and self._fail(at, check, value):
                return

    def _fail(self, at: At, check: RuleCheck, value: Any) -> bool:
        """Note the failure of *check*; True if the field is done with."""
        if check.name in EXCLUDING:
            self._excluded.add(paths.fill(at.field.segments, at.indexes))
            return True
        path = at.path
        if check.name in _ASKING and path in self._errors:
            return False
        said, self._said = self._said, None
        texts = self._texts(at, check, value, said)
        self._errors.setdefault(path, []).extend(texts)
        self._failed.setdefault(path, {})[check.studly] = list(check.params)
        if check.name in LIMITING:
            self._limited.add(paths.fill(at.field.segments, at.indexes))
        return check.implicit or self._bails or "bail" in at.field.names

    def _texts(self, at: At, check: RuleCheck, value: Any, said: list[str] | None) -> list[str]:
        if is_file(value) and not has_arrived(value):
            return [words.fill(str(words.MESSAGES["uploaded"]), at, value, {})]
        if said is None:
            return [words.message(at, check, value)]
        own = self.messages.get(f"{at.path}.{check.name}") or self.messages.get(check.name)
        return [words.fill(text, at, value, {}) for text in ([own] if own else said)]


_ASKING = frozenset({"unique", "exists"})
"""Rules that ask a database, which is left in peace about values that are wrong already."""


class Safe(dict[str, Any]):
    """Validated data that can be asked for in parts."""

    def only(self, *names: str | list[str]) -> dict[str, Any]:
        """These entries, those that are there."""
        return {name: self[name] for name in flat(names) if name in self}

    def except_(self, *names: str | list[str]) -> dict[str, Any]:
        """All entries but these."""
        left_out = flat(names)
        return {name: value for name, value in self.items() if name not in left_out}

    def all(self) -> dict[str, Any]:
        """Everything."""
        return dict(self)

    def merge(self, more: Mapping[str, Any]) -> Safe:
        """Everything, and *more* over it."""
        return Safe({**self, **more})


class Validation:
    """Makes validators that know the application's database and clock."""

    def __init__(self, presence: Presence | None = None, clock: Clock | None = None) -> None:
        """*presence* answers `unique` and `exists`."""
        self.presence = presence
        self.clock = clock

    def make(
        self,
        data: Mapping[str, Any],
        rules: Rules,
        messages: Mapping[str, Any] | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> Validator:
        """A validator for *data*."""
        return Validator(
            data, rules, messages, attributes, presence=self.presence, clock=self.clock
        )

    def validate(
        self,
        data: Mapping[str, Any],
        rules: Rules,
        messages: Mapping[str, Any] | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The validated data; raises ValidationException with what is wrong."""
        return self.make(data, rules, messages, attributes).validate()

    def extend(
        self,
        name: str,
        fn: Callable[..., Any],
        message: str | None = None,
        *,
        implicit: bool = False,
    ) -> None:
        """As `Validator.extend`."""
        Validator.extend(name, fn, message, implicit=implicit)


def validate(
    data: Mapping[str, Any],
    rules: Rules,
    messages: Mapping[str, Any] | None = None,
    attributes: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The validated part of *data*; raises ValidationException with what is wrong."""
    return Validator(data, rules, messages, attributes).validate()


def _application() -> Any:
    """The running application's `Validation`, or None: rules work in a script as well."""
    try:
        return current("validator")
    except RuntimeError:
        return None


def _is_under(known: set[tuple[str, ...]], segments: tuple[str, ...]) -> bool:
    """True if *segments* or a beginning of them is in *known*."""
    return any(segments[:n] in known for n in range(1, len(segments) + 1))


def _flat_messages(messages: Mapping[str, Any], head: str = "") -> dict[str, str]:
    """`{'email': {'required': …}}` as `{'email.required': …}`."""
    flat: dict[str, str] = {}
    for name, text in messages.items():
        if isinstance(text, Mapping):
            flat |= _flat_messages(text, f"{head}{name}.")
        else:
            flat[head + name] = str(text)
    return flat

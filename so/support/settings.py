"""Settings: the name, variable, meaning, default and known values of each, told once, as a field.

    @dataclass(frozen=True)
    class MailSettings(Settings, topic="mail"):
        port: int = whole(587, "MAIL_PORT", "of the SMTP server")
        encryption: str = choice("starttls", "MAIL_ENCRYPTION", "…", of=("starttls", "tls", "none"))

`MailSettings.from_config(config["mail"])` refuses unknown names and values that mean nothing; what
is not given has its default, and that stands here alone. The topics are in so/settings/.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, ClassVar, Self

from so.errors import ConfigError
from so.support.near import nearest
from so.support.zones import zone_named

ON = ("true", "on", "yes", "1", "enabled")
OFF = ("false", "off", "no", "0", "disabled")
_BETWEEN = re.compile(r"(?<=[^\W_])[\s_-]+(?=[^\W_])")  # not the sign of -1
_WHOLE = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
# What nothing, and `null` in the environment, stand for.
_DEFAULT: Any = object()

Variables = Callable[[str], str | None]


@dataclass(frozen=True)
class Told:
    """What a field says of its setting besides its name and default."""

    read: Callable[[Any], Any]  # the value that was meant; ValueError says what is wanted
    variable: str | None  # in the environment
    meaning: str  # unit, limits, what happens at them
    nothing: Any = _DEFAULT  # what None means
    is_text: bool = False  # '' is a value like any other
    is_word: bool = False  # the environment's `null` is a word like any other
    is_secret: bool = False  # no error shows it
    part: type[Settings] | None = None


class Settings:
    """The base of each topic's frozen dataclass. Every field is made by a function of this module.

    Its values are right however it was made: those that mean nothing raise ConfigError.
    """

    topic: ClassVar[str] = ""
    _told: ClassVar[dict[str, Told]]
    others: ClassVar[bool] = False
    """Whether an application may have settings of its own beside these."""

    own: Mapping[str, Any] = {}
    """Those; in a class without `others` none."""
    named: ClassVar[Mapping[str, str]] = {}
    """Names in `config/` that are no names in Python, and those of their fields."""

    def __init_subclass__(
        cls, topic: str = "", others: bool = False, named: Mapping[str, str] | None = None
    ) -> None:
        cls.topic, cls.others, cls.named = topic or cls.topic, others, named or {}

    def __post_init__(self) -> None:
        for name in self.told():
            object.__setattr__(self, name, self.checked(name, getattr(self, name)))

    @classmethod
    def told(cls) -> dict[str, Told]:
        """What is said of each setting, by its name."""
        if "_told" not in vars(cls):
            found = {each.name: each.metadata.get("told") for each in fields(cls)}  # type: ignore[arg-type]
            cls._told = {name: told for name, told in found.items() if told is not None}
        return cls._told

    @classmethod
    def from_config(
        cls, given: Mapping[str, Any] | None = None, variables: Variables | None = None
    ) -> Self:
        """What *given* says; of the rest, what *variables* says in the environment; the defaults.

        Raises ConfigError for a name that there is not, and for a value that means nothing.
        """
        if not isinstance(given or {}, Mapping):
            raise ConfigError(f"config {cls.topic} must be a dict, not {given!r}")
        told = cls.told()
        values: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key, value in (given or {}).items():
            name = cls.named.get(key, key)
            if name in told and key == cls.key_of(name):
                values[name] = value
            else:
                cls._refuse(key)
                own[key] = value
        for name, one in told.items():
            if one.part is not None and not isinstance(values.get(name), one.part):
                values[name] = one.part.from_config(values.get(name), variables)
            elif name not in values and variables and one.variable:
                raw = variables(one.variable)
                if raw is not None:
                    values[name] = _from_environment(raw, one)
        made = cls(**values)
        object.__setattr__(made, "own", own)
        return made

    @classmethod
    def key_of(cls, name: str) -> str:
        """What the field *name* is called in `config/`."""
        return next((key for key, other in cls.named.items() if other == name), name)

    @classmethod
    def _refuse(cls, name: str) -> None:
        known = [cls.key_of(each) for each in cls.told()]
        near = nearest(str(name), known, 0.8 if cls.others else 0.6)
        if near or not cls.others:
            mend = f"did you mean {near!r}?" if near else f"known are {', '.join(sorted(known))}"
            raise ConfigError(f"config {cls.topic}.{name} is unknown: {mend}")

    @classmethod
    def checked(cls, name: str, value: Any, topic: str | None = None) -> Any:
        """*value* as the setting *name* understands it; raises ConfigError if it does not.

        *topic* is where it was given, if not under that of the class.
        """
        each = cls.told()[name]
        if value is None:
            return cls.default_of(name) if each.nothing is _DEFAULT else each.nothing
        if isinstance(value, str) and not each.is_text and not value.strip():
            # What has a meaning for None, as no encryption has, is not set by an empty line.
            return None if each.nothing is None else cls.default_of(name)
        try:
            return each.read(value)
        except ValueError as error:
            what = f"config {topic or cls.topic}.{cls.key_of(name)}"
            if each.variable:
                what = f"{each.variable} ({what})"
            shown = "not right" if each.is_secret else repr(value)
            raise ConfigError(f"{what} is {shown}: {error}") from None

    @classmethod
    def default_of(cls, name: str) -> Any:
        """What *name* is when nobody says otherwise."""
        each = cls.__dataclass_fields__[name]  # type: ignore[attr-defined]
        return each.default_factory() if callable(each.default_factory) else each.default

    def to_config(self) -> dict[str, Any]:
        """The same as `config/` has it: a dict of plain values."""
        known = {self.key_of(name): _plain(getattr(self, name)) for name in self.told()}
        return {**known, **self.own}


def _from_environment(raw: str, told: Told) -> Any:
    """A text of the environment; null and empty are words of `.env`, in brackets as well."""
    word = raw.strip().lower().strip("()")
    if word == "empty":
        return ""
    return None if word == "null" and not told.is_word else raw


def _plain(value: Any) -> Any:
    if isinstance(value, Settings):
        return value.to_config()
    return list(value) if isinstance(value, tuple) else value


# --- kinds of settings ----------------------------------------------------------------------------


def switch(default: bool | None, variable: str | None, meaning: str) -> Any:
    """On or off: true, on, yes, 1, enabled and their opposites, in any case."""
    nothing = None if default is None else _DEFAULT
    return _setting(default, Told(_switch, variable, meaning, nothing))


def choice(
    default: str | None,
    variable: str | None,
    meaning: str,
    *,
    of: Iterable[str],
    also: Mapping[str, str] | None = None,
    nothing: Any = _DEFAULT,
) -> Any:
    """One of the few values *of*, in any case; *also* has other spellings and what they mean.

    *nothing* is what None means, where it is not the default.
    """
    spellings = _spellings(of, also or {})
    if default is None:
        nothing = None

    def read(value: Any) -> str | None:
        unset = nothing is None and _folded(value) == "null"
        return None if unset else _chosen(value, spellings)

    return _setting(default, Told(read, variable, meaning, nothing, is_word=nothing is not None))


def choices(
    default: tuple[str, ...], variable: str | None, meaning: str, *, of: Iterable[str]
) -> Any:
    """Several of the few values *of*."""
    spellings = _spellings(of, {})

    def read(value: Any) -> tuple[str, ...]:
        return tuple(_chosen(one, spellings) for one in _listed(value))

    return _setting(default, Told(read, variable, meaning))


def word(
    default: str, variable: str | None, meaning: str, *, of: Iterable[str], nothing: Any = _DEFAULT
) -> Any:
    """One of the known values *of*, or a name that the application adds when it runs."""
    spellings = _spellings(of, {})

    def read(value: Any) -> str:
        return _named(value, spellings)

    return _setting(default, Told(read, variable, meaning, nothing, is_word=True))


def words(
    default: tuple[str, ...], variable: str | None, meaning: str, *, of: Iterable[str]
) -> Any:
    """Several such words."""
    spellings = _spellings(of, {})

    def read(value: Any) -> tuple[str, ...]:
        return tuple(_named(one, spellings) for one in _listed(value))

    return _setting(default, Told(read, variable, meaning))


def whole(default: int | None, variable: str | None, meaning: str, *, least: int | None = 0) -> Any:
    """A whole number, *least* or above."""

    def read(value: Any) -> int:
        return _whole(value, least)

    return _setting(default, Told(read, variable, meaning))


def number(
    default: float | None,
    variable: str | None,
    meaning: str,
    *,
    least: float = 0,
    nothing: Any = _DEFAULT,
) -> Any:
    """A number, *least* or above; *nothing* is what None means, where it is not the default."""

    def read(value: Any) -> float:
        return _number(value, least)

    return _setting(default, Told(read, variable, meaning, nothing))


def text(
    default: str | None,
    variable: str | None,
    meaning: str,
    *,
    nothing: Any = _DEFAULT,
    secret: bool = False,
) -> Any:
    """A text. Where None is the default or what *nothing* means, an empty one is none."""
    if default is None or nothing is None:
        return _setting(default, Told(_text, variable, meaning, None, is_secret=secret))
    told = Told(_text, variable, meaning, nothing, is_text=True, is_secret=secret)
    return _setting(default, told)


def zone(default: str, variable: str | None, meaning: str) -> Any:
    """The name of a time zone that this machine knows."""
    return _setting(default, Told(_zone, variable, meaning))


def listed(
    default: tuple[str, ...], variable: str | None, meaning: str, *, secret: bool = False
) -> Any:
    """Texts; in the environment they are separated by commas."""
    return _setting(default, Told(_listed, variable, meaning, is_secret=secret))


def table(default: Mapping[str, Any], variable: str | None, meaning: str) -> Any:
    """Values by names of the application's choice."""
    return field(
        default_factory=lambda: dict(default), metadata={"told": Told(_table, variable, meaning)}
    )


def anything(default: Any, variable: str | None, meaning: str) -> Any:
    """What the system that it is for understands."""
    return _setting(default, Told(lambda value: value, variable, meaning))


def part(settings: type[Settings]) -> Any:
    """Settings within the settings."""
    told = Told(_part_of(settings), None, (settings.__doc__ or "").split("\n")[0], part=settings)
    return field(default_factory=settings, metadata={"told": told})


def _setting(default: Any, told: Told) -> Any:
    return field(default=default, metadata={"told": told})


# --- reading them ---------------------------------------------------------------------------------


def _switch(value: Any) -> bool:
    word = _folded(value)
    if word in ON:
        return True
    if word in OFF:
        return False
    raise ValueError("write true or false (on, off, yes, no, 1, 0, enabled, disabled)")


def _spellings(of: Iterable[str], also: Mapping[str, str]) -> dict[str, str]:
    return {_folded(one): one for one in of} | {_folded(word): one for word, one in also.items()}


def _named(value: Any, spellings: Mapping[str, str]) -> str:
    return spellings.get(_folded(value)) or str(value).strip()


def _chosen(value: Any, spellings: Mapping[str, str]) -> str:
    word = _folded(value)
    if word in spellings:
        return spellings[word]
    near = nearest(word, spellings)
    hint = f"; did you mean {spellings[near]}?" if near else ""
    raise ValueError(f"use one of {', '.join(dict.fromkeys(spellings.values()))}{hint}")


def _folded(value: Any) -> str:
    """A word without what makes no difference: case, space around it, brackets, dashes.

    '' for what is none.
    """
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int):
        return ""
    return _BETWEEN.sub(" ", str(value).strip().lower().strip("()").strip())


def _whole(value: Any, least: int | None) -> int:
    wanted = "write a whole number" + ("" if least is None else f", {least} or above")
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()) and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(wanted)
    if least is not None and value < least:
        raise ValueError(wanted)
    return value


def _number(value: Any, least: float) -> float:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = int(value) if _WHOLE.fullmatch(value.strip()) else float(value)
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    if not fits or not math.isfinite(value) or value < least:
        raise ValueError(f"write a number, {least} or above")
    return value  # type: ignore[no-any-return]


def _text(value: Any) -> str:
    if isinstance(value, Enum):
        value = value.value
    if (
        isinstance(value, bool)
        or not hasattr(type(value), "__fspath__")
        and not isinstance(value, str | int | float)
    ):
        raise ValueError("write a text")
    return str(value)


def _zone(value: Any) -> str:
    name = _text(value)
    try:
        zone_named(name)
    except ConfigError as error:
        raise ValueError("give a time zone such as Europe/Berlin") from error
    return name


def _listed(value: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        return tuple(one.strip() for one in value.split(",") if one.strip())
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise ValueError("write a list, or texts separated by commas")
    return tuple(value)


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("write a dict")
    return dict(value)


def _part_of(settings: type[Settings]) -> Callable[[Any], Settings]:
    def read(value: Any) -> Settings:
        return value if isinstance(value, settings) else settings.from_config(value)

    return read

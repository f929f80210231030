"""Settings: `.env` and the environment, `config/*.py`, and dotted access to both.

The real environment wins over `.env`. A config file is a small Python module with one dict named
`config`; files are read once, when the first of their keys is asked for. This module keeps no
global but what `Env.load` and `Env.set` were given: an application's own `.env` and Config live
in so/application, so that several may live in one process.
"""

from __future__ import annotations

import copy
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import CodeType
from typing import Any

from so.errors import ConfigError, MissingEnvError, SixOrbitError
from so.support import current, dotenv
from so.support.paths import MISSING, numbered_step, position
from so.support.settings import Settings

# --- the environment -----------------------------------------------------------------------------

_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "empty": ""}
_WORDS |= {f"({word})": value for word, value in _WORDS.items()}


class Env:
    """The process environment together with the `.env` files loaded so far.

    Looked up in this order: `Env.set`, the real environment, the `.env` of the application whose
    settings are being read, or else of the running one, and what `Env.load` read.
    """

    _loaded: dict[str, str] = {}
    _own: dict[str, str] = {}
    _reading: ContextVar[Mapping[str, str] | None] = ContextVar("so_env", default=None)
    _lock = threading.Lock()

    @classmethod
    def load(cls, path: str | Path, override: bool = False, required: bool = False) -> bool:
        """Read a `.env` file; False if there is none.

        A key of the real environment keeps its value unless *override*. Raises EnvSyntaxError
        naming file and line, or ConfigError when a *required* file is missing.
        """
        values = cls.read(path)
        if values is None:
            if required:
                raise ConfigError(f"environment file {path} does not exist: copy .env.example")
            return False
        with cls._lock:
            (cls._own if override else cls._loaded).update(values)
        return True

    @classmethod
    def read(cls, path: str | Path) -> dict[str, str] | None:
        """What a `.env` file says, without making it the environment; None if there is none."""
        text = dotenv.read(path)
        return None if text is None else dotenv.values(text, str(path), cls._lookup)

    @classmethod
    @contextmanager
    def of(cls, values: Mapping[str, str]) -> Iterator[None]:
        """Let `env()` see *values*, an application's `.env`, for the block."""
        token = cls._reading.set(values)
        try:
            yield
        finally:
            cls._reading.reset(token)

    @classmethod
    def _sources(cls) -> tuple[Mapping[str, str], ...]:
        reading = cls._reading.get()
        return cls._own, os.environ, current.dotenv() if reading is None else reading, cls._loaded

    @classmethod
    def _lookup(cls, key: str) -> str | None:
        for source in cls._sources():
            if key in source:
                return source[key]
        return None

    @classmethod
    def get(cls, key: str, default: Any = None) -> Any:
        """The value of *key* with true, false, null and empty turned into what they mean."""
        value = cls._lookup(key)
        if value is None:
            return default() if callable(default) else default
        return _WORDS.get(value.lower(), value)

    @classmethod
    def set(cls, key: str, value: Any) -> None:
        """Set *key* for this process, above the real environment."""
        with cls._lock:
            cls._own[key] = _as_text(value)

    @classmethod
    def has(cls, key: str) -> bool:
        """True if *key* is set anywhere, even to nothing."""
        return cls._lookup(key) is not None

    @classmethod
    def all(cls) -> dict[str, str]:
        """Every key with its raw text."""
        found: dict[str, str] = {}
        for source in reversed(cls._sources()):
            found.update(source)
        return found

    @classmethod
    def clear(cls) -> None:
        """Forget what files and `set()` gave; the real environment stays."""
        with cls._lock:
            cls._loaded.clear()
            cls._own.clear()


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


class _EnvReader:
    """`env("KEY", default)`, and the same with a type: `env.int("PORT", 8000)`."""

    def __call__(self, key: str, default: Any = None) -> Any:
        """The value of *key*; true/false/null/empty become values, nothing else is cast."""
        return Env.get(key, default)

    def int(self, key: str, default: int | None = None) -> Any:
        """A whole number; raises ValueError naming the key for anything else."""
        return self._cast(key, default, _whole, "a whole number")

    def float(self, key: str, default: float | None = None) -> Any:
        """A number; raises ValueError naming the key for anything else."""
        return self._cast(key, default, _number, "a number")

    def bool(self, key: str, default: bool | None = None) -> Any:
        """True or false: true, 1, on, yes and false, 0, off, no, in any case."""
        return self._cast(key, default, _boolean, "true or false")

    def list(self, key: str, default: Any = None) -> Any:
        """Texts separated by commas, spaces around them dropped."""
        return self._cast(key, default, _comma_list, "a list")

    def settings(self, topic: type[Settings], given: Mapping[str, Any] | None = None) -> Any:
        """The dict that a file of `config/` is for: every setting of *topic*.

        Each is what *given* says, or else its variable, or else its default. Raises ConfigError
        for what is misspelt.
        """
        return topic.from_config(given, Env._lookup).to_config()

    def require(self, key: str) -> Any:
        """The value of *key*; raises MissingEnvError if it is not set or empty."""
        value = Env.get(key)
        if value is None or value == "":
            raise MissingEnvError(f"{key} is not set: add it to .env or to the environment")
        return value

    def _cast(self, key: str, default: Any, cast: Callable[[Any], Any], kind: str) -> Any:
        raw = Env._lookup(key)
        if raw is None or raw.strip() == "" or _WORDS.get(raw.lower(), raw) is None:
            return default
        try:
            return cast(raw.strip())
        except ValueError as error:
            raise ValueError(f"{key} must be {kind}, {raw!r} given") from error


env = _EnvReader()


def _whole(text: str) -> int:
    # Python takes 2_0 and digits of other scripts as well, which nobody means.
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise ValueError(text)
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text):
        raise ValueError(text)
    return float(text)


def _boolean(text: str) -> bool:
    word = text.lower().strip("()")
    if word in ("true", "1", "on", "yes"):
        return True
    if word in ("false", "0", "off", "no"):
        return False
    raise ValueError(text)


def _comma_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


# --- configuration --------------------------------------------------------------------------------


Settle = Callable[[Any], dict[str, Any]]


class Config:
    """Nested settings under dotted keys: `config.get("database.connections.mysql.host")`."""

    def __init__(
        self,
        source: str | Path | Mapping[str, Any] | None = None,
        dotenv: Mapping[str, str] | None = None,
    ) -> None:
        """Over a folder of `*.py` and `*.json` files, or over a dict.

        *dotenv* is what `env()` in those files sees below the real environment.
        """
        self._items: dict[str, Any] = {}
        self._files: dict[str, Path] = {}
        self._unsettled: dict[str, Settle] = {}
        self._dotenv = dotenv
        self._lock = threading.RLock()
        if isinstance(source, Mapping):
            self._items = copy.deepcopy(dict(source))
        elif source is not None:
            self._files = _config_files(Path(source))

    def settle(self, topics: Mapping[str, Settle]) -> None:
        """Let what is said under each of *topics* be made whole by a function, when first read."""
        with self._lock:
            self._unsettled.update(topics)

    # --- reading ---

    def get(self, key: Any, default: Any = None) -> Any:
        """The value at *key*; *default* (called if callable) only when there is none.

        A list of keys, or a dict of key → default, gives several (`get_many`).
        """
        if not isinstance(key, str):
            return self.get_many(key)
        value = self._find(key)
        if value is MISSING:
            return default() if callable(default) else default
        return value

    def get_many(self, keys: Any) -> dict[str, Any]:
        """Several values at once, from a list of keys or a dict of key → default."""
        if isinstance(keys, Mapping):
            return {key: self.get(key, default) for key, default in keys.items()}
        return {key: self.get(key) for key in keys}

    def has(self, key: str) -> bool:
        """True if *key* is there, even if it is None."""
        return self._find(key) is not MISSING

    def all(self) -> dict[str, Any]:
        """Everything, files included."""
        return self.load_all()

    def load_all(self) -> dict[str, Any]:
        """Read every file now (to find faults at the start); everything as one dict."""
        for name in {**self._files, **self._unsettled}:
            self._ready(name)
        return self._items

    def _find(self, key: str) -> Any:
        head, *rest = key.split(".")
        self._ready(head)
        if key in self._items:
            return self._items[key]
        value: Any = self._items.get(head, MISSING)
        for part in rest:
            value = numbered_step(value, part)
        return value

    def _ready(self, name: str) -> None:
        """Read the file of the topic *name* and settle it, if that was not done."""
        if name not in self._files and name not in self._unsettled:
            return
        with self._lock:
            self._load(name)
            settle = self._unsettled.get(name)
            if settle is not None:
                self._items[name] = self._with_env(lambda: settle(self._items.get(name)))
                self._unsettled.pop(name, None)

    def _load(self, name: str) -> None:
        with self._lock:
            file = self._files.get(name)
            if file is None:
                return
            loaded = self._with_env(lambda: _read_config(file))
            over = self._items.get(name)
            self._items[name] = _merged(loaded, over) if isinstance(over, Mapping) else loaded
            del self._files[name]

    def _with_env(self, work: Callable[[], Any]) -> Any:
        if self._dotenv is None:
            return work()
        with Env.of(self._dotenv):
            return work()

    # --- typed reading ---

    def string(self, key: str, default: Any = None) -> str:
        """A text; raises TypeError naming the key for anything else."""
        value: str = self._typed(key, default, str, "a string")
        return value

    def integer(self, key: str, default: Any = None) -> int:
        """An int, never a bool; raises TypeError naming the key for anything else."""
        value: int = self._typed(key, default, int, "an integer")
        return value

    def float(self, key: str, default: Any = None) -> float:
        """A float; raises TypeError naming the key for anything else."""
        value: float = self._typed(key, default, float, "a float")
        return value

    def boolean(self, key: str, default: Any = None) -> bool:
        """A bool; raises TypeError naming the key for anything else."""
        value: bool = self._typed(key, default, bool, "a boolean")
        return value

    def array(self, key: str, default: Any = None) -> Any:
        """A list or a dict; raises TypeError naming the key for anything else."""
        return self._typed(key, default, (list, dict, tuple), "an array")

    def _typed(self, key: str, default: Any, kinds: Any, article: str) -> Any:
        value = self.get(key, default)
        fits = isinstance(value, kinds) and (kinds is bool or not isinstance(value, bool))
        if not fits:
            given = "None" if value is None else type(value).__name__
            raise TypeError(
                f"Configuration value for key [{key}] must be {article}, {given} given."
            )
        return value

    # --- changing ---

    def set(self, key: str | Mapping[str, Any], value: Any = None) -> None:
        """Set *key* to *value*, or several from a dict of dotted keys."""
        with self._lock:
            for name, item in key.items() if isinstance(key, Mapping) else [(key, value)]:
                self._set(name, item)

    def _set(self, key: str, value: Any) -> None:
        *parents, last = key.split(".")
        self._ready(parents[0] if parents else last)
        place: Any = self._items
        for part in parents:
            inner = numbered_step(place, part)
            if not isinstance(inner, (dict, list)):
                inner = {}
                _put(place, part, inner)
            place = inner
        _put(place, last, value)

    def merge(self, values: Mapping[str, Any]) -> None:
        """Lay the nested dict *values* over what is there; a dotted key sets one value."""
        with self._lock:
            for name, over in values.items():
                if "." in name:
                    self._set(name, copy.deepcopy(over))
                    continue
                if name in self._files:
                    self._load(name)
                here = self._items.get(name)
                both = isinstance(here, Mapping) and isinstance(over, Mapping)
                self._items[name] = _merged(here, over) if both else copy.deepcopy(over)  # type: ignore[arg-type]

    def prepend(self, key: str, value: Any) -> None:
        """Put *value* in front of the list at *key*."""
        self.set(key, [value, *(self.get(key) or [])])

    def push(self, key: str, value: Any) -> None:
        """Put *value* at the end of the list at *key*."""
        self.set(key, [*(self.get(key) or []), value])

    def __getitem__(self, key: str) -> Any:
        value = self._find(key)
        if value is MISSING:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: Any) -> None:
        self.set(key, value)

    def __contains__(self, key: str) -> bool:
        return self.has(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.load_all())


def _config_files(folder: Path) -> dict[str, Path]:
    files = [p for p in sorted(folder.glob("*")) if p.suffix in (".py", ".json")]
    return {p.stem: p for p in files if not p.name.startswith((".", "_"))}


_compiled: dict[tuple[str, int, int], CodeType] = {}


def _read_config(file: Path) -> dict[str, Any]:
    try:
        if file.suffix == ".json":
            values = json.loads(file.read_text("utf-8-sig"))
        else:
            # Run from its path rather than imported: a `config` package would be one for the
            # whole process, and several applications may live in it.
            stat = file.stat()
            mark = (str(file), stat.st_mtime_ns, stat.st_size)
            if mark not in _compiled:
                _compiled[mark] = compile(file.read_text("utf-8-sig"), str(file), "exec")
            names: dict[str, Any] = {"__name__": f"config.{file.stem}", "__file__": str(file)}
            exec(_compiled[mark], names)  # noqa: S102  # the application's own file
            values = names.get("config")
    except SixOrbitError:
        raise
    except Exception as error:
        what = str(error) or type(error).__name__
        raise ConfigError(f"cannot read {file}: {what}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{file} defines no dict named `config`: write `config = {{...}}`")
    return values


def _put(place: Any, part: str, value: Any) -> None:
    if isinstance(place, list):
        at = position(part)
        if at is None or at > len(place):
            raise ConfigError(f"cannot set item {part!r} of a list with {len(place)} items")
        place[at : at + 1] = [value]
    else:
        place[part] = value


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(under)
    for key, value in over.items():
        here = result.get(key)
        both = isinstance(here, Mapping) and isinstance(value, Mapping)
        result[key] = _merged(here, value) if both else copy.deepcopy(value)  # type: ignore[arg-type]
    return result

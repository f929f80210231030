"""Logging channels for the standard `logging` module: where lines go, and what they look like.

One record is one line: line breaks and control characters in a message are escaped, so nobody can
forge a second entry; a traceback follows indented. Every line carries the id of the request, job
or command it belongs to. Only the logger named here is touched, never the root logger.

Which channels exist is said in config/logging.py; the application calls `configure` with it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from so.errors import ConfigError
from so.support.journal import JournalHandler
from so.support.masking import Masker
from so.support.near import nearest
from so.support.places import identity_of
from so.support.scope import current_scope

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "notice": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "alert": logging.CRITICAL,
    "emergency": logging.CRITICAL,
}
"""Level names; those of syslog that Python does not know count as the nearest it does."""

SHOWN: Final = "is_on_stderr"
"""`extra={SHOWN: True}` with a record: it was printed on standard error already."""

FILE_MODE: Final = 0o640
"""Rights of a new log file: its owner writes, its group reads."""

_BREAKS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


def configure(
    config: Mapping[str, Any], name: str = "so", base_path: str | Path = "."
) -> logging.Logger:
    """The logger *name*, set up as *config* says; handlers of an earlier call are closed.

    Relative paths are taken from *base_path*. A channel that cannot be opened (no syslog here, a
    folder that is read-only) becomes standard error, with a warning that says so: an application
    that cannot log must still start. Raises ConfigError for what is misspelt.
    """
    logger = logging.getLogger(name)
    handlers, troubles = _handlers(config, Path(base_path))
    _replace(logger, handlers)
    logger.setLevel(min((h.level for h in handlers), default=logging.CRITICAL))
    for trouble in troubles:
        logger.warning("%s; logging to standard error instead", trouble)
    return logger


def release(name: str = "so") -> None:
    """Close and remove the handlers that `configure` gave to the logger *name*."""
    _replace(logging.getLogger(name), [])


def is_on_stderr(logger: logging.Logger) -> bool:
    """Whether *logger* writes its errors to standard error."""
    streams = [handler for handler in logger.handlers if type(handler) is logging.StreamHandler]
    return any(handler.level <= logging.ERROR for handler in streams)


def _replace(logger: logging.Logger, handlers: list[logging.Handler]) -> None:
    for old in [h for h in logger.handlers if getattr(h, "so_channel", False)]:
        logger.removeHandler(old)
        old.close()
    for handler in handlers:
        handler.so_channel = True  # type: ignore[attr-defined]  # the mark by which we know ours
        logger.addHandler(handler)


def _handlers(
    config: Mapping[str, Any], base_path: Path
) -> tuple[list[logging.Handler], list[str]]:
    handlers, troubles = [], []
    for channel, settings in _chosen(config, str(config["default"])):
        try:
            handler = _open(channel, settings, base_path)
        except OSError as error:
            troubles.append(f"log channel {channel!r} cannot be opened: {error}")
            handler = logging.StreamHandler()
        handler.setLevel(level(settings.get("level", config["level"])))
        handler.setFormatter(_formatter(channel, settings))
        handlers.append(handler)
    return handlers, troubles


def _chosen(
    config: Mapping[str, Any], name: str, seen: tuple[str, ...] = ()
) -> list[tuple[str, Mapping[str, Any]]]:
    """The channels that *name* stands for: itself, or those a stack lists."""
    channels = config["channels"]
    if name in seen:
        raise ConfigError(f"log channel {name!r} stacks itself: take it out of its own list")
    settings = {"driver": name} if name not in channels and name in DRIVERS else channels.get(name)
    if settings is None:
        raise ConfigError(f"unknown log channel {name!r}{_nearest(name, channels)}")
    if settings.get("driver") != "stack":
        return [(name, settings)]
    return [
        found
        for part in settings.get("channels", ())
        for found in _chosen(config, part, (*seen, name))
    ]


def level(name: str | int) -> int:
    """The number of the level *name* (`debug` … `emergency`); raises ConfigError if unknown."""
    if isinstance(name, int):
        return name
    known = LEVELS.get(name.lower())
    if known is None:
        raise ConfigError(f"unknown log level {name!r}: use one of {', '.join(LEVELS)}")
    return known


# --- drivers ------------------------------------------------------------------------------------


def _open(channel: str, settings: Mapping[str, Any], base_path: Path) -> logging.Handler:
    driver = str(settings.get("driver", ""))
    if driver not in DRIVERS:
        raise ConfigError(
            f"log channel {channel!r} has the unknown driver {driver!r}: "
            f"use one of {', '.join(DRIVERS)}"
        )
    make, known = DRIVERS[driver]
    for key in settings:
        if key not in known and key not in ("driver", "level", "format"):
            allowed = ("level", "format", *known)
            raise ConfigError(
                f"unknown setting {key!r} of log channel {channel!r}{_nearest(key, allowed)}"
            )
    return make(settings, base_path)


def _stderr(settings: Mapping[str, Any], base_path: Path) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(lambda record: not getattr(record, SHOWN, False))
    return handler


def _null(settings: Mapping[str, Any], base_path: Path) -> logging.Handler:
    return logging.NullHandler()


def _file(settings: Mapping[str, Any], base_path: Path) -> logging.Handler:
    return FileHandler(base_path / settings.get("path", "storage/logs/so.log"))


def _daily(settings: Mapping[str, Any], base_path: Path) -> logging.Handler:
    path = base_path / settings.get("path", "storage/logs/so.log")
    return DailyFileHandler(path, int(settings.get("days", 14)))


def _syslog(settings: Mapping[str, Any], base_path: Path) -> logging.Handler:
    from logging.handlers import SysLogHandler  # imports a good deal that others never need

    facility = str(settings.get("facility", "user"))
    numbers = SysLogHandler.facility_names
    if facility not in numbers:
        raise ConfigError(f"unknown syslog facility {facility!r}{_nearest(facility, numbers)}")
    address = _address(str(settings.get("address", "/dev/log")))
    handler = SysLogHandler(address, numbers[facility])
    handler.ident = f"{settings.get('ident', 'so')}: "
    return handler


def _journald(settings: Mapping[str, Any], base_path: Path) -> logging.Handler:
    return JournalHandler(str(settings.get("ident", "so")))


def _address(text: str) -> str | tuple[str, int]:
    """`/dev/log`, or `host:port` for a syslog server elsewhere."""
    if text.startswith("/"):
        return text
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"bad syslog address {text!r}: give a socket path or host:port")
    return host, int(port)


DRIVERS: Final[
    dict[str, tuple[Callable[[Mapping[str, Any], Path], logging.Handler], tuple[str, ...]]]
] = {
    "stderr": (_stderr, ()),
    "file": (_file, ("path",)),
    "daily": (_daily, ("path", "days")),
    "syslog": (_syslog, ("address", "facility", "ident")),
    "journald": (_journald, ("ident",)),
    "null": (_null, ()),
}
"""Driver name → (maker, settings it knows besides level and format); `stack` joins channels."""


class FileHandler(logging.Handler):
    """Appends to one file, a line by a single write, so several processes may share it.

    The file is opened again when it was moved or removed under us, as logrotate does.
    """

    def __init__(self, path: Path) -> None:
        """Open *path* now, so that a folder that cannot be written to is noticed at once."""
        super().__init__()
        self.path = path
        self._descriptor: int | None = None
        self._opened: tuple[int, int] | None = None
        self._open(self.current_path(datetime.now(UTC).date()))

    def current_path(self, day: date) -> Path:
        """The file for *day*."""
        return self.path

    def emit(self, record: logging.LogRecord) -> None:
        """Append *record*."""
        try:
            line = self.format(record) + "\n"
            day = datetime.fromtimestamp(record.created, UTC).date()
            os.write(
                self._writable(self.current_path(day)), line.encode("utf-8", "backslashreplace")
            )
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = self._opened = None
        super().close()

    def _writable(self, path: Path) -> int:
        if self._descriptor is None or self._opened != identity_of(path):
            return self._open(path)
        return self._descriptor

    def _open(self, path: Path) -> int:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, FILE_MODE)
        self._opened = identity_of(path)
        return self._descriptor


class DailyFileHandler(FileHandler):
    """One file a day (UTC), named `so-2026-01-15.log`; those older than *days* are removed.

    Nothing is renamed, so any number of processes may write and clear away at the same time.
    """

    def __init__(self, path: Path, days: int) -> None:
        """Keep *days* files; 0 keeps all."""
        self.days = days
        super().__init__(path)

    def current_path(self, day: date) -> Path:
        """The file for *day*."""
        return self.path.with_name(f"{self.path.stem}-{day.isoformat()}{self.path.suffix}")

    def _open(self, path: Path) -> int:
        descriptor = super()._open(path)
        self._clear_away(datetime.now(UTC).date())
        return descriptor

    def _clear_away(self, today: date) -> None:
        if self.days <= 0:
            return
        oldest = self.current_path(today - timedelta(days=self.days - 1)).name
        pattern = f"{self.path.stem}-????-??-??{self.path.suffix}"
        for old in self.path.parent.glob(pattern):
            if old.name < oldest:
                old.unlink(missing_ok=True)


# --- what a line looks like ---------------------------------------------------------------------


def _formatter(channel: str, settings: Mapping[str, Any]) -> logging.Formatter:
    wanted = settings.get("format", "line")
    if wanted not in FORMATS:
        raise ConfigError(
            f"unknown format {wanted!r} of log channel {channel!r}: use {' or '.join(FORMATS)}"
        )
    return FORMATS[wanted]()


def escape_breaks(text: str) -> str:
    r"""*text* on one line: line breaks as `\n`, other control characters as `\x1b`."""
    return _BREAKS.sub(lambda found: ascii(found[0])[1:-1], text)


class LineFormatter(logging.Formatter):
    """`2026-01-15T12:00:00.000Z ERROR so [3f9c…] message {"context": …}`, traceback indented."""

    def format(self, record: logging.LogRecord) -> str:
        """One line for *record*; its traceback below, each line set in."""
        head = f"{_time(record)} {record.levelname} {record.name} [{_work_id(record) or '-'}] "
        line = head + escape_breaks(record.getMessage())
        context = _context(record)
        if context:
            line += " " + _json(context)
        for block in _traces(self, record):
            line += "".join(f"\n    {escape_breaks(part)}" for part in block.splitlines())
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with time, level, message, request id, context and exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The object for *record*."""
        scope = current_scope()
        fields = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": _work_id(record),
            "kind": scope.kind if scope is not None else None,
            "context": _context(record),
            "exception": "\n".join(_traces(self, record)) or None,
        }
        return _json({name: value for name, value in fields.items() if value not in (None, {})})


FORMATS: Final[dict[str, type[logging.Formatter]]] = {"line": LineFormatter, "json": JsonFormatter}


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _work_id(record: logging.LogRecord) -> str | None:
    """The id given with the record, else that of the request, job or command under way."""
    given = getattr(record, "request_id", None)
    if given is None:
        scope = current_scope()
        given = scope.request_id if scope is not None else None
    return None if given is None else escape_breaks(str(given))


def _context(record: logging.LogRecord) -> dict[str, Any]:
    """What was given with the record, besides what its scope tells with each of its lines."""
    scope, given = current_scope(), getattr(record, "context", None)
    context = dict(scope.data.get("log", ())) if scope is not None else {}
    if isinstance(given, Mapping):
        context.update(given)
    return dict(_MASKER.mask(context)) if context else {}  # type: ignore[call-overload]  # a mapping stays one


def _traces(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    blocks = []
    if record.exc_info:
        blocks.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        blocks.append(formatter.formatStack(record.stack_info))
    return blocks


def _json(value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
    except (TypeError, ValueError):
        # NaN, a key that is no text, a circle: a line that tells less beats a line lost.
        text = json.dumps(repr(value), ensure_ascii=False)
    # U+2028 and its like stand escaped, so that a reader splitting at line breaks sees one line.
    return _BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _nearest(name: str, known: Any) -> str:
    near = nearest(name, list(known))
    offered = ", ".join(sorted(known))
    return f": did you mean {near!r}?" if near else f": use one of {offered}"


_MASKER = Masker()

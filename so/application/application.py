"""`Application`: its folder, its settings, its life, and its WSGI callable.

It is a container in which every system is bound as assembly.py says. Importing or constructing
one installs no signal handler and no global logging, and keeps no global but the
current-application variable.
"""

from __future__ import annotations

import importlib
import itertools
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Token
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from so import __version__
from so.application import assembly
from so.config import Env
from so.container import Container, ServiceProvider
from so.errors import ConfigError
from so.settings import TOPICS
from so.settings.app import AppSettings
from so.support.archive import home_of
from so.support.clock import Clock
from so.support.current import defaults, running
from so.support.settings import Settings

if TYPE_CHECKING:
    from so.http.request import Request
    from so.http.response import Response


PACKAGE = "app"  # what an application calls its own code
_exchange = threading.RLock()


S = TypeVar("S", bound=Settings)


class Application(Container):
    """One application: its folder, its settings, its systems, and its WSGI callable."""

    def __init__(
        self, base_path: str | Path | None = None, config: Mapping[str, Any] | None = None
    ) -> None:
        """The application in *base_path* (`.env`, `config/`, `app/`), *config* laid over its own.

        A topic without a file in `config/` has the framework's settings. Raises ConfigError for a
        folder that does not exist.
        """
        super().__init__()
        self._base = Path(base_path or Path.cwd()).resolve()
        if not self._base.is_dir():
            raise ConfigError(f"{self._base} is no folder: create one with `bin/sixorbit new`")
        self.dotenv = Env.read(self._base / ".env") or {}
        self.config = assembly.settings_of(self._base, self.dotenv, config or {})
        self.clock = Clock()
        self._providers: dict[type[ServiceProvider], ServiceProvider] = {}
        self._booted = False  # by the thread that boots, from its first provider on
        self._ready = False  # for everybody else
        self._boot_lock = threading.RLock()  # a boot may take long: not the container's
        self._begun: set[type[ServiceProvider]] = set()
        self._apart: dict[str, ModuleType] = {}
        self._tokens: list[Token[Application | None]] = []
        self._wsgi: Callable[..., Iterable[bytes]] | None = None
        self._bind_rooms()

    def _bind_rooms(self) -> None:
        self.instance("app", self)
        self.instance("config", self.config)
        self.instance("clock", self.clock)
        for name, make in assembly.ROOMS.items():
            self.singleton(name, partial(make, self))
        for name, make in assembly.PASSING.items():
            self.bind(name, partial(make, self))

    # --- its systems ---

    def __getattr__(self, name: str) -> Any:
        """A system by its name: `app.db`, `app.errors`, and whatever a provider bound."""
        if name.startswith("_") or not self.bound(name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self.make(name)

    def get_alias(self, abstract: Any) -> Any:
        """A class of the framework stands for the system of its kind, imported or not."""
        found = super().get_alias(abstract)
        if isinstance(found, type) and found not in self._bindings:
            room = assembly.CLASSES.get(f"{found.__module__}.{found.__qualname__}")
            return found if room is None or found in self._instances else room
        return found

    def bound(self, abstract: Any) -> bool:
        """True for systems by their classes as well."""
        return super().bound(abstract) or super().bound(self.get_alias(abstract))

    has = bound
    __contains__ = bound

    def install_tables(self, connection: str | None = None) -> None:
        """Create the framework's tables where the systems keep theirs; harmless when they exist."""
        from so.application import homes

        homes.install(self, connection)

    # --- settings, paths and facts ---

    def faults(self) -> list[str]:
        """What is wrong with its settings, in words."""
        found = []
        for topic in TOPICS:
            try:
                self.config.get(topic)
            except ConfigError as error:
                found.append(str(error))
        return found

    def settings(self, kind: type[S]) -> S:
        """The settings of one topic, as they are now: `app.settings(CacheSettings).prefix`."""
        return kind.from_config(self.config.get(kind.topic))

    def base_path(self, path: str | Path = "") -> Path:
        """A path inside the application's folder."""
        return self._base / path

    def config_path(self, path: str | Path = "") -> Path:
        """A path inside `config/`."""
        return self._base / "config" / path

    def storage_path(self, path: str | Path = "") -> Path:
        """A path inside `storage/` (or where `app.storage` says)."""
        # Written down (a report's path in a row), it must outlive the files of this version.
        return home_of(self._base) / str(self._said("storage")) / path

    def database_path(self, path: str | Path = "") -> Path:
        """A path inside `database/`."""
        return self._base / "database" / path

    def version(self) -> str:
        """The framework's version."""
        return __version__

    def environment(self, *names: str | Iterable[str]) -> Any:
        """The environment's name; with *names* (or one list of them), whether it is one of them."""
        here = self._said("env")
        if not names:
            return here
        asked = [one for each in names for one in ([each] if isinstance(each, str) else each)]
        return any(here == _environment(one) for one in asked)

    def use_environment(self, name: str) -> None:
        """Run as *name* instead of what APP_ENV says."""
        self.config.set("app.env", AppSettings.checked("env", name))

    def is_production(self) -> bool:
        """True unless the environment says otherwise."""
        return bool(self.environment("production"))

    def is_debug(self) -> bool:
        """True if errors may show their insides."""
        return bool(self._said("debug"))

    def _said(self, name: str) -> Any:
        return AppSettings.checked(name, self.config.get(f"app.{name}"))

    # --- life ---

    def __enter__(self) -> Application:
        defaults.append(self)
        self._tokens.append(running.set(self))
        try:
            self.boot()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.close()
        finally:
            self._leave()

    def _leave(self) -> None:
        defaults.remove(self)
        running.reset(self._tokens.pop())

    def register(self, provider: type[ServiceProvider] | ServiceProvider) -> ServiceProvider:
        """Add a provider, once; it boots at once if the application has booted.

        One whose `register()` raises is not added: the next attempt begins anew.
        """
        cls = provider if isinstance(provider, type) else type(provider)
        if cls not in self._providers:
            if not issubclass(cls, ServiceProvider):
                raise TypeError(
                    f"register() takes a ServiceProvider or a class of them: {provider!r}"
                )
            found = provider(self) if isinstance(provider, type) else provider
            self._providers[cls] = found
            try:
                found.register()
            except BaseException:
                del self._providers[cls]
                raise
        if self._booted:
            self._boot(self._providers[cls])
        return self._providers[cls]

    def boot(self, *, anyhow: bool = False) -> None:
        """Register the providers of `app.providers`, then boot them all; does nothing twice.

        Other threads wait for the first. What one provider raises goes on to the caller, and the
        next call begins where it ended: an application is never taken for booted by half.
        Raises ConfigError that names every setting that is misspelt: now, not when it is needed;
        *anyhow* leaves that to whoever asks for `faults()`.
        """
        if not self._ready:
            with self._boot_lock:
                self._boot_all(anyhow)

    def _boot_all(self, anyhow: bool) -> None:
        if self._booted:
            return
        if not anyhow and (faults := self.faults()):
            raise ConfigError("\n".join(faults))
        for name in self.settings(AppSettings).providers:
            self.register(self._provider_class(name))
        self._booted = True
        try:
            for provider in list(self._providers.values()):
                self._boot(provider)
            if not anyhow:
                from so.application.dangers import refuse_unknown

                refuse_unknown(self)
        except BaseException:
            self._booted = False
            raise
        self._ready = True

    def _boot(self, provider: ServiceProvider) -> None:
        if type(provider) in self._begun:
            return
        self._begun.add(type(provider))
        try:
            self.call(provider.boot)
        except BaseException:
            self._begun.discard(type(provider))
            raise

    def _provider_class(self, name: Any) -> type[ServiceProvider]:
        if isinstance(name, type):
            return name
        module, _, cls = str(name).rpartition(".")
        try:
            found: type[ServiceProvider] = getattr(self.import_module(module), cls)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"provider {name!r} of app.providers cannot be loaded") from error
        return found

    def close(self) -> None:
        """Close what was opened: connections, log files. The application can be used again.

        Jobs whose dispatch somebody still holds are stored first.
        """
        if "queue" in self._instances:
            self._instances["queue"].send_held()
        log = self._instances.get("activity")
        if log is not None and log.unlogged:
            from so.application.trail import note_silence

            note_silence(self, log)
        for name in ("live_inbox", "aside", "caches", "db"):
            room = self._instances.get(name)
            if room is not None:
                room.close()
        if "logger" in self._instances:
            from so.support import logs

            logs.release(self._instances["logger"].name)
            self.forget_instance("logger")

    # --- the application's own modules ---

    def import_module(self, name: str) -> ModuleType:
        """Import *name*, from this application's folder if it is there."""
        with self.own_modules():
            return importlib.import_module(name)

    @contextmanager
    def own_modules(self) -> Iterator[None]:
        """Let imports in the block find this application's package `app`.

        The first application of a process keeps it under that name. Another one, in another
        folder, has modules of its own; they stand there for the block alone, so what they import
        of each other must be imported while they are loaded, not later inside a function.
        """
        known = sys.modules.get(PACKAGE)
        if known is None or self._base in [Path(p).parent for p in _folders_of(known)]:
            let_be_found(self._base)
            yield
            return
        with _exchange:
            theirs = _taken_out()
            sys.modules.update(self._apart)
            sys.path.insert(0, str(self._base))
            importlib.invalidate_caches()
            try:
                yield
            finally:
                sys.path.remove(str(self._base))
                self._apart = _taken_out()
                sys.modules.update(theirs)

    def discover(self, folder: str) -> list[ModuleType]:
        """Import every module of `app/<folder>/`, or the one module `app/<folder>.py`."""
        place = self._base / "app" / folder
        if place.with_suffix(".py").is_file():
            return [self.import_module(f"app.{folder}")]
        names = sorted(file.stem for file in place.glob("*.py") if file.stem != "__init__")
        return [self.import_module(f"app.{folder}.{name}") for name in names]

    # --- serving ---

    def ready(self) -> Callable[..., Iterable[bytes]]:
        """Boot, and make what every request needs; the WSGI callable.

        A server does so before it forks: its workers share all that, and nobody waits for it.
        Raises ConfigError for settings that no production may start with, all of them at once.
        """
        from so.application.dangers import refuse_dangers

        refuse_dangers(self)
        return self._prepared()

    def _prepared(self) -> Callable[..., Iterable[bytes]]:
        self.boot()
        self._wsgi = self.make("kernel")
        return self._wsgi

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer one WSGI request."""
        wsgi = self._wsgi or self._prepared()
        if running.get() is not self:
            running.set(self)
        return wsgi(environ, start_response)

    def refuses_unread(self, environ: dict[str, Any]) -> bool:
        """True for a request that is refused whatever its body says; servers ask before they ask
        the client for it.
        """
        self.boot()
        return bool(self.make("kernel").refuses_unread(environ))

    def handle(self, request: Request) -> Response:
        """The response to *request*, through all middleware; errors are rendered."""
        self.boot()
        if running.get() is not self:
            running.set(self)
        response: Response = self.make("kernel").handle(request)
        return response

    def terminate(self, request: Request, response: Response) -> None:
        """Run what middleware put off until the response had been sent."""
        self.make("kernel").terminate(request, response)


def _environment(name: str) -> str:
    """*name* as APP_ENV would be understood; any other name is none that an application has."""
    try:
        known: str = AppSettings.checked("env", name)
    except ConfigError:
        return name
    return known


_SITES = ("site-packages", "dist-packages")


def let_be_found(base: Path) -> None:
    """Have `app` imported from *base*, also where a folder before it on the path has one, too."""
    before = itertools.takewhile(lambda folder: folder != str(base), sys.path)
    if str(base) not in sys.path or any((Path(each) / PACKAGE).is_dir() for each in before):
        sys.path.insert(0, str(base))
    _let_vendor_be_found(base / "vendor")


def _let_vendor_be_found(folder: Path) -> None:
    """What a bundle brought goes before what the system has installed: it was tried with that.

    And behind Python's own modules, of which some wheels bring one for older versions.
    """
    path = str(folder)
    at = next((n for n, one in enumerate(sys.path) if Path(one).name in _SITES), len(sys.path))
    if path not in sys.path[:at] and folder.is_dir():
        sys.path[:] = [*sys.path[:at], path, *(one for one in sys.path[at:] if one != path)]


def _taken_out() -> dict[str, ModuleType]:
    """The modules of the package `app`, removed from sys.modules."""
    names = [n for n in sys.modules if n == PACKAGE or n.startswith(f"{PACKAGE}.")]
    return {name: sys.modules.pop(name) for name in names}


def _folders_of(module: ModuleType) -> list[str]:
    """The folders a module was found in."""
    return list(getattr(module, "__path__", [])) or [str(module.__file__)]

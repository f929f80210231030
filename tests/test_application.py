"""The application: providers, several in one process, what it binds, and what it leaves alone."""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys
import threading
from pathlib import Path
from wsgiref.util import setup_testing_defaults

import pytest

import so
from so import (
    DB,
    Application,
    Config,
    Container,
    Database,
    Request,
    Router,
    ServiceProvider,
    app,
    config,
    env,
    logger,
    request,
    set_current,
)
from so.application.assembly import CLASSES, PASSING, ROOMS
from so.errors import ConfigError, RouteDefinitionError
from so.support.scope import Scope, entered
from so.testing import Client
from tests.systems.queue.jobs import Note

ROOT = Path(__file__).resolve().parent.parent
MAKERS = ("assembly", "stores", "requests", "logins", "work")
QUIET = {"logging": {"default": "null"}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Make folders of applications: `folder("one", ".env", "A=1")`."""
    for key in ("APP_NAME", "APP_ENV", "APP_KEY", "APP_DEBUG"):
        monkeypatch.delenv(key, raising=False)

    def make(name: str, **files: str) -> Path:
        for path, text in files.items():
            file = tmp_path / name / path.replace("__", "/").replace("_dot_", ".")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (tmp_path / name).mkdir(exist_ok=True)
        return tmp_path / name

    return make


@pytest.fixture
def here(tmp_path):
    with Application(tmp_path, {**QUIET, "app": {"env": "testing"}}) as application:
        yield application


class Service:
    pass


# --- the current application ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [app, lambda: config("a"), lambda: DB.table("t"), lambda: Router.get("/", str), logger]
    + [so.cache, so.queue, so.activity, so.notifications, so.auth, so.db],
)
def test_short_names_say_how_to_start_an_application(use):
    with pytest.raises(RuntimeError, match=r"with Application\(path\)"):
        use()


def test_it_is_current_inside_its_block_and_in_threads_begun_there(here, tmp_path):
    seen = []
    thread = threading.Thread(target=lambda: seen.append(app()))
    thread.start()
    thread.join()

    assert app() is here
    assert seen == [here]
    with Application(tmp_path, QUIET) as inner:
        assert app() is inner
    assert app() is here


def test_an_error_in_the_block_ends_it_as_well(tmp_path):
    with pytest.raises(KeyError), Application(tmp_path, QUIET):
        raise KeyError
    with pytest.raises(RuntimeError):
        app()


def test_set_current_is_for_tests(tmp_path):
    application = Application(tmp_path, QUIET)

    set_current(application)
    assert app() is application
    set_current(None)
    with pytest.raises(RuntimeError):
        app()
    application.close()
    application.close()


def test_a_dispatch_held_beyond_the_application_is_stored_when_it_closes(tmp_path):
    (tmp_path / "storage").mkdir()
    settings = {**QUIET, "app": {"env": "testing"}}
    with Application(tmp_path, settings) as application:
        application.install_tables()
        held = application.make("queue").dispatch(Note("a"))

    assert held.id is not None
    with Application(tmp_path, settings) as application:
        assert application.make("queue").size() == 1


# --- facts and settings ---------------------------------------------------------------------------


def test_paths_and_facts(here, tmp_path):
    assert here.base_path() == tmp_path
    assert here.base_path("a/b") == tmp_path / "a/b"
    assert here.config_path("app.py") == tmp_path / "config/app.py"
    assert here.storage_path("logs") == tmp_path / "storage/logs"
    assert here.database_path() == tmp_path / "database"
    assert here.version() == so.__version__
    assert here.environment() == "testing"
    assert here.environment("local", "testing")
    assert here.environment(["testing"])
    assert not here.environment("local")
    assert not here.is_production()
    assert not here.is_debug()


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is no folder"):
        Application(tmp_path / "none")


def test_settings_given_lie_over_those_of_the_files(folder):
    base = folder("erp", config__app_dot_py="config = {'name': 'A', 'deep': {'x': 1, 'y': 2}}")

    with Application(base, {**QUIET, "app": {"deep": {"y": 3}}, "new.z": 4}):
        assert (config("app.name"), config("app.deep")) == ("A", {"x": 1, "y": 3})
        assert config("new.z") == 4
        config({"new.z": 5, "more": 6})
        assert (config("new.z"), config("more"), config("zzz", "d")) == (5, 6, "d")
        assert isinstance(config(), Config)


def test_a_folder_without_settings_has_those_of_the_framework(folder):
    base = folder("erp", _dot_env="SESSION_LIFETIME=7\nAPP_NAME=Mine")

    with Application(base, QUIET):
        assert config("session.lifetime") == 7
        assert config("app.name") == "Mine"
        assert config("app.providers") == []
        assert config("database.default") == "sqlite"
        assert list(config("database.connections")) == ["sqlite", "mysql", "mariadb", "cache"]


def test_a_connection_of_another_driver_replaces_the_configured_one(folder):
    base = folder(
        "erp",
        config__database_dot_py="config = {'connections': {"
        "'a': {'driver': 'sqlite', 'journal_mode': 'wal'},"
        "'b': {'driver': 'mysql', 'host': 'h'}, 'c': {'driver': 'sqlite', 'database': 'x'}}}",
    )
    given = {
        "a": {"driver": "mysql", "host": "db"},
        "b": {"driver": "mariadb", "port": 1},
        "c": {"database": "y"},
    }

    connections = Application(base, {"database": {"connections": given}}).config.get(
        "database.connections"
    )

    assert connections["a"] == {"driver": "mysql", "host": "db"}
    assert connections["b"] == {"driver": "mariadb", "host": "h", "port": 1}
    assert connections["c"] == {"driver": "sqlite", "database": "y"}


def test_each_application_sees_its_own_dotenv(folder):
    settings = "from so import env\nconfig = {'name': env('APP_NAME')}"
    one = Application(folder("one", _dot_env="APP_NAME=one", config__app_dot_py=settings), QUIET)
    two = Application(folder("two", _dot_env="APP_NAME=two", config__app_dot_py=settings), QUIET)

    assert (one.config.get("app.name"), two.config.get("app.name")) == ("one", "two")
    assert env("APP_NAME") is None
    with one:
        assert env("APP_NAME") == "one"
        with two:
            assert env("APP_NAME") == "two"
    assert env("APP_NAME") is None


# --- providers ------------------------------------------------------------------------------------


def recording(log: list[str], name: str, **methods):
    """A provider that notes what is called."""

    def register(self) -> None:
        log.append(f"register {name}")

    def boot(self) -> None:
        log.append(f"boot {name}")

    return type(name, (ServiceProvider,), {"register": register, "boot": boot, **methods})


def test_every_register_comes_before_any_boot_and_both_happen_once(tmp_path):
    log: list[str] = []
    one, two, three = (recording(log, name) for name in ("one", "two", "three"))
    application = Application(tmp_path, QUIET)

    provider = application.register(one)
    assert application.register(one) is provider
    given = two(application)
    assert application.register(given) is given
    application.boot()
    application.boot()

    assert log == ["register one", "register two", "boot one", "boot two"]
    application.register(three)
    assert log[4:] == ["register three", "boot three"]
    assert provider.app is application


def test_a_provider_may_register_another(tmp_path):
    log: list[str] = []
    inner = recording(log, "inner")
    early = recording(log, "early", register=lambda self: self.app.register(inner) and None)
    application = Application(tmp_path, QUIET)

    application.register(early)
    application.boot()

    assert sorted(log) == ["boot early", "boot inner", "register inner"]


def test_what_is_no_provider_is_refused_by_its_value(tmp_path):
    with pytest.raises(TypeError, match="takes a ServiceProvider or a class of them: 5"):
        Application(tmp_path, QUIET).register(5)


def test_a_provider_that_fails_to_register_is_registered_by_the_next_attempt(tmp_path):
    log: list[str] = []
    outcomes = iter([KeyError("away"), None])

    def register(self):
        if (error := next(outcomes)) is not None:
            raise error

    provider = recording(log, "late", register=register)
    application = Application(tmp_path, QUIET)

    with pytest.raises(KeyError):
        application.register(provider)
    application.register(provider)
    application.boot()

    assert log == ["boot late"]


def test_a_boot_that_failed_goes_on_where_it_ended(tmp_path):
    """Not from the start, and never as if the rest had booted: its routes would be 404."""
    tries: list[str] = []

    class First(ServiceProvider):
        def boot(self) -> None:
            tries.append("first")

    class Second(ServiceProvider):
        def boot(self) -> None:
            tries.append("second")
            if len(tries) == 2:
                raise OSError("the database is away")
            self.app.router.get("/second", lambda: "there")

    application = Application(tmp_path, QUIET)
    application.register(First)
    application.register(Second)

    with pytest.raises(OSError, match="away"):
        Client(application).get("/second")
    Client(application).get("/second").assert_status(200)

    assert tries == ["first", "second", "second"]


def test_a_second_thread_waits_until_the_first_has_booted(tmp_path):
    begun, go_on = threading.Event(), threading.Event()
    statuses = []

    class Slow(ServiceProvider):
        def boot(self) -> None:
            begun.set()
            go_on.wait(10)
            self.app.router.get("/slow", lambda: "there")

    application = Application(tmp_path, QUIET)
    application.register(Slow)

    def ask() -> None:
        statuses.append(Client(application).get("/slow").status)

    first, second = threading.Thread(target=ask), threading.Thread(target=ask)
    first.start()
    begun.wait(10)
    second.start()
    second.join(0.05)  # were it not to wait, it would have its 404 by now
    go_on.set()
    first.join()
    second.join()

    assert statuses == [200, 200]


def test_boot_gets_what_it_asks_for(tmp_path):
    seen = []

    class Provider(ServiceProvider):
        def boot(self, config: Config, service: Service) -> None:
            seen.extend([config, service])

    application = Application(tmp_path, QUIET)
    application.register(Provider)
    application.boot()

    assert seen[0] is application.config
    assert isinstance(seen[1], Service)


def test_a_provider_of_the_settings_that_cannot_be_loaded_is_named(tmp_path):
    with (
        pytest.raises(ConfigError, match=r"provider 'nothing\.Here' of app\.providers"),
        Application(tmp_path, {"app": {"providers": ["nothing.Here"]}}),
    ):
        pass


# --- what is bound --------------------------------------------------------------------------------


def test_every_name_of_the_contract_is_bound(here):
    names = "app config db router request session cache queue activity notifications logger"

    for name in [*names.split(), "validator", "auth"]:
        assert here.bound(name)
        assert name in here


def test_classes_stand_for_their_rooms(here):
    assert here.make(Application) is here.make(Container) is here["app"] is here
    assert here.make(Config) is here.config
    assert here.make(Database) is here.db
    assert here.make(logging.Logger) is here.logger
    assert app(Database) is app("db")
    for path in CLASSES:
        module, _, name = path.rpartition(".")
        assert f"{module}.{name}" == path
        found = getattr(__import__(module, fromlist=[name]), name)
        assert f"{found.__module__}.{found.__qualname__}" in CLASSES
        assert here.bound(found)


def test_rooms_are_attributes_and_others_are_not(here):
    assert here.db is here.make("db")
    assert here.errors is here.make("errors")
    with pytest.raises(AttributeError, match="'nothing_there'"):
        _ = here.nothing_there


def test_app_makes_things(here):
    here.singleton(Service, lambda container: Service())

    assert app(Service) is app().make(Service)


def test_scoped_things_live_for_one_request(here):
    here.scoped(Service)
    seen = []
    Router.get("/", lambda: seen.append((app(Service), app(Service))) or "ok")

    for _ in range(2):
        assert here.handle(Request.create("/")).status == 200

    (a, b), (c, d) = seen
    assert a is b
    assert c is d
    assert a is not c


def test_the_request_is_there_while_it_is_answered(here):
    Router.get("/", lambda: {"same": app(Request) is request() is app("request")})

    assert b'"same":true' in here.handle(Request.create("/")).body
    for use in (request, lambda: app("request"), lambda: app(Request)):
        with pytest.raises(RuntimeError, match="no request here"):
            use()


def test_a_scope_without_a_session_says_so(here):
    with entered(Scope("command")), pytest.raises(RuntimeError, match="no session here"):
        app("session")


# --- serving --------------------------------------------------------------------------------------


def test_a_middleware_may_ask_for_the_kernel_when_it_is_made(tmp_path):
    asked = []

    class Curious:
        def __init__(self):
            asked.append(so.app().make("kernel"))

        def handle(self, request, next):
            return next(request)

    with Application(tmp_path, {"app": {"middleware": [Curious]}}) as app:
        app.ready()

        assert asked == [app.make("kernel")]


def test_a_kernel_that_cannot_be_booted_is_not_kept(tmp_path):
    with Application(tmp_path, {"app": {"middleware": ["nobody.knows"]}}) as app:
        for _ in range(2):
            with pytest.raises(RouteDefinitionError, match=r"unknown middleware 'nobody\.knows'"):
                app.ready()


def test_it_is_a_wsgi_callable(here):
    Router.get("/", lambda: "hello")
    environ: dict = {}
    setup_testing_defaults(environ)
    seen = {}

    chunks = here(environ, lambda status, headers, error=None: seen.update(status=status))

    assert b"".join(chunks) == b"hello"
    assert seen["status"].startswith("200")
    getattr(chunks, "close", lambda: None)()


def test_two_applications_answer_each_by_its_own_routes(tmp_path, folder):
    one = Application(folder("one"), QUIET)
    two = Application(folder("two"), QUIET)
    for application, text in ((one, "one"), (two, "two")):
        application.make("router").get("/", lambda text=text: text)

    with one:
        assert two.handle(Request.create("/")).body == b"two"
    with two:
        assert one.handle(Request.create("/")).body == b"one"
    set_current(None)


def test_its_own_modules_are_found_behind_another_folder_that_has_some_too(tmp_path, monkeypatch):
    for name in ("ours", "theirs"):
        (tmp_path / name / "app").mkdir(parents=True)
        (tmp_path / name / "app" / "__init__.py").touch()
        (tmp_path / name / "app" / "told.py").write_text(f"NAME = {name!r}\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / n) for n in ("theirs", "ours")] + sys.path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "app"]:
        monkeypatch.delitem(sys.modules, name)

    with Application(tmp_path / "ours", QUIET) as application:
        told = application.import_module("app.told")

    assert told.NAME == "ours"
    for name in ("app", "app.told"):
        del sys.modules[name]


def test_a_key_is_needed_for_what_is_signed_only(tmp_path):
    with Application(tmp_path, {**QUIET, "app": {"env": "production", "key": None}}) as application:
        Router.get("/", lambda: "ok").name("home")

        assert application.handle(Request.create("/")).status == 200
        with pytest.raises(ConfigError, match="APP_KEY is not set"):
            so.signed_route("home")


def test_outside_production_a_missing_key_is_made_once_and_kept(tmp_path):
    settings = {**QUIET, "app": {"env": "local", "key": None}}
    with Application(tmp_path, settings) as application:
        signed = application.make("signer").sign("x")

    with Application(tmp_path, settings) as application:
        assert application.make("signer").unsign(signed) == "x"
    assert (tmp_path / "storage" / "app.key").stat().st_mode & 0o777 == 0o600


# --- what importing does --------------------------------------------------------------------------

_CLEAN = """
import logging, os, signal, sys, tempfile, threading
handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
environment, path = dict(os.environ), list(sys.path)
import so
ours = [name for name in sys.modules if name.startswith("so.")]
heavy = [n for n in sys.modules if n.partition(".")[0] in ("asyncio", "http", "sqlite3", "mysql")]
assert not ours and not heavy, (ours, heavy)
from so import Application
with tempfile.TemporaryDirectory() as folder:
    Application(folder)
rooms = [n for n in sys.modules if n in ("so.db", "so.http", "so.console", "asyncio", "sqlite3")]
assert not rooms, rooms
assert handlers == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
assert environment == dict(os.environ) and path == sys.path and threading.active_count() == 1
assert not logging.getLogger().handlers and not logging.getLogger("so").handlers
"""


def test_importing_and_constructing_change_nothing_of_the_process():
    # Without `site`: what measures coverage comes in by it, and brings modules of its own.
    done = subprocess.run(
        [sys.executable, "-S", "-c", _CLEAN], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


def test_every_public_name_can_be_imported():
    names: dict = {}

    exec("from so import *", names)

    assert set(so.__all__) <= set(names)
    assert set(so.__all__) <= set(dir(so))
    with pytest.raises(AttributeError, match="did you mean 'Model'"):
        _ = so.Modell


def test_a_room_is_also_the_function_of_its_name(here):
    assert so.config("app.env") == "testing"
    assert so.db() is here.db
    assert so.config.Config is Config


def test_every_room_has_the_function_that_makes_it_and_none_is_left_over():
    """The table names them as text, so that their files are loaded with the first that is made."""
    files = [importlib.import_module(f"so.application.{name}") for name in MAKERS]
    made = {n.removeprefix("make_") for file in files for n in vars(file) if n.startswith("make_")}

    assert made == {*ROOMS, *PASSING} - {"request", "session", "cache"}

"""`make:*`: the first lines of a controller, a model, a job … in the place where it belongs."""

from __future__ import annotations

import json
import keyword
import re
from collections.abc import Iterator
from pathlib import Path

from so.console.command import Command
from so.console.source import append_class, make_packages
from so.db.naming import plural, snake
from so.errors import CommandError, UsageError

_NAME = re.compile(r"^[A-Za-z_]\w*$")


class _Make(Command):
    """Writes one file from a template, never over an existing one.

    Where the application keeps a topic in one module (`app/models.py`), the class goes there: a
    folder of the same name would hide that module.
    """

    keeps_rights = True
    folder = ""
    template = ""
    suffix = ""
    kind = ""

    def handle(self) -> int:
        """Write the file and print where."""
        self._told(self._made(self._name()))
        return 0

    def _name(self) -> str:
        name = str(self.argument("name"))
        if not _NAME.match(name) or keyword.iskeyword(name):
            raise UsageError(
                f"{name!r} is no class name: letters, digits and underscores, and no word of Python"
            )
        return name

    def _told(self, file: Path) -> None:
        place = str(file.relative_to(self.app.base_path()))
        self.report_done({"created": [place]}, f"{self.kind} created: {place}")

    def _made(self, name: str) -> Path:
        if self.suffix and not name.endswith(self.suffix):
            name += self.suffix
        dashed = _snake(name).replace("_", "-")
        model = name.removesuffix(self.suffix) if self.suffix else name
        text = self.template.replace("{Name}", name).replace("{Model}", model)
        text = text.replace("{dashed}", dashed)
        module = self.app.base_path(f"{self.folder}.py")
        file = self.app.base_path(f"{self.folder}/{_snake(name)}.py")
        if module.is_file():
            file = module
            append_class(module, name, text)
        elif file.exists():
            raise CommandError(f"{file} exists already: choose another name")
        else:
            self._write(file, text)
        return file

    def _write(self, file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        if self.folder.startswith("app/"):
            make_packages(file.parent)
        file.write_text(text, encoding="utf-8")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def table_of(model: str) -> str:
    """The table of a model by its name, as the model itself takes it."""
    return plural(snake(model))


class MakeController(_Make):
    """A controller with the actions of a resource that programs use."""

    signature = "make:controller {name : Such as ProductController}"
    folder, suffix, kind = "app/controllers", "Controller", "Controller"
    template = '''"""{Name}."""

from so import JsonResponse, Request, Response


class {Name}:
    """Register with `Router.api_resource("…", {Name})`."""

    def index(self) -> Response:
        return JsonResponse.success([])

    def show(self, id: int) -> Response:
        return JsonResponse.success({"id": id})

    def store(self, request: Request) -> Response:
        return JsonResponse.created(request.validate({"name": "required|string|max:100"}))

    def update(self, request: Request, id: int) -> Response:
        return JsonResponse.success({"id": id})

    def destroy(self, id: int) -> Response:
        return JsonResponse.no_content()
'''


class MakeModel(_Make):
    """A model, and what goes with it."""

    signature = (
        "make:model {name : Such as Product} {--m|migration : Its table as well} "
        "{--c|controller : A controller} {--r|resource : The same, with the actions of a resource} "
        "{--f|factory : A factory} {--s|seed : A seeder} "
        "{--a|all : All of these, a policy and the rules of a request}"
    )
    folder, kind = "app/models", "Model"
    template = '''"""{Name}."""

from so import Model


class {Name}(Model):
    """Describe what one row of it is."""

    fillable = ["name"]
'''

    def handle(self) -> int:
        """Write the model, then the rest that was asked for."""
        name, code = self._name(), 0
        file = self._made(name)
        created = [str(file.relative_to(self.app.base_path()))]
        if not self.wants_json:
            self.info(f"Model created: {created[0]}")
        for maker, of in self._others(name):
            if code:
                break
            if not self.wants_json:
                code = self.call(maker, {"name": of})
            elif code := self.kernel.call(maker, {"name": of, "--json": True}):
                self.error(self.kernel.output().rstrip())
            else:
                created += json.loads(self.kernel.output())["created"]
        if self.wants_json:
            self.json({"created": created})
        return code

    def _others(self, name: str) -> Iterator[tuple[str, str]]:
        """The makers of what was asked for as well, and what they are told."""
        told = {"migration": f"create_{table_of(name)}_table", "request": f"Store{name}"}
        every = ("migration", "controller", "factory", "seeder", "policy", "request")
        given = {one for one in every if self.options().get(one)}
        given |= {"controller"} if self.option("resource") else set()
        given |= {"seeder"} if self.option("seed") else set()
        for maker in every:
            if self.option("all") or maker in given:
                yield f"make:{maker}", told.get(maker, name)


class MakeMiddleware(_Make):
    """A middleware."""

    signature = "make:middleware {name : Such as EnsureBranch}"
    folder, kind = "app/middleware", "Middleware"
    template = '''"""{Name}."""

from collections.abc import Callable

from so import Request, Response


class {Name}:
    """Say what it lets through."""

    def handle(self, request: Request, next: Callable[[Request], Response]) -> Response:
        return next(request)
'''


class MakeProvider(_Make):
    """A service provider."""

    signature = "make:provider {name : Such as BillingProvider}"
    folder, kind = "app/providers", "Provider"
    template = '''"""{Name}: add it to `providers` in config/app.py."""

from so import ServiceProvider


class {Name}(ServiceProvider):
    """Say what it binds."""

    def register(self) -> None:
        pass

    def boot(self) -> None:
        pass
'''


class MakeJob(_Make):
    """A queued job."""

    signature = "make:job {name : Such as GenerateReport}"
    folder, kind = "app/jobs", "Job"
    template = '''"""{Name}."""

from so import Job


class {Name}(Job):
    """Say what it does and how long it may take."""

    tries = 3
    timeout = 60

    def __init__(self, id: int) -> None:
        self.id = id

    def handle(self) -> None:
        pass
'''


class MakeNotification(_Make):
    """A notification."""

    signature = "make:notification {name : Such as OrderShipped}"
    folder, kind = "app/notifications", "Notification"
    template = '''"""{Name}."""

from typing import Any

from so import Notification


class {Name}(Notification):
    """Say who gets it and when."""

    def via(self, notifiable: Any = None) -> list[str]:
        return ["database"]

    def to_database(self, notifiable: Any) -> dict[str, Any]:
        return {"title": "{Name}", "message": ""}
'''


class MakeCommand(_Make):
    """A console command."""

    signature = "make:command {name : Such as SendReminders}"
    folder, kind = "app/commands", "Command"
    template = '''"""{Name}."""

from so import Command


class {Name}(Command):
    """Say when to run it."""

    signature = "app:{dashed}"
    description = "Say in one line what it does"

    def handle(self) -> int:
        self.info("done")
        return 0
'''


class MakeSeeder(_Make):
    """A database seeder."""

    signature = "make:seeder {name : Such as ProductSeeder}"
    folder, suffix, kind = "database/seeders", "Seeder", "Seeder"
    template = '''"""{Name}: run with `bin/sixorbit db:seed --class={Name}`."""

from so import Seeder


class {Name}(Seeder):
    """Say what it fills; `self.call(Other)` runs another seeder."""

    def run(self) -> None:
        pass
'''


class MakeFactory(_Make):
    """A factory of a model."""

    signature = "make:factory {name : Of the model, such as Product}"
    folder, suffix, kind = "database/factories", "Factory", "Factory"
    template = '''"""{Name}."""

from typing import Any

from app.models import {Model}
from so import Factory


class {Name}(Factory):
    """Used as `{Model}.factory(3).create()`."""

    model = {Model}

    def definition(self) -> dict[str, Any]:
        return {"name": f"{Model} {self.number}"}
'''


class MakePolicy(_Make):
    """A policy of a model."""

    signature = "make:policy {name : Such as OrderPolicy}"
    folder, suffix, kind = "app/policies", "Policy", "Policy"
    template = '''"""{Name}."""

from typing import Any


class {Name}:
    """Register with `Gate.policy({Model}, {Name})`; asked as `Gate.allows("update", record)`."""

    def view(self, user: Any, record: Any) -> bool:
        return True

    def create(self, user: Any) -> bool:
        return False

    def update(self, user: Any, record: Any) -> bool:
        return False

    def delete(self, user: Any, record: Any) -> bool:
        return False
'''


class MakeRequest(_Make):
    """The rules of a form."""

    signature = "make:request {name : Such as StoreOrder}"
    folder, suffix, kind = "app/requests", "Request", "Request"
    template = '''"""{Name}."""

from typing import Any

from so import Request


class {Name}:
    """Used as `given = {Name}.validated(request)`."""

    rules = {"name": "required|string|max:100"}
    messages: dict[str, str] = {}

    @classmethod
    def validated(cls, request: Request) -> dict[str, Any]:
        """What came, if it is right; 422 with every fault otherwise."""
        return request.validate(cls.rules, cls.messages)
'''


class MakeResource(_Make):
    """The JSON form of a model."""

    signature = "make:resource {name : Such as Order}"
    folder, suffix, kind = "app/resources", "Resource", "Resource"
    template = '''"""{Name}."""

from collections.abc import Iterable
from typing import Any


class {Name}:
    """Used as `{Name}.of(record)`, or `{Name}.each(records)`."""

    @staticmethod
    def of(record: Any) -> dict[str, Any]:
        return {"id": record.get_key(), "name": record.name}

    @classmethod
    def each(cls, records: Iterable[Any]) -> list[dict[str, Any]]:
        return [cls.of(record) for record in records]
'''


class MakeTest(_Make):
    """A test of the application."""

    signature = "make:test {name : Such as OrdersTest}"
    folder, kind = "tests", "Test"
    template = '''"""{Name}."""

import unittest
from pathlib import Path

from so import Application
from so.testing import Client

ROOT = Path(__file__).resolve().parent.parent


class {Name}(unittest.TestCase):
    """Run by `bin/sixorbit test`, with pytest or without."""

    def setUp(self) -> None:
        memory = {"driver": "sqlite", "database": ":memory:"}
        database = {"default": "memory", "connections": {"memory": memory, "cache": memory}}
        self.app = Application(ROOT, {"app": {"env": "testing"}, "database": database})
        self.enterContext(self.app)
        self.app.install_tables()

    def test_the_first_page_answers(self) -> None:
        self.assertEqual(Client(self.app).get("/").status, 200)
'''

    def _made(self, name: str) -> Path:
        """Write the file under a name that test runners find."""
        file = self.app.base_path(f"tests/test_{_snake(name.removesuffix('Test')) or 'app'}.py")
        if file.exists():
            raise CommandError(f"{file} exists already: choose another name")
        file.parent.mkdir(parents=True, exist_ok=True)
        (file.parent / "__init__.py").touch()
        file.write_text(self.template.replace("{Name}", name), encoding="utf-8")
        return file


class MakeEvent(_Make):
    """Something that happened."""

    signature = "make:event {name : Such as OrderShipped}"
    folder, kind = "app/events", "Event"
    template = '''"""{Name}."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class {Name}:
    """Tell of it with `{Name}(…).fire()`, hear of it with `{Name}.listen(fn)`."""

    subject: object
    listeners: ClassVar[list[Callable[["{Name}"], object]]] = []

    @classmethod
    def listen(cls, listener: Callable[["{Name}"], object]) -> None:
        cls.listeners.append(listener)

    def fire(self) -> None:
        for listener in self.listeners:
            listener(self)
'''


class MakeListener(_Make):
    """Who hears of an event."""

    signature = "make:listener {name : Such as SendShipmentNotice}"
    folder, kind = "app/listeners", "Listener"
    template = '''"""{Name}."""

from typing import Any


class {Name}:
    """Register in a provider: `SomeEvent.listen({Name}())`."""

    def __call__(self, event: Any) -> None:
        pass
'''


class MakeRule(_Make):
    """A validation rule."""

    signature = "make:rule {name : Such as Iban}"
    folder, kind = "app/rules", "Rule"
    template = '''"""{Name}."""


class {Name}:
    """Used as `{"field": ["required", {Name}()]}`."""

    def passes(self, attribute: str, value: object) -> bool:
        return value is not None

    def message(self) -> str:
        return "The :attribute field is not right."
'''


class MakeCast(_Make):
    """A cast of a model's attribute."""

    signature = "make:cast {name : Such as Coordinates}"
    folder, kind = "app/casts", "Cast"
    template = '''"""{Name}."""

from typing import Any


class {Name}:
    """Used as `casts = {"column": {Name}}`."""

    def get(self, model: Any, key: str, value: Any, attributes: dict[str, Any]) -> Any:
        return value

    def set(self, model: Any, key: str, value: Any, attributes: dict[str, Any]) -> Any:
        return value
'''


class MakeMail(_Make):
    """A notification that goes out by mail."""

    signature = "make:mail {name : Such as InvoiceDue}"
    folder, kind = "app/notifications", "Mail"
    template = '''"""{Name}."""

from typing import Any

from so import MailMessage, Notification


class {Name}(Notification):
    """Sent with `user.notify({Name}())`."""

    def via(self, notifiable: Any = None) -> list[str]:
        return ["mail"]

    def to_mail(self, notifiable: Any) -> MailMessage:
        return MailMessage("{Name}").line("Write what happened.")
'''


class MakeObserver(_Make):
    """Who hears of a model's events."""

    signature = "make:observer {name : Such as OrderObserver}"
    folder, suffix, kind = "app/observers", "Observer", "Observer"
    template = '''"""{Name}."""

from typing import Any


class {Name}:
    """Register with `{Model}.observe({Name})`."""

    def created(self, record: Any) -> None:
        pass

    def updated(self, record: Any) -> None:
        pass

    def deleted(self, record: Any) -> None:
        pass
'''


class MakeException(_Make):
    """An error of the application."""

    signature = "make:exception {name : Such as StockTooLow}"
    folder, kind = "app/exceptions", "Exception"
    template = '''"""{Name}."""

from so import HttpException


class {Name}(HttpException):
    """Answered with status 422 and its message."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 422)
'''

"""`make:*`: the first lines of a controller, a model, a job … in the place where it belongs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from so.console.command import Command
from so.errors import CommandError

_NAME = re.compile(r"^[A-Za-z_]\w*$")


class _Make(Command):
    """Writes one file from a template, never over an existing one.

    Where the application keeps a topic in one module (`app/models.py`), the class goes there: a
    folder of the same name would hide that module.
    """

    folder = ""
    template = ""
    suffix = ""
    kind = ""

    def handle(self) -> int:
        """Write the file and print where."""
        name = str(self.argument("name"))
        if not _NAME.match(name):
            raise CommandError(f"{name!r} is no class name: letters, digits and underscores only")
        if self.suffix and not name.endswith(self.suffix):
            name += self.suffix
        dashed = _snake(name).replace("_", "-")
        text = self.template.replace("{Name}", name).replace("{dashed}", dashed)
        module = self.app.base_path(f"{self.folder}.py")
        file = self.app.base_path(f"{self.folder}/{_snake(name)}.py")
        if module.is_file():
            file = module
            _append(module, name, text)
        elif file.exists():
            raise CommandError(f"{file} exists already: choose another name")
        else:
            self._write(file, text)
        self.info(f"{self.kind} created: {file.relative_to(self.app.base_path())}")
        return 0

    def _write(self, file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        if self.folder.startswith("app/"):
            _make_package(file.parent.parent, "This application.")
            _make_package(file.parent, f"The {file.parent.name} of this application.")
        file.write_text(text, encoding="utf-8")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _make_package(folder: Path, docstring: str) -> None:
    package = folder / "__init__.py"
    if not package.exists():
        package.write_text(f'"""{docstring}"""\n', encoding="utf-8")


def _append(module: Path, name: str, text: str) -> None:
    """Put the class of the template *text* at the end of *module*, with the imports it lacks."""
    source = module.read_text("utf-8-sig")
    tree = ast.parse(source)
    if any(isinstance(node, ast.ClassDef) and node.name == name for node in tree.body):
        raise CommandError(f"{module} has a class {name} already: choose another name")
    wanted = [node for node in ast.parse(text).body if isinstance(node, ast.ImportFrom)]
    known = {alias.asname or alias.name for node in _imports(tree) for alias in node.names}
    lines = source.splitlines()
    missing = [
        f"from {node.module} import {alias.name}"
        for node in wanted
        for alias in node.names
        if alias.name not in known
    ]
    place = max((node.end_lineno or 0 for node in _header(tree)), default=0)
    gap = [""] if missing and place and not _imports(tree) else []
    lines[place:place] = [*gap, *missing]
    body = text[text.index("\nclass ") :].strip("\n")
    module.write_text("\n".join([*lines, "", "", body, ""]), encoding="utf-8")


def _imports(tree: ast.Module) -> list[ast.Import | ast.ImportFrom]:
    return [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]


def _header(tree: ast.Module) -> list[ast.stmt]:
    """The docstring and the imports."""
    first = tree.body[:1] if ast.get_docstring(tree) is not None else []
    return [*first, *_imports(tree)]


class MakeController(_Make):
    """A controller with the actions of a resource that programs use."""

    signature = "make:controller {name : Such as ProductController}"
    description = "Create a controller"
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
    """A model."""

    signature = "make:model {name : Such as Product}"
    description = "Create a model"
    folder, kind = "app/models", "Model"
    template = '''"""{Name}."""

from so import Model


class {Name}(Model):
    """Describe what one row of it is."""

    fillable = ["name"]
'''


class MakeMiddleware(_Make):
    """A middleware."""

    signature = "make:middleware {name : Such as EnsureBranch}"
    description = "Create a middleware"
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
    description = "Create a service provider"
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
    description = "Create a queued job"
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
    description = "Create a notification"
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
    description = "Create a console command"
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
    description = "Create a database seeder"
    folder, suffix, kind = "database/seeders", "Seeder", "Seeder"
    template = '''"""{Name}: run with `sixorbit db:seed --class={Name}`."""

from so import DB


class {Name}:
    """Say what it fills."""

    def run(self) -> None:
        DB.transaction(lambda: None)
'''

"""`new DIR`: a small application that runs at once, with the framework copied into it."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

import so
from so.console.command import Command
from so.errors import CommandError

_ROUTES = '''"""The routes of this application."""

from so import JsonResponse, Router, config


def home():
    return JsonResponse.success({"name": config("app.name")})


Router.get("/", home).name("home")
'''

_PROVIDER = '''"""What this application binds, allows and listens to."""

from so import ServiceProvider


class AppProvider(ServiceProvider):
    """Registered by config/app.py."""

    def register(self) -> None:
        pass

    def boot(self) -> None:
        pass
'''

_FILES = {
    "app/__init__.py": '"""This application."""\n',
    "app/models.py": '"""The models of this application."""\n',
    "app/jobs.py": '"""The queued jobs of this application."""\n',
    "app/providers.py": _PROVIDER,
    "app/routes.py": _ROUTES,
    "app/commands/.gitkeep": "",
    "database/migrations/.gitkeep": "",
    "storage/.gitkeep": "",
    ".gitignore": "__pycache__/\n.env\nstorage/*\n!storage/.gitkeep\n",
}


class New(Command):
    """Writes the skeleton; refuses a folder that has something in it."""

    signature = "new {directory : Where to create it}"
    description = "Create a new application in a directory"

    def handle(self) -> int:
        """Write everything below a new folder and say how to start."""
        target = Path(self.argument("directory")).resolve()
        if target.exists() and any(target.iterdir()):
            raise CommandError(f"{target} is not empty: name a new folder")
        framework = Path(so.__file__).resolve().parent
        for name, text in _FILES.items():
            file = target / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        leave_out = shutil.ignore_patterns("__pycache__", "skeleton")
        shutil.copytree(framework, target / "so", ignore=leave_out)
        skeleton = _skeleton(framework)
        shutil.copytree(skeleton / "config", target / "config", ignore=leave_out)
        for name in ("docs", ".env.example", "bin/sixorbit"):
            _copy_if_there(skeleton / name, target / name)
        (target / "bin" / "sixorbit").chmod(0o755)
        _write_env(target)
        self.info(f"Created {target}")
        self.line(f"  cd {target}\n  bin/sixorbit db:install\n  bin/sixorbit serve")
        if (target / "docs").is_dir():
            self.line("The guides are in docs/, and at /docs while it serves.")
        return 0


def _skeleton(framework: Path) -> Path:
    """Where settings and guides lie: inside an installed package, or beside a checkout."""
    for folder in (framework / "skeleton", framework.parent):
        if (folder / "config").is_dir() and (folder / "bin" / "sixorbit").is_file():
            return folder
    raise CommandError(f"config/ or bin/sixorbit is missing beside {framework}: copy them there")


def _copy_if_there(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.is_file():
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(source, target)


def _write_env(target: Path) -> None:
    lines = [f"APP_NAME={target.name}", "APP_ENV=local", "APP_DEBUG=true"]
    lines.append(f"APP_KEY={secrets.token_urlsafe(32)}")
    file = target / ".env"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    file.chmod(0o600)

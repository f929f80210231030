"""`new DIR`: a small application that runs at once, with the framework copied into it."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

import so
from so.console.command import Command
from so.errors import CommandError

_BIN = '''#!/usr/bin/env python3
"""The command line of this application: `bin/sixorbit list`."""

import sys
from pathlib import Path

root = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(root))

if __name__ == "__main__":
    from so.console.main import main

    sys.exit(main(base_path=root))
'''

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
        (target / "bin").mkdir()
        script = target / "bin" / "sixorbit"
        script.write_text(_BIN, encoding="utf-8")
        script.chmod(0o755)
        leave_out = shutil.ignore_patterns("__pycache__")
        shutil.copytree(framework, target / "so", ignore=leave_out)
        shutil.copytree(_config_folder(framework), target / "config", ignore=leave_out)
        # An installed package has neither.
        for name in ("docs", ".env.example"):
            _copy_if_there(framework.parent / name, target / name)
        _write_env(target)
        self.info(f"Created {target}")
        self.line(f"  cd {target}\n  bin/sixorbit db:install\n  bin/sixorbit serve")
        if (target / "docs").is_dir():
            self.line("The guides are in docs/, and at /docs while it serves.")
        return 0


def _config_folder(framework: Path) -> Path:
    """Where the default settings lie: inside an installed package, or beside a checkout."""
    for folder in (framework / "skeleton" / "config", framework.parent / "config"):
        if folder.is_dir():
            return folder
    raise CommandError(f"the default config/ is missing beside {framework}: copy it there")


def _copy_if_there(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.is_file():
        shutil.copyfile(source, target)


def _write_env(target: Path) -> None:
    lines = [f"APP_NAME={target.name}", "APP_ENV=local", "APP_DEBUG=true"]
    lines.append(f"APP_KEY={secrets.token_urlsafe(32)}")
    file = target / ".env"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    file.chmod(0o600)

"""Installs the bundle it came in: python3 install.py /srv/erp

It needs nothing but Python 3.11, and no network. Every file is checked against MANIFEST.json first;
nothing is written into a folder that has something in it.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - in words that every Python understands
    sys.exit("SixOrbit needs Python 3.11 or newer; this is %d.%d" % sys.version_info[:2])  # noqa: UP031

import compileall
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

UNFINISHED = ".installing"  # in the folder until all is there
LOCK = ".busy"  # of so/release/alone.py, which is not to be imported before it was compared
CODE = ("so/", "app/", "config/")
OURS = ("MANIFEST.json", "install.py", "sbom.cdx.json", "wheels")


def main(words: list[str]) -> int:
    """Check, copy, compile, say what comes next."""
    source = Path(__file__).resolve().parent
    if len(words) != 1:
        return told("say where to: python3 install.py /srv/erp", 2)
    target = Path(words[0]).resolve()
    try:
        manifest = json.loads((source / "MANIFEST.json").read_text("utf-8"))
        files = manifest["files"].items()
    except (OSError, ValueError, LookupError) as error:
        return told(f"the bundle was cut off: MANIFEST.json cannot be read ({error})", 1)
    changed = [name for name, about in files if not is_whole(source / name, about)]
    if changed:
        return told(f"{changed[0]} is missing or was changed: unpack the bundle anew", 1)
    if is_taken(target):
        return told(f"{target} is not empty: `bin/sixorbit upgrade` brings a new version there", 1)
    # Only now: what it is about to import is as the manifest says.
    sys.path.insert(0, str(source))
    sys.dont_write_bytecode = True
    from so.errors import ReleaseError

    try:
        install(source, target, manifest["files"])
    except (OSError, subprocess.CalledProcessError, ReleaseError) as error:
        return told(f"cannot install into {target}: {error}; nothing is left of it", 1)
    sys.stdout.write(
        f"Installed {manifest['application']} in {target}.\n"
        f"Next: edit {target / '.env'} (APP_ENV=production, the database), then\n"
        f"  cd {target} && bin/sixorbit db:install && bin/sixorbit migrate --force\n"
        "  bin/sixorbit check\n"
        "docs/deployment.md tells how it becomes services.\n"
    )
    return 0


def is_taken(target: Path) -> bool:
    """Whether there is something in *target* that no interrupted installation has left."""
    if not target.is_dir():
        return target.exists()
    names = {entry.name for entry in target.iterdir()}
    return UNFINISHED not in names and bool(names - {LOCK})


def clear(target: Path) -> None:
    """Remove what an installation that did not come to its end has left in *target*."""
    for entry in sorted(target.iterdir(), key=lambda one: one.name == UNFINISHED):
        if entry.name != LOCK:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def install(source: Path, target: Path, names: dict[str, object]) -> None:
    """All of it, after what an earlier try left; nothing stays of what does not succeed."""
    from so.errors import ReleaseError
    from so.release import wheels
    from so.release.alone import alone
    from so.release.files import for_services

    # What the manifest does not name lay there before; a wheel for another machine is refused here.
    brought = wheels.chosen(source / name for name in names if name.startswith("wheels/"))
    with for_services():
        target.mkdir(parents=True, exist_ok=True)
    with alone(target, "another process was first"), for_services():
        if is_taken(target):
            raise ReleaseError("it is not empty any more")
        clear(target)
        (target / UNFINISHED).touch()
        try:
            copy(source, target, names)
            wheels.unpack(brought, target / "vendor")
            make_settings(target)
        except BaseException:
            clear(target)
            raise
        (target / UNFINISHED).unlink()


def is_whole(file: Path, about: dict[str, object]) -> bool:
    """Whether *file* is as the manifest says."""
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == about["sha256"]


def copy(source: Path, target: Path, names: dict[str, object]) -> None:
    """The application's files into their place, compiled: services may not write there."""
    files = [name for name in names if name.partition("/")[0] not in OURS]
    for done, name in enumerate(files, 1):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / name, target / name)
        (target / name).chmod(0o644)  # whatever unpacked it
        if name.startswith(CODE) and name.endswith(".py"):
            compileall.compile_file(str(target / name), quiet=2)
        if sys.stdout.isatty():
            sys.stdout.write(
                f"\r{done} of {len(files)} files{'' if done < len(files) else chr(10)}"
            )
    (target / "bin" / "sixorbit").chmod(0o755)
    for folder in ("storage/logs", "storage/app"):
        (target / folder).mkdir(parents=True, exist_ok=True)


def make_settings(target: Path) -> None:
    """`.env` from the example, with a key of its own."""
    file = target / ".env"
    if not file.exists():
        shutil.copyfile(target / ".env.example", file)
        file.chmod(0o600)
        words = [sys.executable, str(target / "bin" / "sixorbit"), "key:generate"]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)  # noqa: S603


def told(text: str, code: int) -> int:
    """Say what is wrong."""
    sys.stderr.write(f"{text}\n")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The entry of `bin/sixorbit` and of the console script: find the application, run the kernel."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import so

if TYPE_CHECKING:
    from so.application import Application
    from so.console.kernel import Kernel


def main(argv: list[str] | None = None, base_path: str | Path | None = None) -> int:
    """Run *argv* for the application in *base_path*; the process's exit code.

    Without a path it is SIXORBIT_BASE, or the nearest folder upwards that has `config/`; an archive
    with an application in it runs that.
    """
    signal.signal(signal.SIGTERM, _terminate)
    _fill_in_streams()
    words = sys.argv[1:] if argv is None else argv
    if base_path is None and (archive := getattr(so.__loader__, "archive", None)):
        ended = _in_archive(Path(archive), words)
        if ended is not None:
            return ended
    root = Path(base_path or os.environ.get("SIXORBIT_BASE") or _nearest_root()).resolve()
    _put_first(root)
    from so.application import Application, set_current
    from so.application.application import let_be_found
    from so.console.kernel import FAILURE, INTERRUPTED, Kernel
    from so.errors import ConfigError, ReleaseError

    let_be_found(root)
    try:
        app = Application(root)
        kernel = Kernel(app)
        if argv is None:
            _begin_anew_as_owner(app, kernel, words)
    except (ConfigError, ReleaseError) as error:
        sys.stderr.write(f"{error}\n")
        return FAILURE
    set_current(app)  # not booted: `list` and a typo must work in a broken application, and fast
    app.instance(Kernel, kernel)
    app.instance("commands", kernel)  # for those who may not know the class
    try:
        return kernel.run(words)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        app.close()
        _let_go_of_output()


def _put_first(root: Path) -> None:
    if sys.path[:1] != [str(root)]:
        # In front even if it is there already: another folder before it may have an `app`, too.
        sys.path.insert(0, str(root))


def _begin_anew_as_owner(app: Application, kernel: Kernel, words: list[str]) -> None:
    """Where root works in the storage/ of a service's user: with the rights of that user."""
    from so.support.ownership import begin_anew, owner_of

    owner = owner_of(app.storage_path())
    if owner is not None and not kernel.keeps_rights(words):
        begin_anew(owner, app.base_path())


def _in_archive(archive: Path, words: list[str]) -> int | None:
    """Run *words* of the application in *archive*; None where there is none in it."""
    from so.errors import ReleaseError
    from so.release import zipapp

    if not zipapp.holds_application(archive):
        return None
    try:
        zipapp.run(archive, words)
    except (ReleaseError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _let_go_of_output() -> None:
    """Spare whoever reads no further (`| head`), or was told, a complaint when Python ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fill_in_streams() -> None:
    """Let what is printed go nowhere where whoever started this closed the standard streams."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (open until the end)


def _terminate(signum: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + signum)


def _nearest_root() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "config").is_dir() or (folder / "bin" / "sixorbit").is_file():
            return folder
    return here

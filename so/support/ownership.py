"""Root, and the user whose folder storage/ is: what root starts there must not be led by that user.

He may put a link, a file or another folder in the place of anything in storage/ at any moment. So
root works there as that user: a command begins anew with his rights, and the few that write
elsewhere keep theirs and open nothing in storage/, or do that part in a process of his.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from so.errors import ReleaseError

STARTED_BY = "SIXORBIT_STARTED_BY"  # "root" in what root has started as another user

_CAREFULLY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass(frozen=True)
class Owner:
    """A user of this machine, who need not have a name."""

    uid: int
    gid: int
    name: str
    home: str

    @classmethod
    def of(cls, about: os.stat_result) -> Owner:
        """To whom a file belongs."""
        return cls._numbered(about.st_uid, about.st_gid)

    @classmethod
    def called(cls, name: str) -> Owner | None:
        """The user called *name*; None where there is none."""
        import pwd

        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        return cls(entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir)

    @classmethod
    def of_this_process(cls) -> Owner:
        """As whom this process runs."""
        return cls._numbered(os.geteuid(), os.getegid())

    @classmethod
    def _numbered(cls, uid: int, gid: int) -> Owner:
        import pwd

        try:
            entry = pwd.getpwuid(uid)
        except KeyError:  # in a container: nobody gave that number a name
            return cls(uid, gid, str(uid), "/")
        return cls(entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir)

    @property
    def groups(self) -> list[int]:
        """The numbers of all his groups."""
        return os.getgrouplist(self.name, self.gid) if not self.name.isdigit() else [self.gid]

    def may_change(self, about: os.stat_result) -> bool:
        """Whether he may write there, or give himself the right to."""
        by_group, by_all = _writers(about)
        is_link = stat.S_ISLNK(about.st_mode)
        mine = about.st_uid == self.uid or (by_group and about.st_gid in self.groups)
        return not is_link and (mine or by_all)


def is_root() -> bool:
    """Whether this process may do everything."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def owner_of(folder: Path) -> Owner | None:
    """Whose *folder* is, where this is root and that is somebody else."""
    if not is_root() or not folder.is_dir():
        return None
    about = folder.stat()
    return Owner.of(about) if about.st_uid != 0 else None


def begin_anew(owner: Owner, base: Path) -> None:
    """Let this process start once more, as *owner*.

    Where he may not run this Python it goes on as it is in a folder of his own, whose code was his
    to change all along; in a *base* of root's ReleaseError says so.
    """
    script = sys.argv[0]
    words = [os.path.abspath(one) if one == script else one for one in sys.orig_argv[1:]]
    if not may_run_python(owner):
        if base.stat().st_uid != 0:
            return
        raise ReleaseError(
            f"storage/ belongs to {owner.name}, who may not run {sys.executable}: use a Python "
            "outside of private folders"
        )
    whose = {"HOME": owner.home, "USER": owner.name, "LOGNAME": owner.name, STARTED_BY: "root"}
    sys.stdout.flush()
    become(owner)
    os.execve(sys.executable, [sys.executable, *words], {**os.environ, **whose})  # noqa: S606 - this program itself


def may_run_python(owner: Owner) -> bool:
    """Whether *owner* may read what this Python is made of; for root to ask."""
    os.seteuid(owner.uid)
    try:
        files = (sys.executable, os.__file__)
        return all(os.access(one, os.R_OK, effective_ids=True) for one in files)
    finally:
        os.seteuid(0)


def become(owner: Owner) -> None:
    """Give up root's rights for good."""
    os.setgroups(owner.groups)
    os.setgid(owner.gid)
    os.setuid(owner.uid)


def done_as(owner: Owner | None, work: Callable[[], int]) -> int:
    """What *work* returns, from a process of *owner*; from this one where there is none."""
    if owner is None:
        return work()
    sys.stdout.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 1
    try:
        become(owner)
        code = work()
        sys.stdout.flush()
    except BaseException as error:
        sys.stderr.write(f"{error}\n")
    finally:
        os._exit(code)


def hand_over(folder: Path, owner: Owner) -> None:
    """Give *folder* and all that is in it, which is in a private one of root's, to *owner*."""
    for place, _, files in os.walk(folder):
        for one in (place, *(os.path.join(place, name) for name in files)):
            os.chown(one, owner.uid, owner.gid, follow_symlinks=False)


def let_read(owner: Owner, places: Iterable[Path]) -> None:
    """Let *owner*'s group read *places*, which root has put there, where he can't yet."""
    for place in places:
        handle = os.open(place, os.O_RDONLY | _CAREFULLY)
        try:
            about = os.fstat(handle)
            if about.st_uid == owner.uid or about.st_mode & stat.S_IROTH:
                continue
            if about.st_gid not in owner.groups:
                os.fchown(handle, -1, owner.gid)
            is_folder = stat.S_ISDIR(about.st_mode)
            os.fchmod(handle, stat.S_IMODE(about.st_mode) | (0o050 if is_folder else 0o040))
        finally:
            os.close(handle)


def own_text(file: Path) -> str | None:
    """What *file* says, if it is a plain file of whoever its folder belongs to; None if not.

    A link in its place, or a second name, could be of a file that only root may read.
    """
    try:
        handle = os.open(file, os.O_RDONLY | _CAREFULLY)
    except OSError:
        return None
    with os.fdopen(handle, encoding="utf-8") as stream:
        about = os.fstat(handle)
        is_own = about.st_uid == file.parent.stat().st_uid
        is_plain = stat.S_ISREG(about.st_mode) and about.st_nlink == 1
        return stream.read() if is_own and is_plain else None


def changeable(owner: Owner, places: Iterable[Path]) -> Path | None:
    """The first of *places*, of what is in them or of the folders above, *owner* may change."""
    for place in places:
        for one in _with_all_above_and_below(place):
            if owner.may_change(one.lstat()):
                return one
    return None


def is_roots_alone(file: Path) -> bool:
    """Whether nobody but root can change *file*, or put another in its place."""
    real = file.resolve()
    for about in (one.stat() for one in (real, *real.parents)):
        by_group, by_all = _writers(about)
        if about.st_uid != 0 or by_all or (by_group and about.st_gid != 0):
            return False
    return True


def _writers(about: os.stat_result) -> tuple[bool, bool]:
    """Whether its group, and whether everybody may write there; in /tmp each has his own."""
    mode = about.st_mode
    if stat.S_ISDIR(mode) and mode & stat.S_ISVTX:
        return False, False
    return bool(mode & stat.S_IWGRP), bool(mode & stat.S_IWOTH)


def _with_all_above_and_below(place: Path) -> Iterator[Path]:
    real = place.resolve()
    if not real.exists():
        return
    yield from (*reversed(real.parents), real)
    for folder, folders, files in os.walk(real):
        yield from (Path(folder, name) for name in (*folders, *files))

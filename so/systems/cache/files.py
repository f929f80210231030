"""The store in files: one file an entry, replaced whole, in folders by digest; locks as well.

A file is a line of JSON (key, expiration, fresh_until, tags, whether bytes follow) and the value.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from so.errors import CacheError
from so.settings.cache import CacheSettings
from so.support.clock import Clock
from so.support.ids import short_id
from so.support.progress import steps
from so.systems.cache.entry import NEVER, NONE, Entry, Tags, Whole, is_tag, summed, versions

LOCK_FILES = 64  # writers of different keys rarely wait for each other
LONGEST_WRITE_SECONDS = 3600  # an unfinished file older than this was left by a crash


class FileStore(Whole):
    """Entries below the folder *path*, which is made when it is first written to."""

    durable = True
    is_shared = True

    def __init__(
        self,
        path: str | Path,
        clock: Clock | None = None,
        *,
        max_bytes: int = CacheSettings.max_bytes,
    ) -> None:
        """*max_bytes* of files, those written longest ago going first; 0 for no limit."""
        self.path = Path(path)
        self.clock = clock or Clock()
        self.max_bytes = max_bytes
        self._written = 0  # bytes since the size was last looked at

    def own_locks(self) -> FileLocks:
        """Locks in a folder beside the entries."""
        return FileLocks(self.path / "held", self.clock)

    def _file(self, key: str) -> Path:
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        return self.path / digest[:2] / digest[2:]

    def _read(self, file: Path, key: str | None = None) -> tuple[str, Entry] | None:
        """The key and the entry in *file*, expired or not; None if it cannot be read."""
        try:
            head, _, body = file.read_bytes().partition(b"\n")
            stored, expiration, fresh_until, tags, is_data = json.loads(head)
            text = "" if is_data else body.decode("utf-8", "surrogatepass")
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            return None
        if key is not None and stored != key:
            return None
        return stored, Entry(text, int(expiration), fresh_until, body if is_data else None, tags)

    def get(self, key: str) -> Entry | None:
        """The live entry under *key*."""
        found = self._read(self._file(key), key)
        return found[1] if found and found[1].expiration > self.clock.time() else None

    def last(self, key: str) -> Entry | None:
        """The entry under *key*, expired or not."""
        found = self._read(self._file(key), key)
        return found[1] if found else None

    def many(self, keys: Iterable[str]) -> dict[str, Entry]:
        """The live entries among *keys*."""
        return {key: entry for key in keys if (entry := self.get(key)) is not None}

    def _seen(self, tags: Tags) -> str:
        return versions(tags, self.many(tags.keys) if tags.seen is None else {})

    def _live(self, key: str, tags: Tags) -> Entry | None:
        entry = self.get(key)
        return entry if entry and (tags == NONE or entry.tags == self._seen(tags)) else None

    def put(self, entries: Mapping[str, Entry], tags: Tags = NONE, *, pinned: bool = False) -> None:
        """Store all of *entries*."""
        seen = self._seen(tags)
        for key, entry in entries.items():
            with self._locked(key):
                self._write(key, entry._replace(tags=seen))

    def add(self, key: str, entry: Entry, tags: Tags = NONE) -> bool:
        """Store *entry* unless a live one is there."""
        with self._locked(key):
            if self._live(key, tags) is not None:
                return False
            self._write(key, entry._replace(tags=self._seen(tags)))
            return True

    def forget(self, keys: Iterable[str], tags: Tags = NONE) -> int:
        """Remove *keys*; how many live ones there were."""
        return sum(self.pull(key, tags) is not None for key in keys)

    def pull(self, key: str, tags: Tags = NONE) -> Entry | None:
        """Remove the live entry under *key* and give it."""
        with self._locked(key):
            entry = self._live(key, tags)
            self._file(key).unlink(missing_ok=True)
            return entry

    def touch(self, key: str, expiration: int, tags: Tags = NONE) -> bool:
        """Let the live entry under *key* end at *expiration*."""
        with self._locked(key):
            entry = self._live(key, tags)
            if entry is not None:
                self._write(key, entry._replace(expiration=expiration))
            return entry is not None

    def increment(self, key: str, by: int, tags: Tags = NONE) -> int | None:
        """Add *by* to the integer under *key*; None if it is no integer."""
        with self._locked(key):
            entry = self._live(key, tags) or Entry("0", NEVER, tags=self._seen(tags))
            number = summed(entry.text, by)
            if number is not None:
                self._write(key, entry._replace(text=str(number)))
            return number

    def flush(self, prefix: str) -> None:
        """Remove every key that begins with *prefix*."""
        for file in self._files():
            found = self._read(file)
            if found is None or found[0].startswith(prefix):
                file.unlink(missing_ok=True)

    def gc(self, batch: int = 1000) -> int:
        """Remove every expired entry, and what crashed writers left; how many entries."""
        self._sweep_unfinished()
        now, gone = self.clock.time(), 0
        step = steps(lambda: sum(1 for _ in self._files()))
        for file in self._files():
            step(1)
            found = self._read(file)
            if found is None or found[1].expiration <= now:
                with self._locked(found[0] if found else ""):
                    again = self._read(file)
                    if again is None or again[1].expiration <= now:
                        file.unlink(missing_ok=True)
                        gone += 1
        return gone

    def _sweep_unfinished(self) -> None:
        # By the real clock, as the file system dates them.
        until = time.time() - LONGEST_WRITE_SECONDS
        for part in self.path.glob("[0-9a-f][0-9a-f]/.*"):
            with contextlib.suppress(OSError):
                if part.stat().st_mtime < until:
                    part.unlink()

    def size(self, prefix: str) -> tuple[int, int]:
        """(entries, bytes) stored now under keys that begin with *prefix*."""
        found = (self._read(file) for file in self._files())
        sizes = [f[1].size for f in found if f and f[0].startswith(prefix)]
        return len(sizes), sum(sizes)

    def close(self) -> None:
        """Nothing to let go of."""

    def _files(self) -> Iterator[Path]:
        for folder in sorted(self.path.glob("[0-9a-f][0-9a-f]")):
            for file in sorted(folder.iterdir()):
                if not file.name.startswith("."):
                    yield file

    def _write(self, key: str, entry: Entry) -> None:
        file = self._file(key)
        file.parent.mkdir(parents=True, exist_ok=True)
        is_data = entry.data is not None
        head = json.dumps([key, entry.expiration, entry.fresh_until, entry.tags, is_data])
        body = entry.data or entry.text.encode("utf-8", "surrogatepass")
        part = file.with_name(f".{short_id()}")
        part.write_bytes(head.encode() + b"\n" + body)
        part.replace(file)
        self._keep_within_bounds(len(head) + len(body))

    def _keep_within_bounds(self, written: int) -> None:
        """Once in a tenth of the limit, remove what was written longest ago."""
        self._written += written
        if not self.max_bytes or self._written < self.max_bytes // 10:
            return
        self._written = 0
        with contextlib.suppress(OSError):  # somebody else is removing as well
            found = [(file.stat(), file) for file in self._files()]
            found = sorted(found, key=lambda one: one[0].st_mtime_ns)
            over = sum(stat.st_size for stat, _ in found) - self.max_bytes
            for stat, file in found:
                if over <= 0:
                    break
                if not is_tag((self._read(file) or ("",))[0]):
                    file.unlink(missing_ok=True)
                    over -= stat.st_size

    @contextlib.contextmanager
    def _locked(self, key: str) -> Iterator[Any]:
        """One writer at a time for *key*, across processes."""
        folder = self.path / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        slot = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[0] % LOCK_FILES
        handle = os.open(folder / str(slot), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(handle)
            yield
        finally:
            os.close(handle)


class FileLocks:
    """Locks between the processes of one machine: entries with an owner and a token as value."""

    def __init__(self, path: str | Path, clock: Clock | None = None) -> None:
        self._files = FileStore(path, clock)
        self.clock = self._files.clock

    def acquire(self, key: str, owner: str, expiration: int) -> int | None:
        """Take *key* for *owner*; the fencing token, or None if another one holds it."""
        with self._files._locked(key):
            held = self._files._read(self._files._file(key), key)
            if held is not None and held[1].expiration > self.clock.time():
                return None
            before = json.loads(held[1].text)[1] if held is not None else 0
            token = max(before + 1, int(self.clock.time() * 1_000_000))
            self._files._write(key, Entry(json.dumps([owner, token]), expiration))
            return int(token)

    def release(self, key: str, owner: str) -> bool:
        """Give *key* up; False if *owner* does not hold it (any more)."""
        return self.refresh(key, owner, 0)

    def force_release(self, key: str) -> None:
        """Take *key* from whoever holds it."""
        self._files.touch(key, 0)

    def refresh(self, key: str, owner: str, expiration: int) -> bool:
        """Let *key* end at *expiration*; False if *owner* does not hold it."""
        with self._files._locked(key):
            entry = self._files.get(key)
            if entry is None or json.loads(entry.text)[0] != owner:
                return False
            self._files._write(key, Entry(entry.text, expiration))
            return True

    def owner(self, key: str) -> str | None:
        """Who holds *key*; None if it is free."""
        entry = self._files.get(key)
        return None if entry is None else str(json.loads(entry.text)[0])

    def flush(self, prefix: str) -> None:
        """Free every key that begins with *prefix*."""
        for file in self._files._files():
            found = self._files._read(file)
            if found and found[0].startswith(prefix):
                self.force_release(found[0])

    def gc(self, batch: int = 1000) -> int:
        """Remove what has ended; how many."""
        return self._files.gc(batch)


def _lock(handle: int) -> None:
    """Wait until no other process has the open file *handle*; CacheError where that can't be."""
    try:
        import fcntl
    except ImportError as error:
        raise CacheError(
            "the file cache needs the file locks of Unix: set CACHE_DRIVER to database"
        ) from error
    fcntl.flock(handle, fcntl.LOCK_EX)

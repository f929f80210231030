"""`backup` and `restore` on both engines, by the commands a person types."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from so.db.connection import Connection
from so.db.tables import drop_all, table_names
from so.errors import ReleaseError
from so.release import dumps
from so.release.backup import Restoration
from so.release.sealed import MANIFEST, Sealed, sealed
from so.support.progress import heard
from tests.conftest import install
from tests.support.needed import mysql_only

ROOT = Path(__file__).resolve().parents[2]


class Place:
    """One installation in a folder, and the commands typed in it."""

    def __init__(self, base: Path, connection: dict[str, Any]) -> None:
        self.base, self.connection = base, connection
        (base / "config").mkdir(parents=True)
        (base / "storage" / "app").mkdir(parents=True)
        kept = {**connection, "database": "{name}"}
        (base / "config" / "database.py").write_text(
            "from so.config import env\n"
            f"config = {{'default': 'main', 'connections': {{'main': {kept!r}}}}}\n".replace(
                "'{name}'", f"env('DB_DATABASE', {connection['database']!r})"
            )
        )
        (base / ".env").write_text("APP_KEY=" + "k" * 40 + "\nAUDIT_KEY=" + "a" * 40 + "\n")
        (base / ".env").chmod(0o640)
        (base / "storage" / "app" / "contract.pdf").write_bytes(b"%PDF" + bytes(range(256)))

    def command(self, *words: object, **env: str) -> list[Any]:
        return [sys.executable, "-W", "error", "-m", "so", *map(str, words)]

    def environ(self, **env: str) -> dict[str, str]:
        path = {"PYTHONPATH": str(ROOT), "SIXORBIT_BASE": str(self.base)}
        return {**os.environ, **path, **env}

    def run(self, *words: object, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            env=self.environ(**env),
            cwd=self.base,
            capture_output=True,
            text=True,
            check=False,
        )

    def open(self) -> Connection:
        config = dict(self.connection)
        if config["driver"] == "sqlite":
            config["database"] = str(self.base / config["database"])
        return Connection(config)


@pytest.fixture
def place(tmp_path: Path, empty_db_config: dict[str, Any]) -> Place:
    """An installation with a table, a trail and an upload."""
    config = dict(empty_db_config)
    if config["driver"] == "sqlite":
        config["database"] = "storage/erp.sqlite"
    place = Place(tmp_path / "erp", config)
    with place.open() as db:
        install(db)
        db.statement("create table items (id integer primary key, name varchar(50))")
        db.insert("insert into items values (1, 'Ümlaut \\''), (2, 'two')".replace("\\'", "''"))
    return place


@pytest.fixture
def elsewhere(place: Place, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """The environment in which a restore goes to another, empty database."""
    if place.connection["driver"] == "sqlite":
        yield {}
        return
    name = f"{place.connection['database']}_again"
    server = request.getfixturevalue("mariadb")
    with Connection(server.config()) as db:
        db.statement(f"create database {name} collate utf8mb4_unicode_ci")
    yield {"DB_DATABASE": name}
    with Connection(server.config()) as db:
        db.statement(f"drop database {name}")


def items(place: Place, base: Path, env: dict[str, str]) -> list[tuple[Any, ...]]:
    config = dict(place.connection)
    if config["driver"] == "sqlite":
        config["database"] = str(base / config["database"])
    else:
        config["database"] = env.get("DB_DATABASE", config["database"])
    with Connection(config) as db:
        return list(db.select_tuples("select id, name from items order by id"))


ROWS = [(1, "Ümlaut '"), (2, "two")]


def backed_up(place: Place) -> Path:
    done = place.run("backup", "one.tar.gz")
    assert done.returncode == 0, done.stdout + done.stderr
    return place.base / "one.tar.gz"


def test_a_backup_restored_into_an_empty_folder_is_the_same_installation(
    place, elsewhere, tmp_path
):
    file, again = backed_up(place), tmp_path / "again"

    done = place.run("restore", file, f"--into={again}", **elsewhere)

    assert done.returncode == 0, done.stdout + done.stderr
    assert items(place, again, elsewhere) == ROWS
    for name in (".env", "config/database.py", "storage/app/contract.pdf"):
        assert (again / name).read_bytes() == (place.base / name).read_bytes()
    assert (again / ".env").stat().st_mode & 0o777 == 0o640
    assert "db:check: main: everything is there" in done.stdout
    assert "activity:verify:" in done.stdout
    assert not list(again.glob(".[ru]*"))


def test_what_is_in_the_way_is_named_and_nothing_is_touched(place):
    file = backed_up(place)
    with place.open() as db:
        db.statement("delete from items")

    done = place.run("restore", file)

    assert done.returncode == 1
    assert "--force" in done.stderr
    assert items(place, place.base, {}) == []
    assert not list(place.base.glob(".[ru]*"))


def test_with_force_what_was_there_is_moved_aside_and_kept(place):
    file = backed_up(place)
    with place.open() as db:
        db.statement("update items set name = 'newer'")

    done = place.run("restore", file, "--force")

    assert done.returncode == 0, done.stdout + done.stderr
    assert items(place, place.base, {}) == ROWS
    assert "Moved aside: " in done.stdout
    kept = [f for f in (place.base / "storage").glob("before-restore-*/**/*.sqlite")]
    dumped = list((place.base / "storage").glob("before-restore-*/*.sql"))
    if place.connection["driver"] == "sqlite":
        with Connection(str(kept[0])) as db:
            assert db.scalar("select name from items limit 1") == "newer"
    else:
        assert "'newer'" in dumped[0].read_text("utf-8")


def test_what_one_restore_moved_aside_is_not_touched_by_the_next(place):
    file = backed_up(place)
    for name in ("first", "second"):
        with place.open() as db:
            db.statement(f"update items set name = '{name}'")
        assert place.run("restore", file, "--force").returncode == 0

    assert len(list((place.base / "storage").glob("before-restore-*"))) == 2


def test_only_one_part_can_be_restored(place):
    file = backed_up(place)
    shutil.rmtree(place.base / "storage" / "app")
    with place.open() as db:
        db.statement("update items set name = 'newer'")

    done = place.run("restore", file, "--only=uploads")

    assert done.returncode == 0, done.stdout + done.stderr
    assert (place.base / "storage" / "app" / "contract.pdf").is_file()
    assert items(place, place.base, {})[0] == (1, "newer")


def test_a_part_that_does_not_exist_is_refused_with_those_that_do(place):
    done = place.run("restore", backed_up(place), "--only=data")

    assert done.returncode == 1
    assert "there is no part 'data': database, uploads, settings" in done.stderr


def test_a_backup_is_for_its_owner_alone(place):
    assert backed_up(place).stat().st_mode & 0o777 == 0o600


def test_backups_without_a_name_are_kept_up_to_a_number(place):
    folder = place.base / "storage" / "backups"
    folder.mkdir()
    for day in range(3):
        old = folder / f"2020010{day}-000000.backup.tar.gz"
        old.write_bytes(b"")
        os.utime(old, (day, day))

    done = place.run("backup", "--keep=2", "--json")

    result = json.loads(done.stdout)
    assert [Path(name).name[:8] for name in result["removed"]] == ["20200100", "20200101"]
    assert len(list(folder.iterdir())) == 2


def test_a_file_that_exists_is_not_overwritten(place):
    file = backed_up(place)
    before = file.read_bytes()

    done = place.run("backup", "one.tar.gz")

    assert (done.returncode, file.read_bytes()) == (1, before)
    assert "exists: move it away or choose another name" in done.stderr


def test_a_copy_is_of_one_moment_while_others_write(place, elsewhere, tmp_path):
    """Each transaction writes two rows: a backup may hold both, or neither."""
    ended = threading.Event()

    def write() -> None:
        with place.open() as db:
            number = 100
            while not ended.is_set():
                with db.transaction():
                    for step in (0, 1):
                        db.insert("insert into items values (?, 'x')", [number + step])
                number += 2
                time.sleep(0.001)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        file = backed_up(place)
    finally:
        ended.set()
        writer.join()

    done = place.run("restore", file, f"--into={tmp_path / 'again'}", **elsewhere)

    assert done.returncode == 0, done.stdout + done.stderr
    assert len(items(place, tmp_path / "again", elsewhere)) % 2 == 0


@pytest.mark.slow
def test_a_killed_backup_leaves_no_file_that_could_be_taken_for_one(place, tmp_path):
    """SIGKILL at random points: there is a whole file or none, and the next run tidies up.

    Nor does it leave the options with the password by which the server's tool was let in.
    """
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (place.base / "storage" / "app" / "large.bin").write_bytes(
        random.Random(1).randbytes(3_000_000)
    )
    folder = place.base / "storage" / "backups"
    dice = random.Random(5)
    for _ in range(6):
        process = subprocess.Popen(
            place.command("backup"),
            env=place.environ() | {"TMPDIR": str(temporary)},
            cwd=place.base,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(dice.uniform(0.15, 0.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert [file.name for file in temporary.glob("*.cnf")] == []
        for file in folder.glob("*.tar.gz") if folder.is_dir() else ():
            Sealed.read(file)
    time.sleep(1.1)  # names are by the second

    assert place.run("backup").returncode == 0

    assert [one.name for one in folder.iterdir() if one.name.startswith(".")] == []


@pytest.mark.slow
def test_a_killed_restore_can_be_begun_again(place, elsewhere, tmp_path):
    file, again = backed_up(place), tmp_path / "again"
    dice = random.Random(3)
    for _ in range(4):
        process = subprocess.Popen(
            place.command("restore", file, f"--into={again}"),
            env=place.environ(**elsewhere),
            cwd=place.base,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(dice.uniform(0.15, 0.45))
        process.kill()
        process.wait()
        if not (again / ".restoring").exists() and (again / ".env").exists():
            break

    done = place.run("restore", file, f"--into={again}", "--force", **elsewhere)

    assert done.returncode == 0, done.stdout + done.stderr
    assert items(place, again, elsewhere) == ROWS
    assert not list(again.glob(".[ru]*"))


@mysql_only  # SQLite needs no tool
def test_without_the_servers_tool_the_error_names_it(place):
    done = place.run("backup", PATH="/nowhere")

    assert done.returncode == 1
    assert "mariadb-dump or mysqldump" in done.stderr
    assert not list((place.base / "storage" / "backups").glob("*.tar.gz"))


# --- the file itself ------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with sealed(tmp_path / "x.tar.gz", {"format": 1}) as archive:
        archive.add_text("a.txt", "one")
        archive.add_text("b/c.txt", "two" * 1000)
    return tmp_path / "x.tar.gz"


def test_what_was_sealed_is_read_back(file, tmp_path):
    Sealed.read(file).extract(tmp_path / "out")

    assert (tmp_path / "out" / "b" / "c.txt").read_text() == "two" * 1000


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_file_that_was_cut_off_is_refused(file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])

    with pytest.raises(ReleaseError, match="cut off"):
        Sealed.read(file)


def test_a_changed_byte_is_noticed(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)

    with pytest.raises(ReleaseError):
        Sealed.read(file)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a\\x"])
def test_a_member_outside_of_its_folder_is_refused(tmp_path, name):
    _tar(tmp_path / "evil.tar.gz", {name: b"x"})

    with pytest.raises(ReleaseError, match="no plain file below it"):
        Sealed.read(tmp_path / "evil.tar.gz")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE]
)
def test_links_devices_and_folders_are_refused(tmp_path, kind):
    with tarfile.open(tmp_path / "evil.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("uploads/x")
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)

    with pytest.raises(ReleaseError, match="no plain file below it"):
        Sealed.read(tmp_path / "evil.tar.gz")


@pytest.mark.parametrize("name", ["./x", "a//x", "a/./x", "x/"])
def test_a_second_spelling_of_a_name_is_refused(tmp_path, name):
    _tar(tmp_path / "evil.tar.gz", {name: b"x"})

    with pytest.raises(ReleaseError, match="no plain file below it"):
        Sealed.read(tmp_path / "evil.tar.gz")


def test_a_file_of_holes_is_refused_before_its_end_is_looked_for(tmp_path):
    body = b"1\n0\n1\n".ljust(512, b"\0") + b"x".ljust(512, b"\0")
    entry = tarfile.TarInfo("GNUSparseFile.0/huge")
    entry.size = len(body)
    entry.pax_headers = {
        "GNU.sparse.major": "1", "GNU.sparse.minor": "0",
        "GNU.sparse.name": "uploads/huge", "GNU.sparse.realsize": str(10**15),
    }  # fmt: skip
    with tarfile.open(tmp_path / "evil.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(entry, io.BytesIO(body))

    with pytest.raises(ReleaseError, match="no plain file below it"):
        Sealed.read(tmp_path / "evil.tar.gz")


def test_without_room_for_it_nothing_is_unpacked(file, tmp_path, monkeypatch):
    monkeypatch.setattr("so.release.sealed.ROOM_BYTES", 10**18)

    with pytest.raises(ReleaseError, match="make room first; nothing was changed"):
        Sealed.read(file).extract(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["x.tar.gz"]


DATABASE = {"file": "database/x.sqlite", "engine": "sqlite", "database": "x"}


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"databases": {"x": {**DATABASE, "file": "../../etc/hostname"}}}, "which no backup does"),
        ({"databases": {"x": {"file": "database/x.sqlite"}}}, "does not say which databases"),
        ({"databases": ["x"]}, "does not say which databases"),
        ({}, "does not say which databases"),
    ],
)
def test_a_manifest_that_no_backup_has_is_refused(tmp_path, about, said):
    with sealed(tmp_path / "x.tar.gz", {"format": 1, **about}) as archive:
        archive.add_text("database/x.sqlite", "x")

    with pytest.raises(ReleaseError, match=said):
        Restoration(Sealed.read(tmp_path / "x.tar.gz"), tmp_path)


def test_what_stands_outside_of_its_parts_is_refused(tmp_path):
    with sealed(tmp_path / "x.tar.gz", {"format": 1, "databases": {}}) as archive:
        archive.add_text("so/__init__.py", "x")

    with pytest.raises(ReleaseError, match="'so/__init__.py', which no backup does"):
        Restoration(Sealed.read(tmp_path / "x.tar.gz"), tmp_path)


# --- places that are links, and whose they are ----------------------------------------------------


@pytest.fixture
def restoration(tmp_path: Path) -> Restoration:
    """Settings and an upload, for the folder `srv`, in which they are as well."""
    with sealed(tmp_path / "x.tar.gz", {"format": 1, "databases": {}}) as archive:
        archive.add_text("settings/.env", "A=restored")
        archive.add_text("uploads/storage/app/deep/x", "restored")
    into = tmp_path / "srv"
    (into / "storage" / "app" / "deep").mkdir(parents=True)
    return Restoration(Sealed.read(tmp_path / "x.tar.gz"), into, force=True)


def restored(run: Restoration) -> None:
    with run.staged() as folder:
        run.place_files(run.moves(folder, {}))


def test_settings_and_storage_that_are_links_stay_links(restoration, tmp_path):
    into = restoration.into
    (tmp_path / "env").write_text("A=before")
    (into / ".env").symlink_to("../env")
    (into / "storage").rename(tmp_path / "disk")
    (into / "storage").symlink_to(tmp_path / "disk")

    restored(restoration)

    assert (into / ".env").is_symlink()
    assert (tmp_path / "env").read_text() == "A=restored"
    assert (tmp_path / "disk" / "app" / "deep" / "x").read_text() == "restored"
    assert [one.read_text() for one in restoration.moved] == ["A=before"]


def test_a_link_among_uploads_is_not_gone_through(restoration, tmp_path):
    (restoration.into / "storage" / "app" / "deep").rmdir()
    (restoration.into / "storage" / "app" / "deep").symlink_to(tmp_path)

    with pytest.raises(ReleaseError, match="deep is a link: remove it"):
        restored(restoration)
    assert not (tmp_path / "x").exists()


def test_a_link_in_the_place_of_an_upload_is_moved_aside_itself(restoration, tmp_path):
    (tmp_path / "secret").write_text("mine")
    (restoration.into / "storage" / "app" / "deep" / "x").symlink_to(tmp_path / "secret")

    restored(restoration)

    assert (tmp_path / "secret").read_text() == "mine"
    assert (restoration.into / "storage" / "app" / "deep" / "x").read_text() == "restored"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_restores_belongs_to_those_it_belonged_to(restoration):
    into = restoration.into
    (into / ".env").write_text("")
    os.chown(into / ".env", 0, 33)
    (into / "storage" / "app" / "deep").rmdir()
    os.chown(into / "storage" / "app", 33, 33)

    restored(restoration)

    found = {name: (into / name).stat() for name in (".env", "storage/app/deep/x")}
    assert [(one.st_uid, one.st_gid) for one in found.values()] == [(0, 33), (33, 33)]


def test_a_member_that_the_manifest_does_not_name_is_refused(tmp_path):
    _tar(tmp_path / "more.tar.gz", {"x": b"x", MANIFEST: json.dumps({"files": {}}).encode()})

    with pytest.raises(ReleaseError, match="does not hold what it says: x"):
        Sealed.read(tmp_path / "more.tar.gz")


def _tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


# --- tables ---------------------------------------------------------------------------------------


def test_every_table_and_view_is_dropped_whatever_refers_to_it(empty_db):
    db = empty_db.connection()
    db.statement("create table a (id integer primary key)")
    db.statement("create table `b``c` (a_id integer, foreign key (a_id) references a (id))")
    db.statement("create view v as select * from a")
    db.statement("insert into a values (1)")
    db.statement("insert into `b``c` values (1)")

    dropped = drop_all(db)

    assert (dropped, table_names(db)) == (["a", "b`c"], [])


# --- how far it is --------------------------------------------------------------------------------


def test_a_copy_tells_how_far_it_is_and_is_not_begun_anew_by_those_who_write(tmp_path, monkeypatch):
    monkeypatch.setattr("so.db.dialects.sqlite._PAGES_AT_ONCE", 10)
    told: list[tuple[int, int]] = []
    source = {"database": str(tmp_path / "erp.sqlite")}
    with Connection(source) as db, Connection(source) as other:
        db.statement("create table items (id integer primary key, text text)")
        db.insert("insert into items values (1, ?)", ["x" * 400_000])

        def told_and_written_to(done: int, total: int) -> None:
            told.append((done, total))
            other.insert("insert into items (text) values ('meanwhile')")

        with heard(told_and_written_to):
            dumps.dump(db, tmp_path / "copy.sqlite")
        db.insert("insert into items (text) values ('after')")  # the reading has ended

    looked = told.index((0, told[-1][1]))  # where the look through the copy begins
    copied = told[:looked]
    assert copied[0][0] == 0 < copied[1][0] < copied[-1][0] == copied[-1][1]
    assert len(copied) < 30
    assert told[looked][0] == 0 < told[-1][0] == told[-1][1]
    with Connection(str(tmp_path / "copy.sqlite")) as copy:
        assert copy.scalar("select count(*) from items") == 1


@mysql_only  # that is a copy, above
def test_a_dump_and_its_way_back_tell_how_far_they_are(empty_db, tmp_path, monkeypatch):
    db = empty_db.connection()
    monkeypatch.setattr("so.release.dumps.LOOK_SECONDS", 0.005)
    db.statement("create table items (id integer primary key, text longtext)")
    db.insert("insert into items values (1, ?), (2, ?)", ["x" * 4_000_000, "y" * 4_000_000])
    told: list[tuple[int, int]] = []

    with heard(lambda done, total: told.append((done, total))):
        dumps.dump(db, tmp_path / "erp.sql")
        db.statement("drop table items")
        dumps.load(db.config, tmp_path / "erp.sql")

    assert told[0][0] == 0 < told[0][1]
    assert (0, (tmp_path / "erp.sql").stat().st_size) in told
    assert all(done <= total for done, total in told)
    assert db.scalar("select sum(length(text)) from items") == 8_000_000


@mysql_only  # a writer waits until the copy has read
def test_a_table_that_is_made_anew_meanwhile_ends_no_dump(empty_db_config, empty_db, tmp_path):
    db = empty_db.connection()
    for number in range(40):
        db.statement(f"create table items{number:02} (id integer primary key)")
        db.insert(f"insert into items{number:02} values (1)")

    def migrate():
        with Connection(empty_db_config) as other:
            until = time.monotonic() + 0.3
            while time.monotonic() < until:
                other.unprepared("truncate table items39")

    meanwhile = threading.Thread(target=migrate)
    meanwhile.start()
    dumps.dump(db, tmp_path / "erp.sql")
    meanwhile.join()

    assert "CREATE TABLE `items39`" in (tmp_path / "erp.sql").read_text("utf-8")

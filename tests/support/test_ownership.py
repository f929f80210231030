"""Who may change what root is about to run or to read."""

from __future__ import annotations

import os

import pytest

from so.support.ownership import (
    Owner,
    changeable,
    done_as,
    is_roots_alone,
    own_text,
    owner_of,
)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
USER = 33
SERVICE = Owner(USER, USER, "www-data", "/")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv" / "code.py").touch(0o644)
    return tmp_path / "srv"


def test_the_owner_of_a_folder_is_asked_for_only_where_he_is_not_root(folder):
    assert owner_of(folder) is None
    assert owner_of(folder / "missing") is None

    os.chown(folder, USER, USER)

    assert owner_of(folder).uid == USER


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "answer"),
    [
        (0o644, 0, 0, False),
        (0o444, USER, 0, True),  # it is his: he may give himself the right
        (0o664, 0, USER, True),
        (0o664, 0, 0, False),
        (0o666, 0, 0, True),
    ],
)
def test_a_file_that_somebody_may_change_is_found(folder, mode, uid, gid, answer):
    file = folder / "code.py"
    os.chown(file, uid, gid)
    file.chmod(mode)

    assert changeable(SERVICE, [folder]) == (file if answer else None)


def test_so_is_a_folder_above_whose_entries_could_be_renamed(folder):
    os.chown(folder.parent, USER, USER)

    assert changeable(SERVICE, [folder / "code.py"]) == folder.parent


def test_in_a_folder_as_tmp_each_has_his_own_entries(folder):
    folder.chmod(0o1777)

    assert changeable(SERVICE, [folder / "code.py"]) is None
    assert is_roots_alone(folder / "code.py")


@pytest.mark.parametrize(("uid", "mode"), [(USER, 0o600), (0, 0o620), (0, 0o602)])
def test_what_others_could_have_written_is_not_roots_alone(folder, uid, mode):
    file = folder / "code.py"
    assert is_roots_alone(file)

    os.chown(file, uid, USER)
    file.chmod(mode)

    assert not is_roots_alone(file)


@pytest.mark.parametrize("kind", ["link", "second name", "anothers", "pipe"])
def test_only_a_plain_file_of_the_folders_owner_is_read(folder, tmp_path, kind):
    (tmp_path / "secret").write_text("secret")
    os.chown(folder, USER, USER)
    file = folder / "app.key"
    if kind == "link":
        file.symlink_to(tmp_path / "secret")
    elif kind == "second name":
        os.chown(tmp_path / "secret", USER, USER)
        os.link(tmp_path / "secret", file)
    elif kind == "anothers":
        file.write_text("of root")
    else:
        os.mkfifo(file)
        os.chown(file, USER, USER)
    assert own_text(file) is None

    file.unlink()
    file.write_text("his own")
    os.chown(file, USER, USER)

    assert own_text(file) == "his own"


def test_work_for_an_owner_is_done_with_his_rights_and_its_code_comes_back(folder, capfd):
    (folder / "code.py").chmod(0o600)

    assert done_as(SERVICE, lambda: 7 if os.getuid() == USER else 1) == 7
    assert done_as(SERVICE, lambda: len((folder / "code.py").read_text())) == 1
    assert "Permission denied" in capfd.readouterr().err
    assert done_as(None, os.geteuid) == 0

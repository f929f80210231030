"""What root makes by hand does not lock the service out."""

from __future__ import annotations

import os
import time

import pytest

from so.support.ownership import give_to_owner

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
USER = 33


@pytest.fixture
def storage(tmp_path):
    folder = tmp_path / "storage"
    for name in ("logs", "upgrades", "old"):
        (folder / name).mkdir(parents=True)
    os.chown(folder, USER, USER)
    return folder


def owners(storage) -> dict[str, int]:
    return {str(one.relative_to(storage)): one.lstat().st_uid for one in storage.rglob("*")}


def test_what_root_has_made_belongs_to_the_owner_of_the_folder(storage):
    (storage / "database.sqlite").touch()
    (storage / "logs" / "so.log").touch()
    (storage / "upgrades" / "PUT-BACK.py").touch()

    give_to_owner(storage, time.time() - 5)

    found = owners(storage)
    assert found["database.sqlite"] == found["logs"] == found["logs/so.log"] == USER
    assert found["upgrades"] == found["upgrades/PUT-BACK.py"] == 0  # root runs that again


def test_what_was_there_before_and_what_has_another_name_elsewhere_stays(storage, tmp_path):
    (tmp_path / "secret").touch()
    os.link(tmp_path / "secret", storage / "hard")
    (storage / "soft").symlink_to(tmp_path / "secret")
    give_to_owner(storage, time.time() - 5)
    assert (tmp_path / "secret").stat().st_uid == 0

    (storage / "later").touch()
    give_to_owner(storage, time.time() + 5)
    assert owners(storage)["later"] == 0


def test_where_the_folder_is_roots_nothing_changes(storage):
    os.chown(storage, 0, 0)
    (storage / "database.sqlite").touch()

    give_to_owner(storage, 0)

    assert owners(storage)["database.sqlite"] == 0

"""`.env.example` names every setting that config/ reads from the environment, and no other."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from so.config import Env
from tests.support.reference import topics, variables

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / ".env.example"
LINE = re.compile(r"^(?:# )?([A-Z][A-Z_]+)=", re.MULTILINE)


def keys_of_config() -> set[str]:
    return {name for topic in topics() for name in variables(topic)}


def test_every_key_is_there_once_and_none_that_nobody_reads():
    named = LINE.findall(EXAMPLE.read_text("utf-8"))

    assert sorted(named) == sorted(keys_of_config())


@pytest.mark.parametrize("uncommented", [False, True])
def test_the_file_is_read_without_an_error(tmp_path, uncommented):
    text = EXAMPLE.read_text("utf-8")
    shutil.copy(EXAMPLE, tmp_path / ".env")
    if uncommented:
        (tmp_path / ".env").write_text(re.sub(r"^# (?=[A-Z_]+=)", "", text, flags=re.MULTILINE))

    read = Env.read(tmp_path / ".env")

    assert read is not None
    assert read["APP_NAME"] == "SixOrbit ERP"
    assert (len(read) == len(keys_of_config())) is uncommented

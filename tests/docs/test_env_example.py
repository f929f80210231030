"""`.env.example` names every setting that config/ reads from the environment, and no other."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import pytest

from so.config import Env

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / ".env.example"
LINE = re.compile(r"^(?:# )?([A-Z][A-Z_]+)=", re.MULTILINE)


def keys_of_config() -> set[str]:
    found = set()
    for file in (ROOT / "config").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[0] == "env":
                assert isinstance(node.args[0], ast.Constant)
                found.add(str(node.args[0].value))
    return found


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

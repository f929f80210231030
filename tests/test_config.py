"""Settings: the syntax of .env, env() and its types, config files and dotted access."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from so import Config, Env, env
from so.errors import ConfigError, EnvSyntaxError, MissingEnvError


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    Env.clear()
    yield
    Env.clear()


@pytest.fixture
def load(tmp_path):
    def load(text: str | bytes, **options: bool) -> bool:
        file = tmp_path / ".env"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return Env.load(file, **options)

    return load


# --- .env -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("K=v", "v"),
        ("export K=v", "v"),
        ("export\tK=v", "v"),
        ("  K = v  ", "v"),
        ("K=", ""),
        ('K=""', ""),
        ("K=''", ""),
        ("K=# all comment", ""),
        ("K= # all comment", ""),
        ("K=v # comment", "v"),
        ("K=v#no-comment", "v#no-comment"),
        ("K=a=b=c", "a=b=c"),
        ("K=p$ss", "p$ss"),
        ("K='${HOME} \\n # x' # comment", "${HOME} \\n # x"),
        ("K='it\"s'", 'it"s'),
        ('K="it\'s" # comment', "it's"),
        ('K="a\\nb \\"q\\" \\\\ \\$X"', 'a\nb "q" \\ $X'),
        ('K="\\q"', "\\q"),
        ("K=\\$X", "$X"),
        ("K=one two", "one two"),
        ("K=007", "007"),
        ("K=1\nK=2", "2"),
        ('K="two\nlines"', "two\nlines"),
        ("# a comment\n\n   # another\nK=v", "v"),
    ],
)
def test_a_line_of_dotenv_means(load, line, value):
    load(line)

    assert env("K") == value


def test_a_value_may_use_earlier_ones_and_the_real_environment(load, monkeypatch):
    monkeypatch.setenv("SO_TEST_REAL", "real")

    load('A=1\nB=${A}-${SO_TEST_REAL}\nC="${A} ${NOTHING}"\nSO_TEST_REAL=file\nD=${SO_TEST_REAL}')

    assert (env("B"), env("C"), env("D")) == ("1-real", "1 ", "real")


def test_a_windows_file_with_a_byte_order_mark_is_read(load):
    load(b'\xef\xbb\xbfA=1\r\nB="x\r\ny"\r\n# c\r\nC=3')

    assert (env("A"), env("B"), env("C")) == ("1", "x\ny", "3")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A=1\nnonsense\n", 2),
        ("A=1\n\n2B=3", 3),
        ("A B=1", 1),
        ("=x", 1),
        ("export", 1),
        ('A="x" y', 1),
        ("A='open", 1),
        ('B=1\nA="open\nC=1', 2),
    ],
)
def test_a_bad_line_names_file_and_line(load, tmp_path, text, line):
    with pytest.raises(EnvSyntaxError) as caught:
        load(text)

    assert caught.value.line == line
    assert caught.value.file == str(tmp_path / ".env")
    assert f".env:{line}: " in str(caught.value)


def test_the_line_printed_in_the_feature_list_is_a_boolean(load):
    load("SESSION_SECURE_COOKIE=true  # HTTPS only\n")

    assert env("SESSION_SECURE_COOKIE") is True


def test_a_missing_file_matters_only_when_it_is_required(tmp_path):
    assert Env.load(tmp_path / "none") is False
    with pytest.raises(ConfigError, match=r"none does not exist: copy \.env\.example"):
        Env.load(tmp_path / "none", required=True)


def test_a_file_that_cannot_be_read_is_named(tmp_path, load):
    with pytest.raises(ConfigError, match="cannot read environment file"):
        Env.load(tmp_path)
    with pytest.raises(ConfigError, match="cannot read environment file"):
        load(b"A=\xff\xfe")


# --- env() ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("(True)", True), ("FALSE", False), ("(false)", False), ("null", None)]
    + [("(NULL)", None), ("empty", ""), ("(Empty)", ""), ("yes", "yes"), ("1", "1"), ("0", "0")],
)
def test_words_that_become_values(load, text, value):
    load(f"K={text}")

    assert env("K", "default") is value or env("K", "default") == value


def test_the_default_is_for_what_is_not_set(load):
    load("EMPTY=\nNULL=null")

    assert env("SO_TEST_NOTHING") is None
    assert env("SO_TEST_NOTHING", "d") == "d"
    assert env("SO_TEST_NOTHING", lambda: "made") == "made"
    assert env("EMPTY", "d") == ""
    assert env("NULL", "d") is None


def test_the_real_environment_wins_unless_the_file_overrides(load, monkeypatch):
    monkeypatch.setenv("SO_TEST_REAL", "real")

    load("SO_TEST_REAL=file")
    assert env("SO_TEST_REAL") == "real"
    load("SO_TEST_REAL=file", override=True)
    assert env("SO_TEST_REAL") == "file"
    assert os.environ["SO_TEST_REAL"] == "real"


def test_typed_values(load):
    load("I= -5 \nF=1.5\nON=on\nNO=No\nONE=1\nZERO=0\nL=a, b ,,c\nBLANK=\nNULL=null")

    assert env.int("I") == -5
    assert env.float("F") == 1.5
    assert [env.bool(k) for k in ("ON", "NO", "ONE", "ZERO")] == [True, False, True, False]
    assert env.list("L") == ["a", "b", "c"]
    assert [env.int(k, 3) for k in ("BLANK", "NULL", "SO_TEST_NOTHING")] == [3, 3, 3]


@pytest.mark.parametrize("read", [env.int, env.float, env.bool])
def test_a_value_of_another_type_names_its_key(load, read):
    load("PORT=abc")

    with pytest.raises(ValueError, match="PORT must be .*, 'abc' given"):
        read("PORT")


def test_require_names_what_is_missing(load):
    load("A=1\nB=")

    assert env.require("A") == "1"
    for key in ("B", "SO_TEST_NOTHING"):
        with pytest.raises(MissingEnvError, match=f"{key} is not set"):
            env.require(key)


def test_env_by_hand():
    for value, text in ((True, "true"), (False, "false"), (None, "null"), (5, "5")):
        Env.set("K", value)
        assert Env.all()["K"] == text
    assert Env.has("K")
    assert Env.has("PATH")
    Env.clear()
    assert not Env.has("K")
    assert Env.get("K", "d") == "d"


# --- Config ---------------------------------------------------------------------------------------


@pytest.fixture
def config():
    return Config({"a": {"b": 1, "none": None, "list": [1, {"x": 2}], "t": (7, 8)}, "flat": "v"})


def test_dots_lead_into_dicts_and_numbers_into_lists(config):
    assert config.get("flat") == "v"
    assert config.get("a.b") == 1
    assert config.get("a.list.1.x") == 2
    assert config.get("a.t.1") == 8
    assert Config({"a": {"1": "text", 2: "int"}}).get_many(["a.1", "a.2"]) == {
        "a.1": "text",
        "a.2": "int",
    }
    assert Config({"a.b": 5, "a": {"b": 1}}).get("a.b") == 5


def test_only_what_is_missing_has_the_default(config):
    assert config.get("a.none", "d") is None
    for key in ("zzz", "a.zzz", "a.b.c", "a.list.9", "a.list.-1", "flat.x"):
        assert config.get(key, "d") == "d"
        assert not config.has(key)
    assert config.get("zzz", lambda: "made") == "made"
    assert config.has("a.none")


def test_several_at_once(config):
    assert config.get(["a.b", "flat"]) == {"a.b": 1, "flat": "v"}
    assert config.get({"a.b": 0, "zzz": 9}) == {"a.b": 1, "zzz": 9}


def test_items_membership_and_iteration(config):
    assert config["a.b"] == 1
    assert "a.b" in config
    assert list(config) == ["a", "flat"]
    with pytest.raises(KeyError):
        config["zzz"]
    config["new.key"] = 5
    assert config["new.key"] == 5


def test_setting_makes_the_way(config):
    config.set("x.y.z", 1)
    config.set({"x.y.w": 2, "flat": 3})
    config.set("a.list.1.x", 4)
    config.set("a.list.2", "end")
    config.set("a.b.c", 5)

    assert config.get("x") == {"y": {"z": 1, "w": 2}}
    assert config.get("flat") == 3
    assert config.get("a.list") == [1, {"x": 4}, "end"]
    assert config.get("a.b") == {"c": 5}
    with pytest.raises(ConfigError, match="cannot set item '9' of a list with 3 items"):
        config.set("a.list.9", 1)


def test_push_and_prepend(config):
    config.push("a.list", "z")
    config.prepend("a.list", "a")
    config.push("new.list", 1)

    assert config.get("a.list") == ["a", 1, {"x": 2}, "z"]
    assert config.get("new.list") == [1]


def test_the_dict_it_was_made_of_stays_as_it_is():
    source = {"a": {"list": [1]}}

    Config(source).push("a.list", 2)

    assert source == {"a": {"list": [1]}}


def test_typed_reading():
    config = Config({"s": "x", "i": 1, "f": 1.5, "b": True, "l": [1], "d": {}, "n": None})

    assert config.string("s") == "x"
    assert config.integer("i") == 1
    assert config.float("f") == 1.5
    assert config.boolean("b") is True
    assert (config.array("l"), config.array("d")) == ([1], {})
    assert config.string("zzz", lambda: "made") == "made"
    for read, key, message in (
        (config.string, "i", "a string, int given"),
        (config.string, "zzz", "a string, None given"),
        (config.integer, "s", "an integer, str given"),
        (config.integer, "b", "an integer, bool given"),
        (config.float, "s", "a float, str given"),
        (config.boolean, "i", "a boolean, int given"),
        (config.array, "s", "an array, str given"),
    ):
        with pytest.raises(TypeError) as caught:
            read(key)
        assert str(caught.value) == (f"Configuration value for key [{key}] must be {message}.")


# --- files ----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path):
    def write(**files: str) -> Path:
        for name, text in files.items():
            (tmp_path / name.replace("__", ".")).write_text(text)
        return tmp_path

    return write


def test_files_are_read_in_the_order_of_their_names(folder, tmp_path):
    log = f"with open({str(tmp_path / 'log')!r}, 'a') as log: log.write(__name__ + ' ')\n"
    path = folder(
        b__py=log + "config = {'x': 1}",
        a__py=log + "config = {'y': [1, 2]}",
        c__json=json.dumps({"k": None}),
        _helper__py="no config",
        notes__txt="no config",
    )

    config = Config(path)

    assert not (tmp_path / "log").exists()
    assert config.all() == {"a": {"y": [1, 2]}, "b": {"x": 1}, "c": {"k": None}}
    config.load_all()
    assert (tmp_path / "log").read_text() == "config.a config.b "
    assert Config(str(path)).get("a.y.1") == 2


def test_no_folder_is_no_setting(tmp_path):
    assert Config(tmp_path / "none").all() == {}
    assert Config().all() == {}


@pytest.mark.parametrize(
    "text",
    ["x = 1", "config = [1]", "def", "config = {}\n1 / 0", "import nothing_of_the_kind", "raise"],
)
def test_a_broken_file_is_named(folder, text):
    config = Config(folder(bad__py=text))

    with pytest.raises(ConfigError, match=r"bad\.py"):
        config.get("bad.x")


def test_broken_json_is_named(folder):
    with pytest.raises(ConfigError, match=r"bad\.json"):
        Config(folder(bad__json="{")).load_all()


def test_a_missing_key_of_the_environment_is_told_as_it_is(folder):
    path = folder(mail__py="from so.config import env\nconfig = {'k': env.require('SO_TEST_NONE')}")

    with pytest.raises(MissingEnvError, match="SO_TEST_NONE"):
        Config(path).get("mail.k")


def test_values_laid_over_a_file_and_before_it_is_read(folder):
    config = Config(folder(app__py="config = {'name': 'A', 'deep': {'x': 1, 'y': [1, 2]}}"))

    config.merge({"app": {"deep": {"y": [3]}}, "new": {"z": 1}, "app.flat": 5})

    assert config.get("app") == {"name": "A", "deep": {"x": 1, "y": [3]}, "flat": 5}
    assert config.get("new.z") == 1
    config.set("app.name", "B")
    assert config.string("app.name") == "B"


def test_a_file_is_run_once_however_many_threads_ask_at_once(folder, tmp_path):
    path = folder(
        slow__py="import time\n"
        f"with open({str(tmp_path / 'runs')!r}, 'a') as runs: runs.write('.')\n"
        "time.sleep(0.05)\nconfig = {'x': 1}"
    )
    config, seen = Config(path), []
    threads = [threading.Thread(target=lambda: seen.append(config.get("slow.x"))) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == [1] * 8
    assert (tmp_path / "runs").read_text() == "."


def test_a_topic_is_settled_once_when_it_is_first_read(folder):
    asked = []

    def settle(given):
        asked.append(given)
        return {**given, "port": 25}

    config = Config(folder(mail__py="config = {'host': 'here'}"))
    config.settle({"mail": settle})
    config.merge({"mail": {"from": "x"}})

    assert config.get("mail.port") == 25
    assert config.all() == {"mail": {"host": "here", "from": "x", "port": 25}}
    assert asked == [{"host": "here", "from": "x"}]


@pytest.mark.parametrize("name", ["shop.py", "shop.json"])
def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path, name):
    text = "config = {'name': 'Shop'}" if name.endswith(".py") else '{"name": "Shop"}'
    (tmp_path / name).write_text(text, "utf-8-sig")

    assert Config(tmp_path).get("shop.name") == "Shop"

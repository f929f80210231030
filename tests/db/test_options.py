"""The settings of a connection: typos, defaults, URLs, hosts, zones."""

from __future__ import annotations

from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

import pytest

from so.db.connection import Connection
from so.db.manager import Database
from so.db.options import host_list, options, zone_of
from so.errors import ConfigError


def test_a_misspelt_key_names_the_nearest():
    with pytest.raises(ConfigError, match=r"'hots' of connection 'main': did you mean 'host'\?"):
        options({"driver": "mysql", "hots": "x"}, "main")


def test_a_key_of_the_other_engine_is_unknown():
    with pytest.raises(ConfigError, match="'busy_timeout'"):
        options({"driver": "mysql", "busy_timeout": 1})


def test_an_unknown_key_without_a_near_one_lists_all():
    with pytest.raises(ConfigError, match="known are .*busy_timeout.*"):
        options({"driver": "sqlite", "database": "x", "qqqq": 1})


def test_an_unknown_driver_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'sqlite'"):
        Connection({"driver": "sqlight", "database": "x"})


def test_a_key_in_read_is_checked_too():
    with pytest.raises(ConfigError, match="of 'read'.*did you mean 'host'"):
        options({"driver": "mysql", "read": {"hosts": ["a"]}})


def test_a_path_is_sqlite_and_defaults_are_filled_in():
    found = options("/data/x.db")

    assert (found["driver"], found["database"]) == ("sqlite", "/data/x.db")
    assert (found["journal_mode"], found["busy_timeout"]) == ("wal", 5000)
    assert {"password", "pin", "otp", "ssn"} <= set(found["redact"])


def test_none_means_the_default():
    assert options({"driver": "mysql", "port": None})["port"] == 3306


def test_mariadb_is_the_same_driver_as_mysql():
    assert options({"driver": "mariadb"})["driver"] == "mysql"


def test_a_url_names_everything():
    found = options("mysql://ann:p%40ss@db1:3307/shop?charset=utf8mb4&strict=false&read_timeout=5")

    assert (found["username"], found["password"]) == ("ann", "p@ss")
    assert (found["host"], found["database"]) == ("db1:3307", "shop")
    assert (found["strict"], found["read_timeout"]) == (False, 5)


def test_a_url_of_several_hosts():
    assert options("mysql://root@db1,db2:3307/shop")["host"] == "db1,db2:3307"


@pytest.mark.parametrize(
    ("url", "path"), [("sqlite:///data/x.db", "/data/x.db"), ("sqlite://x.db", "x.db")]
)
def test_a_url_of_a_file(url, path):
    assert options(url)["database"] == path


def test_a_url_in_a_mapping_wins_over_its_other_keys():
    found = options({"driver": "sqlite", "url": "mysql://root@db9/shop", "host": "db1"})

    assert (found["driver"], found["host"]) == ("mysql", "db9")


def test_a_number_in_a_url_must_be_one():
    with pytest.raises(
        ConfigError, match=r"connections\.default\.read_timeout\) is 'soon': write a number"
    ):
        options("mysql://root@db1/shop?read_timeout=soon")


def test_a_misspelt_key_in_a_url_is_found():
    with pytest.raises(ConfigError, match="did you mean 'charset'"):
        options("mysql://root@db1/shop?charst=utf8")


def test_memory_urls_give_a_database_of_their_own_each():
    names = {options(text)["database"] for text in (":memory:", "sqlite://:memory:", ":memory:")}

    assert len(names) == 3


@pytest.mark.parametrize(
    ("key", "value"),
    [("journal_mode", "wall"), ("synchronous", "sometimes"), ("pragmas", {"a; drop": 1})],
)
def test_values_that_sqlite_does_not_know_are_refused(key, value):
    with pytest.raises(ConfigError):
        options({"driver": "sqlite", "database": "x", key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("isolation", "snapshotty"),
        ("modes", "ANSI'; drop"),
        ("modes", "NO_BACKSLASH_ESCAPES"),
        ("charset", "sjis"),
    ],
)
def test_values_that_mysql_may_not_have_are_refused(key, value):
    with pytest.raises(ConfigError):
        options({"driver": "mysql", key: value})


def test_no_database_at_all_is_an_error():
    with pytest.raises(ConfigError, match="has no database"):
        options({"driver": "sqlite"})


def test_modes_may_be_a_list():
    assert (
        options({"driver": "mysql", "modes": ["ansi_quotes", "STRICT_TRANS_TABLES"]})["modes"]
        == "ANSI_QUOTES,STRICT_TRANS_TABLES"
    )
    assert options({"driver": "mysql", "strict": False})["modes"] == "NO_ENGINE_SUBSTITUTION"


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("db1", [("db1", 3306)]),
        ("db1, db2:3307", [("db1", 3306), ("db2", 3307)]),
        (["db1:1", "db2"], [("db1", 1), ("db2", 3306)]),
        ("[::1]:3307,::1", [("::1", 3307), ("::1", 3306)]),
        ("", []),
    ],
)
def test_hosts(text, pairs):
    assert host_list(text, 3306) == pairs


def test_a_host_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="cannot read database host"):
        host_list("db1:port", 3306)


def test_zones():
    assert zone_of("UTC") is UTC
    assert zone_of("+00:00") is UTC
    assert zone_of("-03:30").utcoffset(None) == -timedelta(hours=3, minutes=30)
    assert zone_of("Europe/Berlin") == ZoneInfo("Europe/Berlin")
    with pytest.raises(ConfigError, match="unknown database timezone 'Mars/North'"):
        zone_of("Mars/North")


def test_a_database_starts_relative_paths_at_its_folder(tmp_path):
    database = Database({"default": {"database": "data.db"}}, folder=tmp_path, redact=["pin"])

    database.statement("create table t (pin text)")

    assert (tmp_path / "data.db").exists()
    assert database.connection().config["redact"] == {"pin"}
    database.close()


def test_a_missing_folder_is_named(tmp_path):
    from so.errors import LostConnectionError

    with pytest.raises(LostConnectionError, match="its folder does not exist"):
        Connection(str(tmp_path / "nowhere" / "x.db")).select("select 1")


def test_the_shipped_settings_are_valid():
    from config.database import config

    for name, settings in config["connections"].items():
        assert options(settings, name)

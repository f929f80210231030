"""`activity:*` as they are typed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from so.application import Application
from so.console.kernel import Kernel

SETTINGS = {
    "app": {"name": "Test", "env": "testing", "key": "0" * 64},
    "database": {
        "default": "main",
        "connections": {"main": {"driver": "sqlite", "database": "storage/main.sqlite"}},
    },
    "activity": {"key": "audit-" + "k" * 32, "seal_delay_seconds": None, "prune_days": 365},
}


def make(base: Path, **activity: object) -> Application:
    (base / "storage").mkdir(exist_ok=True)
    settings = {**SETTINGS, "activity": {**SETTINGS["activity"], **activity}}
    app = Application(base, config=settings)
    app.install_tables()
    return app


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with make(tmp_path) as app:
        log = app.make("activity")
        for n, text in enumerate(("=1+1", "plain", "-5", " @x")):
            log.entry("books").by(f"user:{n}").with_property("n", n).log(text)
        yield Kernel(app)


def run(kernel: Kernel, *words: str) -> tuple[int, str]:
    return kernel.call(list(words)), kernel.output()


def sql(kernel: Kernel, text: str) -> None:
    kernel.app.make("db").connection().unprepared(text)


def test_seal_and_verify_a_clean_trail(kernel):
    assert run(kernel, "activity:seal") == (0, "4 rows in 1 seals.\n")
    code, output = run(kernel, "activity:verify")
    assert code == 0
    assert output.startswith("Clean: 4 rows in 1 seals, 0 unsealed")
    assert run(kernel, "activity:verify", "--since-last")[0] == 0
    assert run(kernel, "activity:verify", "--subject=user:1")[0] == 0


def test_verify_names_what_was_edited_and_exits_with_1(kernel):
    run(kernel, "activity:seal")
    sql(kernel, "update activity_log set description = 'forged' where id = 2")

    code = kernel.call(["activity:verify", "--full"])
    assert code == 1
    code, output = run(kernel, "activity:verify", "--json")
    report = json.loads(output[output.index("{") :])
    assert code == report["exit_code"] == 1
    assert report["faults"] == [
        {"kind": "edited", "text": "row 2 of seal 1: edited", "seal": 1, "row": 2}
    ]


def test_verify_exits_with_2_without_a_key_and_3_with_a_backlog(kernel, tmp_path):
    sql(kernel, "create table other (id integer)")
    kernel.app.clock.travel(3600)
    assert run(kernel, "activity:verify")[0] == 3
    kernel.app.clock.unfreeze()

    with make(tmp_path, key=None) as app:
        other = Kernel(app)
        assert run(other, "activity:verify")[0] == 2
        code, output = run(other, "activity:verify", "--json")
        assert (code, json.loads(output)["exit_code"]) == (2, 2)
        assert run(other, "activity:seal")[0] != 0
    assert run(kernel, "activity:verify", "--anchor=/no/such/file")[0] == 2
    assert run(kernel, "activity:verify", "--full", "--since-last")[0] != 0


def test_seal_says_what_it_refused_and_adopts_rows_that_are_named(kernel):
    sql(kernel, "insert into activity_log (description) values ('by hand')")

    assert kernel.call(["activity:seal"]) == 1
    code, output = run(kernel, "activity:seal", "--adopt")
    assert code != 0
    assert "--ids=5" in output
    assert run(kernel, "activity:seal", "--adopt", "--ids=five")[0] == 2
    code, output = run(kernel, "activity:seal", "--adopt", "--ids=5")
    assert code == 0
    assert "1 rows adopted." in output
    assert run(kernel, "activity:verify")[0] == 0


def test_an_anchor_finds_a_trail_that_was_cut(kernel, tmp_path):
    file = tmp_path / "anchor.txt"
    assert "1 " in run(kernel, "activity:anchor", str(file))[1]
    assert run(kernel, "activity:verify", f"--anchor={file}")[0] == 0

    sql(kernel, "delete from activity_log")
    sql(kernel, "delete from activity_seals")

    assert "no seal yet" in run(kernel, "activity:anchor", str(tmp_path / "b"))[1]
    assert run(kernel, "activity:verify", f"--anchor={file}")[0] == 1


def test_csv_cells_that_a_spreadsheet_would_run_are_neutralised(kernel):
    code, output = run(kernel, "activity:export")
    rows = list(csv.DictReader(io.StringIO(output)))

    assert code == 0
    assert [row["description"] for row in rows] == ["'=1+1", "plain", "'-5", "' @x"]
    assert json.loads(rows[1]["properties"]) == {"n": 1}


def test_json_and_json_lines_are_selected_and_whole(kernel, tmp_path):
    code, output = run(kernel, "activity:export", "--format=json", "--causer=user:2")
    assert [row["description"] for row in json.loads(output)] == ["-5"]

    file = tmp_path / "trail.jsonl"
    run(kernel, "activity:export", "--format=jsonl", "--log=books", f"--output={file}")
    lines = file.read_text().splitlines()
    assert [json.loads(line)["properties"]["n"] for line in lines] == [0, 1, 2, 3]

    assert run(kernel, "activity:export", "--format=json", "--to=2001-01-01")[1] == "[]\n"
    code, output = run(kernel, "activity:export", "--format=jsonl", "--from=2001-01-01T10:00")
    exported = [json.loads(line) for line in output.splitlines()]
    assert [row["event"] for row in exported[4:]] == ["exported"] * 3  # exports are logged


@pytest.mark.parametrize(
    "option", ["--format=xml", "--from=yesterday", "--subject=user", "--causer=:1"]
)
def test_an_export_of_nonsense_is_refused(kernel, option):
    with pytest.raises(Exception, match=r"use one of|no date|names nobody"):
        kernel.app.make("activity").export(
            **{
                {"--format": "format", "--from": "since"}.get(name, name[2:]): value
                for name, value in [option.split("=")]
            }
        ).__next__()
    assert kernel.call(["activity:export", option]) != 0


def test_erase_asks_first(kernel):
    assert kernel.call(["activity:erase", "user:1", "--no-interaction"]) == 1
    assert (
        "were erased from 1 activity rows" in run(kernel, "activity:erase", "user:1", "--force")[1]
    )
    assert run(kernel, "activity:verify")[0] == 0


def test_stats_count_by_log(kernel):
    assert "books" in run(kernel, "activity:stats")[1]
    found = json.loads(run(kernel, "activity:stats", "--json")[1])
    assert found["logs"][0] | {"first": 0, "last": 0, "bytes": 0} == {
        "name": "books", "rows": 4, "bytes": 0, "first": 0, "last": 0
    }  # fmt: skip
    assert found["unsealed"] == 4


@pytest.mark.parametrize("days", ["0", "-1", "ten", "1.5"])
def test_prune_refuses_nonsense(kernel, days):
    assert kernel.call(["activity:prune", f"--days={days}"]) != 0
    assert kernel.app.make("activity").stats()["rows"] == 4


def test_prune_keeps_the_days_of_the_settings(kernel):
    kernel.app.clock.travel(366 * 86_400)

    assert "4 activity rows" in run(kernel, "activity:prune", "--dry-run")[1]
    assert "4 activity rows" in run(kernel, "activity:prune")[1]
    assert run(kernel, "activity:verify")[0] == 0


def test_hold_and_rules_from_the_command_line(kernel, tmp_path):
    assert run(kernel, "activity:hold", "user:1", "--reason=lawsuit")[0] == 0
    assert "lawsuit" in run(kernel, "activity:hold")[1]
    assert run(kernel, "activity:hold", "user:1")[0] == 1
    with make(tmp_path, retention={"books": 10}) as app:
        app.clock.travel(20 * 86_400)
        other = Kernel(app)
        output = run(other, "activity:prune")[1]
        assert "3 activity rows of books older than 10 days deleted." in output
        assert "0 activity rows of all other logs older than 365 days deleted." in output
        assert run(other, "activity:hold", "user:1", "--release", "--reason=over")[0] == 0
        assert "1 activity rows" in run(other, "activity:prune", "--days=10", "--log=books")[1]


def test_erase_lists_first(kernel):
    log = kernel.app.make("activity")
    log.entry("x").by("user:9").with_property("contact_name", "user:9").log("x")

    code, output = run(kernel, "activity:erase", "user:9", "--dry-run")

    assert (code, output) == (
        0,
        "row 5, properties.contact_name: user:9\nrow 5, causer_label: user:9\n",
    )


def test_check_says_that_nobody_verifies_or_that_somebody_found_something(kernel):
    def faults():
        return json.loads(run(kernel, "check", "--json")[1])["faults"]

    assert not [fault for fault in faults() if "verif" in fault]
    kernel.app.clock.travel(3 * 86_400)
    assert [fault for fault in faults() if "verified never" in fault]
    run(kernel, "activity:seal")
    assert run(kernel, "activity:verify")[0] == 0
    assert not [fault for fault in faults() if "verif" in fault]
    sql(kernel, "update activity_log set description = 'x' where id = 1")
    run(kernel, "activity:verify")
    assert [fault for fault in faults() if "had 1 findings" in fault]


def test_a_verification_that_found_something_is_mailed(tmp_path, caplog):
    with make(tmp_path, alert=["auditor@example.com"]) as app:
        app.make("activity").entry("x").log("x")
        with caplog.at_level("INFO"):
            run(Kernel(app), "activity:verify")
            assert "auditor@example.com" not in caplog.text
            app.make("db").connection().unprepared("update activity_log set description = 'y'")
            assert run(Kernel(app), "activity:verify")[0] == 1
        assert "tampered with" in caplog.text
        assert "auditor@example.com" in caplog.text


def test_report_from_the_command_line(kernel, tmp_path):
    code, output = run(kernel, "activity:report", "--person=user:1", "--format=jsonl")
    assert code == 0
    assert json.loads(output)["causer_id"] == "1"
    before = kernel.app.make("activity").stats()["rows"]
    assert run(kernel, "activity:export", "--output=/no/such/folder/x")[0] == 1
    for wrong in ("--format=xml", "--from=soon", "--subject=nobody"):
        assert run(kernel, "activity:export", wrong)[0] == 2
    assert (
        run(kernel, "activity:hold", "nobody")[0] == run(kernel, "activity:erase", "nobody")[0] == 2
    )
    assert kernel.app.make("activity").stats()["rows"] == before
    code, output = run(kernel, "activity:report", "--separator=;", "--bom", "--log=books")
    assert output.startswith("\ufeffid;created_at;")


def test_anchors_go_to_the_system_log_and_by_mail(kernel, caplog):
    assert run(kernel, "activity:anchor")[0] == 2
    with caplog.at_level("INFO"):
        code, output = run(kernel, "activity:anchor", "--syslog", "--mail=auditor@example.com")
    assert code == 0
    assert output.strip().startswith("1 ")
    assert "auditor@example.com" in caplog.text


@pytest.mark.parametrize(
    "asked", ["--seal=3..1", "--subject=x", "--subject=a:", "--connection=nope"]
)
def test_what_cannot_be_verified_does_not_look_like_tampering(kernel, asked):
    code, output = run(kernel, "activity:verify", asked)
    assert (code, output.startswith("Cannot check: ")) == (2, True)


def test_a_trail_without_its_tables_cannot_be_checked(kernel):
    sql(kernel, "drop table activity_seals")

    code, output = run(kernel, "activity:verify", "--json")
    assert (code, json.loads(output)["exit_code"]) == (2, 2)


@pytest.mark.parametrize("words", [
    ("activity:export",), ("activity:report",), ("activity:proof", "1"), ("activity:anchor",),
])  # fmt: skip
def test_a_place_that_cannot_be_written_is_named_with_the_mend(kernel, tmp_path, words):
    kernel.call(["activity:seal"])
    place = str(tmp_path / "nowhere" / "file")
    option = place if words[0] == "activity:anchor" else f"--output={place}"

    code, output = run(kernel, *words, option)

    assert code == 1
    assert place in output
    assert "no such file or directory; name a file in a folder that is there" in output


def test_an_export_that_is_refused_leaves_an_earlier_one_as_it_was(kernel, tmp_path):
    file = tmp_path / "trail.csv"
    file.write_text("earlier")

    assert run(kernel, "activity:export", "--format=xml", f"--output={file}")[0] == 2

    assert file.read_text() == "earlier"
    assert run(kernel, "activity:export", f"--output={file}")[0] == 0
    assert file.read_text().startswith("id,created_at")


def test_a_subject_with_no_row_is_not_said_to_be_verified(kernel):
    kernel.call(["activity:seal"])

    code, output = run(kernel, "activity:verify", "--subject=user:1:2")
    assert code == 2
    assert "the trail has no row about user:1:2: write TYPE:ID" in output

    code, output = run(kernel, "activity:verify", "--subject=user:77")
    assert code == 0
    assert "anything about user:77: the trail has no row about user:77" in output


@pytest.mark.parametrize("words", [
    "activity:verify --anchor=", "activity:verify --subject=", "activity:verify --seal=",
    "activity:verify --head=", "activity:export --from=", "activity:report --person=",
    "activity:anchor --mail=",
])  # fmt: skip
def test_an_option_without_its_value_is_not_taken_for_none(kernel, words):
    code, output = run(kernel, *words.split())

    assert code == 2
    assert "is empty: give it a value, or leave it out" in output


@pytest.mark.parametrize(("words", "code", "told"), [
    ("activity:export --from=2026-02-02 --to=2026-02-01", 2, "ends before it begins"),
    ("activity:export --from=0001-01-01T00:00:00+14:00", 2, "is no date"),
    ("activity:proof 1 --until=99", 1, "there is no seal 99 yet: the newest is 1"),
])  # fmt: skip
def test_what_cannot_be_is_refused_in_words(kernel, words, code, told):
    kernel.call(["activity:seal"])

    given, output = run(kernel, *words.split())

    assert given == code
    assert told in output


def test_an_anchor_that_cannot_be_read_is_named_and_no_tampering(kernel, tmp_path):
    place = tmp_path / "nowhere"

    code, output = run(kernel, "activity:verify", f"--anchor={place}")

    assert code == 2
    assert output == f"Cannot check: {place} cannot be read: no such file or directory\n"

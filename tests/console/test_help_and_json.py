"""What every command keeps to: help tells each default, `--json` is one document or refused."""

from __future__ import annotations

import importlib
import io
import json
import re

import pytest

from so import Command, activity
from so.console import Kernel
from so.console.commands import COMMANDS
from so.console.output import Output
from so.console.signature import Signature

# They run until they are stopped, or need a file, users or a model; these words for the rest.
NOT_CALLED = {
    "user:list",
    "user:sessions",
    "queue:work",
    "restore",
    "model:show",
    "bundle",
    "zipapp",
    "upgrade",
    "new",
    "activity:proof",
    "db:seed",
    "schedule:test",
    *(f"user:{verb}" for verb in ("create", "lock", "password", "reset-link", "role", "unlock")),
}
WORDS = {
    "make:auth": [],
    "activity:anchor": ["anchors.txt"],
    "activity:erase": ["user:1", "--force"],
    "activity:hold": ["user:1", "--reason=audit"],
    "cache:forget": ["x"],
    "make:migration": ["create_things_table"],
    "queue:cancel": ["1"],
    "queue:forget": ["x"],
    "queue:retry-batch": ["x"],
    "session:revoke": ["x"],
    "queue:monitor": ["default"],
    "config:show": ["app"],
    "db:table": ["jobs"],
    "notification:why": ["x"],
    "queue:retry": ["all"],
}


PROVIDERS = ["so.web.docs.DocsProvider", "so.web.openapi.OpenApiProvider"]
# Text in a form of its own, or what goes on until it is stopped: there is nothing to report.
NO_JSON = {
    *("completion", "db:schema"),
    *("queue:metrics", "schedule:work", "serve", "shell", "test"),
}


def class_of(name: str) -> type[Command]:
    module, cls, _ = COMMANDS[name]
    found: type[Command] = getattr(importlib.import_module(f"so.console.commands.{module}"), cls)
    return found


def called(kernel: Kernel, *words: str) -> tuple[int, str, str]:
    out, errors = io.StringIO(), io.StringIO()
    code = kernel.run(words, Output(out, errors))
    return code, out.getvalue(), errors.getvalue()


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture
def kernel(make_app, monkeypatch):
    for name in ("QUEUE_TRIES", "SERVER_PORT", "SERVER_CERT"):
        monkeypatch.delenv(name, raising=False)
    app = make_app(activity={"key": "a" * 32}, app={"providers": PROVIDERS})
    return Kernel(app)


@pytest.fixture
def ready(kernel):
    """A kernel whose application has its tables."""
    kernel.app.install_tables()
    return kernel


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_tells_every_default(kernel, name):
    code, text, _ = called(kernel, "help", name)

    assert code == 0
    signature = Signature.parse(class_of(name).signature)
    for one in (*signature.arguments, *signature.options):
        if one.default not in (None, ""):
            assert f"(default: {one.default})" in flat(text)
    for option in signature.options:
        if option.setting:
            found = rf"--{option.name} (?:(?! --).)*\(default: [^()]+; [A-Z][A-Z_]+\)"
            assert re.search(found, flat(text)), option


def test_a_default_that_is_a_setting_is_told_as_it_is_here(kernel):
    kernel.app.config.set("queue.tries", 7)

    help_of_work = flat(called(kernel, "queue:work", "--help")[1])
    help_of_serve = flat(called(kernel, "help", "serve")[1])

    assert "Attempts for jobs that say nothing (default: 7; QUEUE_TRIES)" in help_of_work
    assert "(default: 8000; SERVER_PORT)" in help_of_serve
    assert "(default: none; SERVER_CERT)" in help_of_serve


def test_help_works_where_the_setting_is_misspelt(kernel):
    kernel.app.config.set("server.port", "eight")

    assert "(default: not right; SERVER_PORT)" in flat(called(kernel, "help", "serve")[1])


class Report(Command):
    signature = "report {--tries=@queue.tries : How often} {--to=? : File} {--top=5 : %d lines}"

    def handle(self) -> int:
        self.line(f"{self.option('tries')!r} {self.is_given('tries')} {self.option('to')}")
        return 0


def test_an_option_that_is_not_given_is_its_setting(kernel):
    kernel.register(Report)

    assert called(kernel, "report")[1] == "3 False None\n"
    assert called(kernel, "report", "--tries=9")[1] == "'9' True None\n"
    assert "%d lines (default: 5)" in flat(called(kernel, "help", "report")[1])


# --- JSON -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - NOT_CALLED))
def test_json_is_one_document_or_refused_before_anything_is_done(ready, name):
    takes_name = not class_of(name).knows_json() or name.startswith("make:")
    words = WORDS.get(name, ["Thing"] if takes_name else [])

    code, out, errors = called(ready, name, *words, "--json")

    if class_of(name).knows_json():
        assert out.count("\x1b") == 0
        json.loads(out)
    else:
        assert (code, out) == (2, "")
        assert f"{name} gives no JSON: leave out --json" in errors


def test_every_command_that_reports_gives_json():
    assert {name for name in COMMANDS if not class_of(name).knows_json()} <= NO_JSON


def document(kernel, *words: str) -> tuple[int, object]:
    code, out, _ = called(kernel, *words, "--json")
    return code, json.loads(out)


def test_a_script_reads_what_was_done_and_what_was_not(ready):
    """The exit code is that of the same command without --json."""
    assert document(ready, "down", "--allow=10.0.0.1") == (
        0, {"down": True, "retry_seconds": 60, "allow": ["10.0.0.1"]},
    )  # fmt: skip
    assert document(ready, "schedule:run") == (0, {"down": True, "begun": []})
    assert document(ready, "up") == (0, {"down": False, "was_down": True})
    assert document(ready, "up") == (0, {"down": False, "was_down": False})
    assert document(ready, "queue:forget", "17") == (1, {"deleted": 0})
    assert document(ready, "queue:cancel", "17", "x") == (1, {"jobs": {"17": None, "x": None}})
    assert document(ready, "queue:retry-batch", "b") == (1, {"put_back": {"b": None}})
    assert document(ready, "queue:pause", "a,b", "--for=5") == (
        0, {"paused": ["a", "b"], "seconds": 5.0},
    )  # fmt: skip
    assert document(ready, "queue:pause") == (0, {"paused": ["*"], "seconds": None})
    assert document(ready, "queue:resume") == (0, {"resumed": ["*", "a", "b"]})
    assert document(ready, "session:revoke", "x") == (1, {"ended": 0})
    assert document(ready, "cache:forget", "x") == (1, {"removed": False})
    assert document(ready, "cache:clear", "--tags=a, b", "--locks") == (
        0, {"cleared": True, "tags": ["a", "b"], "locks": True},
    )  # fmt: skip


def test_sealing_says_what_it_sealed(ready):
    activity("orders").log("sent")

    code, said = document(ready, "activity:seal")

    assert (code, said["rows"], said["seals"], said["refused"]) == (0, 1, 1, 0)
    assert isinstance(document(ready, "activity:proof", "1")[1], dict)


def test_what_a_task_prints_does_not_stand_in_the_document(ready):
    ready.app.make("schedule").command("list").every_minute()

    code, said = document(ready, "schedule:test", "list")
    assert (code, said["task"], said["ok"]) == (0, "list", True)
    (begun,) = document(ready, "schedule:run")[1]["begun"]
    assert (begun["task"], begun["ok"]) == ("list", True)


def test_makers_name_every_file_they_made(ready):
    code, said = document(ready, "make:model", "Thing", "-mcfs")

    assert code == 0
    assert [name.partition("/")[0] for name in said["created"]].count("database") == 4
    assert all(ready.app.base_path(name).is_file() for name in said["created"])
    code, out, errors = called(ready, "make:model", "Other", "-fs", "--json")
    assert code == 0
    # What cannot be made does not hide what was.
    ready.app.base_path("app/models/other.py").unlink()
    code, out, errors = called(ready, "make:model", "Other", "-s", "--json")
    assert (code, json.loads(out)) == (1, {"created": ["app/models/other.py"]})
    assert "exists already" in errors


@pytest.mark.parametrize("words", [["--version"], ["help", "serve"], ["serve", "--help"]])
def test_what_is_for_people_alone_refuses_json(ready, words):
    code, out, errors = called(ready, *words, "--json")

    assert (code, out) == (2, "")
    assert "leave out --json" in errors


def test_the_list_is_a_document(kernel):
    assert json.loads(called(kernel, "list", "--json")[1])["serve"]


def test_a_command_of_the_application_gives_json_if_it_asks_for_it(kernel):
    class Asks(Report):
        signature = "asks"

        def handle(self) -> int:
            self.line(json.dumps({"asked": self.wants_json}))
            return 0

    kernel.register_commands([Report, Asks])

    assert json.loads(called(kernel, "asks", "--json")[1]) == {"asked": True}
    assert called(kernel, "report", "--json")[0] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--retry=x"], "is no number of seconds"),
        (["--retry=0"], "use 1 or more"),
        (["--secret=ab"], "8 characters or more"),
        (["--allow=banana"], "is no address or network"),
    ],
)
def test_a_notice_that_makes_no_sense_is_refused_as_bad_usage(ready, words, said):
    code, _, errors = called(ready, "down", *words)

    assert (code, said in errors) == (2, True)
    assert not ready.app.make("maintenance").is_down()


def test_without_a_model_of_users_their_commands_say_what_writes_one(ready):
    ready.app.config.set("auth.model", "no_such_app.models.User")

    code, _, errors = called(ready, "user:list")

    assert code == 1
    assert "`bin/sixorbit make:auth` writes one" in errors

"""The console kernel: finding, running, exit codes, global options, list and help."""

from __future__ import annotations

import contextlib
import io
import json

import pytest

from so import Command, abort
from so.console import Kernel
from so.console.output import Output
from so.errors import CommandError, ConfigError


class Mailer:
    pass


class Report(Command):
    signature = (
        "report:email {recipient : Who} {--type=daily} {--Q|queue=} {--force} {--id=*} {rest?*}"
    )
    description = "Email a report"

    def handle(self, mailer: Mailer) -> None:
        assert isinstance(mailer, Mailer)
        self.json({**self.arguments(), **self.options()})


class Say(Command):
    signature = "say"

    def handle(self) -> None:
        self.line("normal")
        self.line("verbose", level=2)
        self.error("broken")
        self.line(f"{self.app.environment()} {self.wants_json}")


def command(result=None, signature="do", **fields):
    """A command whose `handle` returns *result*, or raises it."""

    def handle(self) -> object:
        if isinstance(result, BaseException):
            raise result
        return result

    return type("Do", (Command,), {"signature": signature, "handle": handle, **fields})


@pytest.fixture
def kernel(app) -> Kernel:
    kernel = Kernel(app)
    kernel.register_commands([Report, Say])
    return kernel


def run(kernel, argv, params=None):
    return kernel.call(argv, params), kernel.output()


# --- arguments and options ------------------------------------------------------------------------


def test_a_command_gets_its_words_and_what_it_asks_the_container_for(kernel):
    code, output = run(
        kernel, "report:email ada --type weekly -Q high x --force --id=1 --id 2 y --queue=low"
    )

    assert code == 0
    assert json.loads(output) == {
        "recipient": "ada",
        "rest": ["x", "y"],
        "type": "weekly",
        "queue": "low",
        "force": True,
        "id": ["1", "2"],
    }


def test_what_is_not_given_has_its_default(kernel):
    assert json.loads(run(kernel, "report:email ada")[1]) == {
        "recipient": "ada",
        "rest": [],
        "type": "daily",
        "queue": None,
        "force": False,
        "id": [],
    }


def test_parameters_from_code_come_in_any_order(kernel):
    code, output = run(
        kernel,
        "report:email",
        {"rest": ["x", 5], "--id": [1, 2], "recipient": "-dash", "type": "w", "--force": False},
    )

    assert code == 0
    found = json.loads(output)
    assert (found["recipient"], found["rest"], found["id"]) == ("-dash", ["x", "5"], ["1", "2"])
    assert (found["type"], found["force"]) == ("w", False)


def test_a_parameter_that_the_command_has_not_got_is_bad_usage(kernel):
    code, output = run(kernel, "report:email", {"recipient": "a", "--nope": 1})

    assert (code, output) == (2, "report:email has no argument or option '--nope'\n")
    code, output = run(kernel, "report:email", {"recipent": "a"})

    assert (
        output == "report:email has no argument or option 'recipent'; did you mean 'recipient'?\n"
    )


def test_a_command_can_be_called_by_its_class(kernel):
    fresh = Kernel(kernel.app)

    assert json.loads(run(fresh, Report, {"recipient": "ada"})[1])["recipient"] == "ada"
    assert fresh.call(["report:email", "ada"]) == 0


def test_words_after_two_dashes_are_arguments(kernel):
    assert json.loads(run(kernel, "report:email -- ada -q --json")[1])["rest"] == ["-q", "--json"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("report:email", "the following arguments are required: recipient"),
        ("report:email a --nope", "unrecognized arguments: --nope"),
        ("report:email a --qeue=x", "did you mean --queue?"),
        ("report:email a --typ=x", "did you mean --type?"),
        ("report:email a --type", "expected one argument"),
        ("say more", "unrecognized arguments: more"),
        ("say --env", "--env needs a name"),
    ],
)
def test_bad_usage_exits_with_2_and_says_what_is_wrong(kernel, argv, message):
    code, output = run(kernel, argv)

    assert code == 2
    assert message in output


# --- exit codes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "code"),
    [(None, 0), (0, 0), (1, 1), (7, 7), (True, 0), (False, 1), ("done", 0)]
    + [(KeyboardInterrupt(), 130), (SystemExit(143), 143), (SystemExit(None), 0)]
    + [(BrokenPipeError(), 0), (CommandError("no"), 1)],
)
def test_the_exit_code_of(kernel, result, code):
    kernel.register(command(result))

    assert kernel.call("do") == code


def test_an_error_of_ours_is_one_line(kernel):
    kernel.register(command(ConfigError("the key is wrong")))

    assert run(kernel, "do") == (1, "ConfigError: the key is wrong\n")


def test_an_unexpected_error_says_how_to_see_where(kernel):
    kernel.register(command(RuntimeError("boom")))

    assert run(kernel, "do") == (1, "RuntimeError: boom\nRun it with -v to see where.\n")
    assert "Traceback" in run(kernel, "do -v")[1]


def test_in_debug_mode_an_unexpected_error_comes_with_its_traceback(make_app):
    kernel = Kernel(make_app(app={"debug": True}))
    kernel.register(command(RuntimeError("boom")))
    kernel.register(command(ConfigError("wrong"), "ours"))

    assert "Traceback" in run(kernel, "do")[1]
    assert "Traceback" not in run(kernel, "ours")[1]


def test_an_http_error_in_a_command_is_a_failure(kernel):
    kernel.register(command(signature="gone", handle=lambda self: abort(404, "no such thing")))

    code, output = run(kernel, "gone")

    assert code == 1
    assert "no such thing" in output


def test_an_unknown_command_names_the_nearest(kernel):
    code, output = run(kernel, "report:emial")

    assert code == 1
    assert output == "Command not found: report:emial\nDid you mean this?\n    report:email\n"
    assert run(kernel, "zzzzzzz") == (1, "Command not found: zzzzzzz\n")


def test_an_unknown_group_or_option_names_the_nearest(kernel):
    assert run(kernel, "list quuee") == (
        2, "there is no command and no group 'quuee'; did you mean queue?\n",
    )  # fmt: skip
    assert run(kernel, "--verison") == (
        2, "there is no option --verison; did you mean --version?\n",
    )  # fmt: skip
    assert run(kernel, "--zzz")[1] == "there is no option --zzz\n"


# --- global options -------------------------------------------------------------------------------


def test_quiet_and_loud(kernel):
    assert run(kernel, "say -q")[1] == "broken\n"
    assert run(kernel, "--quiet say")[1] == "broken\n"
    for flag in ("-v", "-vv", "-vvv", "--verbose"):
        assert "verbose" in run(kernel, f"say {flag}")[1]
    assert run(kernel, "say", {"-q": True})[1] == "broken\n"


@pytest.mark.parametrize("words", ["--env=staging say", "say --env staging --json"])
def test_the_environment_can_be_chosen(kernel, words):
    assert f"staging {'--json' in words}" in run(kernel, words)[1]


def test_a_global_option_among_parameters(kernel):
    assert "staging True" in run(kernel, "say", {"--env": "staging", "--json": True})[1]


def test_the_version(kernel):
    version = kernel.app.version()

    assert run(kernel, "-V") == run(kernel, "--version") == (0, f"SixOrbit {version}\n")


# --- production -----------------------------------------------------------------------------------


def test_a_destructive_command_asks_in_production_and_takes_silence_for_no(make_app):
    kernel = Kernel(make_app(env="production"))
    kernel.register(command(destructive=True))

    assert run(kernel, "do") == (1, "Command cancelled.\n")
    assert kernel.call("do --force") == 0
    assert kernel.call("do", {"--force": True}) == 0
    assert "--force" in run(kernel, "help do")[1]


def test_somebody_at_the_terminal_may_confirm(make_app, monkeypatch):
    kernel = Kernel(make_app(env="production"))
    kernel.register(command(destructive=True))
    stream = io.StringIO()
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))

    assert kernel.run(["do"], Output(stream, interactive=True)) == 0
    assert "in production" in stream.getvalue()


def test_outside_production_nobody_is_asked(kernel):
    kernel.register(command(destructive=True))

    assert kernel.call("do") == 0


# --- list and help --------------------------------------------------------------------------------


@pytest.mark.parametrize("argv", [[], ["list"], ["help"], ["--help"], ["-h"]])
def test_the_commands_are_listed_by_namespace(kernel, argv):
    code, output = run(kernel, argv)

    assert code == 0
    assert "\n queue\n" in output
    assert "report:email" in output
    assert "Email a report" in output
    assert "--no-interaction" in output


def test_the_list_of_one_namespace_and_as_json(kernel):
    assert "cache:clear" not in run(kernel, "list queue")[1]
    assert json.loads(run(kernel, "list --json")[1])["report:email"] == "Email a report"
    assert "queue:work" in run(kernel, "list", {"namespace": "queue"})[1]


@pytest.mark.parametrize("argv", ["help report:email", "report:email --help", "report:email -h"])
def test_help_of_one_command(kernel, argv):
    code, output = run(kernel, argv)

    assert code == 0
    for text in ("usage: sixorbit report:email", "Email a report", "Who", "-Q", "--queue", "--env"):
        assert text in output


def test_help_of_an_unknown_command(kernel):
    assert run(kernel, "help nothing")[0] == 1


def test_a_hidden_command_is_not_listed_but_runs(kernel):
    kernel.register(command(signature="secret:do", hidden=True))

    assert "secret:do" not in kernel.get_commands()
    assert kernel.call("secret:do") == 0


def test_a_command_of_the_application_replaces_one_of_the_framework(kernel):
    kernel.register(command(5, "cache:clear", description="Mine"))

    assert kernel.call("cache:clear") == 5
    assert kernel.get_commands()["cache:clear"] == "Mine"


# --- discovery and streams ------------------------------------------------------------------------


def test_commands_of_the_application_are_found(make_app, tmp_path):
    folder = tmp_path / "app" / "commands"
    folder.mkdir(parents=True)
    (tmp_path / "app" / "__init__.py").touch()
    (folder / "__init__.py").touch()
    (folder / "hello.py").write_text(
        "from so import Command, command\n"
        "class Hello(Command):\n"
        "    signature = 'hello {name=world}'\n"
        "    description = 'Greets'\n"
        "    def handle(self):\n"
        "        self.line('hello ' + self.argument('name'))\n"
        "@command('bye', 'Leaves')\n"
        "def bye(self):\n"
        "    self.line('bye')\n"
    )
    kernel = Kernel(make_app())

    assert run(kernel, "hello") == (0, "hello world\n")
    assert run(kernel, "bye") == (0, "bye\n")
    assert kernel.get_commands()["hello"] == "Greets"


def test_errors_go_to_the_error_stream(kernel):
    out, err = io.StringIO(), io.StringIO()

    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert kernel.run(["say", "--no-ansi", "-n"]) == 0

    assert "normal" in out.getvalue()
    assert err.getvalue() == "broken\n"


def test_a_command_that_calls_others(kernel):
    class Inner(Command):
        signature = "inner {a} {--b=}"

        def handle(self) -> int:
            self.line(f"inner {self.argument('a')} {self.option('b')}")
            return 3

    class Outer(Command):
        signature = "outer"

        def handle(self) -> None:
            assert self.call("inner", {"a": 1, "--b": 2}) == 3
            assert self.call(Inner, {"b": "x", "a": 5}) == 3
            assert self.call_silently("inner", {"a": 9}) == 3
            assert self.call("nothing:there") == 1

    kernel.register_commands([Inner, Outer])

    code, output = run(kernel, "outer")

    assert code == 0
    assert output.startswith("inner 1 2\ninner 5 x\nCommand not found: nothing:there\n")

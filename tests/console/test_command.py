"""What a command can do: read its words, print, ask; and commands made of functions."""

from __future__ import annotations

import io

import pytest

from so import Command, command
from so.console import Kernel
from so.console.output import Output
from so.errors import CommandError


class Service:
    pass


def run(kernel, cls, line=""):
    kernel.register(cls)
    code = kernel.call(f"{cls.parsed_signature().name} {line}")
    return code, kernel.output()


def asking(kernel, cls, monkeypatch, answers):
    """What *cls* printed to somebody who typed *answers*."""
    stream = io.StringIO()
    kernel.register(cls)
    monkeypatch.setattr("sys.stdin", io.StringIO(answers))
    code = kernel.run([cls.parsed_signature().name], Output(stream, interactive=True))
    return code, stream.getvalue()


def test_arguments_and_options_by_name_index_and_default(kernel):
    class Do(Command):
        signature = "do {a=1} {b?} {--c=} {--d=?} {--flag}"

        def handle(self) -> None:
            assert self.argument("a") == self.argument(0) == "1"
            assert self.argument(-1, "last") == "last"
            assert self.argument("b", "B") == "B"
            assert self.argument(7, "none") == self.argument("zzz", "none") == "none"
            assert self.option("c", "C") == "C"
            assert self.option("d") is None
            assert self.has_option("flag") is False
            assert self.options() == {"c": None, "d": None, "flag": False}

    assert run(kernel, Do) == (0, "")


def test_handle_gets_its_words_by_name_besides_what_is_injected(kernel):
    class Do(Command):
        signature = "do {name} {--times-two=2} {--service=}"

        def handle(self, name: str, times_two: str, service: Service) -> None:
            self.line(f"{name} {times_two} {type(service).__name__}")

    assert run(kernel, Do, "ada --service=x") == (0, "ada 2 Service\n")


def test_every_kind_of_line(kernel):
    class Do(Command):
        signature = "do"

        def handle(self) -> None:
            for print_ in (self.line, self.info, self.comment, self.question, self.warn):
                print_(print_.__name__)
            self.success("success")
            self.error("error")
            self.alert("alert")
            self.new_line(2)
            self.line()

    code, output = run(kernel, Do)

    assert code == 0
    assert output == (
        "line\ninfo\ncomment\nquestion\nwarn\nsuccess\nerror\n"
        "*****************\n*     alert     *\n*****************\n\n\n\n"
    )


def test_tables_and_progress(kernel):
    class Do(Command):
        signature = "do"

        def handle(self) -> None:
            self.table(["id", "name"], ([n, name] for n, name in ((1, "漢"), (22, None))))
            self.table(["empty"], [])
            assert self.with_progress_bar([1, 2], lambda n: None) == [1, 2]
            self.progress(0, 0)

    assert run(kernel, Do)[1].splitlines() == [
        "+----+------+",
        "| id | name |",
        "+----+------+",
        "| 1  | 漢   |",
        "| 22 |      |",
        "+----+------+",
        "+-------+",
        "| empty |",
        "+-------+",
        " 1/2 [==============              ]  50%",
        " 2/2 [============================] 100%",
        " 0/0 [============================] 100%",
    ]


class Questions(Command):
    signature = "questions"

    def handle(self) -> None:
        self.json(
            [
                self.ask("Name?", "Ada"),
                self.ask("Age?"),
                self.secret("Password?"),
                self.confirm("Sure?"),
                self.confirm("Really?", True),
                self.choice("Which?", ["a", "b"], "b"),
                self.choice("Which?", ["a", "b"], 1),
                self.choice("Which?", ["a", "b"]),
            ]
        )


def test_with_nobody_to_ask_every_question_has_its_default(kernel):
    code, output = run(kernel, Questions)

    assert code == 0
    assert '["Ada", null, null, false, true, "b", "b", null]' in " ".join(output.split()).replace(
        "[ ", "["
    ).replace(" ]", "]")


def test_answers_from_a_terminal(kernel, monkeypatch):
    monkeypatch.setattr("getpass.getpass", lambda prompt: "s3cret")

    code, output = asking(kernel, Questions, monkeypatch, "Bob\n7\nyes\nn\na\nzzz\n0\n\n")

    assert code == 0
    answers = " ".join(output[output.rindex("[\n") :].split())
    assert answers == '[ "Bob", "7", "s3cret", true, false, "a", "a", null ]'
    assert "'zzz' is not one of a, b" in output
    assert "Name? [Ada]: " in output


def test_the_end_of_input_is_no_answer(kernel, monkeypatch):
    def ends(prompt):
        raise EOFError

    monkeypatch.setattr("getpass.getpass", ends)

    code, output = asking(kernel, Questions, monkeypatch, "")

    assert code == 0
    assert " ".join(output[output.rindex("[\n") :].split()).startswith('[ "Ada", null, null')


# --- functions ------------------------------------------------------------------------------------


def test_a_function_becomes_a_command(kernel):
    @command("inspire {name?} {--very-loud}")
    def inspire(self, name, very_loud, service: Service):
        """Say something kind.

        And more.
        """
        self.line(f"{name} {very_loud} {type(service).__name__}")
        return 4

    assert issubclass(inspire, Command)
    assert run(kernel, inspire, "ada --very-loud") == (4, "ada True Service\n")
    assert run(kernel, inspire) == (4, "None False Service\n")
    assert kernel.get_commands()["inspire"] == "Say something kind."


def test_the_command_itself_may_have_any_name(kernel):
    @command("one {a}", "One")
    def one(cmd: Command) -> None:
        cmd.line(cmd.argument("a"))

    @command("two", "Two")
    def two(command):
        command.line("two")

    @command("three", "Three")
    def three():
        return 3

    assert run(kernel, one, "x") == (0, "x\n")
    assert run(kernel, two) == (0, "two\n")
    assert run(kernel, three) == (3, "")


def test_a_class_without_signature_says_so(app):
    class Nameless(Command):
        pass

    with pytest.raises(CommandError, match="Nameless has no signature"):
        Kernel(app).register(Nameless)

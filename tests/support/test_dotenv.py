"""`.env` to the character: what it means, and what a command that changes it leaves alone."""

from __future__ import annotations

import os
import stat

import pytest

from so.errors import EnvSyntaxError
from so.support import dotenv


def read(text: str) -> dict[str, str]:
    return dotenv.values(text, ".env", lambda key: None)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("K=#fff", "#fff"),
        ("K=a#b", "a#b"),
        ("K=a# b", "a# b"),
        ("K=a #b", "a"),
        ("K=a\t#b", "a"),
        ("K=a # b # c", "a"),
        ("K=#a #b", "#a"),
        ("K= #fff", ""),
        ("K=  # nothing", ""),
        ("K=# nothing", ""),
        ("K=#", ""),
        ("K='a' # b", "a"),
        ('K="a"\t# b', "a"),
        ("K='a#b'", "a#b"),
        ("K='a # b'", "a # b"),
        ('K="a # b" # c', "a # b"),
        ("K=pa$$word", "pa$$word"),
    ],
)
def test_a_comment_has_white_space_before_its_sign(line, value):
    assert read(f"A=1\n{line}\nB=2") == {"A": "1", "K": value, "B": "2"}


@pytest.mark.parametrize("line", ["K='a'#b", 'K="a"#b', "K='a'b", 'K="a" b', "K='a' 'b'"])
def test_what_follows_a_quoted_value_is_white_space_or_a_comment(line):
    with pytest.raises(EnvSyntaxError, match="after the closing quote") as raised:
        read(f"A=1\n{line}\nB=2")

    assert raised.value.line == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (
            'K="  first  \n\n\tsecond # no comment  \n  "',
            "  first  \n\n\tsecond # no comment  \n  ",
        ),
        ("K='  first  \n\tAPP_KEY=inside\n'", "  first  \n\tAPP_KEY=inside\n"),
        ('K="a\n# no comment\nb" # one', "a\n# no comment\nb"),
        ('export K="a\\nb\n\\"c\\""', 'a\nb\n"c"'),
        ('K="a\r\nb"\r\n', "a\nb"),
        ("K='$A \\n ${B}'", "$A \\n ${B}"),
    ],
)
def test_quoted_text_of_several_lines_is_kept_to_the_character(text, value):
    assert read(f"A=1\n{text}\nB=2") == {"A": "1", "K": value, "B": "2"}


@pytest.mark.parametrize("text", ["A=1\nK='open\nB=2\n", 'A=1\nK="open\nB=2\\"\n'])
def test_a_quote_that_is_never_closed_names_the_line_where_it_was_opened(text):
    with pytest.raises(EnvSyntaxError, match="no closing quote") as raised:
        read(text)

    assert raised.value.line == 2


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "K=new\n"),
        ("A=1", "A=1\nK=new\n"),
        ("A=1\r\n", "A=1\r\nK=new\r\n"),
        ("\ufeffK=old\nA=1", "\ufeffK=new\nA=1"),
        ("\ufeff", "\ufeffK=new\n"),
        ("# K=old\nA=1\n", "# K=old\nA=1\nK=new\n"),
        ("K=old # why\n", "K=new # why\n"),
        ("K=   # why\n", "K=new   # why\n"),
        ("K=# why\n", "K=new # why\n"),
        ("K=", "K=new"),
        ("K = old", "K =new"),
        ("  export  K='old'  # why\n", "  export  K=new  # why\n"),
        ('K="old\nK=inside\n" # why\nA=1', "K=new # why\nA=1"),
        ("NOTE='\nK=inside\n'\nA=1\n", "NOTE='\nK=inside\n'\nA=1\nK=new\n"),
        ("K=first\nA=1\nK=last\n", "K=first\nA=1\nK=new\n"),
        ("KK=1\nK_OLD=2\n", "KK=1\nK_OLD=2\nK=new\n"),
        ("K=${A}\n", "K=new\n"),
    ],
)
def test_one_assignment_is_changed_and_nothing_else(before, after):
    found = dotenv.with_value(before, "K", "new")

    assert found == after
    assert read(found)["K"] == "new"


@pytest.mark.parametrize(
    "value", ["", "a b", "#a", "a #b", "it's", '"', "$A ${B}", "a\nb", "a\\nb", "\r", "'\"\\", " "]
)
def test_what_was_written_is_what_is_read(value):
    assert read(dotenv.with_value("A=1\nK=old # why\n", "K", value)) == {"A": "1", "K": value}


def test_a_link_its_file_and_the_files_rights_stay(tmp_path):
    real = tmp_path / "real"
    real.mkdir()
    (real / "env").write_text("K=old\n")
    (real / "env").chmod(0o640)
    if os.getuid() == 0:
        os.chown(real / "env", 12, 34)
    link = tmp_path / ".env"
    link.symlink_to("real/env")
    before = (real / "env").stat()

    dotenv.write(link, "K=new\n")

    after = (real / "env").stat()
    assert link.is_symlink()
    assert (real / "env").read_text() == "K=new\n"
    assert stat.S_IMODE(after.st_mode) == 0o640
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert os.listdir(real) == ["env"]


def test_a_new_file_is_its_owners_alone(tmp_path):
    dotenv.write(tmp_path / ".env", "K=new\n")

    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_where_the_folder_is_closed_the_file_is_written_over(tmp_path):
    file = tmp_path / ".env"
    file.write_text("K=old, and longer\n")
    tmp_path.chmod(0o500)
    try:
        dotenv.write(file, "K=new\n")
    finally:
        tmp_path.chmod(0o700)

    assert file.read_text() == "K=new\n"

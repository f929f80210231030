"""Signed texts: what fits, under which keys, and for which purpose alone."""

from __future__ import annotations

import pytest

from so.errors import BadSignature, ConfigError
from so.support.signing import Signer

KEY, OLDER, STRANGE = "k" * 32, "o" * 32, "s" * 32


@pytest.fixture
def signer() -> Signer:
    return Signer(KEY, OLDER)


@pytest.mark.parametrize("text", ["", "a", "a.b", "ü\u2028", "x" * 5000])
def test_what_was_signed_comes_back(signer: Signer, text: str):
    assert signer.unsign(signer.sign(text, "mail"), "mail") == text
    assert signer.verify(text, signer.mac(text, "mail"), "mail")


@pytest.mark.parametrize(("made_for", "asked_for"), [("mail", "login"), ("mail", ""), ("", "mail")])
def test_what_was_signed_for_one_purpose_is_worthless_for_another(
    signer: Signer, made_for: str, asked_for: str
):
    with pytest.raises(BadSignature, match="does not fit"):
        signer.unsign(signer.sign("7", made_for), asked_for)
    assert not signer.verify("7", signer.mac("7", made_for), asked_for)


def test_every_letter_of_text_and_signature_counts(signer: Signer):
    token, mac = signer.sign("user:7"), signer.mac("user:7")

    for at in range(len(token)):
        other = "A" if token[at] != "A" else "B"
        with pytest.raises(BadSignature):
            signer.unsign(token[:at] + other + token[at + 1 :])
    for at in range(len(mac)):
        other = "0" if mac[at] != "0" else "1"
        assert not signer.verify("user:7", mac[:at] + other + mac[at + 1 :])


@pytest.mark.parametrize("cut", [1, 8, 40])
def test_a_part_of_a_signature_is_none(signer: Signer, cut: int):
    with pytest.raises(BadSignature):
        signer.unsign(signer.sign("7")[:-cut])
    assert not signer.verify("7", signer.mac("7")[:-cut])


@pytest.mark.parametrize("odd", ["", ".", "7", "7.", ".x", "7.\ud800", "7.é"])
def test_what_is_no_token_at_all_is_refused(signer: Signer, odd: str):
    with pytest.raises(BadSignature):
        signer.unsign(odd)
    assert not signer.verify("7", odd)


def test_an_older_key_still_checks_and_the_newest_signs(signer: Signer):
    assert signer.unsign(Signer(OLDER).sign("7")) == "7"
    assert signer.verify("7", Signer(OLDER).mac("7"))
    assert signer.sign("7") == Signer(KEY).sign("7") != Signer(OLDER).sign("7")
    with pytest.raises(BadSignature):
        signer.unsign(Signer(STRANGE).sign("7"))


def test_a_key_of_fifteen_bytes_is_refused():
    assert Signer("k" * 16).verify("7", Signer("k" * 16).mac("7"))
    with pytest.raises(ConfigError, match="15 bytes"):
        Signer("k" * 15)

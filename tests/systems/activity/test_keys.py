"""The keys of the trail by themselves: which message, which purpose, which key."""

from __future__ import annotations

import pytest

from so.systems.activity.keys import PURPOSES, ROW, SEAL, KeyRing

KEY, OLDER, STRANGE = "k" * 32, "o" * 32, "s" * 32


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing(KEY, OLDER)


def test_a_mac_fits_its_message_its_purpose_and_its_key(ring: KeyRing):
    mac = ring.mac(b"7", ROW)

    assert ring.check(b"7", mac, ROW)
    assert ring.check(b"7", mac, ROW, ring.key_id)
    assert not ring.check(b"8", mac, ROW)
    assert not any(ring.check(b"7", mac, other) for other in PURPOSES if other != ROW)
    assert not ring.check(b"7", mac, ROW, KeyRing(OLDER).key_id)


def test_what_an_older_key_signed_is_checked_with_that_key(ring: KeyRing):
    mac = KeyRing(OLDER).mac(b"7", SEAL)

    assert ring.check(b"7", mac, SEAL)
    assert ring.check(b"7", mac, SEAL, ring.retired[0])
    assert not ring.check(b"7", mac, SEAL, ring.key_id)


@pytest.mark.parametrize("key_id", [KeyRing(STRANGE).key_id, "", "x", 7, b"x", ["x"]])
def test_by_a_key_that_is_not_here_nothing_was_signed(ring: KeyRing, key_id: object):
    assert not ring.knows(key_id)
    assert not ring.check(b"7", ring.mac(b"7", ROW), ROW, key_id)
    assert not ring.check(b"7", KeyRing(STRANGE).mac(b"7", ROW), ROW, key_id)


@pytest.mark.parametrize("mac", [None, 7, b"x", "", "é", "0" * 64])
def test_what_is_no_mac_fits_nothing(ring: KeyRing, mac: object):
    assert not ring.check(b"7", mac, ROW)
    assert not ring.check(b"7", mac, ROW, ring.key_id)

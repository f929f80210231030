"""Which texts name a host."""

import pytest

from so.server.fields import is_authority

GOOD = (
    "a a.b a:80 a: localhost:8000 127.0.0.1:1 [::1] [::1]:80 [2001:db8::1] [::ffff:1.2.3.4] [::] "
    "[1:2:3:4:5:6:7:8] [1:2:3:4:5:6:1.2.3.4] [v1.x:y] xn--bcher-kva.de a_b my-host a.b. a%41b "
    "12345 a:00080 a:65535 [::1]: [1::8] [1:2:3:4:5:6:7::] a~b a!b 0.0.0.0 255.255.255.255"
).split()
BAD = [
    *"a,b a/b a?b u@a a:b a:-1 a:80:80 a:99999 a:0 [::1 [::1]x [g::1] %zz a% [1:2:3] [:::]".split(),
    *"[1.2.3.4] 256.1.1.1 1.2.3 01.2.3.4 . a..b .a :80 : [::1]80 a%20b [v1] 1.2.3.4.".split(),
    "[::1]]", "a b", " a", "a ", "a:8 0", "a\tb", "é", "a:８０", "a" * 64, "a." * 130, "a:1000080",
]  # fmt: skip


@pytest.mark.parametrize("text", ["", *GOOD])
def test_a_host(text):
    assert is_authority(text)


@pytest.mark.parametrize("text", BAD)
def test_no_host(text):
    assert not is_authority(text)

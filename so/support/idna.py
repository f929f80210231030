"""Names of hosts beyond ASCII in the form that DNS and mail servers take: `xn--mnchen-3ya.example`.

As browsers do (UTS 46): the codec of the standard library still writes `ss` for `ß`.
"""

from __future__ import annotations

import unicodedata

_LONGEST_LABEL, _LONGEST_NAME = 63, 253


def ascii_host(host: str) -> str:
    """*host* in ASCII; UnicodeError for what is no name of a host."""
    if host.isascii():
        return host
    folded = unicodedata.normalize("NFKC", host.lower()).replace("\u3002", ".")
    plain = ".".join(_label(label) for label in folded.split("."))
    if len(plain) > _LONGEST_NAME:
        raise UnicodeError(f"the host {host[:80]!r}… is longer than {_LONGEST_NAME} characters")
    return plain


def _label(label: str) -> str:
    if not label.isascii():
        bad = [c for c in label if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Zs", "Zl")]
        if bad:
            raise UnicodeError(f"{bad[0]!r} stands in no name of a host")
        label = "xn--" + label.encode("punycode").decode("ascii")
    if len(label) > _LONGEST_LABEL:
        raise UnicodeError(f"{label!r} is longer than {_LONGEST_LABEL} characters")
    return label

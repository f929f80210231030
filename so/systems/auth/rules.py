"""What a new password must be: `Password.min(12).mixed_case().numbers().not_common()`.

A rule object of validation; each step gives a new one. NIST SP 800-63B: length and a list of
what is guessed first do more than kinds of characters, so those two are the default.

The list is offline: 19,000 passwords from published breaches (common_passwords.txt.gz, which
says where they come from), and those of a file of the application's.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from so.settings.auth import PasswordSettings
from so.support.current import current
from so.support.places import shipped

# A rule may be kept in a module and used by many threads, so what it sees is not kept in it.
_data: ContextVar[Any] = ContextVar("so_password_data", default=None)
_said: ContextVar[tuple[str, ...]] = ContextVar("so_password_faults", default=())

_FIELD = "The :attribute field"
SHORTEST_PART = 3  # letters of a name or address that a password must not repeat
_ENDS = "0123456789!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ "


@dataclass(frozen=True)
class PasswordRule:
    """The rule; `Password` is where a chain begins."""

    shortest: int = PasswordSettings.min
    longest: int = 4096
    wants: tuple[str, ...] = ()
    not_like: tuple[str, ...] = ()
    earlier: int = 0
    list_file: str | None = None
    user: Any = None

    # --- a chain ---

    def min(self, characters: int) -> PasswordRule:
        """At least so many characters."""
        return replace(self, shortest=characters)

    def max(self, characters: int) -> PasswordRule:
        """At most so many characters."""
        return replace(self, longest=characters)

    def letters(self) -> PasswordRule:
        """At least one letter, of any script."""
        return self._wanting("letters")

    def mixed_case(self) -> PasswordRule:
        """A small letter and a capital."""
        return self._wanting("mixed_case")

    def numbers(self) -> PasswordRule:
        """At least one digit."""
        return self._wanting("numbers")

    def symbols(self) -> PasswordRule:
        """At least one character that is no letter, digit or space."""
        return self._wanting("symbols")

    def not_common(self, list_file: str | None = None) -> PasswordRule:
        """None of those that guessers try first, with digits around it or not.

        *list_file* has more of them, one a line.
        """
        return replace(self._wanting("not_common"), list_file=list_file or self.list_file)

    def unlike(self, *fields: str) -> PasswordRule:
        """Not made of what stands in *fields*, of the form or of the user: name, e-mail."""
        return replace(self, not_like=(*self.not_like, *fields))

    def not_used(self, count: int) -> PasswordRule:
        """None of this user's last *count* passwords; each costs the time of a login to compare."""
        return replace(self, earlier=count)

    def for_user(self, user: Any) -> PasswordRule:
        """Of *user* instead of whoever is logged in."""
        return replace(self, user=user)

    def _wanting(self, what: str) -> PasswordRule:
        return self if what in self.wants else replace(self, wants=(*self.wants, what))

    # --- a rule of validation ---

    def set_data(self, data: Any) -> None:
        """The form's other fields, for `unlike`."""
        _data.set(data)

    def passes(self, attribute: str, value: Any) -> bool:
        """True if *value* will do; `message()` says otherwise what is wrong with it."""
        _said.set(tuple(self.faults(value, _data.get())))
        return not _said.get()

    def message(self) -> list[str]:
        """All that is wrong."""
        return list(_said.get())

    def faults(self, password: Any, data: Any = None) -> list[str]:
        """What is wrong with *password*, in sentences with `:attribute` in them."""
        if not isinstance(password, str):
            return [f"{_FIELD} must be a string."]
        found = [text for is_wrong, text in self._form(password) if is_wrong]
        found += [text for what, text in _WANTED.items() if self._lacks(what, password)]
        found += self._likeness(password, data)
        if not found and self.earlier and self._is_used(password):
            found.append(f"The :attribute must not be one of your last {self.earlier} passwords.")
        return found

    def _form(self, password: str) -> list[tuple[bool, str]]:
        size, raw = len(password), len(password.encode("utf-8", "surrogatepass"))
        return [
            (size < self.shortest, f"{_FIELD} must be at least {self.shortest} characters."),
            (
                size > self.longest or raw > 4096,
                f"{_FIELD} must not be greater than {self.longest} characters.",
            ),
        ]  # fmt: skip

    def _lacks(self, what: str, password: str) -> bool:
        if what not in self.wants:
            return False
        if what == "not_common":
            return is_common(password, self.list_file)
        return not _HAS[what](password)

    def _likeness(self, password: str, data: Any) -> list[str]:
        low = password.casefold()
        for name in self.not_like:
            text = _value_of(name, data, self._whose())
            parts = {text.casefold(), *_words(text.casefold())}
            if any(len(part) >= SHORTEST_PART and part in low for part in parts):
                label = name.replace("_", " ")
                return [f"The :attribute must not contain your {label}."]
        return []

    def _is_used(self, password: str) -> bool:
        user = self._whose()
        return user is not None and bool(current("accounts").has_used(user, password, self.earlier))

    def _whose(self) -> Any:
        if self.user is not None:
            return self.user
        try:
            return current("auth").user()
        except RuntimeError:
            return None


class _Password(PasswordRule):
    """`Password.min(12)`, or `Password.default()`: what `auth.password` asks for."""

    def default(self) -> PasswordRule:
        """As the settings under `auth.password_rules` say."""
        rule: PasswordRule = current("password_rule")
        return rule


Password = _Password()

_HAS: Mapping[str, Callable[[str], bool]] = {
    "letters": lambda text: any(map(str.isalpha, text)),
    "mixed_case": lambda text: any(map(str.islower, text)) and any(map(str.isupper, text)),
    "numbers": lambda text: any(map(str.isdecimal, text)),
    "symbols": lambda text: any(not c.isalnum() and not c.isspace() for c in text),
}
_WANTED = {
    "letters": f"{_FIELD} must contain at least one letter.",
    "mixed_case": f"{_FIELD} must contain at least one uppercase and one lowercase letter.",
    "numbers": f"{_FIELD} must contain at least one number.",
    "symbols": f"{_FIELD} must contain at least one symbol.",
    "not_common": "The :attribute is one of those guessed first. Please choose another one.",
}  # fmt: skip


def is_common(password: str, list_file: str | None = None) -> bool:
    """True if *password*, or what is left without digits and signs around it, is in the list."""
    low = password.casefold().strip()
    bare = low.strip(_ENDS)
    half = low[: len(low) // 2] if low[: len(low) // 2] * 2 == low else low
    lists = [common()] + ([_words_of(list_file)] if list_file else [])
    return any(one in known for one in {low, bare or low, half} for known in lists)


@lru_cache(maxsize=1)
def common() -> frozenset[str]:
    """The passwords of the list, in lower case."""
    packed = shipped("systems/auth/common_passwords.txt.gz")
    return _lines(gzip.decompress(packed).decode())


@lru_cache(maxsize=8)
def _words_of(file: str) -> frozenset[str]:
    return _lines(Path(file).read_text("utf-8"))


def _lines(text: str) -> frozenset[str]:
    lines = (line.strip().casefold() for line in text.splitlines() if not line.startswith("# "))
    return frozenset(line for line in lines if line)


def _value_of(name: str, data: Any, user: Any) -> str:
    """What stands in the field *name*, of the form or else of the user."""
    given = data.get(name) if isinstance(data, Mapping) else None
    value = given if given not in (None, "") else getattr(user, name, None)
    return value if isinstance(value, str) else ""


def _words(text: str) -> list[str]:
    """`ada.king@example.com` without what stands behind the @: ada, king."""
    name = text.partition("@")[0]
    return "".join(c if c.isalnum() else " " for c in name).split()

"""`user:*` and `token:*`: accounts from the command line, with mail or without."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from so.console.command import Command
from so.errors import CommandError, UsageError, ValidationException
from so.support.near import nearest
from so.systems.auth import AccessTokens, Accounts, Authentication, Roles
from so.systems.sessions import Sessions

_SPAN = re.compile(r"([1-9][0-9]*)\s*(m|h|d|w)")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
MOST = 1000  # users in a list


class _OfUser(Command):
    """A command about the user with an address."""

    def user(self) -> Any:
        """The user named on the command line; CommandError where there is none."""
        email = str(self.argument("email"))
        found = self.app.make(Accounts).find(email)
        if found is None:
            raise CommandError(f"there is no user with the address {email!r}: see user:list")
        return found

    def password(self) -> str | None:
        """What `--password` says, else what is typed twice; None with nobody to ask."""
        given = self.option("password")
        if given is not None:
            return str(given)
        first = self.secret("Password (nothing for none)")
        if first and first != self.secret("The same once more"):
            raise CommandError("the two passwords differ: begin again")
        return first or None

    def link(self, user: Any) -> str:
        """The link by which *user* sets a password."""
        from so.application.logins import reset_url

        return reset_url(self.app, self.app.make(Accounts).reset_token(user))


class UserCreate(_OfUser):
    """Without a password it prints the link by which the user sets one."""

    signature = (
        "user:create {email : The address} {--name= : The name} "
        "{--password= : The password; other users of this machine may see it here} "
        "{--role=* : A role to give}"
    )

    def handle(self, accounts: Accounts, roles: Roles) -> int:
        """Create the user; exit 1 for an address or a password that will not do."""
        email = str(self.argument("email")).strip()
        wanted = [_role(roles, name) for name in self.option("role") or []]
        values = {accounts.terms.email: email}
        if self.option("name"):
            values["name"] = str(self.option("name"))
        password = self.password()
        try:
            user = accounts.register(values, password)
        except ValidationException as error:
            raise CommandError(str(error.first_error())) from error
        if wanted:
            roles.set(user, wanted)
        link = self.link(user) if password is None else None
        key = self.app.make(Authentication).key_of(user)
        self.report_done({"key": key, "email": email, "link": link}, f"User {email} created.")
        if link and not self.wants_json:
            self.line(link)
        return 0


class UserList(Command):
    """The first thousand."""

    signature = "user:list {--role= : Only users with this role} {--locked : Only locked ones}"

    def handle(self, authentication: Authentication, accounts: Accounts, roles: Roles) -> int:
        """Print a table, or JSON with --json."""
        model: Any = authentication.users
        users = model.model.limit(MOST).get()
        rows = [self._facts(user, authentication, accounts, roles) for user in users]
        wanted = self.option("role")
        rows = [row for row in rows if wanted is None or wanted in row["roles"]]
        rows = [row for row in rows if not self.option("locked") or row["locked"]]
        if self.wants_json:
            self.json(rows)
            return 0
        self.table(
            ["key", "address", "name", "roles", "second factor", "last login", "locked"],
            [[_cell(value) for value in row.values()] for row in rows],
        )
        self.line(f"{len(rows)} users.")
        return 0

    @staticmethod
    def _facts(
        user: Any, authentication: Authentication, accounts: Accounts, roles: Roles
    ) -> dict[str, Any]:
        row, last = authentication.security_of(user), authentication.last_logins
        return {
            "key": authentication.key_of(user),
            "email": getattr(user, accounts.terms.email, None),
            "name": getattr(user, "name", None),
            "roles": list(roles.held(user).roles),
            "second_factor": row.two_factor_on_at is not None,
            "last_login": last.of(authentication.key_of(user)) if last is not None else None,
            "locked": row.is_locked(authentication.clock.now()),
        }


class UserPassword(_OfUser):
    """Ends the user's sessions, remembered devices and access tokens."""

    signature = (
        "user:password {email : The address} "
        "{--password= : The new one; other users of this machine may see it here}"
    )

    def handle(self, accounts: Accounts) -> int:
        """Set it; exit 1 for one that will not do."""
        user, password = self.user(), self.password()
        if password is None:
            raise UsageError("no password was given: type one, or print a link: user:reset-link")
        try:
            accounts.change_password(user, password)
        except ValidationException as error:
            raise CommandError(" ".join(error.errors["password"])) from error
        self.report_done({"changed": True}, "The password was set.")
        return 0


class UserResetLink(_OfUser):
    """Prints what a mail would hold, for an installation without mail."""

    signature = "user:reset-link {email : The address}"

    def handle(self) -> int:
        """Print the link; it works once."""
        user = self.user()
        if not self.app.make(Authentication).is_admitted(user):
            raise CommandError("this user is locked: unlock him first (user:unlock)")
        link = self.link(user)
        if self.wants_json:
            self.json({"link": link})
        else:
            self.line(link)
        return 0


class UserLock(_OfUser):
    """Ends every session and remembered device; access tokens rest until the lock ends."""

    signature = (
        "user:lock {email : The address} {--reason= : Why; it is in the activity log} "
        "{--until= : A date (2026-05-01, 2026-05-01T08:00, in UTC) or a span (30m, 12h, 3d, 2w)}"
    )

    def handle(self, accounts: Accounts) -> int:
        """Lock."""
        user, until = self.user(), _until(self.option("until"))
        reason = self.option("reason")
        accounts.lock(user, None if reason is None else str(reason), until)
        facts = {"locked": True, "until": _moment(until, self.app.clock.now())}
        self.report_done(facts, "Locked." if until is None else "Locked for that time.")
        return 0


class UserUnlock(_OfUser):
    """Can also help a user whose second factor is lost."""

    signature = (
        "user:unlock {email : The address} {--second-factor : Turn his second factor off as well}"
    )

    def handle(self, accounts: Accounts) -> int:
        """Unlock; exit 1 if nothing kept him out."""
        user = self.user()
        done = accounts.unlock(user)
        if self.option("second-factor"):
            done = self.app.make("two_factors").of(user).off() or done
        if not done:
            self.error("This user was not locked.")
        if done or self.wants_json:
            self.report_done({"unlocked": done}, "Unlocked.")
        return 0 if done else 1


class UserRole(_OfUser):
    """Without a role it shows those that the user has."""

    signature = (
        "user:role {email : The address} {role?* : The roles} {--remove : Take them instead} "
        "{--create : Make a role that there is not yet}"
    )

    def handle(self, roles: Roles) -> int:
        """Give, take or show."""
        user, names = self.user(), [str(name) for name in self.argument("role") or []]
        if names and self.option("remove"):
            roles.change(user, take=names)
        elif names:
            wanted = names if self.option("create") else [_role(roles, name) for name in names]
            roles.change(user, give=wanted)
        held = list(roles.held(user).roles)
        if self.wants_json:
            self.json({"roles": held})
        else:
            self.line(", ".join(held) or "no roles")
        return 0


class UserSessions(_OfUser):
    """The devices on which a user is logged in."""

    signature = "user:sessions {email : The address} {--end : End all of them}"

    def handle(self, sessions: Sessions) -> int:
        """Print a table, or JSON with --json; or end them and print how many there were."""
        user = self.user()
        if self.option("end"):
            count = sessions.logout_everywhere(user)
            self.report_done({"ended": count}, f"{count} sessions ended.")
            return 0
        devices = sessions.for_user(user)
        if self.wants_json:
            self.json([device.to_dict() for device in devices])
            return 0
        self.table(
            ["handle", "address", "last active", "browser"],
            [
                [
                    device.handle,
                    device.ip_address or "",
                    _cell(datetime.fromtimestamp(device.last_activity, UTC)),
                    (device.user_agent or "")[:40],
                ]
                for device in devices
            ],
        )
        return 0


def _role(roles: Roles, name: str) -> str:
    """*name*, if there is such a role; CommandError with the near one if not."""
    known = roles.names()
    if name in known:
        return name
    close = nearest(name, known)
    hint = f"did you mean {close!r}?" if close else f"known: {', '.join(known) or 'none'}"
    raise CommandError(f"there is no role {name!r}; {hint} (user:role … --create makes one)")


def _until(text: Any) -> datetime | timedelta | None:
    if text is None:
        return None
    span = _SPAN.fullmatch(str(text).strip())
    if span:
        return timedelta(seconds=int(span[1]) * _SECONDS[span[2]])
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise UsageError(
            f"--until={text} is neither a date such as 2026-05-01 nor a span such as 12h or 3d"
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _moment(until: datetime | timedelta | None, now: datetime) -> datetime | None:
    return now + until if isinstance(until, timedelta) else until


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M UTC")
    return "" if value is None else str(value)


class TokenPrune(Command):
    """Expired tokens are worthless at once; this only tidies up."""

    signature = "token:prune {--hours=24 : Keep tokens that expired within so many hours}"

    def handle(self, tokens: AccessTokens) -> int:
        """Delete in batches and print the count."""
        given = str(self.option("hours"))
        if not (given.isascii() and given.isdecimal() and len(given) < 8):
            raise UsageError(f"--hours must be a whole number of hours, {given!r} given")
        with self.hearing():
            count = tokens.prune(int(given))
        self.report_done({"deleted": count}, f"{count} expired access tokens deleted.")
        return 0

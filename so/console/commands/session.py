"""`session:*`: clean up, list and end sessions."""

from __future__ import annotations

from datetime import UTC, datetime

from so.console.command import Command
from so.errors import UsageError
from so.support import numbers
from so.systems.auth import Accounts, Authentication
from so.systems.sessions import Device, Sessions


class SessionCleanup(Command):
    """Run by a timer every night; never asks."""

    signature = "session:cleanup"

    def handle(self, sessions: Sessions, authentication: Authentication, accounts: Accounts) -> int:
        """Remove what is over and print the counts."""
        tokens = authentication.remember
        with self.hearing():
            count = sessions.cleanup()
            accounts.prune()
            forgotten = tokens.prune() if tokens is not None else 0
        if self.wants_json:
            self.json({"sessions": count, "remembered_devices": forgotten})
        else:
            self.info(f"{count} expired sessions removed.")
            if forgotten:
                self.info(f"{forgotten} remembered devices forgotten.")
        return 0


class SessionList(Command):
    """The handle ends a session by `session:revoke`; it opens none."""

    signature = (
        "session:list {--user= : Only the sessions of the user with this key} "
        "{--minutes=120 : Only those used within so many minutes}"
    )

    def _minutes(self) -> float:
        given = str(self.option("minutes"))
        try:
            return numbers.amount(given)
        except ValueError:
            raise UsageError(f"--minutes={given} is no number of minutes") from None

    def handle(self, sessions: Sessions) -> int:
        """Print a table, or JSON with --json."""
        user = self.option("user")
        minutes = self._minutes()
        devices = sessions.active(minutes) if user is None else sessions.for_user(user)
        if self.wants_json:
            self.json([device.to_dict() for device in devices])
            return 0
        self.table(
            ["handle", "user", "address", "last active", "browser"],
            [_row(device) for device in devices],
        )
        self.line(f"{devices.count()} sessions.")
        return 0


class SessionRevoke(Command):
    """Remembered devices are forgotten with their sessions."""

    signature = "session:revoke {target : A handle of session:list, or the key of a user}"

    def handle(self, sessions: Sessions) -> int:
        """End them; exit 1 if there was none."""
        target = str(self.argument("target"))
        count = int(sessions.revoke(target)) or sessions.logout_everywhere(target)
        if count == 0:
            self.error(f"There is no session with the handle or of the user {target!r}.")
        if count or self.wants_json:
            self.report_done({"ended": count}, f"{count} sessions ended.")
        return 0 if count else 1


def _row(device: Device) -> list[str]:
    active = datetime.fromtimestamp(device.last_activity, UTC)
    return [
        device.handle,
        device.user_id or "guest",
        device.ip_address or "",
        active.strftime("%Y-%m-%d %H:%M:%S UTC"),
        (device.user_agent or "")[:40],
    ]

"""`token:*`: personal access tokens."""

from __future__ import annotations

from so.console.command import Command
from so.errors import UsageError
from so.systems.auth import AccessTokens


class TokenPrune(Command):
    """Expired tokens are worthless at once; this only tidies up."""

    signature = "token:prune {--hours=24 : Keep tokens that expired within so many hours}"
    description = "Delete expired access tokens"

    def handle(self, tokens: AccessTokens) -> int:
        """Delete in batches and print the count."""
        given = str(self.option("hours"))
        if not (given.isascii() and given.isdecimal() and len(given) < 8):
            raise UsageError(f"--hours must be a whole number of hours, {given!r} given")
        with self.hearing():
            count = tokens.prune(int(given))
        self.report_done({"deleted": count}, f"{count} expired access tokens deleted.")
        return 0

"""`down` and `up`: maintenance of this server."""

from __future__ import annotations

from so.console.command import Command
from so.errors import ConfigError, UsageError
from so.support.maintenance import MESSAGE, Maintenance, Notice


class Down(Command):
    """Visitors are answered 503, workers and schedule of this server rest."""

    signature = (
        "down {--message= : What visitors are told} "
        "{--retry=60 : Seconds after which they may try again, for Retry-After} "
        "{--secret= : Whoever opens /SECRET is let in, 8 characters or more} "
        "{--allow=* : Addresses or networks that are let in; several, or separated by commas}"
    )
    names_faults = True

    def handle(self) -> int:
        """Write the notice."""
        retry = str(self.option("retry"))
        if not (retry.isascii() and retry.isdigit()):
            raise UsageError(f"--retry={retry!r} is no number of seconds")
        allow = [one.strip() for text in self.option("allow") for one in text.split(",")]
        try:
            notice = Notice(
                message=self.option("message") or MESSAGE,
                retry_seconds=int(retry),
                secret=self.option("secret") or "",
                allow=tuple(filter(None, allow)),
            )
        except ConfigError as error:
            raise UsageError(str(error)) from error
        self.app.make(Maintenance).begin(notice)
        facts = {"down": True, "retry_seconds": notice.retry_seconds, "allow": notice.allow}
        self.report_done(facts, "Down: visitors are answered 503, workers take no new job.")
        if notice.secret and not self.wants_json:
            self.line(f"Testers open /{notice.secret} once. `bin/sixorbit up` ends it.")
        return 0


class Up(Command):
    """Ends what `down` began."""

    signature = "up"
    names_faults = True

    def handle(self) -> int:
        """Remove the notice."""
        ended = self.app.make(Maintenance).end()
        facts = {"down": False, "was_down": ended}
        self.report_done(facts, "Up again." if ended else "It was not down.")
        return 0

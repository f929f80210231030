"""`activity:*`: seal, verify, anchor, prune, export and erase the trail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from so.console.command import Command
from so.errors import ActivityError, CommandError, DatabaseError, IntegrityError, UsageError
from so.settings.activity import ActivitySettings


def whole_days(text: object, option: str) -> int:
    """*text* as a whole number of days from 1; UsageError, before anything is deleted, if not."""
    given = str(text)
    if not (given.isascii() and given.isdecimal() and int(given) >= 1):
        raise UsageError(f"--{option} must be a whole number from 1, not {given!r}")
    return int(given)


def none_empty(command: Command) -> None:
    """UsageError for an option that was given without a value, as by a variable that is not set.

    To take it for one that was not given would check less, or show more, than was asked for.
    """
    for name, value in command.options().items():
        if value == "":
            raise UsageError(f"--{name} is empty: give it a value, or leave it out")


@contextmanager
def writing(place: object) -> Iterator[None]:
    """Say in words that *place* cannot be written."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CommandError(
            f"cannot write {place}: {reason}; name a file in a folder that is there, and that this "
            "user may write to"
        ) from error


class ActivityAnchor(Command):
    """Run by a timer; where it writes belongs out of reach of who reaches this database."""

    signature = (
        "activity:anchor {file? : Where to append number, hash and time of the newest seal}"
        " {--syslog : Write them to the system's log} {--mail= : Send them to this address}"
        " {--connection= : Write them to another database, by the name of its connection}"
    )

    def handle(self) -> int:
        """Write it to each place that is named, unless it is there already."""
        none_empty(self)
        log, file, name = (
            self.app.make("activity"),
            self.argument("file"),
            self.option("connection"),
        )
        if not (file or name or self.option("syslog") or self.option("mail")):
            raise UsageError("name a file, --syslog, --mail or --connection")
        if log.sealer is not None:
            log.sealer.seal()
        line = log.head_line()
        if line is None:
            self.report_done({"head": None}, "There is no seal yet.")
            return 0
        if file:
            log.anchor(file)
        if name:
            log.anchor_in(self.app.make("db").connection(name))
        if self.option("syslog"):
            import syslog

            syslog.syslog(syslog.LOG_AUTH | syslog.LOG_NOTICE, f"sixorbit activity anchor {line}")
        if self.option("mail"):
            from so.application.mails import TrailAnchored

            told = self.app.make("notifications").route("mail", self.option("mail"))
            told.notify_now(TrailAnchored(line))
        self.report_done({"head": line}, line)
        return 0


class ActivityErase(Command):
    """For a person who wants to be forgotten."""

    signature = (
        "activity:erase {person : TYPE:ID, such as user:42}"
        " {--basis= : The legal basis, for the certificate}"
        " {--free-text : Also words in texts of rows about others: look with --dry-run first}"
        " {--dry-run : List what would go from rows about others, erase nothing}"
        " {--force : Do not ask}"
    )

    def handle(self) -> int:
        """Ask, erase, and print the count."""
        kind, id = _record(self.argument("person"))
        log, personal = self.app.make("activity"), self.app.settings(ActivitySettings).personal
        free_text = bool(self.option("free-text"))
        if self.option("dry-run"):
            mentions = log.mentions(kind, id, personal, free_text=free_text)
            if self.wants_json:
                self.json({"mentions": [found._asdict() for found in mentions]})
                return 0
            for found in mentions:
                self.line(f"row {found.row}, {found.place}: {found.text}")
            return 0
        question = f"Erase every personal value of {kind}:{id} from the trail, for good?"
        if not self.option("force") and not self.confirm(question):
            self.warn("Nothing was erased.")
            return 1
        basis = self.option("basis")
        with self.hearing():
            count = log.erase(kind, id, personal, free_text=free_text, basis=basis)
        text = f"The values of {kind}:{id} were erased from {count} activity rows."
        self.report_done({"rows": count}, text)
        return 0


_SELECTION = (
    " {--from= : First day or moment, UTC} {--to= : Last day or moment, UTC}"
    " {--log= : Only this log} {--subject= : Only TYPE:ID} {--type= : Only subjects of this type}"
    " {--causer= : Only by TYPE:ID} {--person= : About or by TYPE:ID} {--event= : Only this event}"
    " {--field= : Only where this column changed}"
    " {--separator=, : Of CSV: a comma, a semicolon or tab}"
    " {--bom : Begin with a byte order mark, for spreadsheets}"
    " {--output= : A file instead of the terminal}"
)


class ActivityExport(Command):
    """For auditors; the export is itself logged."""

    signature = "activity:export {--format=csv : csv, json or jsonl}" + _SELECTION
    _makes = "export"

    def handle(self) -> int:
        """Stream it."""
        none_empty(self)
        output, form = self.option("output"), str(self.option("format"))
        if not output:
            self.output.stream.writelines(self._pieces("json" if self.wants_json else form))
            return 0
        # Opened first: what cannot be written is not noted as exported. Emptied last: what cannot
        # be exported takes no earlier export away.
        with (
            writing(output),
            Path(output).open("a", encoding="utf-8", newline="") as file,
            self.hearing(),
        ):
            pieces = self._pieces(form)
            if file.seekable():
                file.truncate(0)
            file.writelines(pieces)
        self.report_done({"file": str(output), "format": form}, f"Wrote {output}.")
        return 0

    def _pieces(self, form: str) -> Any:
        names = ("log", "subject", "type", "causer", "person", "event", "field")
        try:
            return getattr(self.app.make("activity"), self._makes)(
                form,
                separator=self.option("separator"),
                bom=bool(self.option("bom")),
                since=self.option("from"),
                until=self.option("to"),
                **{name: self.option(name) for name in names},
            )
        except ActivityError as error:  # no format, no date, nobody: before anything is read
            raise UsageError(str(error)) from error


class ActivityReport(ActivityExport):
    """For auditors, and with --person for somebody who asks what is held about them."""

    signature = "activity:report {--format=csv : csv, json or jsonl}" + _SELECTION
    _makes = "report"


class ActivityHold(Command):
    """For a lawsuit or an inspection; who asked for it, and why, is in the trail."""

    signature = (
        "activity:hold {record? : TYPE:ID, such as user:42; without it, what is on hold}"
        " {--reason= : What for} {--release : End the hold}"
    )

    def handle(self) -> int:
        """Hold, release, or list."""
        log, record = self.app.make("activity"), self.argument("record")
        if record is None:
            rows = [(f"{kind}:{id}", reason) for (kind, id), reason in log.held().items()]
            if self.wants_json:
                self.json([{"record": record, "reason": reason} for record, reason in rows])
            elif rows:
                self.table(("record", "reason"), rows)
            else:
                self.line("Nothing is on hold.")
            return 0
        kind, id = _record(record)
        if self.option("release"):
            log.release(kind, id, self.option("reason") or "")
        else:
            log.hold(kind, id, self.option("reason") or "")
        held = not self.option("release")
        facts = {"record": record, "on_hold": held}
        self.report_done(facts, f"{record} is {'on hold' if held else 'released'}.")
        return 0


class ActivityProof(Command):
    """For somebody who has the hash of a seal, and neither this framework nor the key."""

    signature = (
        "activity:proof {id : Of the row} {--until= : A seal whose hash was noted}"
        " {--output= : A file instead of the terminal}"
    )

    def handle(self) -> int:
        """Write JSON."""
        found = self.app.make("activity").proof(
            _number(self.argument("id"), "id"),
            None if self.option("until") is None else _number(self.option("until"), "--until"),
        )
        text = json.dumps(found, ensure_ascii=False, indent=1) + "\n"
        if file := self.option("output"):
            with writing(file):
                Path(file).write_text(text, "utf-8")
            self.report_done({"file": str(file)}, f"Wrote {file}.")
        else:
            self.output.stream.write(text)
        return 0


class ActivityPrune(Command):
    """Run by a timer every night."""

    signature = (
        "activity:prune {--days=@activity.prune_days : Keep this many days; without it, of a log"
        " in activity.retention as many as that says} {--log= : Only this log}"
        " {--dry-run : Count, delete nothing}"
    )

    def handle(self) -> int:
        """Delete in batches and print the counts."""
        settings = self.app.settings(ActivitySettings)
        log, name, dry = self.app.make("activity"), self.option("log"), bool(self.option("dry-run"))
        given = self.option("days") if self.is_given("days") else None
        if given is None and name is None and settings.retention:
            rest = settings.prune_days
            with self.hearing():
                counts = log.prune_by_rules(settings.retention, rest, dry_run=dry)
            if self.wants_json:
                self.json({"logs": counts, "dry_run": dry})
                return 0
            for log_name, count in counts.items():
                self._tell(count, settings.retention.get(log_name, rest), dry, log_name)
            return 0
        days = whole_days(self._days(settings, name) if given is None else given, "days")
        with self.hearing():
            count = log.prune(days, log=name, dry_run=dry)
        self._tell(count, days, dry)
        return 0

    @staticmethod
    def _days(settings: ActivitySettings, name: str | None) -> int:
        return settings.retention.get(name, settings.prune_days) if name else settings.prune_days

    def _tell(self, count: int, days: int, dry: bool, log_name: str | None = None) -> None:
        where = (
            "" if log_name is None else f" of {'all other logs' if log_name == '*' else log_name}"
        )
        verb = "would be deleted" if dry else "deleted"
        facts = {"rows": count, "days": days, "dry_run": dry}
        self.report_done(facts, f"{count} activity rows{where} older than {days} days {verb}.")


class ActivitySeal(Command):
    """The backstop, once a minute: what the sealers of the web servers and workers left."""

    signature = (
        "activity:seal {--adopt : Sign rows that were written without a key, before the first seal}"
        " {--ids= : With --adopt, at any time: only these rows, such as 17,18}"
    )

    def handle(self) -> int:
        """Seal, and print the counts; 1 when a row was refused, or another process is sealing."""
        log = self.app.make("activity")
        adopted = 0
        if self.option("adopt"):
            with self.hearing():
                adopted = log.adopt(self._ids())
            if not self.wants_json:
                self.info(f"{adopted} rows adopted.")
        elif self.option("ids"):
            raise UsageError("--ids goes with --adopt")
        if log.sealer is None:
            raise IntegrityError("nothing is sealed: set AUDIT_KEY, and activity.integrity to seal")
        heartbeat = self.app.settings(ActivitySettings).heartbeat_seconds
        with self.hearing():
            done = log.sealer.seal(recheck=True, heartbeat_seconds=heartbeat)
        if self.wants_json:
            self.json({"adopted": adopted, **vars(done)})
        else:
            self._say(done)
        return 1 if done.refused or not done.is_ours else 0

    def _say(self, done: Any) -> None:
        if not done.is_ours:
            self.warn("Another process is sealing: nothing was done here.")
            return
        if done.rotated:
            self.info("The new AUDIT_KEY is in force: run activity:anchor now.")
        self.info(f"{done.rows} rows in {done.seals} seals.")
        if done.refused:
            self.error(f"{done.refused} rows were refused: run activity:verify.")

    def _ids(self) -> list[int] | None:
        given = self.option("ids")
        if given is None:
            return None
        words = [word.strip() for word in str(given).split(",")]
        if not all(word.isascii() and word.isdecimal() for word in words):
            raise UsageError(f"--ids must be numbers of rows, such as 17,18, not {given!r}")
        return [int(word) for word in words]


class ActivityStats(Command):
    """What fills the table."""

    signature = "activity:stats"

    def handle(self) -> int:
        """Print the figures."""
        found = self.app.make("activity").stats()
        if self.wants_json:
            self.json(found)
            return 0
        for title in ("logs", "events", "subjects"):
            self.table(
                (title, "rows", "bytes", "first", "last"),
                [
                    [row[key] for key in ("name", "rows", "bytes", "first", "last")]
                    for row in found[title]
                ],
            )
        for name in ("rows", "unsealed", "refused", "seals", "pruned_seals", "erased"):
            self.line(f"{name}: {found[name]}")
        return 0


class ActivityVerify(Command):
    """Exit 0 clean, 1 tampered, 2 cannot check, 3 unsealed backlog."""

    signature = (
        "activity:verify {--since-last : Only what came since the last clean run}"
        " {--full : All of it, as without options} {--subject= : Only the rows of TYPE:ID}"
        " {--seal= : Only the seals A..B, or the one A}"
        " {--anchor= : Compare with what activity:anchor wrote}"
        " {--connection= : Compare with what activity:anchor wrote to another database}"
        " {--head= : The hash of a seal, noted elsewhere, that must be there}"
    )
    _newest: int | None = None

    def handle(self) -> int:
        """Check, name each fault, and say what cannot have been seen."""
        none_empty(self)
        try:
            report = self._report()
        except (ActivityError, DatabaseError, OSError) as error:  # 1 would say: tampered with
            told = str(error)
            if isinstance(error, OSError) and error.filename is not None:
                told = f"{error.filename} cannot be read: {str(error.strerror).lower()}"
            if self.wants_json:
                self.json({"exit_code": 2, "cannot_check": [told]})
            else:
                self.error(f"Cannot check: {told}")
            return 2
        if self.wants_json:
            self.json(report.to_dict())
        else:
            self._print(report)
        return int(report.exit_code)

    def _report(self) -> Any:
        chosen = [n for n in ("full", "since-last", "subject", "seal") if self.option(n)]
        if len(chosen) > 1:
            raise UsageError(f"give only one of {', '.join(f'--{name}' for name in chosen)}")
        settings = self.app.settings(ActivitySettings)
        return self.app.make("activity").verify(
            since_last=bool(self.option("since-last")),
            subject=self.option("subject"),
            between=_seals(self.option("seal")),
            anchors=self._anchors(),
            head=self.option("head"),
            backlog_seconds=settings.backlog_seconds,
            heartbeat_seconds=settings.heartbeat_seconds,
            on_seal=self._told,
        )

    def _told(self, seal: int) -> None:
        """How far it is on its way to the newest seal."""
        if self._newest is None:
            sql = "select max(seal_no) from activity_seals"
            self._newest = self.app.make("activity").db.connection().scalar(sql, (), False) or seal
        self.going(seal, max(seal, self._newest))

    def _anchors(self) -> list[str] | None:
        file, name = self.option("anchor"), self.option("connection")
        lines = Path(file).read_text("utf-8-sig", "replace").splitlines() if file else []
        if name:
            from so.systems.activity.anchoring import lines_of

            lines += lines_of(self.app.make("db").connection(name))
        return lines if file or name else None

    def _print(self, report: Any) -> None:
        for fault in report.faults:
            self.error(f"{fault.kind}: {fault.text}")
        if report.fault_count > len(report.faults):
            self.error(f"… and {report.fault_count - len(report.faults)} findings more")
        for text in (*report.cannot_check, *report.stale):
            self.warn(text)
        self.info(f"{'Clean' if report.is_clean else 'Checked'}: {report.summary}.")
        self.line("This cannot show:")
        for limit in report.limits:
            self.line(f"- {limit}")


def _number(given: object, name: str) -> int:
    text = str(given)
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"{name} must be a number, not {text!r}")
    return int(text)


def _seals(given: str | None) -> tuple[int, int] | None:
    """`A..B`, or `A`, as two numbers."""
    if not given:
        return None
    first, _, last = given.partition("..")
    words = (first, last or first)
    if not all(word.isascii() and word.isdecimal() and int(word) > 0 for word in words):
        raise UsageError(f"--seal must be numbers of seals, such as 3..7, not {given!r}")
    return int(words[0]), int(words[1])


def _record(text: str) -> tuple[str, str]:
    from so.systems.activity.exporting import reference

    try:
        return reference(text)
    except ActivityError as error:
        raise UsageError(str(error)) from error

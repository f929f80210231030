"""`systemd:units`: the units of deploy/systemd, filled in with the paths of this installation."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from so.console.command import Command
from so.errors import CommandError
from so.settings.queue import QueueSettings
from so.support.archive import VARIABLE, home_of
from so.support.ownership import Owner, is_root, may_run_python

# What every service may do: write into storage/ and database/, and hardly anything else. It leaves
# MemoryDenyWriteExecute out: ctypes of some Pythons needs such memory when it is imported.
_FENCE = """\
Environment=APP_ENV=production SIXORBIT_UNIT=%n
NoNewPrivileges=yes
CapabilityBoundingSet=
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
DevicePolicy=closed
ProtectProc=invisible
ProtectSystem=strict
ProtectHome=read-only
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
SystemCallArchitectures=native
UMask=0027
ReadWritePaths=-{base}/storage -{base}/database
"""

_WEB_SOCKET = """\
# The socket of the web server, held by systemd: it outlives a restart of the service, and clients
# that come meanwhile wait instead of being refused.
[Unit]
Description=SixOrbit web server socket

[Socket]
ListenStream={listen}
Backlog=1024
NoDelay=yes

[Install]
WantedBy=sockets.target
"""

_WEB_SERVICE = """\
# `systemctl reload sixorbit-web` brings new code without losing a request.
[Unit]
Description=SixOrbit web server
Requires=sixorbit-web.socket
After=network.target sixorbit-web.socket

[Service]
Type=notify
NotifyAccess=main
User={user}
WorkingDirectory={base}
ExecStart={python} {base}/bin/sixorbit serve
ExecReload=/bin/kill -HUP $MAINPID
KillMode=mixed
TimeoutStartSec=60
TimeoutStopSec=40
WatchdogSec=30
Restart=always
RestartSec=1
LimitNOFILE=65536
{fence}
[Install]
WantedBy=multi-user.target
"""

_WORKER = """\
# Queue workers. The instance names the queue, as in sixorbit-worker@high-priority.service.
[Unit]
Description=SixOrbit queue workers of %i
After=network.target

[Service]
Type=notify
NotifyAccess=main
User={user}
WorkingDirectory={base}
ExecStart={python} {base}/bin/sixorbit queue:work --queue=%i --workers=2 --sleep=3 --tries=3
ExecReload=/bin/kill -HUP $MAINPID
KillMode=mixed
TimeoutStopSec=40
Restart=always
RestartSec=1
{fence}
[Install]
WantedBy=multi-user.target
"""

_SCHEDULE = """\
# What app/schedule.py says recurs, each at its minute. On several servers each time is begun once.
[Unit]
Description=SixOrbit schedule
After=network.target

[Service]
User={user}
WorkingDirectory={base}
ExecStart={python} {base}/bin/sixorbit schedule:work
KillMode=mixed
TimeoutStopSec=40
Restart=always
RestartSec=5
{fence}
[Install]
WantedBy=multi-user.target
"""

_TASK = """\
# One run of one maintenance command, begun by the timers. Days to keep are set in config/.
[Unit]
Description=SixOrbit task %i

[Service]
Type=oneshot
User={user}
WorkingDirectory={base}
ExecStart={python} {base}/bin/sixorbit %i
TimeoutStartSec=1h
Nice=10
{fence}"""

_TIMER = """\
[Unit]
Description=SixOrbit: {purpose}

[Timer]
OnCalendar={when}
Persistent=yes
RandomizedDelaySec={spread}
Unit=sixorbit-task@{command}.service

[Install]
WantedBy=timers.target
"""

# command -> (what it is for, when, up to how much later)
TASKS = {
    "backup": ("write a backup", "*-*-* 01:00:00", "5min"),
    "session:cleanup": ("remove expired sessions", "*-*-* 02:00:00", "5min"),
    "cache:gc": ("remove expired cache entries", "hourly", "1min"),
    "activity:prune": ("delete old rows of the activity log", "*-*-* 03:00:00", "5min"),
    "notification:due": ("send what waited for a digest or a morning", "*:0/5", "10s"),
    "notification:cleanup": ("delete old notifications", "*-*-* 04:00:00", "5min"),
    # For a sealed trail: enabled by those who have set AUDIT_KEY.
    "activity:seal": ("seal what was written to the activity log", "minutely", "10s"),
    "activity:verify": ("check the seals of the activity log", "*-*-* 05:00:00", "5min"),
}


def units(base: str, user: str, python: str, listen: str) -> dict[str, str]:
    """All unit files: name -> text. *python* is the command that runs bin/sixorbit."""
    words = {"base": base, "user": user, "python": python, "listen": listen}
    words["fence"] = _FENCE.format(base=base)
    found = {
        "sixorbit-web.socket": _WEB_SOCKET,
        "sixorbit-web.service": _WEB_SERVICE,
        "sixorbit-worker@.service": _WORKER,
        "sixorbit-schedule.service": _SCHEDULE,
        "sixorbit-task@.service": _TASK,
    }
    texts = {name: text.format(**words) for name, text in found.items()}
    for command, (purpose, when, spread) in TASKS.items():
        texts[f"sixorbit-{command.replace(':', '-')}.timer"] = _TIMER.format(
            purpose=purpose, when=when, spread=spread, command=command
        )
    return texts


class SystemdUnits(Command):
    """Prints the units, or writes them into a folder."""

    signature = (
        "systemd:units {--write= : Folder to write them to, such as /etc/systemd/system}"
        " {--user=www-data : User the services run as}"
        " {--listen=127.0.0.1:8000 : Address and port, or path, of the web server}"
        " {--base= : Folder of the application, when it is not this one}"
        " {--python= : Command that runs bin/sixorbit, when it is not this Python}"
        " {--queue=* : Queues that get workers; default: queue.queue}"
    )
    keeps_rights = True

    def handle(self) -> int:
        """Print or write."""
        archive = os.environ.get(VARIABLE) if not self.option("base") else None
        home = home_of(self.app.base_path())
        texts = units(
            base=str(self.option("base") or home).rstrip("/"),
            user=str(self.option("user")),
            python=str(self.option("python") or sys.executable),
            listen=str(self.option("listen")),
        )
        if archive:
            entry = f"{home}/bin/sixorbit"
            unit, base = "SIXORBIT_UNIT=%n", ""
            if home != Path(archive).parent:
                base = f' "SIXORBIT_BASE={home}"'
            texts = {
                name: text.replace(entry, archive).replace(unit, f"{unit}{base}")
                for name, text in texts.items()
            }
        folder = self.option("write")
        if folder:
            return self._write(Path(str(folder)), texts)
        if self.wants_json:
            self.json(texts)
            return 0
        for name, text in texts.items():
            self.line(f"# --- {name}")
            self.line(text)
        return 0

    def _write(self, folder: Path, texts: dict[str, str]) -> int:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in texts.items():
                (folder / name).write_text(text)
        except OSError as error:
            raise CommandError(
                f"cannot write the units to {folder}: {error.strerror}; "
                "run as root, or give another folder with --write"
            ) from error
        timers = " ".join(name for name in texts if name.endswith(".timer"))
        self.info(f"{len(texts)} units written to {folder}.")
        self._warn_of_a_private_python()
        self.line("  systemctl daemon-reload")
        self.line("  systemctl enable --now sixorbit-web.socket sixorbit-web.service")
        queues = self.option("queue") or [self.app.settings(QueueSettings).queue]
        workers = " ".join(f"sixorbit-worker@{queue}.service" for queue in queues)
        self.line(f"  systemctl enable --now sixorbit-schedule.service {workers}")
        self.line(f"  systemctl enable --now {timers}")
        return 0

    def _warn_of_a_private_python(self) -> None:
        user = Owner.called(str(self.option("user"))) if is_root() else None
        if user and not self.option("python") and not may_run_python(user):
            self.warn(
                f"{user.name} may not run {sys.executable}, which they name: run this with a "
                "Python outside of private folders, or give one by --python"
            )

"""What a service tells systemd and gets from it: readiness, watchdog, inherited sockets.

Plain datagrams and environment variables, no library. Outside systemd everything here is a quiet
no-op, so that callers never ask where they run. What to report, and when, is the caller's business.
"""

import os
import socket
import time

FIRST_INHERITED_FD = 3


class Notifier:
    """Sends state lines to the service manager named by `NOTIFY_SOCKET`, if there is one."""

    def __init__(self, address: str | None = None) -> None:
        """*address* stands in for `NOTIFY_SOCKET`; a leading `@` means the abstract namespace."""
        self.address = address if address is not None else os.environ.get("NOTIFY_SOCKET", "")

    def ready(self, status: str = "") -> bool:
        """Start-up, or a reload, is finished."""
        return self.send("READY=1", *self._status(status))

    def status(self, text: str) -> bool:
        """One line for people, shown by `systemctl status`."""
        return self.send(*self._status(text))

    def stopping(self) -> bool:
        """The service has begun to shut down."""
        return self.send("STOPPING=1")

    def reloading(self) -> bool:
        """A reload has begun; `ready()` ends it."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        return self.send("RELOADING=1", f"MONOTONIC_USEC={microseconds}")

    def watchdog(self) -> bool:
        """Still healthy; due every `watchdog_interval()` seconds."""
        return self.send("WATCHDOG=1")

    def send(self, *lines: str) -> bool:
        """Send *lines* as one datagram; False when nobody listens or it was not taken."""
        if not self.address or not lines:
            return False
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as outlet:
                # A manager that does not read must not hold up the service.
                outlet.setblocking(False)
                outlet.sendto("\n".join(lines).encode(), address)
        except OSError:
            return False
        return True

    @staticmethod
    def _status(text: str) -> tuple[str, ...]:
        return (f"STATUS={' '.join(text.split())}",) if text else ()


def watchdog_interval() -> float | None:
    """Seconds between two watchdog messages (half the limit), or None when none are expected."""
    limit = os.environ.get("WATCHDOG_USEC", "")
    owner = os.environ.get("WATCHDOG_PID", "")
    if not limit.isdecimal() or int(limit) == 0 or (owner and owner != str(os.getpid())):
        return None
    return int(limit) / 2_000_000


def listen_fds() -> list[int]:
    """Descriptors of the sockets systemd opened for this very process; each is handed out once.

    The variables are removed, so that no child takes the sockets for its own.
    """
    owner = os.environ.pop("LISTEN_PID", "")
    count = os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if owner != str(os.getpid()) or not count.isdecimal():
        return []
    found = list(range(FIRST_INHERITED_FD, FIRST_INHERITED_FD + int(count)))
    for number in found:
        os.set_inheritable(number, False)
    return found

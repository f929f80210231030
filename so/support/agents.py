"""What people call the device behind a User-Agent: `Chrome on Windows`, `curl`, `Unknown device`.

For lists that somebody reads to find their own devices. Browsers send what they like: nothing is
decided by it.
"""

from __future__ import annotations

import re

UNKNOWN = "Unknown device"
_LONGEST = 40  # characters of a program's name

# The first that is found counts: each browser also claims to be those below it.
_BROWSERS = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("Vivaldi", "Vivaldi"),
    ("SamsungBrowser", "Samsung browser"), ("FxiOS", "Firefox"), ("Firefox", "Firefox"),
    ("CriOS", "Chrome"), ("HeadlessChrome", "Chrome"),
    ("Chromium", "Chromium"), ("Chrome", "Chrome"), ("Safari", "Safari"),
    ("MSIE", "Internet Explorer"), ("Trident", "Internet Explorer"),
)  # fmt: skip
_SYSTEMS = (
    ("Windows Phone", "Windows phone"), ("Windows", "Windows"), ("iPhone", "iPhone"),
    ("iPad", "iPad"), ("Android", "Android"), ("CrOS", "ChromeOS"), ("Mac OS X", "Mac"),
    ("Macintosh", "Mac"), ("Linux", "Linux"),
)  # fmt: skip
_PROGRAM = re.compile(r"[A-Za-z][\w.-]*(?= ?/| |$)")


def device_name(user_agent: str | None) -> str:
    """The device in two or three words."""
    agent = (user_agent or "").strip()
    browser, system = _first(_BROWSERS, agent), _first(_SYSTEMS, agent)
    if browser and system:
        return f"{browser} on {system}"
    if browser or system:
        return browser or f"A program on {system}"
    program = _PROGRAM.match(agent)
    return program[0][:_LONGEST] if program and program[0] != "Mozilla" else UNKNOWN


def _first(names: tuple[tuple[str, str], ...], agent: str) -> str:
    return next((name for mark, name in names if mark in agent), "")

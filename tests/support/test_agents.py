"""Devices in words that their owners know them by."""

from __future__ import annotations

import pytest

from so.support.agents import device_name

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5"


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME}", "Chrome on Windows"),
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Edg/126.0", "Edge on Windows"),
        (f"Mozilla/5.0 (X11; Linux x86_64) {CHROME} OPR/111.0", "Opera on Linux"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/2010 Firefox/127.0", "Firefox on Linux"),
        (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {SAFARI} Safari/605.1", "Safari on Mac"),
        (f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {SAFARI} Mobile Safari/604.1",
         "Safari on iPhone"),
        (f"Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) {SAFARI} CriOS/126 Safari/604.1",
         "Chrome on iPad"),
        (f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {CHROME}", "Chrome on Android"),
        ("curl/8.5.0", "curl"),
        ("python-requests/2.31", "python-requests"),
        ("Mozilla/5.0", "Unknown device"),
        ("", "Unknown device"),
        (None, "Unknown device"),
        ("<script>alert(1)</script>", "Unknown device"),
        ("x" * 500, "x" * 40),
    ],
)  # fmt: skip
def test_a_device_is_called_by_its_browser_and_system(agent, name):
    assert device_name(agent) == name

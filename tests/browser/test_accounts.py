"""The demo's accounts in a real browser: forgotten password, second factor, devices."""

from __future__ import annotations

import base64
import os
import re
import struct
import time
import zlib
from pathlib import Path

import pytest
import zxingcpp

from so.systems.auth import totp
from tests.browser.conftest import House

NEW = "tower of seven lamps"
WIDTHS = (1280, 390)


@pytest.fixture(scope="module")
def house(folder):
    """A freshly seeded demo whose log, mails included, is a file: (address, log)."""
    log = folder / "so.log"
    demo = House(folder, LOG_CHANNEL="file", LOG_PATH=str(log), MAIL_DRIVER="log")
    for address in demo.serve():
        yield address, log


def fill(browser, **fields):
    for name, text in fields.items():
        browser.find(f"#{name}").type(text)


def look(browser, name):
    """Every page fits its screen; what it looks like is kept where SIXORBIT_SHOTS says."""
    wide = browser.run(
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    if folder := os.environ.get("SIXORBIT_SHOTS"):
        size = browser.run("return window.innerWidth")
        browser.screenshot(Path(folder) / f"{name}-{size}.png")
    assert wide <= 0, name


def mailed(log, what):
    """The path of the newest link to *what* in a mail."""
    return re.findall(rf"(/{what}/[\w.-]+)", log.read_text("utf-8"))[-1]


def scanned(browser):
    """What a camera reads from the QR code on the screen."""
    script = "return document.querySelector('.qr svg')"
    element = browser.run(script)
    id = next(iter(element.values()))
    shot = base64.b64decode(browser.ask("GET", f"/element/{id}/screenshot"))
    width, height, gray = pixels(shot)
    [found] = zxingcpp.read_barcodes(
        memoryview(gray).cast("B", shape=[height, width]), formats=zxingcpp.BarcodeFormat.QRCode
    )
    return str(found.text)


def pixels(png):
    """Width, height and the red channel of a PNG of eight bits a channel."""
    at, parts, width, height, channels = 8, [], 0, 0, 4
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width, height, _, colour = struct.unpack(">IIBB", body[:10])
            channels = {0: 1, 2: 3, 6: 4}[colour]
        elif kind == b"IDAT":
            parts.append(body)
        at += 12 + size
    raw, line = zlib.decompress(b"".join(parts)), bytearray(width * channels)
    gray = bytearray()
    for row in range(height):
        begin = row * (width * channels + 1)
        line = unfiltered(raw[begin], raw[begin + 1 : begin + 1 + width * channels], line, channels)
        gray += line[::channels]
    return width, height, gray


def unfiltered(kind, data, above, step):
    line = bytearray(data)
    for at in range(len(line)):
        left = line[at - step] if at >= step else 0
        corner = above[at - step] if at >= step else 0
        if kind == 1:
            more = left
        elif kind == 2:
            more = above[at]
        elif kind == 3:
            more = (left + above[at]) // 2
        elif kind == 4:
            guess = left + above[at] - corner
            more = min((left, above[at], corner), key=lambda one: abs(guess - one))
        else:
            more = 0
        line[at] = (line[at] + more) & 255
    return line


@pytest.mark.slow
@pytest.mark.parametrize("width", WIDTHS)
def test_a_walk_through_the_accounts_of_the_demo(browser, house, width):
    site, log = house
    person = {1280: "manager", 390: "clerk"}[width]
    email = f"{person}@demo.example"
    browser.ask("DELETE", "/cookie")
    browser.resize(width, 900)

    # A forgotten password.
    browser.open(f"{site}/login")
    look(browser, "login")
    browser.link("Forgot your password?").click()
    fill(browser, email=email)
    look(browser, "forgot")
    browser.press("Send the link")
    assert browser.says("If there is an account with this address")
    browser.open(site + mailed(log, "reset-password"))
    fill(browser, password=NEW, password_confirmation=NEW)
    look(browser, "reset")
    browser.press("Set the password")
    assert browser.says("You can log in with it now.")

    # A dangerous page asks for the password once more.
    fill(browser, email=email, password=NEW)
    browser.press("Log in")
    assert browser.says("Overview")
    browser.open(f"{site}/account")
    look(browser, "account")
    browser.link("Manage").click()
    assert browser.says("needs your password once more")
    look(browser, "confirm")
    fill(browser, password="wrong")
    browser.press("Confirm")
    assert browser.says("The password is incorrect.")
    fill(browser, password=NEW)
    browser.press("Confirm")

    # A second factor, set up with a camera.
    browser.press("Set it up")
    assert browser.says("Scan this with your authenticator app")
    look(browser, "scan")
    url = scanned(browser)
    secret = browser.find("#secret").text
    assert url.startswith("otpauth://totp/")
    assert f"secret={secret}" in url
    fill(browser, code=totp.totp(secret, time.time() - 30))
    browser.press("Turn it on")
    assert browser.says("Keep these codes")
    look(browser, "codes")
    codes = browser.find("#recovery-codes").text.split()
    assert len(codes) == 10

    # Logging in with it, and with a recovery code.
    for code in (totp.totp(secret, time.time()), codes[0]):
        browser.press("Log out")
        fill(browser, email=email, password=NEW)
        browser.press("Log in")
        assert browser.says("Type the code that your authenticator app shows")
        if code != codes[0]:  # few mistakes: all of them come from one address
            fill(browser, code="000000")
            browser.press("Go on")
            assert browser.says("This code is wrong")
        look(browser, "challenge")
        fill(browser, code=code)
        browser.press("Go on")
        assert browser.says("Overview"), browser.text

    # Devices: this one is there, and all can be ended.
    browser.open(f"{site}/account")
    assert browser.says("this one")
    browser.press("Log out everywhere")
    assert browser.says("Remember me")
    browser.open(f"{site}/account")
    assert browser.url.endswith("/login")
    browser.resize(1200, 900)

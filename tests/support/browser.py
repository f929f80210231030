"""A headless Chromium, driven over the WebDriver protocol (W3C) with the standard library."""

from __future__ import annotations

import base64
import http.client
import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.support.places import place

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key the protocol gives elements
ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1200,900",
]  # fmt: skip
WAIT_SECONDS = 60


class BrowserMissing(Exception):
    """There is no Chromium or no driver for it on this machine."""


class Element:
    """Something on the page."""

    def __init__(self, browser: Browser, id: str) -> None:
        self._browser, self._path = browser, f"/element/{id}"

    @property
    def text(self) -> str:
        return str(self._browser.ask("GET", f"{self._path}/text"))

    def click(self) -> None:
        self._browser.ask("POST", f"{self._path}/click", {})

    def type(self, text: str) -> None:
        self._browser.ask("POST", f"{self._path}/clear", {})
        self._browser.ask("POST", f"{self._path}/value", {"text": text})

    def send(self, text: str) -> None:
        self._browser.ask("POST", f"{self._path}/value", {"text": text})


class Browser:
    """One browser with one page; use it as a context manager."""

    def __init__(self) -> None:
        driver = shutil.which("chromedriver")
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        if not driver or not chromium:
            raise BrowserMissing("no chromium and chromedriver on PATH: install both")
        with socket.create_server(("127.0.0.1", 0)) as server:
            self._port = server.getsockname()[1]
        self._folder = place("so-browser-")
        self._process = subprocess.Popen(
            [driver, f"--port={self._port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._session = ""
        self._begin(chromium)

    def _begin(self, chromium: str) -> None:
        options = {"binary": chromium, "args": [*ARGUMENTS, f"--user-data-dir={self._folder}"]}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                self._session = "/session/" + self._call("POST", "/session", wanted)["sessionId"]
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self.ask("POST", "/timeouts", {"implicit": 10_000})

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=WAIT_SECONDS)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(answer, dict) and "error" in answer:
            raise AssertionError(f"{answer['error']}: {answer.get('message', '')[:300]}")
        return answer

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        return self._call(method, self._session + path, body)

    def open(self, url: str) -> None:
        self.ask("POST", "/url", {"url": url})

    @property
    def url(self) -> str:
        return str(self.ask("GET", "/url"))

    @property
    def text(self) -> str:
        """What the page says, in one step: an element could vanish between two."""
        return str(self.run("return document.body.innerText"))

    def says(self, text: str) -> bool:
        """True as soon as the page says *text*; a form may still be on its way."""
        deadline = time.monotonic() + WAIT_SECONDS / 4
        while text not in self.text:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def says_not(self, text: str) -> bool:
        """True as soon as the page does not say *text* any more."""
        deadline = time.monotonic() + WAIT_SECONDS / 4
        while text in self.text:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def find(self, css: str) -> Element:
        found = self.ask("POST", "/element", {"using": "css selector", "value": css})
        return Element(self, found[ELEMENT])

    def link(self, text: str) -> Element:
        found = self.ask("POST", "/element", {"using": "link text", "value": text})
        return Element(self, found[ELEMENT])

    def press(self, text: str) -> None:
        path = f"//button[normalize-space()={json.dumps(text)}]"
        found = self.ask("POST", "/element", {"using": "xpath", "value": path})
        Element(self, found[ELEMENT]).click()

    def run(self, script: str) -> Any:
        return self.ask("POST", "/execute/sync", {"script": script, "args": []})

    def resize(self, width: int, height: int) -> None:
        self.ask("POST", "/window/rect", {"width": width, "height": height})

    def devtools(self, command: str, **params: Any) -> Any:
        """A command of the browser's own protocol, for what WebDriver has none."""
        path = "/goog/cdp/execute"
        return self.ask("POST", path, {"cmd": command, "params": params})

    def look_as(self, *, width: int = 1200, scheme: str = "light", motion: str = "") -> None:
        """A screen *width* wide, narrower than any window can be, light or dark."""
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", **screen)
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]
        self.devtools("Emulation.setEmulatedMedia", features=features)

    def keys(self, *keys: str) -> None:
        """Strike keys one after the other, wherever the focus is."""
        strokes = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        actions = [{"type": "key", "id": "keyboard", "actions": strokes}]
        self.ask("POST", "/actions", {"actions": actions})

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.ask("GET", "/screenshot")))

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._call("DELETE", self._session)
        finally:
            self._process.terminate()
            self._process.wait()
            shutil.rmtree(self._folder, ignore_errors=True)

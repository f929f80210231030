"""The pictures of docs/pictures, taken of the seeded demo: `make screenshots`.

A picture is kept in 256 colours: pages are flat, and a clone carries all of them.
"""

from __future__ import annotations

import json
import struct
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.browser.conftest import House, seeded
from tests.support.browser import Browser

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "pictures"
LARGEST = 100_000  # bytes of a picture
DESK, PHONE = (1280, 800), (390, 844)
COLOURS = 256
MISTAKES = """
document.querySelector('#customer_id').selectedIndex = 12;
document.querySelector('[name="items[0][product_id]"]').selectedIndex = 7;
document.querySelector('[name="items[0][quantity]"]').value = '12';
document.querySelector('[name="items[1][product_id]"]').selectedIndex = 31;
document.querySelector('[name="items[1][quantity]"]').value = '9000';
document.querySelector('form[method=post][action$="/orders"]').submit();
"""
NEUTRAL = "/srv/erp"  # instead of the folder of a machine
ELSEWHERE = """
const all = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (all.nextNode()) all.currentNode.data = all.currentNode.data.replaceAll(%s, %s);
"""
PICTURES = (  # name, who looks, where, on which screen, what is done there first
    ("start", None, "/", DESK, ""),
    ("overview", "manager", "/", DESK, ""),
    ("order-form", "clerk", "/orders/create", DESK, MISTAKES),
    ("orders", "clerk", "/orders?status=shipped&sort=-total", DESK, ""),
    ("invoice", "manager", "/invoices/{submitted}", DESK, ""),
    ("audit", "manager", "/audit?event=approved", DESK, ""),
    ("import", "clerk", "/imports/2", DESK, ""),
    ("phone", "manager", "/orders?status=open", PHONE, ""),
    ("console", "admin", "/console", DESK, ""),
    ("failed", "admin", "/console/failed", DESK, ""),
    ("guide", None, "/docs/queue-system", DESK, ""),
    ("error", None, "/no-such-page", DESK, ""),
)
SUBMITTED = (
    "from so.application import Application\n"
    "with Application('.'):\n"
    "    from app.models import Invoice\n"
    "    print(Invoice.where('status', 'submitted').where_null('decided_by').first().id)\n"
)


def main() -> int:
    """Take them all; 1 if one is too large."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="erp-") as folder, Browser() as browser:
        seeded(Path(folder))
        house = House(Path(folder))
        submitted = house.told("-c", SUBMITTED)
        serving = house.serve()
        with house.beside("queue:work"), house.beside("schedule:work"):
            take(browser, next(serving), {"submitted": submitted}, folder)
        for _ in serving:  # ends the server
            pass
    large = [each for each in FOLDER.glob("*.png") if each.stat().st_size > LARGEST]
    for each in large:
        sys.stderr.write(f"{each.name} has {each.stat().st_size} bytes\n")
    return 1 if large else 0


def take(browser: Browser, site: str, names: dict[str, str], folder: str) -> None:
    """Every picture of the demo at *site*, which lives in *folder*: in none of them."""
    for name, who, path, (width, height), script in PICTURES:
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        browser.devtools("Emulation.setDeviceMetricsOverride", **screen)
        browser.devtools("Emulation.setScrollbarsHidden", hidden=True)
        browser.open(f"{site}/favicon.ico")
        browser.ask("DELETE", "/cookie")
        if who is not None:
            browser.open(f"{site}/login")
            browser.find("#email").type(f"{who}@demo.example")
            browser.find("#password").type("demo-password")
            browser.press("Log in")
            browser.says("Log out")
        browser.open(site + path.format(**names))
        if script:
            browser.run(script)
            browser.says("Please correct this first")
        browser.run(ELSEWHERE % (json.dumps(folder), json.dumps(NEUTRAL)))
        assert folder not in browser.text, f"{name} shows a folder of this machine"
        file = FOLDER / f"{name}.png"
        browser.screenshot(file)
        file.write_bytes(smaller(file.read_bytes()))
        sys.stdout.write(f"{file.relative_to(ROOT)} {file.stat().st_size}\n")


# --- PNG ------------------------------------------------------------------------------------------


def smaller(png: bytes) -> bytes:
    """The picture with at most 256 colours: the commonest, and for the others the nearest."""
    width, height, pixels = _read(png)
    counted = Counter(pixels)
    palette = [colour for colour, _ in counted.most_common(COLOURS)]
    index = {colour: at for at, colour in enumerate(palette)}
    for colour in counted:
        if colour not in index:
            index[colour] = min(range(len(palette)), key=lambda at: _apart(palette[at], colour))
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        rows += bytes(index[pixel] for pixel in pixels[y * width : (y + 1) * width])
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = [(b"IHDR", head), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(rows, 9))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in [*parts, (b"IEND", b"")])


def _apart(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def _read(png: bytes) -> tuple[int, int, list[bytes]]:
    """Width, height and pixels of what the browser wrote: 8 bits a channel, not interlaced."""
    at, data, head = 8, b"", b""
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        kind, body = png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        head, data = (body if kind == b"IHDR" else head), (data + body if kind == b"IDAT" else data)
        at += 12 + size
    width, height, _, colours = struct.unpack(">IIBB", head[:10])
    step = 4 if colours == 6 else 3
    raw, before, pixels = zlib.decompress(data), bytearray(width * step), []
    for y in range(height):
        start = y * (width * step + 1)
        line = bytearray(raw[start + 1 : start + 1 + width * step])
        _FILTERS[raw[start]](line, before, step)
        pixels += [bytes(line[x : x + 3]) for x in range(0, len(line), step)]
        before = line
    return width, height, pixels


def _left(line: bytearray, above: bytearray, step: int) -> None:
    for x in range(step, len(line)):
        line[x] = (line[x] + line[x - step]) & 255


def _up(line: bytearray, above: bytearray, step: int) -> None:
    for x in range(len(line)):
        line[x] = (line[x] + above[x]) & 255


def _average(line: bytearray, above: bytearray, step: int) -> None:
    for x in range(len(line)):
        left = line[x - step] if x >= step else 0
        line[x] = (line[x] + (left + above[x]) // 2) & 255


def _paeth(line: bytearray, above: bytearray, step: int) -> None:
    for x in range(len(line)):
        a, b, c = (line[x - step], above[x], above[x - step]) if x >= step else (0, above[x], 0)
        p = a + b - c
        nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        line[x] = (line[x] + nearest) & 255


_FILTERS: dict[int, Callable[[bytearray, bytearray, int], None]] = {
    0: lambda line, above, step: None, 1: _left, 2: _up, 3: _average, 4: _paeth,
}  # fmt: skip

if __name__ == "__main__":
    sys.exit(main())

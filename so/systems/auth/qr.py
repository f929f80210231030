"""QR codes (ISO/IEC 18004) as SVG: bytes, error correction M, versions 1 to 20.

    qr.svg("otpauth://totp/ERP:ada?secret=…")

For what a camera reads from a screen, such as the secret of an authenticator app.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from so.support.markup import Markup, escape

LARGEST_VERSION = 20
QUIET = 4  # modules of white around the code

# For error correction M, by version: codewords of correction in a block, and how many blocks.
_CORRECTION = (10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26)
_BLOCKS = (1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16)
_LEVEL_M = 0

_MASKS: tuple[Callable[[int, int], int], ...] = (
    lambda x, y: (x + y) % 2,
    lambda x, y: y % 2,
    lambda x, y: x % 3,
    lambda x, y: (x + y) % 3,
    lambda x, y: (x // 3 + y // 2) % 2,
    lambda x, y: x * y % 2 + x * y % 3,
    lambda x, y: (x * y % 2 + x * y % 3) % 2,
    lambda x, y: ((x + y) % 2 + x * y % 3) % 2,
)

Matrix = list[list[bool]]  # rows of modules; True is dark


def svg(text: str, label: str = "QR code") -> Markup:
    """*text* as a picture that scales; ValueError for more than 666 bytes of UTF-8."""
    rows = matrix(text.encode())
    size = len(rows) + 2 * QUIET
    path = "".join(
        f"M{x + QUIET},{y + QUIET}h1v1h-1z"
        for y, row in enumerate(rows)
        for x, is_dark in enumerate(row)
        if is_dark
    )
    return Markup(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" role="img" '
        f'aria-label="{escape(label)}" shape-rendering="crispEdges">'
        f'<rect width="{size}" height="{size}" fill="#fff"/><path d="{path}" fill="#000"/></svg>'
    )


def matrix(data: bytes) -> Matrix:
    """The modules of the smallest code that holds *data*, without the quiet zone."""
    version = _version_for(len(data))
    code = _Code(version)
    code.draw_data(_interleaved(_codewords(data, version), version))
    return code.masked()


# --- codewords ------------------------------------------------------------------------------------


def _version_for(size: int) -> int:
    for version in range(1, LARGEST_VERSION + 1):
        if 4 + _count_bits(version) + 8 * size <= 8 * _data_capacity(version):
            return version
    raise ValueError(f"{size} bytes are too many for a QR code of version {LARGEST_VERSION}")


def _count_bits(version: int) -> int:
    return 8 if version < 10 else 16


def _raw_capacity(version: int) -> int:
    """Codewords of data and correction together."""
    modules = (16 * version + 128) * version + 64
    if version > 1:
        aligned = version // 7 + 2
        modules -= (25 * aligned - 10) * aligned - 55
        modules -= 36 if version > 6 else 0
    return modules // 8


def _data_capacity(version: int) -> int:
    return _raw_capacity(version) - _CORRECTION[version - 1] * _BLOCKS[version - 1]


def _codewords(data: bytes, version: int) -> bytes:
    """Mode, length, *data*, end and padding."""
    room, count = _data_capacity(version), _count_bits(version)
    bits = f"0100{len(data):0{count}b}" + "".join(f"{byte:08b}" for byte in data)
    bits += "0" * min(4, room * 8 - len(bits))
    bits += "0" * (-len(bits) % 8)
    words = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return words + (b"\xec\x11" * room)[: room - len(words)]


def _interleaved(words: bytes, version: int) -> bytes:
    """*words* in blocks, each with its correction, woven into one another."""
    count, size = _BLOCKS[version - 1], _CORRECTION[version - 1]
    short, longer = divmod(len(words), count)
    divisor, blocks, at = _divisor(size), [], 0
    for number in range(count):
        length = short + (number >= count - longer)
        blocks.append(words[at : at + length])
        at += length
    corrections = [_remainder(block, divisor) for block in blocks]
    return bytes([*_woven(blocks), *_woven(corrections)])


def _woven(blocks: list[bytes]) -> Iterator[int]:
    for at in range(max(map(len, blocks))):
        for block in blocks:
            if at < len(block):
                yield block[at]


def _times(x: int, y: int) -> int:
    """Product in GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1."""
    product = 0
    for bit in range(7, -1, -1):
        product = (product << 1) ^ ((product >> 7) * 0x11D)
        product ^= ((y >> bit) & 1) * x
    return product


def _divisor(degree: int) -> list[int]:
    """The generator polynomial, its leading 1 left out."""
    found, root = [0] * (degree - 1) + [1], 1
    for _ in range(degree):
        found = [
            _times(one, root) ^ (found[at + 1] if at + 1 < degree else 0)
            for at, one in enumerate(found)
        ]
        root = _times(root, 2)
    return found


def _remainder(block: bytes, divisor: list[int]) -> bytes:
    found = [0] * len(divisor)
    for byte in block:
        factor = byte ^ found[0]
        found = [*found[1:], 0]
        found = [one ^ _times(part, factor) for one, part in zip(found, divisor, strict=True)]
    return bytes(found)


# --- modules --------------------------------------------------------------------------------------


class _Code:
    """The square of modules: patterns first, data around them, the best mask over the data."""

    def __init__(self, version: int) -> None:
        self._version = version
        self._size = 17 + 4 * version
        self._rows: Matrix = [[False] * self._size for _ in range(self._size)]
        self._fixed: Matrix = [[False] * self._size for _ in range(self._size)]
        self._draw_patterns()

    def _set(self, x: int, y: int, is_dark: bool) -> None:
        if 0 <= x < self._size and 0 <= y < self._size:
            self._rows[y][x], self._fixed[y][x] = is_dark, True

    def _draw_patterns(self) -> None:
        for at in range(self._size):
            self._set(6, at, at % 2 == 0)
            self._set(at, 6, at % 2 == 0)
        for x, y in ((3, 3), (self._size - 4, 3), (3, self._size - 4)):
            self._draw_square(x, y, 4, (2, 4))
        for x, y in self._alignments():
            self._draw_square(x, y, 2, (1,))
        self._draw_format(0)
        self._draw_version()

    def _draw_square(self, x: int, y: int, reach: int, light: tuple[int, ...]) -> None:
        """A square in a square: the rings at the distances *light* are light."""
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                self._set(x + dx, y + dy, max(abs(dx), abs(dy)) not in light)

    def _alignments(self) -> list[tuple[int, int]]:
        if self._version == 1:
            return []
        count = self._version // 7 + 2
        step = -(-(self._version * 4 + 4) // (count * 2 - 2)) * 2
        places = [6, *(self._size - 7 - step * at for at in range(count - 2, -1, -1))]
        first, last = places[0], places[-1]
        corners = {(first, first), (first, last), (last, first)}
        return [(x, y) for x in places for y in places if (x, y) not in corners]

    def _draw_format(self, mask: int) -> None:
        value = _LEVEL_M << 3 | mask
        rest = value
        for _ in range(10):
            rest = (rest << 1) ^ ((rest >> 9) * 0x537)
        bits = (value << 10 | rest) ^ 0x5412
        one = [(8, at) for at in (0, 1, 2, 3, 4, 5, 7, 8)] + [(7, 8)]
        one += [(14 - at, 8) for at in range(9, 15)]
        two = [(self._size - 1 - at, 8) for at in range(8)]
        two += [(8, self._size - 15 + at) for at in range(8, 15)]
        for places in (one, two):
            for at, (x, y) in enumerate(places):
                self._set(x, y, bool(bits >> at & 1))
        self._set(8, self._size - 8, True)

    def _draw_version(self) -> None:
        if self._version < 7:
            return
        rest = self._version
        for _ in range(12):
            rest = (rest << 1) ^ ((rest >> 11) * 0x1F25)
        bits = self._version << 12 | rest
        for at in range(18):
            far, near = self._size - 11 + at % 3, at // 3
            self._set(far, near, bool(bits >> at & 1))
            self._set(near, far, bool(bits >> at & 1))

    def draw_data(self, words: bytes) -> None:
        """Fill the free modules in zigzag, from the right below."""
        bits = iter("".join(f"{word:08b}" for word in words))
        for x, y in self._zigzag():
            if not self._fixed[y][x]:
                self._rows[y][x] = next(bits, "0") == "1"

    def _zigzag(self) -> Iterator[tuple[int, int]]:
        columns = [x for x in range(self._size - 1, 0, -2) if x > 6]
        columns += [x for x in range(5, 0, -2)]
        for number, right in enumerate(columns):
            ys: Iterable[int] = range(self._size)
            for y in reversed(range(self._size)) if number % 2 == 0 else ys:
                yield right, y
                yield right - 1, y

    def masked(self) -> Matrix:
        """The modules under the mask that a camera reads best."""
        return min((self._with_mask(mask) for mask in range(8)), key=_penalty)

    def _with_mask(self, mask: int) -> Matrix:
        self._draw_format(mask)
        flips = _MASKS[mask]
        return [
            [
                is_dark != (not self._fixed[y][x] and flips(x, y) == 0)
                for x, is_dark in enumerate(row)
            ]
            for y, row in enumerate(self._rows)
        ]


def _penalty(rows: Matrix) -> int:
    """How much in *rows* may confuse a reader, as the standard counts it."""
    lines = ["".join("01"[one] for one in row) for row in rows]
    columns = ["".join(column) for column in zip(*lines, strict=True)]
    found = sum(map(_line_penalty, [*lines, *columns])) + 3 * _squares(lines)
    dark = sum(map(sum, rows))
    total = len(rows) ** 2
    return found + 10 * int(abs(20 * dark - 10 * total) // total)


def _squares(lines: list[str]) -> int:
    """How many squares of two by two have one colour: a row is a number, a module its bit."""
    numbers, every, found = [int(line, 2) for line in lines], (1 << len(lines)) - 1, 0
    for upper, lower in pairwise(numbers):
        for both in (upper & lower, ~(upper | lower) & every):
            found += (both & both >> 1).bit_count()
    return found


_RUNS = re.compile("0{5,}|1{5,}")
_FINDERS = re.compile("(?=00001011101|10111010000)")


def _line_penalty(line: str) -> int:
    runs = sum(len(run) - 2 for run in _RUNS.findall(line))
    return runs + 40 * len(_FINDERS.findall(line))

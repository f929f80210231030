"""Values as a store keeps them: typed JSON, compressed where that pays, or bytes as they are."""

from __future__ import annotations

import zlib
from typing import Any

from so.errors import CodecError
from so.support.codec import Codec
from so.systems.cache.entry import Packed

BYTES, COMPRESSED = b"b", b"z"  # the first byte of data
LARGEST_TEXT = 256 * 1024 * 1024  # bytes that a compressed value may unfold to


def packed(codec: Codec, value: Any, compress_bytes: int) -> Packed:
    """*value* as a text or as data; raises CodecError for what cannot be."""
    if type(value) is bytes:
        return BYTES + value
    text = codec.encode(value)
    if not compress_bytes or len(text) < compress_bytes:
        return text
    raw = text.encode("utf-8", "surrogatepass")
    data = zlib.compress(raw, 1)
    return COMPRESSED + data if len(data) < len(raw) * 3 // 4 else text


def unpacked(codec: Codec, data: Packed) -> Any:
    """The value in *data*; raises CodecError for one that cannot be read."""
    if isinstance(data, str):
        return codec.decode(data)
    kind, body = bytes(data[:1]), bytes(data[1:])
    if kind == BYTES:
        return body
    if kind != COMPRESSED:
        raise CodecError(f"a value of the unknown kind {kind!r}")
    return codec.decode(_unfolded(body))


def _unfolded(body: bytes) -> str:
    unfold = zlib.decompressobj()
    try:
        raw = unfold.decompress(body, LARGEST_TEXT)
        if unfold.unconsumed_tail or not unfold.eof:
            raise CodecError("a compressed value is cut off or too large")
        return raw.decode("utf-8", "surrogatepass")
    except (zlib.error, UnicodeDecodeError) as error:
        raise CodecError(f"a compressed value cannot be read: {error}") from error

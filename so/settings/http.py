"""What a request may bring; beyond a limit it is answered by 400, 413, 414 or 431."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from so.support.settings import Settings, part, switch, table, text, whole

KIB, MIB = 1024, 1024 * 1024


@dataclass(frozen=True)
class Disks(Settings, topic="http.disks", others=True):
    """Where request.file(…).store(folder, disk) keeps files; an application may name more."""

    local: str = text("storage/app", "STORAGE_LOCAL", "folder of the disk local")
    public: str = text("storage/app/public", "STORAGE_PUBLIC", "folder of the disk public")


@dataclass(frozen=True)
class HttpLimits(Settings, topic="http"):
    """`config/http.py`: limits in bytes or pieces, for an ERP behind a firewall."""

    max_body_bytes: int = whole(
        512 * MIB, "HTTP_MAX_BODY_BYTES", "a whole body, uploads included", least=1
    )
    max_memory_bytes: int = whole(
        16 * MIB, "HTTP_MAX_MEMORY_BYTES", "a raw body read at once by body()", least=1
    )
    max_json_bytes: int = whole(8 * MIB, "HTTP_MAX_JSON_BYTES", "a JSON body", least=1)
    max_json_depth: int = whole(
        64, "HTTP_MAX_JSON_DEPTH", "lists and objects in each other", least=1
    )
    max_form_bytes: int = whole(
        8 * MIB, "HTTP_MAX_FORM_BYTES", "a form's fields, without files", least=1
    )
    max_form_fields: int = whole(
        1000, "HTTP_MAX_FORM_FIELDS", "fields of a form, or of a query", least=1
    )
    max_parts: int = whole(128, "HTTP_MAX_PARTS", "parts of a multipart form", least=1)
    max_part_bytes: int = whole(512 * MIB, "HTTP_MAX_PART_BYTES", "one uploaded file", least=1)
    max_part_header_bytes: int = whole(
        8 * KIB, "HTTP_MAX_PART_HEADER_BYTES", "the head of one part", least=1
    )
    max_input_depth: int = whole(
        32, "HTTP_MAX_INPUT_DEPTH", "brackets in a name: a[b][c] has 2", least=1
    )
    max_header_bytes: int = whole(
        64 * KIB, "HTTP_MAX_HEADER_BYTES", "all header fields together", least=1
    )
    max_headers: int = whole(100, "HTTP_MAX_HEADERS", "header fields", least=1)
    max_uri_bytes: int = whole(8 * KIB, "HTTP_MAX_URI_BYTES", "path and query", least=1)
    spool_bytes: int = whole(
        256 * KIB, "HTTP_SPOOL_BYTES", "a form's files up to here stay in memory"
    )
    upload_dir: str | None = text(
        None, "HTTP_UPLOAD_DIR", "where larger ones wait; unset: the system's folder"
    )
    disks: Any = part(Disks)
    default_disk: str = text("local", "STORAGE_DISK", "the disk of store(folder)")
    error_pages: Mapping[str, Any] = table(
        {}, None, "functions that draw errors: {404: 'app.pages.errors.not_found'}, or 4xx, 5xx"
    )
    hsts_seconds: int = whole(
        31_536_000, "HTTP_HSTS_SECONDS", "browsers that came by HTTPS come by nothing else; 0: off"
    )
    trust_request_id: bool = switch(
        False, None, "whether a request's own X-Request-Id is taken over"
    )

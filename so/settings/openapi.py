"""The OpenAPI document that `bin/sixorbit openapi` writes."""

from __future__ import annotations

from dataclasses import dataclass

from so.support.settings import Settings, listed, text


@dataclass(frozen=True)
class OpenApiSettings(Settings, topic="openapi"):
    """`config/openapi.py`."""

    title: str | None = text(None, "OPENAPI_TITLE", "unset: the application's name")
    version: str = text("1.0.0", "OPENAPI_VERSION", "of your API, not of the framework")
    description: str = text("", "OPENAPI_DESCRIPTION", "may be Markdown")
    prefix: str = text("api", "OPENAPI_PREFIX", "only routes whose path begins so; empty: all")
    servers: tuple[str, ...] = listed(
        (), "OPENAPI_SERVERS", "base URLs, such as https://erp.example.com"
    )

"""Brings the OpenAPI document into an application; operations.py draws it, once somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from so.container import ServiceProvider
from so.settings.app import AppSettings
from so.settings.openapi import OpenApiSettings
from so.settings.session import SessionSettings

if TYPE_CHECKING:
    from so.web.operations import OpenApi

__all__ = ["OpenApi", "OpenApiProvider"]


def __getattr__(name: str) -> Any:
    """`OpenApi`, for those who draw a document of their own."""
    if name != "OpenApi":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from so.web.operations import OpenApi

    return OpenApi


class OpenApiProvider(ServiceProvider):
    """Binds `openapi`, which the command of that name asks, as config/openapi.py says."""

    def register(self) -> None:
        """Bind the builder."""
        self.app.bind("openapi", _bound)


def _bound(app: Any) -> OpenApi:
    from so.web.operations import OpenApi

    settings = app.settings(OpenApiSettings)
    return OpenApi(
        app.make("router"),
        title=settings.title or app.settings(AppSettings).name,
        version=settings.version,
        description=settings.description,
        servers=settings.servers,
        prefix=settings.prefix,
        cookie=app.settings(SessionSettings).cookie,
    )

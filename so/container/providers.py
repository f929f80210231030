"""Service providers: how an application, or a part of one, adds its bindings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class ServiceProvider:
    """Bindings of one topic: `register()` binds, `boot()` runs when everything is bound."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def register(self) -> None:
        """Bind things; nothing may be made here."""

    boot: Callable[..., object] = lambda self: None  # any injected parameters

"""The container: makes objects and hands their constructors what their annotations ask for.

Read in this order: bindings.py (what is to be made how, and for how long it lives), container.py
(how it is made), providers.py (how an application adds its own).
"""

from __future__ import annotations

from so.container.container import Container
from so.container.providers import ServiceProvider

__all__ = ["Container", "ServiceProvider"]

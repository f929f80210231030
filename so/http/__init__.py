"""HTTP: routing, requests, responses, middleware, validation, errors.

Nothing in here knows the database or an application; the kernel (kernel.py) is handed what it
needs. The names below are imported on first use.

Read in this order: kernel.py (a request's whole way), request.py with request_base.py,
request_url.py and request_input.py, router.py, routing/, middleware.py, results.py and
response.py, errors.py, validation/.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Request": "so.http.request",
    "Response": "so.http.response",
    "JsonResponse": "so.http.response",
    "RedirectResponse": "so.http.response",
    "FileResponse": "so.http.files",
    "UploadedFile": "so.http.uploads",
    "Router": "so.http.router",
    "Route": "so.http.routing.route",
    "Kernel": "so.http.kernel",
    "HttpSettings": "so.http.settings",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'so.http' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_HOMES)

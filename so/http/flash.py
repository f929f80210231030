"""What a redirect leaves in the session for the next page: values, input, errors.

Passwords never, uploaded files never. Where a request has no session nothing can be kept, and
nothing is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from so.errors import ValidationException
from so.support.scope import current_request, current_scope, current_session

OLD_INPUT = "_old_input"
ERRORS = "errors"
REFUSED = "_refused"  # the path that the form was sent to
INTENDED = "url.intended"  # where somebody wanted to go before the login
INTERRUPTED = "_interrupted"  # a form that was sent when its login was gone
MOST_KEPT = 16_384  # characters of such a form; a larger one is not kept
RETURNED = "Here is what you had typed. Please look it through and send it again."
_SECRET_FIELD = re.compile(r"passw(?:or)?d|secret|^_token$|card_?number|^cvv$", re.IGNORECASE)


def current_input() -> dict[str, Any]:
    """The input of the request under way; {} without one."""
    request = current_request()
    return {} if request is None else dict(request.input())


def flash_input(data: Mapping[str, Any]) -> None:
    """Keep *data* for `old()`, without secrets, and where the form was sent to."""
    flash(OLD_INPUT, without_secrets(data))
    scope = current_scope()
    if scope is not None and scope.request is not None:
        flash(REFUSED, f"{scope.request.script_name()}{scope.request.uri()}")


def keep_interrupted(request: Any, session: Any) -> str | None:
    """Keep the form that *request* sent until the login that it lacks is there → its page.

    None, and nothing is kept, if the request does not come from a page of this application.
    """
    page = request.previous_url("")
    if not page or page != request.header("Referer"):
        return None
    sent = without_secrets(current_input())
    if len(repr(sent)) <= MOST_KEPT:
        to = f"{request.script_name()}{request.uri()}"
        session.put(INTERRUPTED, {"page": str(page), "to": to, "input": sent})
    return str(page)


def bring_back(session: Any, page: str) -> None:
    """Let the form on *page*, where somebody is sent now, hold what was typed before the login."""
    kept = session.pull(INTERRUPTED, None)
    if isinstance(kept, Mapping) and kept.get("page") == page:
        session.flash(OLD_INPUT, kept.get("input"))
        session.flash(REFUSED, kept.get("to"))
        session.flash("note", RETURNED)


def flash(key: str, value: Any) -> None:
    """Keep *value* for the next request."""
    scope = current_scope()
    if scope is not None and scope.session is not None:
        scope.session.flash(key, value)


def without_secrets(data: Mapping[str, Any]) -> dict[str, Any]:
    """*data* without passwords, at any depth, and without uploaded files."""
    return {k: _kept(v) for k, v in data.items() if not _SECRET_FIELD.search(str(k)) and _plain(v)}


def _kept(value: Any) -> Any:
    if isinstance(value, Mapping):
        return without_secrets(value)
    if isinstance(value, list):
        return [_kept(item) for item in value if _plain(item)]
    return value


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool, list, Mapping))


def error_lists(errors: Any) -> dict[str, list[str]]:
    """*errors* as {field: [messages]}; a list or a text goes under the key ``""``."""
    if isinstance(errors, ValidationException):
        return errors.errors
    if isinstance(errors, Mapping):
        return {str(field): _messages(found) for field, found in errors.items()}
    return {"": _messages(errors)}


def _messages(found: Any) -> list[str]:
    if isinstance(found, str) or not isinstance(found, Iterable):
        return [str(found)]
    return [str(message) for message in found]


def kept_errors(errors: Any, bag: str) -> dict[str, Any]:
    """The error bags in the session with *errors* in *bag*."""
    session = current_session()
    bags = dict(session.get(ERRORS) or {}) if session is not None else {}
    return {**bags, bag: error_lists(errors)}

"""How a model looks to a client: a plain dict, or JSON.

Columns come first (cast, through accessors), then `appends`, then loaded relations; what is
hidden is left out. Datetimes are ISO 8601 in UTC with microseconds, Decimals are text.
"""

from __future__ import annotations

import json
from typing import Any, Self

from so.db.model.attributes import Attributes, _put
from so.support.codec import dumps, to_jsonable
from so.support.listed import flat


class Serialising(Attributes):
    """What turns a model into plain data."""

    hidden: list[str] = []
    visible: list[str] = []
    appends: list[str] = []

    def to_dict(self) -> dict[str, Any]:
        """The model as a client sees it; `hidden` left out, or only `visible` put in."""
        plain: dict[str, Any] = {}
        for name in self._attributes:
            if self._is_shown(name):
                plain[name] = self._plain(name)
        for name in self.appends:
            if self._is_shown(name):
                plain[name] = to_jsonable(self.get_attribute(name))
        for name, loaded in (self._loaded or {}).items():
            if self._is_shown(name):
                plain[name] = to_jsonable(loaded)
        return plain

    to_array = to_dict

    def to_json(self, indent: int | None = None) -> str:
        """`to_dict()` as JSON, Unicode as it is."""
        if indent is None:
            return dumps(self.to_dict())
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent, allow_nan=False)

    def make_hidden(self, *names: Any) -> Self:
        """Leave these out of `to_dict()` of this model."""
        hide = flat(names)
        _put(self, "hidden", [*self.hidden, *(n for n in hide if n not in self.hidden)])
        if self.visible:
            _put(self, "visible", [name for name in self.visible if name not in hide])
        return self

    def make_visible(self, *names: Any) -> Self:
        """Show these in `to_dict()` of this model, though its class hides them."""
        show = flat(names)
        _put(self, "hidden", [name for name in self.hidden if name not in show])
        if self.visible:
            _put(self, "visible", [*self.visible, *show])
        return self

    def append(self, *names: Any) -> Self:
        """Add accessors to `to_dict()` of this model."""
        more = [name for name in flat(names) if name not in self.appends]
        _put(self, "appends", [*self.appends, *more])
        return self

    def _is_shown(self, name: str) -> bool:
        if self.visible and name not in self.visible:
            return False
        return name not in self.hidden

    def _plain(self, name: str) -> Any:
        plan = self._plan
        if name in plan.casts and name not in plan.getters:
            value = self._read(name)
            return None if value is None else plan.casts[name].plain(value)
        return to_jsonable(self.get_attribute(name))

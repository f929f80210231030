"""Eager loading: one query for a relation of many models, and one more for each level below.

What is wanted is kept flat, `{"posts": None, "posts.comments": constrain}`, and walked by level.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Constraint = Callable[[Any], Any] | None
Wanted = dict[str, Constraint]


def wanted(relations: Sequence[Any], constrained: Mapping[str, Any]) -> Wanted:
    """What `with_("a", "a.b", ["c"], {"d": fn}, e=fn)` asks for, parents before children.

    `"posts:id,title"` loads those columns alone.
    """
    found: Wanted = {}
    for entry in relations:
        if isinstance(entry, str):
            _add(found, entry, None)
        elif isinstance(entry, Mapping):
            for name, constrain in entry.items():
                _add(found, name, constrain)
        else:
            found.update(wanted(list(entry), {}))
    for name, constrain in constrained.items():
        _add(found, name, constrain)
    return found


def _add(found: Wanted, name: str, constrain: Any) -> None:
    name, _, columns = name.partition(":")
    if columns:
        constrain = _selecting(columns.split(","))
    parts = name.split(".")
    for depth in range(1, len(parts)):
        found.setdefault(".".join(parts[:depth]), None)
    found[name] = constrain if callable(constrain) else found.get(name)


def _selecting(columns: list[str]) -> Constraint:
    names = [column.strip() for column in columns]
    return lambda query: query.select(*[query.qualify(name) for name in names])


def load(models: Sequence[Any], relations: Wanted, *, only_missing: bool = False) -> None:
    """Load *relations* into *models*, which are of one class."""
    if not models:
        return
    for name, constrain in relations.items():
        if "." in name:
            continue
        head = name + "."
        nested = {
            deeper[len(head) :]: fn for deeper, fn in relations.items() if deeper.startswith(head)
        }
        _load_one(models, name, constrain, nested, only_missing)


def _load_one(
    models: Sequence[Any], name: str, constrain: Constraint, nested: Wanted, only_missing: bool
) -> None:
    lacking = [m for m in models if not m.relation_loaded(name)] if only_missing else models
    if lacking:
        relation = lacking[0]._relation_template(name)
        relation.load_into(lacking, constrain, {} if only_missing else nested)
    if only_missing and nested:
        for group in _by_class(_loaded_under(models, name)):
            load(group, nested, only_missing=True)


def _loaded_under(models: Sequence[Any], name: str) -> list[Any]:
    found: list[Any] = []
    for model in models:
        related = model._loaded[name]
        found.extend(related if isinstance(related, list) else [related] if related else [])
    return found


def _by_class(models: Sequence[Any]) -> list[list[Any]]:
    groups: dict[type, list[Any]] = {}
    for model in models:
        groups.setdefault(type(model), []).append(model)
    return list(groups.values())

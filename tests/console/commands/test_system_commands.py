"""`cache:*`, `notification:cleanup` and `route:list` as they are typed."""

from __future__ import annotations

import json

import pytest

from so import DB, Router, cache
from so.console import Kernel

DATABASE = {
    "default": "main",
    "connections": {"main": {"driver": "sqlite", "database": "storage/main.sqlite"}},
}


@pytest.fixture
def kernel(make_app):
    app = make_app(database=DATABASE)
    app.install_tables()
    return Kernel(app)


def run(kernel, line):
    return kernel.call(line), kernel.output()


def test_the_cache_is_cleared_collected_forgotten_and_counted(kernel):
    for key in ("a", "b"):
        cache().put(key, 1, 60)

    assert run(kernel, "cache:forget a")[0] == 0
    assert cache().get("a") is None
    assert run(kernel, "cache:gc")[0] == 0
    assert run(kernel, "cache:stats")[0] == 0
    assert isinstance(json.loads(run(kernel, "cache:stats --json")[1]), dict)
    assert run(kernel, "cache:clear")[0] == 0
    assert cache().get("b") is None


@pytest.mark.parametrize("tags", ["", ",", " , "])
def test_an_empty_list_of_tags_clears_nothing(kernel, tags):
    cache().put("a", 1, 60)

    assert kernel.run(("cache:clear", f"--tags={tags}")) == 2
    assert cache().get("a") == 1


def test_notifications_are_cleaned_up(kernel):
    for line in ("--days=30", "--days=30 --unread-days=60", "--days=30 --dry-run", ""):
        assert run(kernel, f"notification:cleanup {line}")[0] == 0
    assert run(kernel, "notification:cleanup --days=x")[0] in (1, 2)


def test_notifications_of_one_class_or_category_are_cleaned_up(kernel):
    old = "2020-01-01 00:00:00.000000"
    for number, (type_, category) in enumerate([("A", "x"), ("A", None), ("B", "x"), ("B", "y")]):
        DB.table("notifications").insert({
            "id": number, "type": type_, "category": category, "notifiable_type": "user",
            "notifiable_id": 1, "data": "{}", "read_at": old, "created_at": old,
        })  # fmt: skip

    assert "1 notifications" in run(kernel, "notification:cleanup --type=A --category=x")[1]
    assert "1 notifications" in run(kernel, "notification:cleanup --category=x --dry-run")[1]
    assert "1 notifications" in run(kernel, "notification:cleanup --type=A")[1]
    assert DB.table("notifications").pluck("type") == ["B", "B"]


def test_routes_are_listed(kernel):
    Router.get("/things/{id}", lambda id: id).name("things.show")

    assert "things/{id}" in run(kernel, "route:list")[1]
    assert any(r["name"] == "things.show" for r in json.loads(run(kernel, "route:list --json")[1]))

"""Groups merge, resources are named, and what is said fluently is the same."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from so.errors import RouteActionError, RouteDefinitionError
from so.http.router import Router


def action() -> str:
    return ""


class Posts:
    def index(self) -> None: ...
    def create(self) -> None: ...
    def store(self) -> None: ...
    def show(self, id: str) -> None: ...
    def edit(self, id: str) -> None: ...
    def update(self, id: str) -> None: ...
    def destroy(self, id: str) -> None: ...


def listed(router: Router) -> list[tuple[str, str, str | None]]:
    return [("|".join(r.methods), r.uri, r.route_name) for r in router.routes()]


def test_nested_groups_merge_prefix_name_middleware_and_constraints() -> None:
    router = Router()

    def inner() -> None:
        router.get("/{id}", action).name("show").middleware("own").where("tab", "x")

    def outer() -> None:
        router.group(
            {"prefix": "/orders/", "middleware": ["b", "c"], "as": "orders.", "where": {"id": "2"}},
            inner,
        )

    router.group(
        {"prefix": "api", "middleware": "a", "name": "api.", "where": {"id": "1", "z": "9"}}, outer
    )

    (route,) = router.routes()
    assert route.uri == "api/orders/{id}"
    assert route.route_name == "api.orders.show"
    assert route.middleware_list == ["a", "b", "c", "own"]
    assert route.wheres == {"id": "2", "z": "9", "tab": "x"}


def test_a_group_is_a_context_manager_too() -> None:
    router = Router()

    with router.group(prefix="a", middleware=["m"]), router.group(prefix="b"):
        router.get("/c", action)
    router.get("/d", action)

    assert [r.uri for r in router.routes()] == ["a/b/c", "d"]
    assert [r.middleware_list for r in router.routes()] == [["m"], []]


def test_a_group_is_closed_when_its_callback_fails() -> None:
    router = Router()

    def broken() -> None:
        raise RuntimeError("in between")

    with pytest.raises(RuntimeError):
        router.group(prefix="a", callback=broken)
    with pytest.raises(RuntimeError), router.group(prefix="a"):
        raise RuntimeError
    router.get("/b", action)

    assert [r.uri for r in router.routes()] == ["b"]


def test_groups_open_in_one_thread_do_not_touch_another() -> None:
    router = Router()

    def register() -> None:
        router.get("/there", action)

    with router.group(prefix="here"):
        thread = threading.Thread(target=register)
        thread.start()
        thread.join()

    assert [r.uri for r in router.routes()] == ["there"]


def test_a_group_may_be_a_routes_file(tmp_path: Path) -> None:
    file = tmp_path / "api.py"
    file.write_text("def ping():\n    return 'pong'\n\nRouter.get('/ping', ping)\n")
    router = Router()

    router.group({"prefix": "api"}, str(file))
    router.prefix("v2").group(file)

    assert [r.uri for r in router.routes()] == ["api/ping", "v2/ping"]
    with pytest.raises(RouteDefinitionError, match="no routes file"):
        router.group({}, tmp_path / "none.py")


def test_the_fluent_way_says_the_same() -> None:
    router = Router()

    router.prefix("a").middleware("m").name("a.").where("id", "[0-9]+").group(
        lambda: router.get("/{id}", action).name("x")
    )
    router.middleware("m", ["n"]).without_middleware("o").name("b.").get("/b", action).name("y")
    with router.as_("c.").prefix("c").group():
        router.post("/c", action).name("z")
    router.prefix("d").resource("posts", Posts, only="index")
    router.prefix("d").api_resource("things", Posts, only=["index", "show"])
    router.where({"q": "1"}).any("/e", action)

    a, b, c, d, *rest = router.routes()
    assert (a.uri, a.route_name, a.middleware_list, a.wheres) == (
        "a/{id}",
        "a.x",
        ["m"],
        {"id": "[0-9]+"},
    )
    assert (b.uri, b.route_name, b.middleware_list, b.excluded) == ("b", "b.y", ["m", "n"], ["o"])
    assert (c.uri, c.route_name) == ("c/c", "c.z")
    assert (d.uri, d.route_name) == ("d/posts", "posts.index")
    assert [r.uri for r in rest] == ["d/things", "d/things/{id}", "e"]


def test_a_route_without_a_name_in_a_named_group_has_none() -> None:
    router = Router()

    with router.group(name="admin."):
        router.get("/a", action)

    assert router.named_routes() == {}


def test_a_groups_controller_takes_actions_for_its_methods() -> None:
    router = Router()

    with router.group(controller=Posts, prefix="posts"):
        router.get("/", "index")
    router.controller(Posts).group(lambda: router.get("/x", "create"))

    assert [r.handler.label.split(".")[-1] for r in router.routes()] == [
        "Posts@index",
        "Posts@create",
    ]
    with (
        pytest.raises(RouteActionError, match="no method 'indx'.*did you mean 'index'"),
        router.group(controller=Posts),
    ):
        router.get("/y", "indx")


def test_an_unknown_attribute_of_a_group_is_refused_with_the_nearest() -> None:
    with pytest.raises(RouteDefinitionError, match="'middlewares'; did you mean 'middleware'"):
        Router().group({"middlewares": ["a"]}, action)
    with pytest.raises(RouteDefinitionError, match="known: prefix"):
        Router().group({"q": 1}, action)


def test_a_resource_has_seven_named_routes() -> None:
    router = Router()

    router.resource("posts", Posts)

    assert listed(router) == [
        ("GET|HEAD", "posts", "posts.index"),
        ("GET|HEAD", "posts/create", "posts.create"),
        ("POST", "posts", "posts.store"),
        ("GET|HEAD", "posts/{id}", "posts.show"),
        ("GET|HEAD", "posts/{id}/edit", "posts.edit"),
        ("PUT|PATCH", "posts/{id}", "posts.update"),
        ("DELETE", "posts/{id}", "posts.destroy"),
    ]


def test_an_api_resource_has_no_forms() -> None:
    router = Router()

    router.api_resource("posts", Posts, except_="destroy")

    assert [name for *_, name in listed(router)] == [
        "posts.index",
        "posts.store",
        "posts.show",
        "posts.update",
    ]


def test_a_resource_is_bent_by_its_options() -> None:
    router = Router()

    router.resource(
        "admin/posts",
        Posts,
        only=["show", "index"],
        names={"show": "post"},
        parameters={"posts": "post"},
        middleware=["auth"],
    )
    router.resource("posts.comments", Posts, only="show", names="c", parameters="comment")
    router.resource("categories", Posts, except_=["create", "edit", "store", "update", "destroy"])

    assert listed(router) == [
        ("GET|HEAD", "admin/posts", "admin.posts.index"),
        ("GET|HEAD", "admin/posts/{post}", "post"),
        ("GET|HEAD", "posts/{post}/comments/{comment}", "c.show"),
        ("GET|HEAD", "categories", "categories.index"),
        ("GET|HEAD", "categories/{id}", "categories.show"),
    ]
    assert router.routes()[0].middleware_list == ["auth"]


def test_the_names_of_resources_in_a_named_group_are_prefixed() -> None:
    router = Router()

    with router.group(name="api."):
        router.resource("posts", Posts, only="index")

    assert router.has("api.posts.index")


def test_a_resource_refuses_an_action_that_does_not_exist() -> None:
    class Half:
        def index(self) -> None: ...

    with pytest.raises(RouteDefinitionError, match="'indx'; did you mean 'index'"):
        Router().resource("posts", Posts, only=["indx"])
    with pytest.raises(RouteDefinitionError, match="it has index"):
        Router().resource("posts", Posts, except_=["zzz"])
    with pytest.raises(RouteActionError, match="Half has no method 'create'"):
        Router().resource("posts", Half)


def test_a_resource_takes_its_controller_by_name() -> None:
    router = Router()

    router.resource("posts", "Posts", only="index")

    assert router.routes()[0].handler.label == f"{__name__}.Posts@index"


def test_shortcuts_for_middleware_write_their_parameters() -> None:
    route: Any = Router().get("/a/{post}", action)

    route.can("update", "post").throttle(5, 2).throttle("api")

    assert route.middleware_list == ["can:update,post", "throttle:5,2", "throttle:api"]


def test_a_resource_whose_controller_lacks_the_pages_says_what_to_write() -> None:
    class Orders:
        def index(self) -> None: ...
        def store(self) -> None: ...
        def show(self) -> None: ...
        def update(self) -> None: ...
        def destroy(self) -> None: ...

    router = Router()
    with pytest.raises(RouteActionError) as caught:
        router.resource("orders", Orders)

    told = str(caught.value)
    assert "Orders has no method 'create' and no 'edit'" in told
    assert "Router.api_resource('orders', …)" in told
    assert "only=['index', 'store', 'show', 'update', 'destroy']" in told
    assert router.routes() == []
    assert len(router.api_resource("orders", Orders)) == 5


def test_a_resource_that_shows_and_lists_hears_of_both_mends() -> None:
    class Orders:
        def index(self) -> None: ...
        def show(self) -> None: ...

    with pytest.raises(RouteActionError) as caught:
        Router().resource("orders", Orders)

    told = str(caught.value)
    assert "only=['index', 'show'], here or with Router.api_resource('orders', …)" in told


def test_a_resource_whose_controller_lacks_more_says_which_actions_it_has() -> None:
    class Orders:
        def index(self) -> None: ...
        def destory(self) -> None: ...

    with pytest.raises(RouteActionError) as caught:
        Router().resource("orders", Orders, only=["index", "destroy"])

    assert "no method 'destroy' (did you mean 'destory'?)" in str(caught.value)
    assert "only=['index']" in str(caught.value)
    with pytest.raises(RouteActionError, match="the right class"):
        Router().resource("orders", object)

"""Actions in every form, and where their arguments come from."""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Optional
from uuid import UUID

import pytest

from so.errors import ContainerError, RouteActionError
from so.http.request import Request
from so.http.router import Router
from so.http.routing.actions import resolve
from so.http.routing.route import Route
from tests.http.wsgi import Answer, Client


def answer(action: Any, uri: str = "/{id}", path: str = "/5", **kernel: Any) -> Answer:
    router = Router()
    router.get(uri, action)
    return Client(router, **kernel).get(path)


# --- forms ----------------------------------------------------------------------------------------


NAMELESS = [lambda id: f"lambda {id}"]
NAMELESS_LINE = NAMELESS[0].__code__.co_firstlineno


def plain(id: str) -> str:
    return f"plain {id}"


class UserController:
    def __init__(self) -> None:
        self.made = True

    def show(self, id: str) -> str:
        return f"show {id} {self.made}"

    @staticmethod
    def static(id: str) -> str:
        return f"static {id}"

    @classmethod
    def of_class(cls, id: str) -> str:
        return f"{cls.__name__} {id}"


def logged(fn: Any) -> Any:
    @functools.wraps(fn)
    def around(id: str) -> Any:
        return fn(id)

    return around


@logged
def decorated(id: str) -> str:
    return plain(id)


class Invokable:
    def __call__(self, id: str) -> str:
        return f"invoked {id}"


@pytest.mark.parametrize(
    ("action", "text", "label"),
    [
        (plain, "plain 5", "test_actions.plain"),
        (UserController.show, "show 5 True", "test_actions.UserController@show"),
        ([UserController, "show"], "show 5 True", "test_actions.UserController@show"),
        ((UserController, "show"), "show 5 True", "test_actions.UserController@show"),
        (["UserController", "show"], "show 5 True", "test_actions.UserController@show"),
        ("UserController@show", "show 5 True", "test_actions.UserController@show"),
        (UserController.static, "static 5", "UserController.static"),
        (UserController.of_class, "UserController 5", "UserController.of_class"),
        (Invokable, "invoked 5", "test_actions.Invokable"),
        ("Invokable", "invoked 5", "test_actions.Invokable"),
        (Invokable(), "invoked 5", "Invokable"),
        ([UserController(), "show"], "show 5 True", "test_actions.UserController.show"),
        (functools.partial(plain), "plain 5", "test_actions.plain"),
        (functools.partial(functools.partial(plain)), "plain 5", "test_actions.plain"),
        (decorated, "plain 5", "test_actions.decorated"),
        (NAMELESS[0], "lambda 5", f"tests/http/routing/test_actions.py:{NAMELESS_LINE}"),
    ],
)
def test_an_action_may_be_written_in_many_ways(action: Any, text: str, label: str) -> None:
    router = Router()
    route = router.get("/{id}", action)

    assert Client(router).get("/5").text == text
    assert route.handler.label.endswith(label)


def test_what_has_no_name_in_its_module_is_told_by_file_and_line() -> None:
    def inner(id: str) -> str:
        return id

    name = "test_what_has_no_name_in_its_module_is_told_by_file_and_line.<locals>.inner"
    line = inner.__code__.co_firstlineno
    router = Router()

    assert resolve(inner).label.endswith(f".{name} (tests/http/routing/test_actions.py:{line})")
    assert resolve(functools.partial(lambda: "")).label.startswith("tests/http/routing/test_act")
    assert router.redirect("/a", "/b").handler.label == "redirect to /b (302)"
    assert router.permanent_redirect("/a", "/b/{x}").handler.label == "redirect to /b/{x} (301)"
    assert resolve(len).label == "builtins.len"


def test_what_a_routes_file_defines_is_told_with_the_file(tmp_path: Any) -> None:
    file = tmp_path / "shop" / "routes.py"
    file.parent.mkdir()
    file.write_text(
        "class Orders:\n    def show(self): ...\n\n"
        "def index(): ...\n\n"
        "Router.get('/a', index)\nRouter.get('/b', [Orders, 'show'])\nRouter.get('/c', lambda: 1)\n"
    )
    router = Router()

    router.group({}, file)

    labels = [route.handler.label for route in router.routes()]
    assert labels == ["index (shop/routes.py:4)", "Orders@show", "shop/routes.py:8"]


def test_a_controller_made_inside_a_function_is_found_by_its_method_and_by_its_name() -> None:
    class Local:
        def show(self, id: str) -> str:
            return f"local {id}"

    assert answer(Local.show).text == "local 5"
    assert answer("Local@show").text == "local 5"


def test_an_action_may_be_named_by_its_import_path() -> None:
    assert resolve("os.path.basename").label == "posixpath.basename"
    assert resolve("collections.Counter@most_common").label == "collections.Counter@most_common"


def test_controllers_are_looked_for_in_the_given_packages(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "shop_controllers"
    package.mkdir()
    (package / "__init__.py").write_text("class Home:\n    def show(self): return 'home'\n")
    (package / "order_lines.py").write_text(
        "class OrderLines:\n    def show(self): return 'lines'\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    router = Router(controllers=["no_such_package", "shop_controllers"])

    router.get("/", "Home@show")
    router.get("/lines", "OrderLines@show")

    assert Client(router).get("/").text == "home"
    assert Client(router).get("/lines").text == "lines"


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (None, "None is not an action"),
        (5, "5 is not an action"),
        ([UserController], "write \\[Controller, 'method'\\]"),
        ([UserController, 5], "write \\[Controller, 'method'\\]"),
        ([UserController, "shwo"], "no method 'shwo'.*did you mean 'show'"),
        ([UserController(), "shwo"], "no method 'shwo'.*did you mean 'show'"),
        ("UserController@shwo", "no method 'shwo'"),
        ("Nobody@show", "cannot find the controller 'Nobody'"),
        ("nowhere.at.all@show", "cannot import"),
        ("os.path.nothing", "posixpath has no|os.path has no"),
        (UserController, "not invokable"),
    ],
)
def test_what_cannot_be_called_is_refused_at_registration(action: Any, words: str) -> None:
    with pytest.raises(RouteActionError, match=words):
        Router().get("/a", action)


def test_a_method_whose_class_is_out_of_sight_is_refused_with_the_mend() -> None:
    def elsewhere() -> Any:
        class Hidden:
            def show(self) -> str:
                return ""

        return Hidden.show

    with pytest.raises(RouteActionError, match=r"write \[Controller, 'show'\]"):
        Router().get("/a", elsewhere())


# --- arguments ------------------------------------------------------------------------------------


def test_parameters_come_by_name_the_request_anywhere_and_the_rest_in_order() -> None:
    def action(b: str, request: Request, x: str, *, y: str = "none") -> list[str]:
        return [b, request.path(), x, y]

    assert answer(action, "/{a}/{b}", "/1/2").json() == ["2", "1/2", "1", "none"]


def test_an_unannotated_request_is_the_request() -> None:
    assert answer(lambda request, id: [request.path(), id]).json() == ["5", "5"]


def test_a_parameter_called_request_is_a_parameter() -> None:
    assert answer(lambda request: [request], "/{request}").json() == ["5"]


def test_keywords_take_what_is_left() -> None:
    def action(a: str, **rest: str) -> dict[str, Any]:
        return {"a": a, **rest}

    def positional(a: str, *rest: str) -> list[str]:
        return [a, *rest]

    def keyword(*, b: int, a: str) -> list[Any]:
        return [a, b]

    def namesake(*a: str) -> list[str]:
        return list(a)

    assert answer(namesake, "/{a}/{b}", "/1/2").json() == ["1", "2"]
    assert answer(action, "/{a}/{b}/{c}", "/1/2/3").json() == {"a": "1", "b": "2", "c": "3"}
    assert answer(positional, "/{a}/{b}/{c}", "/1/2/3").json() == ["1", "2", "3"]
    assert answer(keyword, "/{a}/{b}", "/1/2").json() == ["1", 2]


def test_an_optional_parameter_leaves_the_actions_default() -> None:
    assert answer(lambda name="you": name, "/hi/{name?}", "/hi").text == "you"
    assert answer(lambda name: [name], "/hi/{name?}", "/hi").json() == [None]

    def typed(page: int = 1) -> list[int]:
        return [page]

    assert answer(typed, "/p/{page?}", "/p").json() == [1]
    assert answer(typed, "/p/{page?}", "/p/3").json() == [3]


def test_a_default_of_the_route_stands_in_for_a_missing_parameter() -> None:
    router = Router()
    router.get("/{lang?}", lambda lang, theme: [lang, theme]).defaults("lang", "en").defaults(
        "theme", "dark"
    )

    assert Client(router).get("/").json() == ["en", "dark"]
    assert Client(router).get("/de").json() == ["de", "dark"]


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


KINDS: list[tuple[Any, str, Any, list[str]]] = [
    (int, "12", 12, ["12abc", "1.0", "+1", " 1", "1_0", "٣", "9" * 30, "--1", "-", "0x1"]),
    (int, "-3", -3, ["-9223372036854775809"]),
    (int, "9223372036854775807", 9223372036854775807, ["9223372036854775808"]),
    (float, "1.5", 1.5, ["nan", "inf", "1e5", "1.", "a"]),
    (Decimal, "1.50", "1.50", ["NaN", "1,5", "1e5", "Infinity"]),
    (date, "2026-02-28", "2026-02-28", ["2026-02-30", "20260228", "2026-W01-1", "today"]),
    (datetime, "2026-02-28T10:00:00", "10:00", ["2026-02-28", "2026-02-28T25:00"]),
    (
        UUID,
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        ["6ba7b8109dad11d180b400c04fd430c8", "{6ba7b810-9dad-11d1-80b4-00c04fd430c8}"],
    ),
    (Color, "red", "red", ["RED", "green", ""]),
    (Level, "1", 1, ["2", "LOW"]),
    (bool, "true", True, ["yes", "TRUE", "2"]),
]


@pytest.mark.parametrize(("kind", "text", "value", "bad"), KINDS)
def test_annotations_convert_strictly_and_what_does_not_fit_is_404(
    kind: Any, text: str, value: Any, bad: list[str]
) -> None:
    def action(it: Any) -> list[Any]:
        assert isinstance(it, kind)
        return [it]

    action.__annotations__["it"] = kind
    good = answer(action, "/x/{it}", f"/x/{text}")
    assert good.status == 200, good.text
    assert str(value) in str(good.json()[0])
    for wrong in bad:
        assert answer(action, "/x/{it}", f"/x/{wrong}").status == 404, wrong


def test_a_union_with_none_converts_as_the_type_in_it() -> None:
    def old(it: Optional[int] = None) -> list[Any]:  # noqa: UP045  # the old spelling works too
        return [it]

    def new(it: int | None = None) -> list[Any]:
        return [it]

    for action in (old, new):
        assert answer(action, "/x/{it?}", "/x/5").json() == [5]
        assert answer(action, "/x/{it?}", "/x").json() == [None]
        assert answer(action, "/x/{it?}", "/x/a").status == 404


def test_an_annotation_that_cannot_be_evaluated_does_not_spoil_the_others() -> None:
    def action(id: int, other: "Nowhere" = None) -> list[Any]:  # type: ignore[name-defined]  # noqa: F821, UP037
        return [id, other]

    assert answer(action).json() == [5, None]


# --- the container --------------------------------------------------------------------------------


@dataclass
class Mailer:
    sender: str = "me"


class Broken:
    pass


def make(cls: Any) -> Any:
    if cls is Broken:
        raise ContainerError("Broken cannot be made")
    return cls()


def test_other_classes_come_from_the_container() -> None:
    def action(mailer: Mailer, id: int) -> list[Any]:
        return [mailer.sender, id]

    assert answer(action, make=make).json() == ["me", 5]


def test_a_class_that_cannot_be_made_leaves_the_default() -> None:
    def action(id: int, broken: Broken | None = None) -> list[Any]:
        return [id, broken]

    def needs(broken: Broken) -> None: ...

    assert answer(action, make=make).json() == [5, None]
    assert answer(needs, make=make).status == 500


def test_a_controller_is_made_by_the_container_for_each_request() -> None:
    made: list[Any] = []

    class Counted:
        def show(self) -> str:
            return "x"

    def counting(cls: Any) -> Any:
        made.append(cls)
        return cls()

    router = Router()
    router.get("/", [Counted, "show"])
    client = Client(router, make=counting)
    client.get("/")
    client.get("/")

    assert made == [Counted, Counted]


def test_an_argument_that_nothing_could_fill_is_named() -> None:
    router = Router()
    router.get("/a", lambda who: who)

    with pytest.raises(RouteActionError, match="'a' asks for 'who'"):
        router.check()
    assert Client(router).get("/a").status == 500


def test_a_built_in_without_a_signature_is_called_without_arguments() -> None:
    assert answer(dir, "/a", "/a").status == 200


# --- models ---------------------------------------------------------------------------------------


class User:
    """Meets the binding by its shape, as a model does."""

    queries = 0

    def __init__(self, id: int) -> None:
        self.id = id

    @classmethod
    def resolve_route_binding(cls, value: str, field: str | None) -> User | None:
        if field == "slug":
            return cls(1) if value == "ann" else None
        if not (value.isascii() and value.isdigit()) or len(value) > 18:
            return None
        cls.queries += 1
        return cls(int(value)) if int(value) < 100 else None

    def to_dict(self) -> dict[str, int]:
        return {"id": self.id}


def show_user(user: User) -> User:
    return user


def test_a_model_is_found_by_the_parameter_of_its_name() -> None:
    assert answer(show_user, "/users/{user}", "/users/7").json() == {"id": 7}


def test_a_model_takes_the_next_parameter_that_nobody_claims() -> None:
    def action(user: User, page: int) -> list[Any]:
        return [user.id, page]

    assert answer(action, "/users/{id}/{page}", "/users/7/2").json() == [7, 2]


@pytest.mark.parametrize("key", ["12abc", "9" * 30, "-1", "1e3"])
def test_a_key_that_is_none_is_404_without_a_query(key: str) -> None:
    User.queries = 0

    assert answer(show_user, "/users/{user}", f"/users/{key}").status == 404
    assert User.queries == 0


def test_a_missing_model_is_404_or_what_missing_says() -> None:
    router = Router()
    router.get("/a/{user}", show_user)
    router.get("/b/{user}", show_user).missing(lambda request: ("nobody", 410))

    client = Client(router)

    assert client.get("/a/500").status == 404
    assert (client.get("/b/500").status, client.get("/b/500").text) == (410, "nobody")


def test_a_404_raised_inside_the_action_is_not_a_missing_model() -> None:
    from so.errors import ModelNotFoundError

    def action(user: User) -> None:
        raise ModelNotFoundError(User, [1])

    router = Router()
    router.get("/{user}", action).missing(lambda request: "nobody")

    assert Client(router).get("/5").status == 404


def test_a_column_in_the_template_binds_by_it() -> None:
    assert answer(show_user, "/users/{user:slug}", "/users/ann").json() == {"id": 1}
    assert answer(show_user, "/users/{user:slug}", "/users/7").status == 404


def test_an_optional_model_that_is_not_in_the_path_is_none() -> None:
    def action(user: User | None = None) -> list[Any]:
        return [user]

    assert answer(action, "/u/{user?}", "/u").json() == [None]


def test_bind_and_model_say_what_a_parameter_means_everywhere() -> None:
    router = Router()
    router.bind("year", lambda value: int(value) + 1 if value.isdigit() else None)
    router.bind("where", lambda value, route: f"{value} in {route.uri}")
    router.model("owner", User)
    router.get("/y/{year}", lambda year: [year])
    router.get("/w/{where}", lambda where: [where])
    router.get("/o/{owner}", lambda owner: [owner.id])

    client = Client(router)

    assert client.get("/y/2025").json() == [2026]
    assert client.get("/y/x").status == 404
    assert client.get("/w/a").json() == ["a in w/{where}"]
    assert client.get("/o/9").json() == [9]
    assert client.get("/o/900").status == 404


def test_middleware_and_action_see_the_same_model_looked_up_once() -> None:
    seen: list[Any] = []

    def look(request: Request, next: Any) -> Any:
        seen.append(request.route("user"))
        route: Route = request.route()
        seen.append(route.parameter("user"))
        assert route.parameters == {"user": "7"}
        return next(request)

    User.queries = 0
    router = Router()
    router.get("/{user}", show_user).middleware(look)

    assert Client(router).get("/7").json() == {"id": 7}
    assert User.queries == 1
    assert seen[0] is seen[1]
    assert seen[0].id == 7

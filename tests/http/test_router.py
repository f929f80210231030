"""Registration and matching: which route serves a path, and what is refused at registration."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so.errors import RouteDefinitionError
from so.http.router import Router
from tests.http.wsgi import Client


def action() -> str:
    return ""


def named(*routes: str) -> Router:
    """A router with a GET route for each URI, called as it."""
    router = Router()
    for uri in routes:
        router.get(uri, action).name(uri)
    return router


def match(
    router: Router, path: str, method: str = "GET"
) -> tuple[str | None, dict[str, str]] | None:
    found = router.find(method, path)
    return None if found is None else (found[0].route_name, found[1])


def test_the_first_registered_route_that_matches_wins_over_literal_text() -> None:
    router = named("/users/{id}", "/users/me")

    assert match(router, "/users/me") == ("/users/{id}", {"id": "me"})


def test_a_literal_registered_first_wins_over_a_parameter() -> None:
    router = named("/users/me", "/users/{id}")

    assert match(router, "/users/me") == ("/users/me", {})
    assert match(router, "/users/5") == ("/users/{id}", {"id": "5"})


def test_a_literal_does_not_mask_a_parameter_that_leads_further() -> None:
    router = named("/v2.0", "/{version}/thing")

    assert match(router, "/v2.0") == ("/v2.0", {})
    assert match(router, "/v2.0/thing") == ("/{version}/thing", {"version": "v2.0"})


def test_two_routes_may_call_the_same_segment_by_different_names() -> None:
    router = named("/u/{a}/x", "/u/{b}/y")

    assert match(router, "/u/1/x") == ("/u/{a}/x", {"a": "1"})
    assert match(router, "/u/1/y") == ("/u/{b}/y", {"b": "1"})


def test_the_same_uri_registered_twice_is_served_by_the_first() -> None:
    router = Router()
    router.get("/a", action).name("first")
    router.get("/a", action).name("second")

    assert match(router, "/a") == ("first", {})


def test_a_dot_in_a_uri_is_a_dot() -> None:
    router = named("/v1.0/status")

    assert match(router, "/v1.0/status") is not None
    assert match(router, "/v1x0/status") is None


def test_a_parameter_takes_any_text_but_a_slash() -> None:
    router = named("/files/{name}")

    assert match(router, "/files/a b.é") == ("/files/{name}", {"name": "a b.é"})
    assert match(router, "/files/a/b") is None
    assert match(router, "/files/") is None
    assert match(router, "/files") is None


def test_a_slash_at_the_end_is_ignored() -> None:
    router = named("/", "/users", "/users/{id}")

    assert match(router, "/users/") == ("/users", {})
    assert match(router, "/users/5/") == ("/users/{id}", {"id": "5"})
    assert match(router, "/") == ("/", {})
    assert match(router, "") == ("/", {})


def test_empty_segments_match_nothing() -> None:
    router = named("/", "/foo", "/{any}", "/{a}/{b}")

    for path in ("//", "//foo", "/foo//", "/foo//bar", "///"):
        assert match(router, path) is None, path


def test_a_constraint_must_match_the_whole_value() -> None:
    router = Router()
    router.get("/users/{id}", action).name("number").where_number("id")
    router.get("/users/{name}", action).name("any")

    assert match(router, "/users/12") == ("number", {"id": "12"})
    assert match(router, "/users/12abc") == ("any", {"name": "12abc"})
    assert match(router, "/users/12\n") == ("any", {"name": "12\n"})


def test_a_constrained_route_may_be_alone_in_its_place() -> None:
    router = Router()
    router.get("/users/{id}/posts/{post}", action).name("n").where_number("id", "post")

    assert match(router, "/users/1/posts/2") == ("n", {"id": "1", "post": "2"})
    assert match(router, "/users/1/posts/x") is None


@pytest.mark.parametrize(
    ("constraint", "good", "bad"),
    [
        ("where_number", ["0", "12"], ["", "1a", "-1", "٣"]),
        ("where_alpha", ["abc"], ["ab1", "é"]),
        ("where_alpha_numeric", ["ab1"], ["a-b"]),
        (
            "where_uuid",
            ["6ba7b810-9dad-11d1-80b4-00c04fd430c8"],
            ["6ba7b8109dad11d180b400c04fd430c8"],
        ),
        ("where_ulid", ["01ARZ3NDEKTSV4RRFFQ69G5FAV"], ["81ARZ3NDEKTSV4RRFFQ69G5FAV", "01ARZ"]),
        ("where_slug", ["a", "a-b-2"], ["a--b", "-a", "A"]),
    ],
)
def test_each_named_constraint_knows_its_kind(
    constraint: str, good: list[str], bad: list[str]
) -> None:
    router = Router()
    getattr(router.get("/x/{it}", action), constraint)("it")

    assert all(match(router, f"/x/{text}") is not None for text in good)
    assert all(match(router, f"/x/{text}") is None for text in bad)


def test_where_in_takes_values_or_an_enum() -> None:
    import enum

    class Status(enum.Enum):
        OPEN = "open"
        ON_HOLD = "on.hold"

    router = Router()
    router.get("/a/{s}", action).where_in("s", ["x", "y/z"])
    router.get("/b/{s}", action).where_in("s", Status)

    assert match(router, "/a/x") is not None
    assert match(router, "/a/y/z") is not None
    assert match(router, "/a/xx") is None
    assert match(router, "/b/on.hold") is not None
    assert match(router, "/b/onxhold") is None
    with pytest.raises(RouteDefinitionError, match="no values"):
        router.get("/c/{s}", action).where_in("s", [])


def test_a_constraint_that_matches_slashes_takes_the_rest_of_the_path() -> None:
    router = Router()
    router.get("/files/{path}", action).name("files").where("path", ".*")
    router.get("/tree/{path}/edit", action).name("edit").where("path", ".+")

    assert match(router, "/files/a/b/c.txt") == ("files", {"path": "a/b/c.txt"})
    assert match(router, "/files/a") == ("files", {"path": "a"})
    assert match(router, "/files") is None
    assert match(router, "/tree/a/b/edit") == ("edit", {"path": "a/b"})
    assert match(router, "/tree/a/b") is None


def test_a_catch_all_yields_to_routes_registered_before_it_and_wins_over_later_ones() -> None:
    router = Router()
    router.get("/a/{x}", action).name("before")
    router.get("/{all}", action).name("all").where("all", ".*")
    router.get("/b", action).name("after")
    router.get("/c/{x}", action).name("after too")

    assert match(router, "/a/1") == ("before", {"x": "1"})
    assert match(router, "/b") == ("all", {"all": "b"})
    assert match(router, "/c/1") == ("all", {"all": "c/1"})
    assert match(router, "/a/1/2") == ("all", {"all": "a/1/2"})


def test_an_alternation_is_held_together() -> None:
    router = Router()
    router.get("/{lang}/home", action).where("lang", "de|en")
    router.get("/x/{a}.{b}", action).where("a", "p|q").where("b", "r|s")

    assert match(router, "/de/home") is not None
    assert match(router, "/den/home") is None
    assert match(router, "/x/p.s") is not None
    assert match(router, "/x/p") is None


def test_several_parameters_may_share_a_segment() -> None:
    router = named("/files/{name}.{ext}", "/v{version}/x", "/{from}-{to}/rate")

    assert match(router, "/files/report.pdf") == (
        "/files/{name}.{ext}",
        {"name": "report", "ext": "pdf"},
    )
    assert match(router, "/files/a.tar.gz") == (
        "/files/{name}.{ext}",
        {"name": "a", "ext": "tar.gz"},
    )
    assert match(router, "/v2/x") == ("/v{version}/x", {"version": "2"})
    assert match(router, "/v/x") is None
    assert match(router, "/EUR-USD/rate") == ("/{from}-{to}/rate", {"from": "EUR", "to": "USD"})
    assert match(router, "/files/report") is None


def test_the_separator_goes_with_an_optional_part_of_a_segment() -> None:
    router = named("/files/{name}.{ext?}")

    assert match(router, "/files/a.b") == ("/files/{name}.{ext?}", {"name": "a", "ext": "b"})
    assert match(router, "/files/a") == ("/files/{name}.{ext?}", {"name": "a"})


def test_an_optional_parameter_makes_its_slash_optional() -> None:
    router = named("/greet/{name?}", "/cal/{year}/{month?}/{day?}", "/{lang?}/help")

    assert match(router, "/greet") == ("/greet/{name?}", {})
    assert match(router, "/greet/") == ("/greet/{name?}", {})
    assert match(router, "/greet/ann") == ("/greet/{name?}", {"name": "ann"})
    assert match(router, "/cal/2026") == ("/cal/{year}/{month?}/{day?}", {"year": "2026"})
    assert match(router, "/cal/2026/1/2") == (
        "/cal/{year}/{month?}/{day?}",
        {"year": "2026", "month": "1", "day": "2"},
    )
    assert match(router, "/cal/2026/1") == (
        "/cal/{year}/{month?}/{day?}",
        {"year": "2026", "month": "1"},
    )
    assert match(router, "/help") == ("/{lang?}/help", {})
    assert match(router, "/de/help") == ("/{lang?}/help", {"lang": "de"})


def test_get_serves_head_and_any_serves_all() -> None:
    router = Router()
    get = router.get("/a", action)
    post = router.post("/b", action)
    everything = router.any("/c", action)

    assert get.methods == ["GET", "HEAD"]
    assert post.methods == ["POST"]
    assert set(everything.methods) == {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
    assert router.match(["get", "post"], "/d", action).methods == ["GET", "HEAD", "POST"]
    for verb in ("put", "patch", "delete", "options"):
        assert getattr(router, verb)("/e", action).methods == [verb.upper()]


def test_a_route_for_head_alone_does_not_serve_get() -> None:
    router = Router()
    router.match(["HEAD"], "/a", action).name("head")
    router.get("/a", action).name("get")

    assert match(router, "/a", "HEAD") == ("head", {})
    assert match(router, "/a", "GET") == ("get", {})


def test_a_route_changed_after_the_first_lookup_is_found_as_it_is_now() -> None:
    router = Router()
    route = router.get("/a/{id}", action)
    assert match(router, "/a/x") is not None

    route.where_number("id")
    router.get("/b", action)

    assert match(router, "/a/x") is None
    assert match(router, "/b") is not None
    route.prefix("v1")
    assert match(router, "/v1/a/5") is not None
    assert match(router, "/a/5") is None


def test_patterns_constrain_every_parameter_of_that_name() -> None:
    router = Router()
    router.pattern("id", "[0-9]+")
    router.get("/a/{id}", action)
    router.get("/b/{id}", action).where("id", "[a-z]+")

    assert match(router, "/a/x") is None
    assert match(router, "/b/x") is not None


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("/a/{id", "unpaired brace"),
        ("/a/}b", "unpaired brace"),
        ("/a/{}", "write {name}"),
        ("/a/{1x}", "write {name}"),
        ("/a/{x y}", "write {name}"),
        ("/{a}/{a}", "twice"),
        ("/" + "/".join(f"{{p{n}?}}" for n in range(6)), "optional"),
    ],
)
def test_a_malformed_uri_is_refused_at_registration(uri: str, words: str) -> None:
    with pytest.raises(RouteDefinitionError, match=words):
        Router().get(uri, action)


def test_a_malformed_constraint_is_refused_where_it_is_written() -> None:
    route = Router().get("/a/{id}", action)

    with pytest.raises(RouteDefinitionError, match=r"'\[0-9'.*a/\{id\}"):
        route.where("id", "[0-9")
    with pytest.raises(RouteDefinitionError, match="needs a regular expression"):
        route.where("id")
    with pytest.raises(RouteDefinitionError):
        Router().pattern("id", "(")


def test_an_unknown_method_is_refused_at_registration() -> None:
    with pytest.raises(RouteDefinitionError, match="BREW"):
        Router().match("brew", "/a", action)
    with pytest.raises(RouteDefinitionError, match="no method"):
        Router().match([], "/a", action)


def test_routes_and_names_are_listed_in_order() -> None:
    router = Router()
    a = router.get("/a", action).name("a")
    b = router.get("/b", action)
    last = router.fallback(action)

    assert router.routes() == [a, b, last]
    assert router.named_routes() == {"a": a}
    assert router.has("a")
    assert not router.has("a", "b")
    assert (a.uri, b.route_name) == ("a", None)
    assert repr(a) == "<Route GET|HEAD a>"
    router.clear()
    assert router.routes() == []


def test_a_route_is_asked_for_its_name_by_pattern() -> None:
    route = Router().get("/", action).name("orders.").name("show")

    assert route.route_name == "orders.show"
    assert route.is_named("orders.*")
    assert not route.is_named("users.*")
    assert route.parameters == {}
    assert route.parameter("id", 7) == 7


def test_threads_may_look_up_while_the_tree_is_built() -> None:
    router = named(*(f"/r{n}/{{id}}" for n in range(300)))
    found: list[Any] = []

    def look() -> None:
        found.append(match(router, "/r299/5"))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [("/r299/{id}", {"id": "5"})] * 8


# --- through the kernel ---------------------------------------------------------------------------


def test_an_unknown_path_is_404_and_says_which() -> None:
    answer = Client(named("/a")).get("/users/5")

    assert answer.status == 404
    assert answer.text == "The route users/5 could not be found."


def test_a_wrong_method_is_405_and_says_which_are_right() -> None:
    router = Router()
    router.get("/users", action)
    router.put("/users", action)

    answer = Client(router).post("/users")

    assert answer.status == 405
    assert answer.header("Allow") == "GET, HEAD, PUT"
    assert answer.text == (
        "The POST method is not supported for route users. Supported methods: GET, HEAD, PUT."
    )


def test_head_runs_get_without_its_body() -> None:
    router = Router()
    router.get("/a", lambda: "hello")

    answer = Client(router).request("HEAD", "/a")

    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("Content-Length") == "5"


def test_options_that_no_route_serves_lists_the_methods() -> None:
    router = Router()
    router.get("/a", action)
    router.options("/b", lambda: "mine")

    client = Client(router)

    assert client.request("OPTIONS", "/a").status == 200
    assert client.request("OPTIONS", "/a").header("Allow") == "GET, HEAD"
    assert client.request("OPTIONS", "/b").text == "mine"
    assert client.request("OPTIONS", "/nowhere").status == 404


def test_a_fallback_answers_where_no_route_does_but_not_a_wrong_method() -> None:
    router = Router()
    router.fallback(lambda request: (f"no {request.path()}", 404))
    router.get("/a", action)

    client = Client(router)

    assert client.get("/x/y").text == "no x/y"
    assert client.post("/x").text == "no x"
    assert client.post("/a").status == 405


def test_parameters_are_decoded_once_and_an_escaped_slash_stays_inside() -> None:
    router = Router()
    router.get("/files/{name}", lambda name: [name])

    client = Client(router)

    assert client.get("/files/a%2Fb").json() == ["a/b"]
    assert client.get("/files/100%2525").json() == ["100%25"]
    assert client.get("/files/caf%C3%A9").json() == ["café"]
    assert client.get("/files/a+b").json() == ["a+b"]
    assert client.get("/files/%ff").status == 400


def test_redirects_put_the_values_of_the_path_into_their_target() -> None:
    router = Router()
    router.redirect("/old/{id}", "/new/{id}")
    router.permanent_redirect("/gone", "/here")

    client = Client(router)

    assert client.get("/old/7").status == 302
    assert client.get("/old/a%20b").header("Location") == "/new/a%20b"
    assert client.get("/old/%0d%0aSet-Cookie:x").header("Location") == "/new/%0D%0ASet-Cookie:x"
    assert (client.get("/gone").status, client.get("/gone").header("Location")) == (301, "/here")


def test_an_optional_parameter_takes_its_segment_before_one_that_may_span_several() -> None:
    router = Router()
    router.get("/{o?}/a/{y}", action).where("y", ".*b.*")

    assert router.find("GET", "/a/a/b")[1] == {"o": "a", "y": "b"}
    assert router.find("GET", "/a/b")[1] == {"y": "b"}
    assert router.find("GET", "/a/c/b")[1] == {"y": "c/b"}


# --- against a list of patterns -------------------------------------------------------------------

segments = st.sampled_from(["a", "b", "{x}", "{y}", "{n}", "{o?}", "{f}.{e}", "a.b"])
uris = st.lists(segments, min_size=0, max_size=4, unique=True).map(lambda s: "/" + "/".join(s))
paths = st.lists(st.sampled_from(["a", "b", "7", "a.b", "c.7", ""]), max_size=5).map(
    lambda s: "/" + "/".join(s)
)


def slow_find(router: Router, method: str, path: str) -> Any:
    """The rule read literally: the first route, in order, whose pattern fits the path."""
    import re

    from so.http.routing.template import segment_pattern, variants

    if "//" in path:
        return None
    path = path.removesuffix("/") or "/"
    for route in router.routes():
        for some in variants(route.segments):
            pattern = "/" + "/".join(segment_pattern(s, route.wheres, named=True) for s in some)
            found = re.fullmatch(pattern, path, re.DOTALL)
            if method in route.methods and found:
                given = {k: v for k, v in found.groupdict().items() if v is not None}
                return route, given
    return None


@settings(max_examples=300, deadline=None)
@given(
    routes=st.lists(st.tuples(uris, st.booleans(), st.sampled_from(["get", "post"])), max_size=7),
    tried=st.lists(paths, min_size=1, max_size=12),
)
def test_the_tree_finds_what_a_list_of_patterns_would(
    routes: list[tuple[str, bool, str]], tried: list[str]
) -> None:
    router = Router()
    for uri, is_constrained, verb in routes:
        route = getattr(router, verb)(uri, action)
        if is_constrained and "{n}" in uri:
            route.where_number("n")
        if is_constrained and "{y}" in uri:
            route.where("y", ".*b.*")

    for path in tried:
        for method in ("GET", "POST"):
            assert router.find(method, path) == slow_find(router, method, path), path

"""The container: bindings, autowiring, calls, hooks, and errors that name the chain."""

from __future__ import annotations

import abc
import functools
import threading
from typing import Optional

import pytest

from so.container import Container, ServiceProvider
from so.errors import (
    BindingResolutionError,
    CircularDependencyError,
    ContainerError,
    EntryNotFoundError,
)
from so.support.scope import Scope, entered


class Repository:
    pass


class SqlRepository(Repository):
    pass


class Service:
    def __init__(self, repository: Repository) -> None:
        self.repository = repository


class Controller:
    def __init__(self, service: Service, page: int = 10) -> None:
        self.service = service
        self.page = page

    def show(self, repository: Repository, id: int = 0) -> tuple[Repository, int]:
        return repository, id

    def __call__(self, service: Service) -> Service:
        return service


class Left:
    def __init__(self, right: Right) -> None:
        self.right = right


class Right:
    def __init__(self, left: Left) -> None:
        self.left = left


class Gateway(abc.ABC):
    @abc.abstractmethod
    def pay(self) -> None: ...


class Shop:
    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway


@pytest.fixture
def container():
    return Container()


def test_a_class_is_made_with_what_its_annotations_ask_for(container):
    controller = container.make(Controller)

    assert isinstance(controller.service.repository, Repository)
    assert controller.page == 10
    assert container.make(Controller) is not controller


def test_a_binding_replaces_what_autowiring_would_make(container):
    container.bind(Repository, SqlRepository)

    assert type(container.make(Service).repository) is SqlRepository


def test_a_singleton_is_made_once(container):
    container.singleton(Service, lambda c: Service(c.make(Repository)))

    assert container.make(Service) is container.make(Service)
    assert container.make(Controller).service is container.make(Service)


def test_a_recipe_gets_the_parameters_when_it_takes_two_arguments(container):
    container.bind("greeting", lambda c, params: f"hello {params.get('name', 'you')}")

    assert container.make("greeting", {"name": "Ada"}) == "hello Ada"
    assert container.make("greeting") == "hello you"


def test_parameters_on_a_singleton_make_a_fresh_object_that_is_not_stored(container):
    container.singleton(Controller)
    kept = container.make(Controller)

    other = container.make(Controller, page=3)

    assert other.page == 3
    assert container.make(Controller) is kept


def test_a_scoped_binding_lives_for_one_scope(container):
    container.scoped(Service)
    with entered(Scope("request")):
        first = container.make(Service)
        assert container.make(Service) is first
    with entered(Scope("request")):
        assert container.make(Service) is not first
    outside = container.make(Service)
    assert container.make(Service) is outside
    container.forget_scoped_instances()
    assert container.make(Service) is not outside


def test_binding_anything_but_a_class_a_name_or_a_callable_is_a_type_error(container):
    with pytest.raises(TypeError, match="give a class"):
        container.bind("x", 5)


def test_rebinding_drops_the_instance_and_the_alias(container):
    container.singleton("a", lambda c: "one")
    assert container.make("a") == "one"

    container.bind("a", lambda c: "two")

    assert container.make("a") == "two"


def test_an_alias_means_its_target_and_may_not_go_in_circles(container):
    container.instance("cache", 1)
    container.alias("cache", "store")

    assert container.make("store") == 1
    assert container.is_alias("store")
    with pytest.raises(ValueError, match="aliased to itself"):
        container.alias("x", "x")
    with pytest.raises(ValueError, match="aliased to itself"):
        container.alias("store", "cache")


def test_an_unknown_name_says_that_it_does_not_exist(container):
    with pytest.raises(BindingResolutionError, match=r"^Target class \[x\] does not exist\.$"):
        container.make("x")


def test_an_abstract_class_names_what_was_being_built(container):
    with pytest.raises(
        BindingResolutionError,
        match=r"Target \[Gateway\] is not instantiable while building \[Shop\]\.",
    ):
        container.make(Shop)


def test_a_builtin_without_default_is_unresolvable_and_named(container):
    class Foo:
        def __init__(self, name: int) -> None: ...

    with pytest.raises(
        BindingResolutionError,
        match=r"Unresolvable dependency resolving \[name: int\] in class Foo",
    ):
        container.make(Foo)


def test_a_circle_shows_its_chain_and_leaves_the_container_usable(container):
    with pytest.raises(CircularDependencyError, match="Left -> Right -> Left"):
        container.make(Left)
    with pytest.raises(CircularDependencyError, match="Right -> Left -> Right"):
        container.make(Right)
    assert isinstance(container.make(Service), Service)


def test_a_circle_through_recipes_is_found_as_well(container):
    container.bind("a", lambda c: c.make("b"))
    container.bind("b", lambda c: c.make("a"))

    with pytest.raises(CircularDependencyError, match="a -> b -> a"):
        container.make("a")
    container.bind("b", lambda c: 1)
    assert container.make("a") == 1


def test_an_optional_dependency_is_none_when_it_cannot_be_made(container):
    class Shop:
        def __init__(self, gateway: Gateway | None, other: Optional[Repository]) -> None:  # noqa: UP045
            self.gateway, self.other = gateway, other

    shop = container.make(Shop)

    assert shop.gateway is None
    assert isinstance(shop.other, Repository)


def test_a_class_with_a_default_falls_back_to_it(container):
    class Shop:
        def __init__(self, gateway: Gateway = None) -> None:  # type: ignore[assignment]
            self.gateway = gateway

    assert container.make(Shop).gateway is None
    container.bind(Gateway, lambda c: c.make("nothing"))
    assert container.make(Shop).gateway is None


def test_keyword_only_positional_only_and_variadic_parameters(container):
    class Odd:
        def __init__(self, a: Repository, /, *rest: Service, b: Service, **more: int) -> None:
            self.a, self.rest, self.b, self.more = a, rest, b, more

    odd = container.make(Odd)

    assert isinstance(odd.a, Repository)
    assert isinstance(odd.b, Service)
    assert odd.rest == ()
    assert odd.more == {}


def test_string_annotations_are_understood(container):
    class Foo:
        def __init__(self, service: "Service") -> None:  # noqa: UP037
            self.service = service

    assert isinstance(container.make(Foo).service, Service)


def test_contextual_bindings_give_one_class_something_else(container):
    container.when(Service).needs(Repository).give(SqlRepository)

    assert type(container.make(Service).repository) is SqlRepository
    assert type(container.make(Repository)) is Repository
    assert container.has_contextual_binding(Service, Repository)
    container.forget_contextual_binding(Service, Repository)
    assert type(container.make(Service).repository) is Repository


def test_contextual_values_callables_tags_and_settings(container):
    class Report:
        def __init__(self, size: int, title: str, *parts: Repository) -> None:
            self.size, self.title, self.parts = size, title, parts

    container.instance("config", {"report.title": "Sales"})
    container.tag([Repository, SqlRepository], "parts")
    container.when([Report]).needs("$size").give(lambda c: 7)
    container.when(Report).needs("$title").give_config("report.title", "None")
    container.when(Report).needs(Repository).give_tagged("parts")

    report = container.make(Report)

    assert (report.size, report.title) == (7, "Sales")
    assert [type(p) for p in report.parts] == [Repository, SqlRepository]
    container.forget_contextual_binding(Report)
    assert not container.has_contextual_binding(Report)


def test_give_before_needs_says_what_is_missing(container):
    with pytest.raises(ContainerError, match="needs"):
        container.when(Service).give(1)


def test_tagged_objects_are_lazy_and_can_be_iterated_again(container):
    made = []
    container.bind("a", lambda c: made.append("a") or "A")
    container.tag("a", "letters", "all")

    letters = container.tagged("letters")

    assert (made, len(letters)) == ([], 1)
    assert list(letters) == list(letters) == ["A"]
    assert list(container.tagged("none")) == []


def test_extenders_wrap_in_order_before_and_after_binding(container):
    container.extend("n", lambda n, c: n + 1)
    container.bind("n", lambda c: 1)
    container.extend("n", lambda n, c: n * 10)
    assert container.make("n") == 20

    container.instance("m", 1)
    container.extend("m", lambda m, c: m + 5)
    assert container.make("m") == 6


def test_callbacks_before_while_and_after_resolving(container):
    seen = []
    container.before_resolving(lambda abstract: seen.append(("before", abstract)))
    container.resolving(Service, lambda obj: seen.append(("during", type(obj))))
    container.after_resolving(lambda obj, c: seen.append(("after", type(obj))))

    container.make(Service)

    assert seen[0] == ("before", Service)
    assert ("during", Service) in seen
    assert seen[-1] == ("after", Service)
    assert ("during", Repository) not in seen


def test_rebinding_tells_those_who_asked(container):
    seen = []
    container.bind("x", lambda c: 1)
    assert container.rebinding("x", lambda c, value: seen.append(value)) == 1

    container.instance("x", 2)
    container.bind("x", lambda c: 3)

    assert seen == [2, 3]


def test_call_injects_and_merges_parameters_by_name(container):
    def work(service: Service, times: int, label: str = "x"):
        return type(service), times, label

    assert container.call(work, {"times": 3}) == (Service, 3, "x")
    with pytest.raises(BindingResolutionError, match=r"\[times: int\] in work\(\)"):
        container.call(work)


def test_call_takes_every_form_of_a_method(container):
    controller = Controller(Service(Repository()))
    container.instance("controller", controller)

    for target in (
        controller.show,
        [controller, "show"],
        [Controller, "show"],
        Controller.show,
        "controller@show",
    ):
        repository, id = container.call(target, {"id": 5})
        assert isinstance(repository, Repository)
        assert id == 5
    assert isinstance(container.call(Controller), Service)
    assert container.call("controller", {"id": 2}, "show")[1] == 2
    assert isinstance(container.call(controller), Service)


def test_call_finds_the_class_of_a_method_defined_inside_a_function(container):
    class Local:
        def run(self, service: Service) -> str:
            return type(self).__name__ + type(service).__name__

    assert container.call(Local.run) == "LocalService"


def test_call_refuses_what_cannot_be_called(container):
    with pytest.raises(BindingResolutionError, match="name@method"):
        container.call("controller")
    with pytest.raises(BindingResolutionError, match="not callable"):
        container.call(5)


def test_a_bound_method_callback_answers_instead(container):
    container.bind_method("Controller@show", lambda obj, c: "instead")

    assert container.call([Controller, "show"]) == "instead"
    assert container.call(Controller.show) == "instead"


def test_method_calls_honour_contextual_bindings(container):
    container.when(Controller).needs(Repository).give(SqlRepository)

    assert type(container.call([Controller, "show"])[0]) is SqlRepository


def test_items_and_membership(container):
    container["answer"] = 42
    container["made"] = lambda: "fresh"

    assert container["answer"] == 42
    assert container["made"] == "fresh"
    assert "answer" in container
    assert container.has("answer")
    del container["answer"]
    assert "answer" not in container


def test_asking_about_bindings(container):
    container.singleton("s", lambda c: object())
    container.bind("t", lambda c: 1)

    assert container.is_shared("s")
    assert not container.is_shared("t")
    assert not container.resolved("t")
    container.make("t")
    assert container.resolved("t")
    assert set(container.get_bindings()) == {"s", "t"}


def test_the_if_forms_bind_only_what_is_not_bound(container):
    container.bind_if("a", lambda c: 1)
    container.bind_if("a", lambda c: 2)
    container.singleton_if("a", lambda c: 3)
    container.scoped_if("a", lambda c: 4)

    assert container.make("a") == 1


def test_get_factory_build_and_make_with(container):
    with pytest.raises(EntryNotFoundError, match=r"\[nothing\]"):
        container.get("nothing")
    assert isinstance(container.get(Service), Service)
    assert isinstance(container.factory(Service)(), Service)
    container.singleton(Controller)
    assert container.build(Controller) is not container.make(Controller)
    assert container.make_with(Controller, {"page": 1}).page == 1


def test_forgetting(container):
    container.singleton(Service)
    first = container.make(Service)
    container.forget_instance(Service)
    second = container.make(Service)
    assert second is not first
    container.forget_instances()
    assert container.make(Service) is not second
    container.flush()
    assert container.get_bindings() == {}


def test_a_singleton_is_constructed_once_by_many_threads(container):
    made = []

    class Slow:
        def __init__(self) -> None:
            made.append(1)

    container.singleton(Slow)
    barrier = threading.Barrier(8)

    def work():
        barrier.wait()
        container.make(Slow)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_a_name_bound_to_another_name_is_followed(container):
    container.bind("repo", Repository)
    container.bind("storage", "repo")
    container.bind("sql", lambda c: SqlRepository())
    container.bind(Repository, "sql")

    assert type(container.make("storage")) is SqlRepository
    assert type(container.make("storage", {"x": 1})) is SqlRepository


# --- what strangers tried -------------------------------------------------------------------------


def test_a_circle_of_aliases_is_refused_wherever_it_closes(container):
    container.instance("a", 1)
    container.alias("a", "b")
    container.alias("b", "c")

    for abstract, alias in (("c", "a"), ("c", "b"), ("b", "a")):
        with pytest.raises(ValueError, match="aliased to itself"):
            container.alias(abstract, alias)
    assert container.make("c") == 1


def test_questions_about_an_alias_are_answered_for_what_it_stands_for(container):
    container.singleton("a", lambda: object())
    container.alias("a", "b")

    assert container.is_shared("b")
    assert not container.resolved("b")
    container.make("a")
    assert container.resolved("b")
    container.forget_instance("b")
    container.when(Service).needs("b").give(SqlRepository)
    container.alias("a", Repository)
    assert type(container.make(Service).repository) is SqlRepository


def test_every_callback_gets_as_much_as_it_takes(container):
    seen = []
    container.bind("x", lambda: 1)
    container.extend("x", lambda value: value + 1)
    container.instance("y", 1)
    container.extend("y", lambda value: value + 1)
    container.make("x")
    container.rebinding("x", lambda: seen.append("rebound"))

    container.bind("x", lambda: 5)

    assert seen == ["rebound"]
    assert (container.make("x"), container.make("y")) == (6, 2)


def test_tags_may_be_lists_and_are_looked_up_when_iterated(container):
    letters = container.tagged("letters")

    container.tag(Repository, ["letters", "all"])

    assert [type(one) for one in letters] == [Repository]
    assert len(container.tagged("all")) == 1


def test_what_is_given_by_name_is_the_value_itself(container):
    class Report:
        def __init__(self, name: str, sizes: list, kind: Repository, made: int) -> None:
            self.all = (name, sizes, made)
            self.kind = kind

    container.instance("cache", object())
    report = container.when(Report)
    report.needs("$name").give("cache")
    report.needs("$sizes").give((1, 2))
    report.needs("$kind").give(SqlRepository)
    report.needs("$made").give(lambda: 3)

    assert container.make(Report).all == ("cache", (1, 2), 3)
    assert type(container.make(Report).kind) is SqlRepository


def test_variadic_parameters_may_be_given_in_every_way(container):
    class All:
        def __init__(self, *parts: Repository) -> None:
            self.parts = parts

    container.when(All).needs(Repository).give(SqlRepository)
    assert [type(p) for p in container.make(All).parts] == [SqlRepository]
    container.when(All).needs(Repository).give([Repository, SqlRepository])
    assert [type(p) for p in container.make(All).parts] == [Repository, SqlRepository]
    assert container.make(All, parts=[1, 2]).parts == (1, 2)


def test_a_method_that_is_not_there_cannot_be_called(container):
    for target in ([Controller, "nothing"], "controller@nothing", [Controller, "__doc__"]):
        container.bind("controller", Controller)
        with pytest.raises(BindingResolutionError, match=r"Method Controller\.\w+ does not exist"):
            container.call(target)


def test_partial_functions_get_what_the_function_asks_for(container):
    def work(times: int, service: Service) -> tuple[int, type]:
        return times, type(service)

    assert container.call(functools.partial(work, 3)) == (3, Service)


def test_static_and_class_methods_are_called(container):
    class Tools:
        @staticmethod
        def plain(service: Service) -> type:
            return type(service)

        @classmethod
        def of_class(cls, service: Service) -> tuple[type, type]:
            return cls, type(service)

    assert container.call(Tools.plain) is container.call([Tools, "plain"]) is Service
    assert container.call(Tools.of_class) == container.call([Tools, "of_class"]) == (Tools, Service)


def test_bind_method_takes_every_form_of_a_key(container):
    controller = Controller(Service(Repository()))
    for key in ("Controller@show", [Controller, "show"], [controller, "show"], Controller.show):
        fresh = Container()
        fresh.bind_method(key, lambda obj: type(obj).__name__)
        assert fresh.call([controller, "show"]) == "Controller"
        assert fresh.call(controller.show) == "Controller"


def test_build_makes_a_new_one_whatever_is_bound(container):
    kept = container.instance(Repository, Repository())

    assert container.build(Repository) is not kept
    assert container.build(lambda c: c.make(Repository)) is kept
    with pytest.raises(BindingResolutionError, match="not instantiable"):
        container.build(Gateway)


def test_get_tells_unknown_names_from_things_that_cannot_be_made(container):
    with pytest.raises(EntryNotFoundError, match=r"\[nothing\]"):
        container.get("nothing")
    with pytest.raises(BindingResolutionError, match="not instantiable"):
        container.get(Gateway)
    assert isinstance(container.get(Repository), Repository)


def test_classes_that_take_their_arguments_when_created(container):
    class Created:
        service: Service

        def __new__(cls, service: Service) -> Created:
            made = object.__new__(cls)
            made.service = service
            return made

    Created.__new__.__annotations__["service"] = Service

    assert isinstance(container.make(Created).service, Service)


def test_a_builtin_class_can_be_bound_and_the_container_asks_for_itself(container):
    class Factory:
        def __init__(self, container: Container) -> None:
            self.container = container

    container.bind("settings", dict)

    assert container.make("settings") == {}
    assert container.make(Factory).container is container


def test_binding_a_scoped_name_again_takes_effect_within_the_scope(container):
    with entered(Scope("request")):
        container.scoped("x", lambda: 1)
        assert container.make("x") == 1
        container.scoped("x", lambda: object())
        first = container.make("x")
        container.forget_instance("x")
        assert container.make("x") not in (1, first)
        del container["x"]
        assert "x" not in container


def test_two_containers_share_nothing_within_one_scope(container):
    other = Container()
    container.scoped("x", lambda: 1)
    other.scoped("x", lambda: 2)

    with entered(Scope("request")):
        assert (container.make("x"), other.make("x")) == (1, 2)


def test_a_name_bound_to_a_name_and_parameters_on_the_way(container):
    container.bind("short", "long")
    container.bind("long", Controller)
    container.bind(Repository, SqlRepository)

    assert container.make("short", page=3).page == 3
    assert type(container.make(Repository, {"unused": 1})) is SqlRepository
    assert container.make("long", {"page": 4}).page == 4
    with pytest.raises(BindingResolutionError, match=r"\[nothing\] does not exist"):
        container.make("nothing", page=1)


def test_flush_forgets_everything(container):
    container.singleton("a", lambda: 1)
    container.alias("a", "b")
    container.make("a")
    container.tag("a", "t")
    container.resolving(lambda obj: None)

    container.flush()

    assert (container.get_bindings(), list(container.tagged("t"))) == ({}, [])
    assert not container.resolved("a")
    container.instance("c", 1)
    container.forget_instances()
    assert not container.bound("c")


def test_a_constructor_that_fails_leaves_the_container_as_it_was(container):
    def fail(c: Container) -> None:
        raise KeyError("mine")

    container.singleton("x", fail)
    for _ in range(2):
        with pytest.raises(KeyError, match="mine"):
            container.make("x")
    with pytest.raises(BindingResolutionError, match=r"while building \[Shop\]\.$"):
        container.make(Shop)


def test_a_default_does_not_hide_an_error_of_the_constructor(container):
    class Broken:
        def __init__(self) -> None:
            raise RuntimeError("mine")

    class Shop:
        def __init__(self, broken: Broken | None = None) -> None: ...

    with pytest.raises(RuntimeError, match="mine"):
        container.make(Shop)


def test_a_parameter_without_annotation_is_unresolvable(container):
    class Foo:
        def __init__(self, thing) -> None: ...

    with pytest.raises(BindingResolutionError, match=r"resolving \[thing\] in class Foo"):
        container.make(Foo)
    with pytest.raises(BindingResolutionError, match=r"resolving \[thing\] in <lambda>"):
        container.call(lambda thing: thing)


def test_callbacks_of_a_class_are_for_what_is_made_of_it(container):
    seen = []
    container.before_resolving(Repository, lambda abstract, params: seen.append(params))
    container.resolving(Repository, lambda obj: seen.append(type(obj)))
    container.bind("mine", SqlRepository)

    container.make("mine")
    container.make(SqlRepository, {"unused": 1})
    container.make(Service)

    assert seen == [SqlRepository, {"unused": 1}, SqlRepository, {}, Repository]


def test_a_provider_joins_what_is_made_as_soon_as_it_is_there(container):
    seen = []
    container.singleton("router", lambda: "a router")
    provider = ServiceProvider(container)

    provider.call_after_resolving("router", lambda router: seen.append(("later", router)))
    assert seen == []

    container.make("router")
    provider.call_after_resolving("router", lambda router: seen.append(("now", router)))
    assert seen == [("later", "a router"), ("now", "a router")]

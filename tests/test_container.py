"""The container: bindings, autowiring, calls, hooks, and errors that name the chain."""

from __future__ import annotations

import abc
import threading
from typing import Optional

import pytest

from so.container import Container
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

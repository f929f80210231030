"""What is bound: what to make of what, how long it lives, and who is told.

Making it is so/container.py's. Every change throws the plans away, so that none of them has to look
at the bindings again.
"""

from __future__ import annotations

import inspect
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast

from so.errors import ContainerError
from so.support.listed import listed
from so.support.scope import current_scope
from so.support.signatures import arity, class_of_method

T = TypeVar("T")
Abstract = Any  # a class or a string
Plan = Callable[[], Any]


class Binding:
    """How to make one abstract, and how long the result lives."""

    __slots__ = ("concrete", "lifetime")

    def __init__(self, concrete: Any, lifetime: str) -> None:
        self.concrete = concrete
        self.lifetime = lifetime  # 'transient', 'shared' or 'scoped'


class Bindings(ABC):
    """The half of a Container that knows; safe to use from several threads."""

    def __init__(self) -> None:
        self._bindings: dict[Abstract, Binding] = {}
        self._instances: dict[Abstract, Any] = {}
        self._scoped: dict[Abstract, Any] = {}
        self._aliases: dict[Abstract, Abstract] = {}
        self._contextual: dict[Abstract, dict[Abstract, Any]] = {}
        self._tags: dict[str, list[Abstract]] = {}
        self._extenders: dict[Abstract, list[Callable[..., Any]]] = {}
        self._rebound: dict[Abstract, list[Callable[..., Any]]] = {}
        self._methods: dict[str, Callable[..., Any]] = {}
        self._hooks: dict[str, list[tuple[Abstract, Callable[..., Any]]]] = {
            "before": [],
            "during": [],
            "after": [],
        }
        self._resolved: set[Abstract] = set()
        self._plans: dict[Abstract, Plan] = {}
        self._lock = threading.RLock()
        self._building = threading.local()

    # --- binding ---

    def bind(self, abstract: Abstract, concrete: Any = None, shared: bool = False) -> None:
        """Make *abstract* from *concrete*: a class, a name, a callable, or None for itself.

        A callable gets the container, and the parameters as well if it takes two arguments.
        Raises TypeError for anything else.
        """
        self._bind(abstract, concrete, "shared" if shared else "transient")

    def singleton(self, abstract: Abstract, concrete: Any = None) -> None:
        """Bind, and make it only once."""
        self._bind(abstract, concrete, "shared")

    def scoped(self, abstract: Abstract, concrete: Any = None) -> None:
        """Bind, and make it once per request or job."""
        self._bind(abstract, concrete, "scoped")

    def bind_if(self, abstract: Abstract, concrete: Any = None, shared: bool = False) -> None:
        """Bind unless something is bound."""
        if not self.bound(abstract):
            self.bind(abstract, concrete, shared)

    def singleton_if(self, abstract: Abstract, concrete: Any = None) -> None:
        """Bind as a singleton unless something is bound."""
        if not self.bound(abstract):
            self.singleton(abstract, concrete)

    def scoped_if(self, abstract: Abstract, concrete: Any = None) -> None:
        """Bind as scoped unless something is bound."""
        if not self.bound(abstract):
            self.scoped(abstract, concrete)

    def _bind(self, abstract: Abstract, concrete: Any, lifetime: str) -> None:
        if concrete is None:
            concrete = abstract
        if not (isinstance(concrete, str) or callable(concrete)):
            raise TypeError(
                f"cannot bind {name_of(abstract)} to {concrete!r}: "
                "give a class, a name, a callable or nothing"
            )
        with self._lock:
            self._aliases.pop(abstract, None)
            self._instances.pop(abstract, None)
            self._scope().pop(abstract, None)
            self._bindings[abstract] = Binding(concrete, lifetime)
            self._changed()
        if abstract in self._resolved:
            self._fire_rebound(abstract)

    def instance(self, abstract: Abstract, obj: T) -> T:
        """Give out *obj* itself for *abstract*; returns it."""
        with self._lock:
            known = self.bound(abstract)
            self._aliases.pop(abstract, None)
            self._instances[abstract] = obj
            self._changed()
        if known:
            self._fire_rebound(abstract)
        return obj

    def alias(self, abstract: Abstract, alias: Abstract) -> None:
        """Let *alias* mean *abstract*; raises ValueError if that would go round in a circle."""
        if alias in self._aliases_from(abstract):
            raise ValueError(f"[{name_of(alias)}] is aliased to itself.")
        with self._lock:
            self._aliases[alias] = abstract
            self._changed()

    def extend(self, abstract: Abstract, fn: Callable[..., Any]) -> None:
        """Pass every *abstract* through `fn(obj, container)`, in the order of the calls."""
        abstract = self.get_alias(abstract)
        with self._lock:
            if abstract in self._instances:
                self._instances[abstract] = answer(fn, self._instances[abstract], self)
            else:
                self._extenders.setdefault(abstract, []).append(fn)
            self._changed()
        if abstract in self._resolved:
            self._fire_rebound(abstract)

    def tag(self, abstracts: Any, *tags: Any) -> None:
        """Put one abstract, or a list of them, under each of *tags*."""
        for tag in tags:
            for name in listed(tag):
                self._tags.setdefault(name, []).extend(listed(abstracts))

    def tagged(self, tag: str) -> Tagged:
        """The objects under *tag*, made as they are asked for, anew in each iteration."""
        return Tagged(self, self._tags.setdefault(tag, []))

    def when(self, concrete: Any) -> ContextualBuilder:
        """Begin `when(X).needs(Y).give(Z)`: what X, or each of several, gets for Y."""
        return ContextualBuilder(self, list(listed(concrete)))

    def add_contextual_binding(self, concrete: Abstract, needs: Abstract, given: Any) -> None:
        """What `when(concrete).needs(needs).give(given)` does."""
        with self._lock:
            self._contextual.setdefault(self.get_alias(concrete), {})[needs] = given
            self._changed()

    def get_contextual_bindings(self) -> dict[Abstract, dict[Abstract, Any]]:
        """All contextual bindings: who → what it needs → what it is given."""
        return self._contextual

    def has_contextual_binding(self, concrete: Abstract, needs: Abstract = None) -> bool:
        """True if *concrete* has one (for *needs*, if named)."""
        given = self._contextual.get(self.get_alias(concrete), {})
        return bool(given) if needs is None else needs in given

    def forget_contextual_binding(self, concrete: Abstract, needs: Abstract = None) -> None:
        """Drop the contextual binding for *needs*, or all of *concrete*."""
        with self._lock:
            if needs is None:
                self._contextual.pop(self.get_alias(concrete), None)
            else:
                self._contextual.get(self.get_alias(concrete), {}).pop(needs, None)
            self._changed()

    def bind_method(self, key: Any, callback: Callable[..., Any]) -> None:
        """Answer `call` of `'Class@method'` by `callback(obj, container)`."""
        self._methods[method_key(key)] = callback

    def before_resolving(self, abstract: Any, callback: Callable[..., Any] | None = None) -> None:
        """Call `callback(abstract, params, container)` before it is made (None: before all)."""
        self._hook("before", abstract, callback)

    def resolving(self, abstract: Any, callback: Callable[..., Any] | None = None) -> None:
        """Call `callback(obj, container)` when one was made (None: for all)."""
        self._hook("during", abstract, callback)

    def after_resolving(self, abstract: Any, callback: Callable[..., Any] | None = None) -> None:
        """The same, after all `resolving` callbacks."""
        self._hook("after", abstract, callback)

    def rebinding(self, abstract: Abstract, callback: Callable[..., Any]) -> Any:
        """Call `callback(container, obj)` when *abstract* is bound again; gives the present one."""
        abstract = self.get_alias(abstract)
        self._rebound.setdefault(abstract, []).append(callback)
        return self.make(abstract) if self.bound(abstract) else None

    @abstractmethod
    def make(self, abstract: Any, params: Mapping[str, Any] | None = None, **kw: Any) -> Any:
        """The object for *abstract*."""

    def _hook(self, when: str, abstract: Any, callback: Callable[..., Any] | None) -> None:
        if callback is None:
            abstract, callback = None, abstract
        with self._lock:
            self._hooks[when].append((abstract, cast("Callable[..., Any]", callback)))
            self._changed()

    def _changed(self) -> None:
        self._plans = {}

    def _fire_rebound(self, abstract: Abstract) -> None:
        callbacks = self._rebound.get(abstract)
        if callbacks:
            obj = self.make(abstract)
            for callback in callbacks:
                answer(callback, self, obj)

    # --- asking ---

    def bound(self, abstract: Abstract) -> bool:
        """True if something was bound, stored or aliased under *abstract*."""
        return (
            abstract in self._bindings or abstract in self._instances or abstract in self._aliases
        )

    has = bound
    __contains__ = bound

    def resolved(self, abstract: Abstract) -> bool:
        """True if *abstract* was made at least once."""
        abstract = self.get_alias(abstract)
        return abstract in self._resolved or abstract in self._instances

    def is_shared(self, abstract: Abstract) -> bool:
        """True if every `make` gives the same object (within a scope, for scoped ones)."""
        abstract = self.get_alias(abstract)
        binding = self._bindings.get(abstract)
        return abstract in self._instances or (
            binding is not None and binding.lifetime != "transient"
        )

    def is_alias(self, abstract: Abstract) -> bool:
        """True if *abstract* is an alias."""
        return abstract in self._aliases

    def get_alias(self, abstract: Abstract) -> Abstract:
        """What *abstract* stands for in the end."""
        while abstract in self._aliases:
            abstract = self._aliases[abstract]
        return abstract

    def _aliases_from(self, abstract: Abstract) -> list[Abstract]:
        """*abstract*, what it is an alias of, and so on."""
        found = [abstract]
        while found[-1] in self._aliases:
            found.append(self._aliases[found[-1]])
        return found

    def get_bindings(self) -> dict[Abstract, Binding]:
        """All bindings by their abstract."""
        return self._bindings

    def __getitem__(self, abstract: Abstract) -> Any:
        return self.make(abstract)

    def __setitem__(self, abstract: Abstract, value: Any) -> None:
        is_recipe = callable(value) and (isinstance(value, type) or inspect.isroutine(value))
        self.bind(abstract, value if is_recipe else lambda: value)

    def __delitem__(self, abstract: Abstract) -> None:
        with self._lock:
            for store in (self._bindings, self._instances, self._scope(), self._aliases):
                store.pop(abstract, None)
            self._resolved.discard(abstract)
            self._changed()

    # --- forgetting ---

    def forget_instance(self, abstract: Abstract) -> None:
        """Drop the stored object; a singleton is then made anew."""
        abstract = self.get_alias(abstract)
        with self._lock:
            self._instances.pop(abstract, None)
            self._scope().pop(abstract, None)
            self._changed()

    def forget_instances(self) -> None:
        """Drop all stored objects."""
        with self._lock:
            self._instances.clear()
            self._changed()

    def forget_scoped_instances(self) -> None:
        """Drop the scoped objects of this request or job."""
        self._scope().clear()

    def flush(self) -> None:
        """Forget everything."""
        with self._lock:
            for store in (
                self._bindings, self._instances, self._scoped, self._aliases, self._contextual,
                self._tags, self._extenders, self._rebound, self._methods,
            ):  # fmt: skip
                cast("dict[Any, Any]", store).clear()
            for hooks in self._hooks.values():
                hooks.clear()
            self._resolved.clear()
            self._changed()

    def _scope(self) -> dict[Abstract, Any]:
        scope = current_scope()
        return self._scoped if scope is None else scope.instances.setdefault(self, {})


class Tagged(Iterable[Any]):
    """The objects under a tag; each iteration makes them anew."""

    def __init__(self, container: Bindings, abstracts: list[Abstract]) -> None:
        self._container = container
        self._abstracts = abstracts

    def __iter__(self) -> Iterator[Any]:
        return (self._container.make(abstract) for abstract in list(self._abstracts))

    def __len__(self) -> int:
        return len(self._abstracts)


class Lazy:
    """A given value that is read from the container when it is needed."""

    def __init__(self, read: Callable[[Bindings], Any]) -> None:
        self.read = read


class ContextualBuilder:
    """`when(X).needs(Y).give(Z)`."""

    def __init__(self, container: Bindings, concretes: list[Abstract]) -> None:
        self._container = container
        self._concretes = concretes
        self._needs: Abstract = None

    def needs(self, abstract: Abstract) -> ContextualBuilder:
        """What it needs: a class, a name, or `'$parameter'`."""
        self._needs = abstract
        return self

    def give(self, given: Any) -> None:
        """What it gets: a class to make, a callable to call, or a value."""
        if self._needs is None:
            raise ContainerError("say what is needed before give(): when(X).needs(Y).give(Z)")
        for concrete in self._concretes:
            self._container.add_contextual_binding(concrete, self._needs, given)

    def give_tagged(self, tag: str) -> None:
        """It gets the list of objects under *tag*."""
        self.give(Lazy(lambda container: list(container.tagged(tag))))

    def give_config(self, key: str, default: Any = None) -> None:
        """It gets the setting *key*."""
        self.give(Lazy(lambda container: container.make("config").get(key, default)))


def answer(fn: Callable[..., Any], *offered: Any) -> Any:
    """What *fn* returns, given as many of *offered* as it takes."""
    return fn(*offered[: arity(fn)])


def as_value(given: Any) -> Any:
    """What was given for a parameter by its name: text and lists are what they are."""
    return Lazy(lambda _: given) if isinstance(given, (str, list, tuple)) else given


def method_key(target: Any) -> str:
    """`Class@method`, the key of `bind_method`; empty for what is no method."""
    if isinstance(target, str):
        return target
    if isinstance(target, (list, tuple)):
        owner, method = target
        cls = owner if isinstance(owner, type) else type(owner)
        return f"{cls.__name__}@{method}"
    if inspect.isfunction(target):
        home = class_of_method(target)
        return "" if home is None else f"{home.__name__}@{target.__name__}"
    owner = getattr(target, "__self__", None)
    return "" if owner is None else f"{type(owner).__name__}@{target.__name__}"


def name_of(abstract: Abstract) -> str:
    """A class by its name, a name as it is."""
    return abstract.__name__ if isinstance(abstract, type) else str(abstract)

"""The container: makes objects and hands their constructors what their annotations ask for.

What to do for a class is worked out once, as a plan: a function without arguments that calls the
constructor with the plans of its parameters. Plans are thrown away whenever anything is bound,
so they never have to look at the bindings again. Objects that live for one request or job
(`scoped`) are kept in the current Scope.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast, overload

from so.errors import (
    BindingResolutionError,
    CircularDependencyError,
    ContainerError,
    EntryNotFoundError,
)
from so.support.scope import current_scope
from so.support.signatures import BUILT_IN, arity, class_of, class_of_method, parameters

T = TypeVar("T")
Abstract = Any  # a class or a string
Plan = Callable[[], Any]
_NOTHING: Any = object()


class Binding:
    """How to make one abstract, and how long the result lives."""

    __slots__ = ("concrete", "lifetime")

    def __init__(self, concrete: Any, lifetime: str) -> None:
        self.concrete = concrete
        self.lifetime = lifetime  # 'transient', 'shared' or 'scoped'


class Container:
    """Bindings, instances and the plans made of them. Safe to use from several threads."""

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
                f"cannot bind {_name(abstract)} to {concrete!r}: "
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
            raise ValueError(f"[{_name(alias)}] is aliased to itself.")
        with self._lock:
            self._aliases[alias] = abstract
            self._changed()

    def extend(self, abstract: Abstract, fn: Callable[..., Any]) -> None:
        """Pass every *abstract* through `fn(obj, container)`, in the order of the calls."""
        abstract = self.get_alias(abstract)
        with self._lock:
            if abstract in self._instances:
                self._instances[abstract] = _answer(fn, self._instances[abstract], self)
            else:
                self._extenders.setdefault(abstract, []).append(fn)
            self._changed()
        if abstract in self._resolved:
            self._fire_rebound(abstract)

    def tag(self, abstracts: Any, *tags: Any) -> None:
        """Put one abstract, or a list of them, under each of *tags*."""
        for tag in tags:
            for name in _listed(tag):
                self._tags.setdefault(name, []).extend(_listed(abstracts))

    def tagged(self, tag: str) -> Tagged:
        """The objects under *tag*, made as they are asked for, anew in each iteration."""
        return Tagged(self, self._tags.setdefault(tag, []))

    def when(self, concrete: Any) -> ContextualBuilder:
        """Begin `when(X).needs(Y).give(Z)`: what X, or each of several, gets for Y."""
        return ContextualBuilder(self, list(_listed(concrete)))

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
        self._methods[_method_key(key)] = callback

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
                _answer(callback, self, obj)

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

    # --- making ---

    @overload
    def make(self, abstract: type[T], params: Mapping[str, Any] | None = None, **kw: Any) -> T: ...

    @overload
    def make(
        self, abstract: Abstract, params: Mapping[str, Any] | None = None, **kw: Any
    ) -> Any: ...

    def make(self, abstract: Any, params: Mapping[str, Any] | None = None, **kw: Any) -> Any:
        """The object for *abstract*.

        Parameters by name come first, then contextual bindings, bindings, and autowiring. With
        parameters a singleton is made afresh and not stored. Raises BindingResolutionError.
        """
        if not params and not kw:
            plan = self._plans.get(abstract)
            if plan is None:
                plan = self._plan_for(abstract)
            return plan()
        return self._make_with({**(params or {}), **kw}, abstract)

    def make_with(self, abstract: Any, params: Mapping[str, Any]) -> Any:
        """`make(abstract, params)`."""
        return self.make(abstract, params)

    def build(self, concrete: Any) -> Any:
        """A new object of the class *concrete*, whatever is bound under it.

        A callable is called as a bound one would be.
        """
        if isinstance(concrete, type):
            return self._construct(concrete, {})
        return _answer(concrete, self, {})

    def get(self, abstract: Abstract) -> Any:
        """`make`, but EntryNotFoundError for what is neither bound nor a class."""
        if not self.bound(abstract) and not isinstance(abstract, type):
            raise EntryNotFoundError(f"No entry was found for [{_name(abstract)}].")
        return self.make(abstract)

    def factory(self, abstract: Abstract) -> Callable[[], Any]:
        """A function that makes *abstract* each time it is called."""
        return lambda: self.make(abstract)

    def _plan_for(self, abstract: Abstract) -> Plan:
        with self._lock:
            plans = self._plans
            plan = self._compile(abstract, tuple(self._stack()))
            # Bound anew meanwhile (by a provider's constructor, say): then this plan is for now.
            plans[abstract] = plan
            return plan

    def _make_with(self, params: dict[str, Any], abstract: Abstract) -> Any:
        abstract = self.get_alias(abstract)
        self._fire_before(abstract, params)
        binding = self._bindings.get(abstract)
        concrete = binding.concrete if binding else abstract
        if isinstance(concrete, str) and concrete != abstract:
            return self.make(concrete, params)
        if isinstance(concrete, type):
            same = concrete is abstract or concrete not in self._bindings
            obj = self._construct(concrete, params) if same else self.make(concrete, params)
        elif isinstance(concrete, str):
            raise BindingResolutionError(f"Target class [{concrete}] does not exist.")
        else:
            obj = self._from_callable(abstract, concrete, params)
        return self._finished(abstract, obj)

    def _construct(self, cls: type, params: dict[str, Any]) -> Any:
        stack = tuple(self._stack())
        self._check_instantiable(cls, stack)
        args, kwargs = self._arguments(cls, cls, (*stack, cls), params)
        return cls(*(a() for a in args), **{k: v() for k, v in kwargs.items()})

    def _from_callable(
        self, abstract: Abstract, fn: Callable[..., Any], params: dict[str, Any]
    ) -> Any:
        stack = self._stack()
        if abstract in stack:
            raise CircularDependencyError(_chain((*stack, abstract)))
        stack.append(abstract)
        try:
            return _answer(fn, self, params)
        finally:
            stack.pop()

    def _stack(self) -> list[Abstract]:
        try:
            return cast("list[Abstract]", self._building.stack)
        except AttributeError:
            self._building.stack = []
            return cast("list[Abstract]", self._building.stack)

    def _scope(self) -> dict[Abstract, Any]:
        scope = current_scope()
        return self._scoped if scope is None else scope.instances.setdefault(self, {})

    # --- plans ---

    def _compile(self, abstract: Abstract, stack: tuple[Abstract, ...]) -> Plan:
        asked, abstract = abstract, self.get_alias(abstract)
        if abstract in self._instances:
            plan = _constant(self._instances[abstract])
        elif abstract in stack:
            raise CircularDependencyError(_chain((*stack[stack.index(abstract) :], abstract)))
        else:
            plan = self._compile_binding(abstract, stack)
        if self._hooks["before"]:
            plan = self._announced(asked, plan)
        return plan

    def _compile_binding(self, abstract: Abstract, stack: tuple[Abstract, ...]) -> Plan:
        binding = self._bindings.get(abstract)
        concrete = binding.concrete if binding else abstract
        if isinstance(concrete, str):
            if concrete == abstract:
                raise BindingResolutionError(
                    f"Target class [{concrete}] does not exist{_while_building(stack)}."
                )
            plan = self._compile(concrete, (*stack, abstract))
        elif isinstance(concrete, type):
            if concrete is not abstract and self.bound(concrete):
                plan = self._compile(concrete, (*stack, abstract))
            elif concrete in BUILT_IN and binding is not None:
                plan = concrete
            elif concrete is Container:
                plan = _constant(self)
            else:
                plan = self._compile_class(concrete, stack)
        else:
            plan = self._compile_callable(abstract, concrete)
        plan = self._watched(abstract, plan)
        if binding is None or binding.lifetime == "transient":
            return plan
        if binding.lifetime == "scoped":
            return self._once_per_scope(abstract, plan)
        return self._once(abstract, plan)

    def _compile_callable(self, abstract: Abstract, fn: Callable[..., Any]) -> Plan:
        return lambda: self._from_callable(abstract, fn, {})

    def _compile_class(self, cls: type, stack: tuple[Abstract, ...]) -> Plan:
        self._check_instantiable(cls, stack)
        args, kwargs = self._arguments(cls, cls, (*stack, cls), {})
        if kwargs:
            return lambda: cls(*[a() for a in args], **{k: v() for k, v in kwargs.items()})
        match args:
            case []:
                return cls
            case [one]:
                return lambda: cls(one())
            case [one, two]:
                return lambda: cls(one(), two())
            case [one, two, three]:
                return lambda: cls(one(), two(), three())
        return lambda: cls(*[a() for a in args])

    def _check_instantiable(self, cls: type, stack: tuple[Abstract, ...]) -> None:
        if inspect.isabstract(cls) or getattr(cls, "_is_protocol", False) or cls in BUILT_IN:
            raise BindingResolutionError(
                f"Target [{_name(cls)}] is not instantiable{_while_building(stack)}."
            )

    def _once(self, abstract: Abstract, plan: Plan) -> Plan:
        instances, lock = self._instances, self._lock

        def shared() -> Any:
            try:
                return instances[abstract]
            except KeyError:
                with lock:
                    if abstract not in instances:
                        obj = plan()
                        instances[abstract] = obj
                        self._plans = {}  # those made from now on hold the object itself
                    return instances[abstract]

        return shared

    def _once_per_scope(self, abstract: Abstract, plan: Plan) -> Plan:
        def scoped() -> Any:
            store = self._scope()
            if abstract not in store:
                store[abstract] = plan()
            return store[abstract]

        return scoped

    def _watched(self, abstract: Abstract, plan: Plan) -> Plan:
        """*plan* with extenders and callbacks; as it is where there are none."""
        if self._extenders.get(abstract) or self._hooks["during"] or self._hooks["after"]:
            return lambda: self._finished(abstract, plan())
        self._resolved.add(abstract)
        return plan

    def _finished(self, abstract: Abstract, obj: Any) -> Any:
        for extender in self._extenders.get(abstract, ()):
            obj = _answer(extender, obj, self)
        for when in ("during", "after"):
            for wanted, callback in self._hooks[when]:
                is_kind = isinstance(wanted, type) and isinstance(obj, wanted)
                if wanted is None or wanted == abstract or is_kind:
                    _answer(callback, obj, self)
        self._resolved.add(abstract)
        return obj

    def _announced(self, abstract: Abstract, plan: Plan) -> Plan:
        def announced() -> Any:
            self._fire_before(abstract, {})
            return plan()

        return announced

    def _fire_before(self, abstract: Abstract, params: dict[str, Any]) -> None:
        for wanted, callback in self._hooks["before"]:
            is_kind = (
                isinstance(wanted, type)
                and isinstance(abstract, type)
                and issubclass(abstract, wanted)
            )
            if wanted is None or wanted == abstract or is_kind:
                _answer(callback, abstract, params, self)

    # --- parameters ---

    def _arguments(
        self,
        target: Any,
        context: Abstract,
        stack: tuple[Abstract, ...],
        params: Mapping[str, Any],
    ) -> tuple[list[Plan], dict[str, Plan]]:
        """Plans for the positional and the keyword-only parameters of *target*."""
        args: list[Plan] = []
        kwargs: dict[str, Plan] = {}
        for parameter, hint in parameters(target):
            if parameter.kind is parameter.VAR_KEYWORD:
                continue
            given = params.get(parameter.name, _NOTHING)
            if parameter.kind is parameter.VAR_POSITIONAL:
                items = self._variadic(parameter, hint, context) if given is _NOTHING else given
                args += [_constant(item) for item in _listed(items)]
                continue
            if given is not _NOTHING:
                plan = _constant(given)
            else:
                plan = self._parameter(parameter, hint, context, stack)
            if parameter.kind is parameter.KEYWORD_ONLY:
                kwargs[parameter.name] = plan
            else:
                args.append(plan)
        return args, kwargs

    def _parameter(
        self,
        parameter: inspect.Parameter,
        hint: Any,
        context: Abstract,
        stack: tuple[Abstract, ...],
    ) -> Plan:
        given = self._given(context, parameter.name, hint)
        if given is not _NOTHING:
            return self._plan_of_given(given, stack)
        wanted, nullable = class_of(hint)
        default = parameter.default
        if wanted is None:
            if default is not parameter.empty:
                return _constant(default)
            if nullable:
                return _constant(None)
            raise BindingResolutionError(
                f"Unresolvable dependency resolving [{_shown(parameter, hint)}] "
                f"in {_described(context)}"
            )
        if default is not parameter.empty:
            return self._or_else(wanted, default, stack)
        if nullable:
            return self._or_else(wanted, None, stack)
        return self._compile(wanted, stack)

    def _or_else(self, wanted: Abstract, default: Any, stack: tuple[Abstract, ...]) -> Plan:
        try:
            plan = self._compile(wanted, stack)
        except CircularDependencyError:
            raise
        except BindingResolutionError:
            return _constant(default)

        def attempt() -> Any:
            try:
                return plan()
            except CircularDependencyError:
                raise
            except BindingResolutionError:
                return default

        return attempt

    def _variadic(self, parameter: inspect.Parameter, hint: Any, context: Abstract) -> list[Any]:
        given = self._given(context, parameter.name, hint)
        if given is _NOTHING:
            return []
        value = self._plan_of_given(given, ())()
        return list(value) if isinstance(value, (list, tuple, Tagged)) else [value]

    def _given(self, context: Abstract, name: str, hint: Any) -> Any:
        wanted = class_of(hint)[0]
        for owner in _contexts(context):
            needs = self._contextual.get(owner)
            if not needs:
                continue
            if f"${name}" in needs:
                return _as_value(needs[f"${name}"])
            if wanted is not None:
                for need, given in needs.items():
                    if self.get_alias(wanted) == self.get_alias(need):
                        return given
        return _NOTHING

    def _plan_of_given(self, given: Any, stack: tuple[Abstract, ...]) -> Plan:
        if isinstance(given, type) or (isinstance(given, str) and self.bound(given)):
            return self._compile(given, stack)
        if isinstance(given, (list, tuple)):
            items = [self._plan_of_given(item, stack) for item in given]
            return lambda: [item() for item in items]
        if inspect.isroutine(given):
            return lambda: _answer(given, self)
        if isinstance(given, _Lazy):
            return lambda: given.read(self)
        return _constant(given)

    # --- calling ---

    def call(
        self,
        target: Any,
        params: Mapping[str, Any] | None = None,
        default_method: str | None = None,
    ) -> Any:
        """Call *target* with what its annotations ask for, *params* by name first.

        *target*: a function, a bound method, `[class or object, 'method']`, `Class.method` (an
        object is made), `'name@method'`, or an invokable class or object.
        """
        fn, owner = self._callable(target, default_method)
        if self._methods:
            bound = self._methods.get(_method_key(fn))
            if bound is not None:
                return _answer(bound, fn.__self__, self)
        args, kwargs = self._arguments(fn, owner, tuple(self._stack()), params or {})
        return fn(*(a() for a in args), **{k: v() for k, v in kwargs.items()})

    def _callable(self, target: Any, default_method: str | None) -> tuple[Any, Abstract]:
        """The thing to call, and the context whose contextual bindings apply."""
        if isinstance(target, str):
            name, at, method = target.partition("@")
            if not (at and method) and not default_method:
                raise BindingResolutionError(
                    f"cannot call {target!r}: write 'name@method' or name a default method"
                )
            target = [name, method or default_method]
        if isinstance(target, (list, tuple)):
            owner, method = target
            obj = self.make(owner) if isinstance(owner, (type, str)) else owner
            return _method(obj, method), type(obj)
        if isinstance(target, type):
            return _method(self.make(target), default_method or "__call__"), target
        if inspect.isfunction(target):
            cls = class_of_method(target)
            return (target, target) if cls is None else (target.__get__(self.make(cls)), cls)
        if inspect.isroutine(target):
            return target, type(getattr(target, "__self__", target))
        if callable(target):
            return target, type(target)
        raise BindingResolutionError(f"cannot call {target!r}: it is not callable")


class Tagged(Iterable[Any]):
    """The objects under a tag; each iteration makes them anew."""

    def __init__(self, container: Container, abstracts: list[Abstract]) -> None:
        self._container = container
        self._abstracts = abstracts

    def __iter__(self) -> Iterator[Any]:
        return (self._container.make(abstract) for abstract in list(self._abstracts))

    def __len__(self) -> int:
        return len(self._abstracts)


class _Lazy:
    """A given value that is read from the container when it is needed."""

    def __init__(self, read: Callable[[Container], Any]) -> None:
        self.read = read


class ContextualBuilder:
    """`when(X).needs(Y).give(Z)`."""

    def __init__(self, container: Container, concretes: list[Abstract]) -> None:
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
        self.give(_Lazy(lambda container: list(container.tagged(tag))))

    def give_config(self, key: str, default: Any = None) -> None:
        """It gets the setting *key*."""
        self.give(_Lazy(lambda container: container.make("config").get(key, default)))


class ServiceProvider:
    """Bindings of one topic: `register()` binds, `boot()` runs when everything is bound."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def register(self) -> None:
        """Bind things; nothing may be made here."""

    boot: Callable[..., object] = lambda self: None  # any injected parameters


def _answer(fn: Callable[..., Any], *offered: Any) -> Any:
    """What *fn* returns, given as many of *offered* as it takes."""
    return fn(*offered[: arity(fn)])


def _constant(value: Any) -> Plan:
    return lambda: value


def _as_value(given: Any) -> Any:
    """What was given for a parameter by its name: text and lists are what they are."""
    return _Lazy(lambda _: given) if isinstance(given, (str, list, tuple)) else given


def _contexts(context: Abstract) -> Iterator[Abstract]:
    yield context
    if isinstance(context, type):
        yield from context.__mro__[1:-1]


def _method(obj: Any, name: str) -> Any:
    found = getattr(obj, name, None)
    if not callable(found):
        raise BindingResolutionError(f"Method {type(obj).__name__}.{name} does not exist.")
    return found


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple, set, frozenset)) else [value]


def _method_key(target: Any) -> str:
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


# --- words for messages ---------------------------------------------------------------------------


def _name(abstract: Abstract) -> str:
    return abstract.__name__ if isinstance(abstract, type) else str(abstract)


def _chain(stack: Iterable[Abstract]) -> str:
    return " -> ".join(_name(abstract) for abstract in stack)


def _while_building(stack: tuple[Abstract, ...]) -> str:
    return f" while building [{', '.join(map(_name, stack))}]" if stack else ""


def _shown(parameter: inspect.Parameter, hint: Any) -> str:
    if hint is parameter.empty:
        return parameter.name
    return f"{parameter.name}: {hint.__name__ if isinstance(hint, type) else hint}"


def _described(context: Any) -> str:
    if isinstance(context, type):
        return f"class {context.__name__}"
    return f"{getattr(context, '__name__', context)}()"

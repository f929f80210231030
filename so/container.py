"""`Container`: makes what is bound, and any class whose parameters say what they want;
`ServiceProvider`: how an application, or a part of one, adds its own.

What is bound is kept by so/support/bindings.py.

What to do for a class is worked out once, as a plan: a function without arguments that calls the
constructor with the plans of its parameters. Plans are thrown away whenever anything is bound,
so they never have to look at the bindings again. Objects that live for one request or job
(`scoped`) are kept in the current Scope.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar, cast, overload

from so.errors import BindingResolutionError, CircularDependencyError, EntryNotFoundError
from so.support.bindings import (
    Abstract,
    Bindings,
    Lazy,
    Plan,
    Tagged,
    answer,
    as_value,
    method_key,
    name_of,
)
from so.support.listed import listed
from so.support.near import nearest
from so.support.signatures import BUILT_IN, class_of, class_of_method, parameters

T = TypeVar("T")
_NOTHING: Any = object()


class Container(Bindings):
    """Bindings, instances and the plans made of them. Safe to use from several threads."""

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
        return answer(concrete, self, {})

    def get(self, abstract: Abstract) -> Any:
        """`make`, but EntryNotFoundError for what is neither bound nor a class."""
        if not self.bound(abstract) and not isinstance(abstract, type):
            raise EntryNotFoundError(f"No entry was found for [{name_of(abstract)}].")
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
            raise BindingResolutionError(
                f"Target class [{concrete}] does not exist.{self._near(concrete)}"
            )
        else:
            obj = self._from_callable(abstract, concrete, params)
        return self._finished(abstract, obj)

    def _near(self, name: str) -> str:
        known = [
            key
            for key in (*self._bindings, *self._instances, *self._aliases)
            if isinstance(key, str)
        ]
        close = nearest(name, known)
        return f" Did you mean [{close}]?" if close else ""

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
            raise CircularDependencyError(chain((*stack, abstract)))
        stack.append(abstract)
        try:
            return answer(fn, self, params)
        finally:
            stack.pop()

    def _stack(self) -> list[Abstract]:
        try:
            return cast("list[Abstract]", self._building.stack)
        except AttributeError:
            self._building.stack = []
            return cast("list[Abstract]", self._building.stack)

    # --- plans ---

    def _compile(self, abstract: Abstract, stack: tuple[Abstract, ...]) -> Plan:
        asked, abstract = abstract, self.get_alias(abstract)
        if abstract in self._instances:
            plan = _constant(self._instances[abstract])
        elif abstract in stack:
            raise CircularDependencyError(chain((*stack[stack.index(abstract) :], abstract)))
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
                    f"Target class [{concrete}] does not exist{while_building(stack)}."
                    f"{self._near(concrete)}"
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
                f"Target [{name_of(cls)}] is not instantiable{while_building(stack)}."
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
            obj = answer(extender, obj, self)
        for when in ("during", "after"):
            for wanted, callback in self._hooks[when]:
                is_kind = isinstance(wanted, type) and isinstance(obj, wanted)
                if wanted is None or wanted == abstract or is_kind:
                    answer(callback, obj, self)
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
                answer(callback, abstract, params, self)

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
                args += [_constant(item) for item in listed(items)]
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
                f"Unresolvable dependency resolving [{shown(parameter, hint)}] "
                f"in {described(context)}"
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
                return as_value(needs[f"${name}"])
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
            return lambda: answer(given, self)
        if isinstance(given, Lazy):
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
            bound = self._methods.get(method_key(fn))
            if bound is not None:
                return answer(bound, fn.__self__, self)
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


def _constant(value: Any) -> Plan:
    return lambda: value


def _contexts(context: Abstract) -> Iterator[Abstract]:
    yield context
    if isinstance(context, type):
        yield from context.__mro__[1:-1]


def _method(obj: Any, name: str) -> Any:
    found = getattr(obj, name, None)
    if not callable(found):
        raise BindingResolutionError(f"Method {type(obj).__name__}.{name} does not exist.")
    return found


class ServiceProvider:
    """Bindings of one topic: `register()` binds, `boot()` runs when everything is bound."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def register(self) -> None:
        """Bind things; nothing may be made here."""

    boot: Callable[..., object] = lambda self: None  # any injected parameters

    def call_after_resolving(self, name: Abstract, fn: Callable[[Any], object]) -> None:
        """Call `fn(made)` as soon as there is what *name* stands for: now, or when it is made."""
        if self.app.resolved(name):
            fn(self.app.make(name))
        else:
            self.app.resolving(name, lambda made, app: fn(made))


# --- words for errors ---


def chain(stack: Iterable[Abstract]) -> str:
    """Who asks for whom: `A -> B -> A`."""
    return " -> ".join(name_of(abstract) for abstract in stack)


def while_building(stack: tuple[Abstract, ...]) -> str:
    """What was being made, as the end of a sentence; empty for nothing."""
    return f" while building [{', '.join(map(name_of, stack))}]" if stack else ""


def shown(parameter: inspect.Parameter, hint: Any) -> str:
    """A parameter with its annotation."""
    if hint is parameter.empty:
        return parameter.name
    return f"{parameter.name}: {hint.__name__ if isinstance(hint, type) else hint}"


def described(context: Any) -> str:
    """Whose parameter it is: `class A`, or `f()`."""
    if isinstance(context, type):
        return f"class {context.__name__}"
    return f"{getattr(context, '__name__', context)}()"

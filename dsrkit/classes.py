"""`dataclass` as the standard library has it, made in an eighth of the time.

`dataclasses.dataclass` compiles the text of every method of every class: 0.8 ms for a frozen one, 0.15 s for those that
a verification loads, which is as long as it takes to judge some thousand packets. Here only ``__init__`` is compiled,
when it is first asked for, which for most classes is never; the other methods are closures over the names of the
fields. Fields, `replace`, `fields`, `asdict`, matching, pickling and copying are those of the standard library, and
type checkers see its decorator. Not offered: `order`, and fields that are keyword-only or `InitVar`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from reprlib import recursive_repr
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls=None, /, *, frozen=False, slots=False, eq=True, repr=True):
        """The class with the methods that its fields ask for."""
        if cls is None:
            return lambda c: _made(c, frozen, slots, eq, repr)
        return _made(cls, frozen, slots, eq, repr)


class _Factory:
    """What signatures show where a factory makes the default."""

    def __repr__(self) -> str:
        return "<factory>"


_FACTORY = _Factory()


def _made(cls: type[Any], frozen: bool, slots: bool, eq: bool, repr: bool) -> Any:
    if not cls.__doc__:
        cls.__doc__ = cls.__name__  # the standard library would work out a signature to stand here
    written = set(cls.__dict__)
    made: Any = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots)(cls)
    fields = dataclasses.fields(made)
    names = tuple(f.name for f in fields)
    methods: dict[str, Any] = {"__init__": _Init(made, fields, frozen)}
    if repr:
        methods["__repr__"] = _repr(tuple(f.name for f in fields if f.repr))
    if eq:
        methods["__eq__"] = _eq(tuple(f.name for f in fields if f.compare))
        hashed = tuple(f.name for f in fields if (f.compare if f.hash is None else f.hash))
        methods["__hash__"] = _hash(hashed) if frozen else None
    if frozen:
        methods["__setattr__"], methods["__delattr__"] = _refusals(made, frozenset(names))
        if slots:
            methods["__getstate__"], methods["__setstate__"] = _states(names)
    for name, method in methods.items():
        if name not in written or (name == "__hash__" and cls.__dict__[name] is None and "__eq__" in written):
            if isinstance(method, FunctionType):
                method.__qualname__ = f"{cls.__qualname__}.{name}"
            setattr(made, name, method)
    return made


class _Init:
    """Stands for ``__init__`` until an object is made, or somebody asks for its signature."""

    def __init__(self, *of: Any) -> None:
        self._of = of

    def __get__(self, instance: object, owner: type[Any] | None = None) -> Any:
        made = _init(*self._of)
        cls = self._of[0]
        if cls.__dict__.get("__init__") is self:  # another thread may have been here, or a decorator
            cls.__init__ = made
        return made.__get__(instance, owner)


def _init(cls: type[Any], fields: tuple[dataclasses.Field[Any], ...], frozen: bool) -> Any:
    space: dict[str, Any] = {"_set": object.__setattr__, "_factory": _FACTORY}
    parameters, body = [], []
    for f in fields:
        value = f.name
        if f.default is not dataclasses.MISSING:
            space[f"_default_{f.name}"] = f.default
            value = f"_default_{f.name}"
        elif f.default_factory is not dataclasses.MISSING:
            space[f"_new_{f.name}"] = f.default_factory
            value = f"_new_{f.name}()"
        elif not f.init:
            continue  # __post_init__ gives it a value
        if f.init:
            if f.default is not dataclasses.MISSING:
                parameters.append(f"{f.name}={value}")
                value = f.name
            elif f.default_factory is not dataclasses.MISSING:
                parameters.append(f"{f.name}=_factory")
                value = f"{value} if {f.name} is _factory else {f.name}"
            else:
                parameters.append(f.name)
        body.append(f"_set(self, {f.name!r}, {value})" if frozen else f"self.{f.name} = {value}")
    if hasattr(cls, "__post_init__"):
        body.append("self.__post_init__()")
    exec(f"def __init__({', '.join(['self', *parameters])}):\n " + "\n ".join(body or ["pass"]), space)
    init = space["__init__"]
    init.__annotations__ = {**{f.name: f.type for f in fields if f.init}, "return": None}
    init.__module__ = cls.__module__
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _key(names: tuple[str, ...]) -> Callable[[object], tuple[Any, ...]]:
    """The values of some fields as a tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda self: tuple([getattr(self, name) for name in names])


def _eq(names: tuple[str, ...]) -> Any:
    key = _key(names)

    def __eq__(self: object, other: object) -> bool:
        return key(self) == key(other) if other.__class__ is self.__class__ else NotImplemented

    return __eq__


def _hash(names: tuple[str, ...]) -> Any:
    key = _key(names)

    def __hash__(self: object) -> int:
        return hash(key(self))

    return __hash__


def _repr(names: tuple[str, ...]) -> Any:
    @recursive_repr()
    def __repr__(self: object) -> str:
        return f"{self.__class__.__qualname__}({', '.join([f'{name}={getattr(self, name)!r}' for name in names])})"

    return __repr__


def _refusals(cls: Any, names: frozenset[str]) -> tuple[Any, Any]:
    def __setattr__(self: object, name: str, value: object) -> None:
        if type(self) is cls or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def __delattr__(self: object, name: str) -> None:
        if type(self) is cls or name in names:
            raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    return __setattr__, __delattr__


def _states(names: tuple[str, ...]) -> tuple[Any, Any]:
    def __getstate__(self: object) -> list[Any]:
        return [getattr(self, name) for name in names]

    def __setstate__(self: object, state: list[Any]) -> None:
        for name, value in zip(names, state, strict=True):
            object.__setattr__(self, name, value)

    return __getstate__, __setstate__

"""`dsrkit.classes.dataclass` makes what the standard library's makes."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from dataclasses import field
from typing import Any, ClassVar

import pytest

from dsrkit import classes


class Plain:
    a: int
    b: str = "b"
    c: list[int] = field(default_factory=list)
    d: int = field(default=3, compare=False)
    e: int = field(default=4, repr=False)
    f: int = field(init=False, default=5)
    g: list[int] = field(init=False, default_factory=list)
    h: int = field(default=6, hash=False)
    SAME: ClassVar[int] = 7

    def __post_init__(self) -> None:
        object.__setattr__(self, "f", self.a + 1)


class Single:
    a: tuple[int, ...] = ()


class Empty:
    pass


class Told:
    """A class with methods of its own."""

    a: int = 1

    def __repr__(self) -> str:
        return "told"

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 12


class Unhashable:
    a: int = 1

    def __eq__(self, other: object) -> bool:
        return self is other


OPTIONS: list[dict[str, Any]] = [
    {"frozen": frozen, "slots": slots, **more}
    for frozen in (False, True)
    for slots in (False, True)
    for more in ({}, {"eq": False}, {"repr": False})
]


def both(cls: type, options: dict[str, Any]) -> tuple[Any, Any]:
    """The class as the standard library makes it, and ours."""
    space = {name: value for name, value in vars(cls).items() if name not in {"__dict__", "__weakref__"}}
    theirs = dataclasses.dataclass(**options)(type(cls.__name__, (), dict(space)))
    ours: Any = classes.dataclass(**options)(type(cls.__name__, (), dict(space)))
    return theirs, ours


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("cls", [Plain, Single, Empty, Told, Unhashable])
def test_same_class(cls: type, options: dict[str, Any]) -> None:
    theirs, ours = both(cls, options)
    args = (1,) if cls is Plain else ()
    mine, other = ours(*args), theirs(*args)
    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    assert ours.__match_args__ == theirs.__match_args__
    assert [f.name for f in dataclasses.fields(ours)] == [f.name for f in dataclasses.fields(theirs)]
    assert dataclasses.asdict(mine) == dataclasses.asdict(other)
    assert hasattr(mine, "__dict__") == hasattr(other, "__dict__")
    assert (mine == ours(*args)) == (other == theirs(*args))
    assert mine != other or cls is Told
    assert (ours.__hash__ is None) == (theirs.__hash__ is None)
    if (
        ours.__hash__ is not object.__hash__
        and ours.__hash__ is not None
        and cls is not Unhashable
        and cls is not Plain
    ):
        assert hash(mine) == hash(other)
    if options.get("repr", True):
        assert repr(mine) == repr(other)


@pytest.mark.parametrize("slots", [False, True])
def test_frozen(slots: bool) -> None:
    theirs, ours = both(Plain, {"frozen": True, "slots": slots})
    for cls in (theirs, ours):
        one = cls(1)
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'a'"):
            one.a = 2
        with pytest.raises(dataclasses.FrozenInstanceError, match="cannot delete field 'a'"):
            del one.a
        assert dataclasses.replace(one, a=2).f == 3
        assert copy.deepcopy(one) == one
        assert copy.copy(one).c is one.c


def test_eq_looks_at_compared_fields_alone() -> None:
    _, ours = both(Plain, {})
    assert ours(1, d=1) == ours(1, d=2)
    assert ours(1, e=1) != ours(1, e=2)
    assert ours(1).__eq__(1) is NotImplemented


def test_lists_are_not_shared() -> None:
    _, ours = both(Plain, {"slots": True})
    one, other = ours(1), ours(1)
    one.c.append(1)
    one.g.append(1)
    assert (other.c, other.g) == ([], [])


@classes.dataclass(frozen=True, slots=True)
class Kept:
    a: int
    b: tuple[int, ...] = ()


@classes.dataclass(frozen=True, slots=True)
class Heir(Kept):
    c: int = 1


@pytest.mark.parametrize("kept", [Kept(1, (2, 3)), Heir(1, (2,), 3)], ids=repr)
def test_pickling(kept: Kept) -> None:
    again = pickle.loads(pickle.dumps(kept))
    assert again == kept
    assert type(again) is type(kept)
    assert hash(again) == hash(kept)


def test_a_recursive_repr_ends() -> None:
    _, ours = both(Single, {})
    one = ours()
    one.a = one
    assert repr(one) == "Single(a=...)"

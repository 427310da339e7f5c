"""The rewrite tables as algebra: a composed table says what its parts say in turn, and `keep` is nothing."""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrkit.tables import MODES, PROFILES, tables
from dsrkit.tables.fields import FIELDS
from dsrkit.tables.nodes import cell_id, lifted
from dsrkit.tables.path import ROUTER_CELLS
from dsrkit.tables.rules import (
    Affine,
    Const,
    Field,
    Free,
    PerProfile,
    Recomputed,
    Role,
    Rule,
    Union,
    compose,
    compose_all,
    keep,
    narrow,
    profiles,
    repeated,
    union,
)

NUMBERS: Final = ("ip.ttl", "ip.dsfield.ecn", "ip.dst", "outer.ttl", "l4.dstport")
SUMS: Final = ("ip.checksum", "l4.checksum")
ROLES: Final = {Role("real-server", "ip"): {1001, 1002}, Role("lb", "ip"): {1003}}
ANY: Final = "anything"
VALID: Final = "a valid checksum"
Values = frozenset[int | str]
Table = dict[str, Rule]

# --- random tables ----------------------------------------------------------------------------------------------------


def affine() -> st.SearchStrategy[Rule]:
    bases = (
        st.sampled_from(NUMBERS).map(Field) | st.integers(0, 9).map(Const) | st.sampled_from(sorted(ROLES, key=repr))
    )
    return st.builds(
        lambda base, low, more: Affine(base, low, low + more), bases, st.integers(-3, 3), st.integers(0, 2)
    )


def number_rules() -> st.SearchStrategy[Rule]:
    one = affine() | st.builds(Free)
    return one | st.lists(affine(), min_size=2, max_size=3).map(lambda rules: union(*rules))


def sum_rules(field: str) -> st.SearchStrategy[Rule]:
    return st.sampled_from([Recomputed(), Free(), keep(field), union(keep(field), Recomputed())])


def table_rules() -> st.SearchStrategy[Table]:
    numbers = st.dictionaries(st.sampled_from(NUMBERS), number_rules(), max_size=4)
    sums = st.fixed_dictionaries({}, optional={field: sum_rules(field) for field in SUMS})
    return st.builds(lambda a, b: {**a, **b}, numbers, sums)


def per_profile(rules: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    named = st.builds(
        lambda rest, generic: profiles(**rest, generic=generic),
        st.dictionaries(st.sampled_from([p for p in PROFILES if p != "generic"]), rules, max_size=3),
        rules,
    )
    return rules | named


packets = st.fixed_dictionaries({field: st.integers(0, 300) for field in NUMBERS + SUMS})


# --- a reference interpreter ------------------------------------------------------------------------------------------


def outcomes(rule: Rule, before: dict[str, Values]) -> Values:
    """All values that a rule allows after a node, given all that were possible before it."""
    match rule:
        case Free():
            return frozenset({ANY})
        case Recomputed():
            return frozenset({VALID})
        case Union(rules):
            return whole(value for one in rules for value in outcomes(one, before))
        case Affine(base, low, high):
            match base:
                case Field(name):
                    start: Values = before[name]
                case Const(number):
                    start = frozenset({number})
                case Role():
                    start = frozenset(ROLES.get(base, {2001}))
            return whole(add(value, delta) for value in start for delta in range(low, high + 1))
    raise AssertionError(rule)


def add(value: int | str, delta: int) -> int | str:
    if isinstance(value, int):
        return value + delta
    return value if delta == 0 else ANY


def whole(values: object) -> Values:
    found = frozenset(values)  # type: ignore[call-overload]  # any iterable
    return frozenset({ANY}) if ANY in found else found


def through(rules: Table, before: dict[str, Values]) -> dict[str, Values]:
    """What one node makes of every field."""
    return {field: outcomes(rules.get(field, keep(field)), before) for field in before}


def possible(packet: dict[str, int]) -> dict[str, Values]:
    return {field: frozenset({value}) for field, value in packet.items()}


# --- laws -------------------------------------------------------------------------------------------------------------


@given(table_rules(), table_rules(), table_rules())
def test_composition_is_associative(a: Table, b: Table, c: Table) -> None:
    assert compose(compose(a, b), c) == compose(a, compose(b, c)) == compose_all([a, b, c])


@given(table_rules())
def test_keep_is_the_identity(a: Table) -> None:
    bare = {field: rule for field, rule in a.items() if rule != keep(field)}
    for nothing in ({}, {field: keep(field) for field in NUMBERS + SUMS}):
        assert compose(a, nothing) == compose(nothing, a) == bare


@given(st.lists(table_rules(), max_size=4), packets)
def test_a_composed_table_does_what_its_nodes_do_in_turn(nodes: list[Table], packet: dict[str, int]) -> None:
    step = possible(packet)
    for rules in nodes:
        step = through(rules, step)
    assert through(compose_all(nodes), possible(packet)) == step


@given(st.dictionaries(st.sampled_from(NUMBERS), per_profile(number_rules()), max_size=4), table_rules())
def test_narrowing_and_composing_commute(a: Table, b: Table) -> None:
    for profile in PROFILES:
        narrowed = {field: narrow(rule, profile) for field, rule in compose(a, b).items()}
        apart = compose({field: narrow(rule, profile) for field, rule in a.items()}, b)
        assert {f: r for f, r in narrowed.items() if r != keep(f)} == apart


@given(per_profile(number_rules()), packets)
def test_any_accepts_what_each_profile_accepts(rule: Rule, packet: dict[str, int]) -> None:
    assert_any_is_the_union(rule, possible(packet))


@given(st.fixed_dictionaries({field: st.integers(0, 300) for field in FIELDS}))
def test_any_accepts_what_each_profile_accepts_in_every_cell(packet: dict[str, int]) -> None:
    for mode in MODES.values():
        for _, _, cell in mode.cells():
            assert_any_is_the_union(cell.rule, possible(packet))


def assert_any_is_the_union(rule: Rule, before: dict[str, Values]) -> None:
    each = [outcomes(narrow(rule, profile), before) for profile in PROFILES]
    anything = outcomes(narrow(rule, "any"), before)
    assert anything == whole(value for values in each for value in values)
    assert anything == {ANY} or all(values <= anything for values in each)


@given(st.integers(1, 6), packets)
def test_so_many_routers_are_one_router_repeated(count: int, packet: dict[str, int]) -> None:
    router = {cell.field: cell.rule for cell in ROUTER_CELLS}
    assert repeated(router, count, count) == compose_all([router] * count)
    unknown = through(repeated(router, 0, 6), possible(packet))
    step = possible(packet)
    for _ in range(count):
        step = through(router, step)
    assert all(unknown[f] == step[f] or step[f] <= unknown[f] for f in NUMBERS)
    assert step["ip.ttl"] == {packet["ip.ttl"] - count}


@given(table_rules())
def test_behind_a_tunnel_the_inner_packet_is_out_of_reach(rules: Table) -> None:
    outer = lifted(rules)
    assert not any(field.startswith("ip.") and field.replace("ip.", "outer.") in FIELDS for field in outer)
    for field in ("ip.ttl", "ip.dst"):
        if rules.get(field) == Affine(Field(field), -1, -1):
            assert outer[field.replace("ip.", "outer.")] == Affine(Field(field.replace("ip.", "outer.")), -1, -1)


# --- the tables themselves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_cells_are_sound(mode: str) -> None:
    for found_id, table, cell in tables(mode).cells():
        assert cell.field in FIELDS, found_id
        assert cell.source.strip(), found_id
        assert found_id == cell_id(mode, table.node, table.direction, cell.field)
        assert narrow(cell.rule, "ipvs") is not None
        for field in fields_of(cell.rule):
            assert field in FIELDS, found_id
    for found_id, _, presence in tables(mode).presence():
        assert presence.source.strip(), found_id
        assert presence.promise.strip(), found_id


def fields_of(rule: Rule) -> set[str]:
    match rule:
        case Affine(Field(name), _, _):
            return {name}
        case Union(rules):
            return set().union(*(fields_of(r) for r in rules))
        case PerProfile(rules):
            return set().union(*(fields_of(r) for _, r in rules))
    return set()


def test_ids_are_unique() -> None:
    ids = Counter(
        found_id for mode in MODES.values() for cells in (mode.cells(), mode.presence()) for found_id, *_ in cells
    )
    assert [found_id for found_id, times in ids.items() if times > 1] == []
    places = Counter((mode, table.node, table.direction) for mode, t in MODES.items() for table in t.nodes)
    assert set(places.values()) == {1}, "a second table of a node would never be read"


def test_tables_know_their_modes_and_the_profiles_they_name() -> None:
    assert all(mode == t.mode and t.title for mode, t in MODES.items())
    named = {
        name
        for t in MODES.values()
        for _, _, cell in t.cells()
        if isinstance(cell.rule, PerProfile)
        for name, _ in cell.rule.rules
    }
    assert named <= set(PROFILES)
    for t in MODES.values():
        for found_id, _, cell in t.cells():
            if isinstance(cell.rule, PerProfile):
                assert "generic" in dict(cell.rule.rules), found_id
    assert tables(None) is MODES["path"]

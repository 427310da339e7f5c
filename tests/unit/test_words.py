"""Rules in words, as the documentation prints them."""

from __future__ import annotations

import pytest

from dsrkit.tables import MODES
from dsrkit.tables.rules import Affine, Const, Field, Free, Recomputed, Rule, const, keep, profiles, role, union
from dsrkit.tables.words import words

TTL = Field("ip.ttl")


@pytest.mark.parametrize(
    ("field", "rule", "expected"),
    [
        ("ip.ttl", Affine(TTL, -1, -1), "−1"),
        ("ip.ttl", Affine(TTL, -1, 0), "−1 to 0"),
        ("ip.len", Affine(Field("ip.len"), 0, 40), "0 to +40"),
        ("ip.id", keep("ip.id"), "unchanged"),
        ("outer.ttl", Affine(TTL, -1, -1), "ip.ttl as it arrived, −1"),
        ("outer.len", keep("ip.len"), "ip.len as it arrived"),
        ("outer.ttl", Affine(Const(63), 0, 1), "63 to 64"),
        ("outer.flags.df", const(1), "1"),
        ("ip.dsfield.dscp", const(11), "11 (tos 0x2c)"),
        ("ip.dsfield.ecn", union(keep("ip.dsfield.ecn"), const(3)), "unchanged or 3 (CE)"),
        ("ip.checksum", Recomputed(), "recomputed, valid"),
        ("vlan.id", Free(), "not checked"),
        ("ip.dst", role("real-server", "ip"), "an address of a real server"),
        ("ip.src", role("vip", "ip"), "the VIP"),
        ("eth.dst", union(role("lb", "mac"), role("router", "mac")), "a MAC of the load balancer or a MAC of a router"),
        ("ip.ttl", profiles(ipvs=Affine(TTL, -1, -1), generic=Free()), "ipvs: −1; others: not checked"),
        ("ip.ttl", profiles(katran=const(64), glb=const(64), generic=Free()), "glb, katran: 64; others: not checked"),
    ],
)  # fmt: skip
def test_words(field: str, rule: Rule, expected: str) -> None:
    assert words(field, rule) == expected


def test_every_cell_has_words() -> None:
    assert all(words(cell.field, cell.rule) for tables in MODES.values() for _, _, cell in tables.cells())

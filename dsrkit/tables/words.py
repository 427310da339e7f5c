"""Rules in words, for the pages that print the tables."""

from __future__ import annotations

from dsrkit.model.dscp import dscp_text
from dsrkit.tables.rules import Affine, Const, Field, Free, PerProfile, Recomputed, Role, Rule, Union

_WHAT = {
    "ip": "an address",
    "mac": "a MAC",
    "port": "a port",
    "dscp": "the tag",
    "tunnel": "the type",
    "tunnel-port": "the port",
}
_OWNER = {
    ("vip", "ip"): "the VIP",
    ("vip", "port"): "the VIP's port",
    ("real-server", "dscp"): "the tag that stands for the VIP (at this real server)",
    ("service", "tunnel"): "the tunnel's type",
    ("service", "tunnel-port"): "the tunnel's port",
}
_NODE = {"lb": "the load balancer", "real-server": "a real server", "router": "a router", "client": "the client"}


def words(field: str, rule: Rule) -> str:
    """What a rule asks of a field, as a phrase: ``words("ip.ttl", Affine(Field("ip.ttl"), -1, -1))`` is ``−1``."""
    match rule:
        case Free():
            return "not checked"
        case Recomputed():
            return "recomputed, valid"
        case Union(rules):
            return " or ".join(dict.fromkeys(words(field, one) for one in rules))
        case PerProfile(rules):
            said: dict[str, list[str]] = {}
            for name, one in sorted(rules, key=lambda pair: pair[0] == "generic"):
                said.setdefault(words(field, one), []).append("others" if name == "generic" else name)
            return "; ".join(f"{', '.join(names)}: {phrase}" for phrase, names in said.items())
        case Affine(Const(value), low, high):
            ends = [_number(field, value + low), _number(field, value + high)]
            return " to ".join(dict.fromkeys(ends))
        case Affine(Role(role, what), 0, 0):
            return _OWNER.get((role, what)) or f"{_WHAT[what]} of {_NODE[role]}"
        case Affine(Field(name), low, high):
            start = [] if name == field else [f"{name} as it arrived"]
            return ", ".join([*start, *_change(low, high)]) or "unchanged"
        case _:
            raise ValueError(f"no words for {rule}")


def _number(field: str, value: int) -> str:
    if field.endswith("dscp"):
        return dscp_text(value)
    return f"{value} ({('Not-ECT', 'ECT(1)', 'ECT(0)', 'CE')[value]})" if field.endswith("ecn") else str(value)


def _change(low: int, high: int) -> list[str]:
    """A delta in words: ``−1``, ``−1 to 0``; nothing where it is 0."""
    ends = dict.fromkeys(f"{'−' if n < 0 else '+' if n else ''}{abs(n)}" for n in (low, high))
    return [" to ".join(ends)] if low or high else []

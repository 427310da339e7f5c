"""Everything that craft can make, as a list of cases: made from the tables of options, profiles and modes themselves.

A new mode, profile, tunnel or choice is walked without a word here; a new option that takes a number or a text fails
`samples` until it says what to try.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from dsrkit import Scenario, craft
from dsrkit.craft.modes import DRIVERS
from dsrkit.craft.options import options_of
from dsrkit.craft.packets.arp import FORMS
from dsrkit.craft.profiles import PROFILES
from dsrkit.craft.profiles.base import IPIP_PAIRS
from dsrkit.model.names import REWRITES

MODES: Final = tuple(DRIVERS)
VERSIONS: Final = ("4", "6")
USUAL: Final = "ipvs"

SAMPLES: Final[Mapping[str, tuple[object, ...]]] = {
    "clients": (3,),
    "real_servers": (1, 4),
    "vip": ("203.0.113.77", "2001:db8:b::77"),
    "port": (8080,),
    "server_port": (8081,),
    "request": (0, 3000),
    "reply": (0, 20_000),
    "rate": (5,),
    "client_dscp": ("EF",),
    "vlan": (100,),
    "mtu": (576, 1280, 9000),
    "snaplen": (96,),
    "jitter": ("5ms",),
    "loss": ("5%",),
    "skew": ("3ms",),
    "gue_variant": (0, 1),
    "tunnel_port": (7000,),
    "dscp": (1, "tos=0x68", 63),
    "proxy": (1, 2),
    "proxy_tlv": (
        ("authority=www.example.com",),
        ("alpn=h2", "unique-id=42", "netns=blue", "ssl=TLSv1.3", "noop=16"),
    ),
    "name": ("web.example.net",),
    "ttl": (0, 300),
    "resolvers": (2,),
    "interval": ("1s",),
    "checks": (1,),
    "path": ("/alive",),
    "vrrp": (2, 3),
    "vrid": (7,),
}
"""What to try of an option that is neither a flag nor a choice."""

WITH: Final[Mapping[str, Mapping[str, object]]] = {
    "clients": {"flows": 3},
    "real_servers": {"flows": 4},
    "rate": {"flows": 2},
    "jitter": {"flows": 3},
    "loss": {"flows": 5},
    "tunnel_port": {"tunnel": "gue"},
    "gue_variant": {"tunnel": "gue"},
    "tunnel_checksum": {"tunnel": "gre"},
    "mtu": {"request": 12_000},
    "pmtud": {"request": 3000},
    "proxy_tlv": {"proxy": 2},
    "crc32c": {"proxy": 2},
    "resolvers": {"flows": 4, "clients": 4},
    "outage": {"flows": 10, "rate": 1},
}
"""What an option needs beside it to show itself."""

COMBINED: Final[Mapping[str, tuple[Mapping[str, object], ...]]] = {
    "fullnat": ({"toa": True, "profile": "generic", "request": 5000}, {"flows": 3, "clients": 3, "loss": "5%"}),
    "l7": ({"proxy": 2, "crc32c": True, "xff": True, "reply": 20_000}, {"proxy": 1, "server_port": 8081, "loss": "5%"}),
    "dns-rr": ({"flows": 6, "clients": 3, "resolvers": 2, "real_servers": 4, "edns": True, "ttl": 1, "rate": 1},),
    "garp": ({"vrrp": 3, "vmac": True}, {"graceful": True, "vmac": True}, {"graceful": True, "vlan": 100}),
}
"""Options that meet each other, beside those that every rewriting mode is given."""

TRAFFIC: Final[tuple[Mapping[str, object], ...]] = (
    {"protocol": "tcp", "request": 3000, "reply": 5000},
    {"protocol": "udp"},
    {"protocol": "udp", "request": 4000, "reply": 4000},
    {"protocol": "icmp"},
)
"""What goes through a tunnel or another data path: segments, a datagram, fragments, a ping."""


@dataclass(frozen=True, slots=True)
class Case:
    """One call of craft."""

    mode: str
    given: tuple[tuple[str, object], ...]

    def __str__(self) -> str:
        flags = (f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}") for name, value in self.given)
        return " ".join(["craft", self.mode, *flags])

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.given)

    def get(self, name: str) -> Any:
        """The value of an option: what is given, else its default."""
        defaults = {option: default for option, default, _ in options_of(self.mode)}
        return self.options.get(name, defaults.get(name))

    def craft(self, seed: int = 0) -> Scenario:
        return craft(self.mode, seed=seed, **self.options)

    @property
    def profile(self) -> str:
        return str(self.options.get("profile", "generic" if self.get("toa") else USUAL))

    @property
    def data_path(self) -> str:
        """The mode whose load balancer stands in it."""
        return str(self.get("data_path") or {"garp": "l2dsr"}.get(self.mode, self.mode))

    @property
    def pair(self) -> tuple[int, int]:
        """IP versions of the clients' packets and, in a tunnel, of the outer header."""
        version = int(self.get("ip"))
        if self.data_path != "l3dsr-tunnel":
            return version, version
        if (named := IPIP_PAIRS.get(self.get("tunnel"))) is not None:
            return named
        only_4 = self.profile == "glb" and self.get("tunnel") is None
        return version, int(self.get("outer_ip") or (4 if only_4 else version))

    @property
    def tunnel(self) -> str | None:
        """The kind of tunnel that the load balancer makes, None where it makes none."""
        if self.data_path != "l3dsr-tunnel":
            return None
        preferred = (one.default.type for one in PROFILES[self.profile].tunnels.values() if self.pair in one.pairs)
        return self.get("tunnel") or next(preferred, None)

    @property
    def variant(self) -> int:
        """The GUE variant."""
        asked = self.get("gue_variant")
        return int(PROFILES[self.profile].tunnels["gue"].default.variant if asked is None else asked)

    @property
    def refused(self) -> str | None:
        """Why craft must refuse the case: words of its message; None where it must not."""
        return next((words for words, applies in REFUSALS.items() if applies(self)), None)


def _tunnel_missing(case: Case) -> bool:
    return case.tunnel is not None and case.tunnel not in PROFILES[case.profile].tunnels


def _known_tunnel(case: Case) -> str:
    """The kind of tunnel, where the profile has it."""
    return "" if case.tunnel is None or _tunnel_missing(case) else case.tunnel


def _tcp(case: Case) -> bool:
    return case.get("protocol") in (None, "tcp")


def _ports(case: Case) -> bool:
    return case.get("protocol") != "icmp"


def _tunnelled(case: Case) -> bool:
    return case.data_path == "l3dsr-tunnel"


NEEDED: Final[tuple[tuple[str, Any], ...]] = (
    ("port server_port request reply", _ports),
    ("ecn toa pmtud", _tcp),
    ("tunnel outer_ip gue_variant tunnel_port tunnel_checksum", _tunnelled),
    ("dscp", lambda case: case.data_path == "l3dsr-dscp"),
    ("server_port", lambda case: case.mode != "health" or case.data_path in ("nat", "fullnat")),
    ("through", lambda case: case.data_path not in ("nat", "fullnat")),
    ("path", lambda case: case.get("check") == "http"),
    ("crc32c proxy_tlv", lambda case: case.get("proxy") == 2),
    ("vrrp graceful", lambda case: case.get("form") is None),
    ("vrrp", lambda case: case.get("ip") == "4"),
    ("vrid", lambda case: case.get("form") is None or case.get("vmac")),
)
"""Options that do nothing without another one, and whether a case has it."""


def _alone(case: Case) -> bool:
    """An option that does nothing without another one."""
    defaults = {name: default for name, default, _ in options_of(case.mode)}
    changed = {name for name, value in case.given if name in defaults and value != defaults[name]}
    return any(changed & {*names.split()} and not met(case) for names, met in NEEDED)


def _idle_rate(case: Case) -> bool:
    """A rate among connections that a takeover spreads anyway."""
    span, flows = (6 if case.get("form") else 12), case.options.get("flows", 1)
    return case.mode == "garp" and case.get("rate") != 20 and flows / min(case.get("rate"), 20) <= span


def _form_of_other_version(case: Case) -> bool:
    form = FORMS.get(case.get("form") or "")
    return form is not None and not (form.ipv6 if case.get("ip") == "6" else form.ipv4)


def _named(case: Case) -> Any:
    """The IP versions that the name of the tunnel says, whether or not the data path has one."""
    return IPIP_PAIRS.get(case.options.get("tunnel", ""))


REFUSALS: Final[Mapping[str, Any]] = {
    " needs ": _alone,
    "does not do": lambda case: (
        case.data_path not in PROFILES[case.profile].modes
        and (case.data_path in REWRITES or case.profile not in ("ipvs", "generic"))
    ),
    "carries IPv": lambda case: (
        _named(case) is not None and int(case.options.get("ip", _named(case)[0])) != _named(case)[0]
    ),
    "has an IPv": lambda case: (
        _named(case) is not None and int(case.get("outer_ip") or _named(case)[1]) != _named(case)[1]
    ),
    "is not an IPv": lambda case: case.get("vip") and (":" in case.get("vip")) != (case.pair[0] == 6),
    "at least 1280": lambda case: case.get("mtu") < 1280 and 6 in (*case.pair, int(case.get("ip"))),
    "adds no TCP option": lambda case: case.get("toa") and case.profile != "generic",
    "--rate changes nothing": _idle_rate,
    "does not announce": _form_of_other_version,
    "need --tunnel gue": lambda case: (
        case.tunnel not in (None, "gue") and {"gue_variant", "tunnel_port"} & case.options.keys()
    ),
    "has no checksum": lambda case: case.get("tunnel_checksum") and case.tunnel not in ("gre", "gue"),
    "has no tunnel of type": _tunnel_missing,
    "has no tunnel for IPv": lambda case: case.data_path == "l3dsr-tunnel" and case.tunnel is None,
    "does not put an IPv": lambda case: (
        _known_tunnel(case) and case.pair not in PROFILES[case.profile].tunnels[_known_tunnel(case)].pairs
    ),
    "does GUE variant": lambda case: (
        _known_tunnel(case) == "gue" and case.variant not in PROFILES[case.profile].tunnels["gue"].variants
    ),
}
"""What craft refuses, by words of its message, in the order in which it looks."""


def samples(name: str, default: object, entry: Mapping[str, Any], version: str) -> tuple[object, ...]:
    """Values of an option that differ from its default.

    Raises: KeyError for an option that takes any value and has no sample yet.
    """
    if entry["choices"]:
        return tuple(choice for choice in entry["choices"] if choice != default)
    if default is False:
        return (True,)
    if name == "vip":
        return (SAMPLES[name][version == "6"],)
    return SAMPLES[name]


def cases(mode: str) -> list[Case]:
    """Every case of a mode, each once."""
    found: dict[Case, None] = {}
    for profile, version in product(PROFILES, VERSIONS):
        for options in _of(mode, profile, version):
            named = {"profile": profile, "ip": version, **options}
            found[Case(mode, tuple(named.items()))] = None
    return list(found)


def _of(mode: str, profile: str, version: str) -> Iterator[Mapping[str, object]]:
    yield {}
    able = PROFILES[profile].modes if mode in REWRITES else frozenset({mode} if profile == USUAL else ())
    if mode == "health" and profile != USUAL:
        yield {"data_path": "l3dsr-tunnel"}
    if mode not in able:
        return  # it has no habits of its own there
    known = {name: (default, entry) for name, default, entry in options_of(mode)}
    for name, (default, entry) in known.items():
        if name == "ip":
            continue
        for value in samples(name, default, entry, version):
            yield _fitting(known, {**WITH.get(name, {}), name: value})
    yield from COMBINED.get(mode, ())
    if mode in REWRITES:
        yield from TRAFFIC
        yield {"protocol": "udp", "request": 4000, "vlan": 100}
        yield {"ecn": True, "client_dscp": "AF41", "request": 3000}
        yield {"flows": 3, "loss": "5%", "jitter": "1ms", "skew": "1ms", "vlan": 5}
    if mode == "l3dsr-tunnel":
        for tunnel, traffic in product(_tunnels(profile, version), TRAFFIC):
            yield {**tunnel, **traffic}
    if mode == "health":
        for path, check, through in product(REWRITES, ("ping", "tcp", "http"), ("vip", "rip")):
            yield {"data_path": path, "check": check, "through": through, "checks": 2}
        for tunnel, check in product(_tunnels(profile, version), ("ping", "http")):
            yield {"data_path": "l3dsr-tunnel", **tunnel, "check": check, "checks": 1}
        yield {"data_path": "nat", "server_port": 8081}
        yield {"data_path": "l3dsr-dscp", "dscp": "EF"}
        yield {"check": "ping", "outage": True}


def _fitting(known: Mapping[str, object], options: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in options.items() if name in known or name == "flows"}


def _tunnels(profile: str, version: str) -> Iterator[dict[str, object]]:
    """Every tunnel of a profile for clients of an IP version: outer versions, GUE variants, with and without a sum."""
    for kind, tunnel in PROFILES[profile].tunnels.items():
        sums = (False, True) if kind in ("gre", "gue") else (False,)
        for (inner, outer), variant, checksum in product(sorted(tunnel.pairs), sorted(tunnel.variants), sums):
            if str(inner) != version:
                continue
            yield {
                "tunnel": kind,
                **({} if kind in IPIP_PAIRS else {"outer_ip": str(outer)}),
                **({"gue_variant": variant} if kind == "gue" else {}),
                **({"tunnel_checksum": True} if checksum else {}),
            }

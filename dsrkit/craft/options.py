"""The options of craft: one table that the API checks, the command line offers and the docs print.

An option belongs to the modes named in its entry; giving it to another mode is an error, since it would silently do
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from dsrkit.errors import UsageError
from dsrkit.model.dscp import parse_dscp
from dsrkit.model.names import DIRECT_RETURN, MODES, REWRITES, Mode, did_you_mean

W = TypeVar("W", bound=str)

CONNECTIONS: Final[tuple[Mode, ...]] = (*REWRITES, "l7")
BALANCED: Final[tuple[Mode, ...]] = tuple(mode for mode in MODES if mode != "dns-rr")
SERVED: Final[tuple[Mode, ...]] = (*CONNECTIONS, "dns-rr", "health")
TUNNELLED: Final[tuple[Mode, ...]] = ("l3dsr-tunnel", "health")
TAGGED: Final[tuple[Mode, ...]] = ("l3dsr-dscp", "health")

Needs = Mapping[str, tuple[object, ...]]
"""A condition of an option: one of the other options has one of the values (None: it is not given)."""
TCP_ONLY: Final[Needs] = {"protocol": ("tcp",)}
PORTS: Final[Needs] = {"protocol": ("tcp", "udp")}
TUNNEL_PATH: Final[Needs] = {"data_path": ("l3dsr-tunnel",)}
TAKEOVER: Final[Needs] = {"form": (None,)}
NANOSECONDS: Final = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def whole(low: int, high: int) -> Callable[[str, object], int]:
    """The parser of a whole number within two bounds."""

    def parse(flag: str, given: object) -> int:
        try:
            number = int(str(given), 0) if not isinstance(given, bool) else -1
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise UsageError(f"{flag}: {given!r} must be a whole number within {low} and {high}")
        return number

    return parse


def one_of(*words: str) -> Callable[[str, object], str]:
    """How a flag's text becomes one of some words."""

    def parse(flag: str, given: object) -> str:
        if str(given) in words:
            return str(given)
        hint = did_you_mean(str(given), words, cutoff=0.4)
        raise UsageError(f"{flag}: {given!r} is not valid ({hint}one of: {', '.join(words)})")

    return parse


def _text(flag: str, given: object) -> str:
    if not isinstance(given, str) or not given.strip():
        raise UsageError(f"{flag}: must not be empty")
    if not given.isprintable():
        raise UsageError(f"{flag}: {given!r} has control characters, or is not UTF-8")
    return given


def _path(flag: str, given: object) -> str:
    path = _text(flag, given)
    if re.fullmatch(r"/[!-~]*", path) is None:
        raise UsageError(f"{flag}: {path!r} must start with / and have neither blanks nor letters outside ASCII")
    return path


def _texts(flag: str, given: object) -> tuple[str, ...]:
    items = given if isinstance(given, list | tuple) else [given]
    return tuple(_text(flag, item) for item in items)


def _flag(flag: str, given: object) -> bool:
    if not isinstance(given, bool):
        raise UsageError(f"{flag}: is either given or not")
    return given


def _duration(flag: str, given: object) -> int:
    """Nanoseconds from ``5ms``, ``250us``, ``1.5s`` or a number of seconds."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(s|ms|us|ns)?", str(given).strip())
    if match is None or float(match[1]) > 10**6:
        raise UsageError(f"{flag}: {given!r} is not a time (write 5ms, 250us or 1.5s)")
    return round(float(match[1]) * NANOSECONDS[match[2] or "s"])


def _share(flag: str, given: object) -> float:
    """A share from ``1%`` or ``0.01``."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(%?)", str(given).strip())
    share = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0 <= share < 1:
        raise UsageError(f"{flag}: {given!r} is not a share below 1 (write 1% or 0.01)")
    return share


def _rate(flag: str, given: object) -> float:
    try:
        rate = float(str(given))
    except ValueError:
        rate = 0.0
    if not 1e-3 <= rate <= 1e9:
        raise UsageError(f"{flag}: {given!r} is not a number of connections per second within 0.001 and 1e9")
    return rate


def _dscp(flag: str, given: object) -> int:
    try:
        return parse_dscp(given)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from None


def _tag(flag: str, given: object) -> int:
    tag = _dscp(flag, given)
    if tag == 0:
        raise UsageError(f"{flag}: 0 is what packets without a tag carry (1 to 63 can stand for a VIP; see DSC515)")
    return tag


def _address(flag: str, given: object) -> str:
    from ipaddress import IPv4Address, ip_address

    try:
        address = ip_address(str(given))
    except ValueError:
        raise UsageError(f"{flag}: {given!r} is not an IP address") from None
    groups = address.is_multicast or address == IPv4Address("255.255.255.255")
    if groups or address.is_unspecified or address.is_loopback or "%" in str(address):
        raise UsageError(f"{flag}: {given!r} is not an address that a service can have")
    return str(address)


def option(
    default: Any,
    parse: Callable[[str, object], Any],
    text: str,
    metavar: str | None = None,
    *,
    modes: tuple[Mode, ...] = MODES,
    choices: tuple[str, ...] = (),
    many: bool = False,
    needs: tuple[Needs, ...] = (),
) -> Any:
    """One entry of the table: its default, how a text becomes a value, and what `--help` says.

    It does something only where each of its `needs` holds, as far as the mode has the options that they name.
    """
    entry = {
        "parse": parse,
        "help": text,
        "metavar": metavar,
        "modes": modes,
        "choices": choices,
        "many": many,
        "needs": needs,
    }
    return field(default=default, metadata=entry)


def _choice(
    default: Any, text: str, *words: str, modes: tuple[Mode, ...] = MODES, needs: tuple[Needs, ...] = ()
) -> Any:
    return option(default, one_of(*words), text, "|".join(words), modes=modes, choices=words, needs=needs)


GARP_FORMS: Final = (
    "request", "reply", "send-arp", "arping-A", "arping-U", "keepalived", "linux", "metallb", "heartbeat", "kube-vip",
    "seesaw", "unsolicited-na",
)  # fmt: skip
TUNNELS: Final = ("ipip", "6in6", "4in6", "6in4", "gre", "gue", "geneve", "option")


@dataclass(frozen=True)
class Options:
    """What a scenario is made of, checked; the field names are the long flags with _ for -.

    Units: `jitter`, `skew`, `interval` in nanoseconds, `loss` a share, `rate` in connections per second, sizes in
    octets.
    """

    ip: str = _choice("4", "IP version.", "4", "6")
    protocol: str = _choice("tcp", "What the clients speak.", "tcp", "udp", "icmp", modes=REWRITES)
    clients: int = option(1, whole(1, 60000), "Number of client addresses.", "N")
    real_servers: int = option(2, whole(1, 200), "Number of real servers.", "N")
    vip: str | None = option(None, _address, "The virtual address.", "ADDRESS", modes=BALANCED)
    port: int = option(80, whole(1, 65535), "The service's port.", "PORT", modes=SERVED, needs=(PORTS,))
    server_port: int | None = option(
        None,
        whole(1, 65535),
        "The servers' port, where it differs.",
        "PORT",
        modes=("nat", "fullnat", "l7", "health"),
        needs=(PORTS, {"data_path": ("nat", "fullnat")}),
    )
    request: int = option(
        120,
        whole(0, 1 << 24),
        "Octets that a client sends.",
        "OCTETS",
        modes=SERVED,
        needs=(PORTS,),
    )
    reply: int = option(
        600, whole(0, 1 << 26), "Octets that a server answers with.", "OCTETS", modes=SERVED, needs=(PORTS,)
    )
    rate: float = option(20.0, _rate, "New connections per second.", "NUMBER")
    client_dscp: int = option(0, _dscp, "The DSCP that clients mark with.", "DSCP", modes=CONNECTIONS)
    ecn: bool = option(False, _flag, "Clients and servers use ECN.", modes=CONNECTIONS, needs=(TCP_ONLY,))
    vlan: int | None = option(None, whole(1, 4094), "VLAN tag on every link behind the router.", "ID")
    mtu: int = option(1500, whole(576, 65535), "MTU of every link.", "OCTETS")
    snaplen: int | None = option(None, whole(14, 262144), "Octets kept of each frame.", "OCTETS")
    jitter: int = option(0, _duration, "Random extra delay per link, up to this (5ms, 250us).", "TIME")
    loss: float = option(0.0, _share, "Share of frames lost per link (1%, 0.01).", "SHARE")
    skew: int = option(0, _duration, "Clocks of the taps differ by up to this.", "TIME")

    toa: bool = option(
        False,
        _flag,
        "Tell servers the client's address by TOA, TCP option 254 (profile generic).",
        modes=("fullnat",),
        needs=(TCP_ONLY,),
    )

    tunnel: str | None = _choice(
        None,
        "The outer headers; 'option' and 'geneve' belong to profile cilium.",
        *TUNNELS,
        modes=TUNNELLED,
        needs=(TUNNEL_PATH,),
    )
    outer_ip: str | None = _choice(
        None,
        "IP version of the outer header, where the tunnel's name does not say it.",
        "4",
        "6",
        modes=TUNNELLED,
        needs=(TUNNEL_PATH,),
    )
    gue_variant: int | None = option(
        None, whole(0, 1), "GUE variant: 0 with a header, 1 without.", "0|1", modes=TUNNELLED, needs=(TUNNEL_PATH,)
    )
    tunnel_port: int | None = option(
        None, whole(1, 65535), "UDP port of the tunnel.", "PORT", modes=TUNNELLED, needs=(TUNNEL_PATH,)
    )
    tunnel_checksum: bool = option(
        False, _flag, "Checksum in the GRE or GUE header.", modes=TUNNELLED, needs=(TUNNEL_PATH,)
    )
    pmtud: bool = option(
        False,
        _flag,
        "Servers announce an MSS that does not fit the tunnel: path-MTU discovery follows (use --request 3000).",
        modes=("l3dsr-tunnel",),
        needs=(TCP_ONLY,),
    )

    dscp: int = option(
        7,
        _tag,
        "The tag that stands for the VIP: 7, tos=0x1c or a name such as AF41.",
        "DSCP",
        modes=TAGGED,
        needs=({"data_path": ("l3dsr-dscp",)},),
    )

    proxy: int | None = option(None, whole(1, 2), "Send the PROXY protocol, version 1 or 2.", "1|2", modes=("l7",))
    proxy_tlv: tuple[str, ...] = option(
        (),
        _texts,
        "A TLV of PROXY v2: authority=NAME, alpn=h2, unique-id=TEXT, netns=NAME, ssl=TLSv1.3, noop=N; repeat.",
        "NAME=VALUE",
        modes=("l7",),
        many=True,
        needs=({"proxy": (2,)},),
    )
    crc32c: bool = option(
        False,
        _flag,
        "Checksum TLV in the PROXY v2 header.",
        modes=("l7",),
        needs=({"proxy": (2,)},),
    )
    xff: bool = option(False, _flag, "Add X-Forwarded-For to the request.", modes=("l7",))

    name: str = option("www.example.com", _text, "The name that is asked for.", "NAME", modes=("dns-rr",))
    ttl: int = option(60, whole(0, 2**31 - 1), "TTL of the records, in seconds.", "SECONDS", modes=("dns-rr",))
    resolvers: int = option(1, whole(1, 50), "Caching resolvers the clients ask.", "N", modes=("dns-rr",))
    edns: bool = option(False, _flag, "The clients ask with EDNS, as dig does.", modes=("dns-rr",))

    check: str = _choice("http", "What the load balancer checks with.", "ping", "tcp", "http", modes=("health",))
    through: str = _choice(
        "vip",
        "The check takes the data path, or goes to the server's address.",
        "vip",
        "rip",
        modes=("health",),
        needs=({"data_path": DIRECT_RETURN},),
    )
    data_path: str = _choice("l2dsr", "The mode whose data path is checked.", *REWRITES, modes=("health",))
    interval: int = option(2 * 10**9, _duration, "Time between checks (2s).", "TIME", modes=("health",))
    checks: int = option(5, whole(1, 10000), "Checks of each server.", "N", modes=("health",))
    path: str = option(
        "/health", _path, "Path of the HTTP check.", "PATH", modes=("health",), needs=({"check": ("http",)},)
    )
    outage: bool = option(
        False,
        _flag,
        "The first server fails two checks and comes back (with --flows 10 --rate 1 the clients show it).",
        modes=("health",),
    )

    form: str | None = _choice(
        None, "Only the announcement of one sender, without a takeover around it.", *GARP_FORMS, modes=("garp",)
    )
    vrrp: int | None = option(
        None,
        whole(2, 3),
        "VRRP version of the takeover's adverts over IPv4 [default: 2]; over IPv6 it is 3.",
        "2|3",
        modes=("garp",),
        needs=(TAKEOVER, {"ip": ("4",)}),
    )
    vmac: bool = option(False, _flag, "The VIP lives on the VRRP virtual MAC.", modes=("garp",))
    vrid: int = option(
        51, whole(1, 255), "Virtual router id.", "ID", modes=("garp",), needs=({"vmac": (True,), **TAKEOVER},)
    )
    graceful: bool = option(
        False,
        _flag,
        "The old owner gives up with a priority-0 advert, instead of dying.",
        modes=("garp",),
        needs=(TAKEOVER,),
    )


DEFAULTS: Final = Options()


def flag(name: str) -> str:
    """The long flag of an option's field."""
    return f"--{name.replace('_', '-')}"


def options_of(mode: str) -> list[tuple[str, Any, Mapping[str, Any]]]:
    """Name, default and entry of every option that a mode takes, in the order of `--help`."""
    return [(f.name, f.default, f.metadata) for f in fields(Options) if mode in f.metadata["modes"]]


def parse_options(mode: str, given: Mapping[str, object]) -> Options:
    """Options of a mode from the values of an API call or a command line; None leaves the default.

    Raises: UsageError for an unknown option, one of another mode, or a value out of range.
    """
    known = {f.name: f.metadata for f in fields(Options)}
    mine = [name for name, _, _ in options_of(mode)]
    values = {}
    for name, one in given.items():
        if one is None:
            continue
        if name not in mine:
            if name in known:
                raise UsageError(
                    f"{flag(name)} is not an option of mode {mode} (of: {', '.join(known[name]['modes'])})"
                )
            near = get_close_matches(name, mine, n=1, cutoff=0.5)
            hint = f"did you mean {flag(near[0])}?" if near else f"mode {mode} takes: {', '.join(map(flag, mine))}"
            raise UsageError(f"unknown option {flag(name)} ({hint})")
        values[name] = known[name]["parse"](flag(name), one)
    return replace(DEFAULTS, **values)


def known_word(given: str, words: tuple[W, ...], what: str) -> W:
    """The one of some words that was given.

    Raises: UsageError for one that is none of them.
    """
    for word in words:
        if word == given:
            return word
    hint = did_you_mean(str(given), words, cutoff=0.4)
    raise UsageError(f"{what} {given!r} is not known ({hint}one of: {', '.join(words)})")


def unmet(mode: str, options: Options, name: str) -> str | None:
    """What an option of a mode still needs to do anything, in words; None where nothing is missing."""
    known = {other for other, _, _ in options_of(mode)}
    entry = next(f.metadata for f in fields(Options) if f.name == name)
    if getattr(options, name) == getattr(DEFAULTS, name):
        return None
    for needs in entry["needs"]:
        found = {other: getattr(options, other) for other in needs if other in known}
        if found and not any(value in needs[other] for other, value in found.items()):
            wanted = " or ".join(_wanted(other, needs[other]) for other in found)
            instead = [
                value for value in found.values() if isinstance(value, str) and TAKEOVER.keys().isdisjoint(needs)
            ]
            return f"{flag(name)} needs {', not '.join([wanted, *instead])}"
    return None


def _wanted(name: str, values: tuple[object, ...]) -> str:
    if values == (None,):
        return f"no {flag(name)} beside it"
    return flag(name) if values == (True,) else f"{flag(name)} {' or '.join(map(str, values))}"

"""The set-ups that craft builds when nobody says otherwise, as specs.

Two paths, with the links named A to D everywhere:

inline (nat, fullnat, l7)   client -A- r1 -B- lb1 -C- servers
direct server return        client -A- r1 -B- lb1, back over B, r1 -C- sw1 -D- servers; replies D, C, A

In l2dsr the router's ports B and C are one VLAN, so the load balancer and the servers share a broadcast domain.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Final

from dsrkit.craft.options import Options
from dsrkit.craft.profiles import Encapsulation, profile_of
from dsrkit.craft.profiles.base import IPIP_PAIRS
from dsrkit.errors import UsageError
from dsrkit.model.names import TUNNEL_TYPES, Mode, Profile
from dsrkit.model.spec import (
    Link,
    PathSpec,
    Port,
    Proxy,
    Snat,
    Spec,
    SpecNode,
    SpecService,
    SpecTap,
    Tunnel,
)

INLINE: Final = ("nat", "fullnat", "l7")


@dataclass(frozen=True, slots=True)
class Plan:
    """Addresses of one family: the prefix of each link with its length."""

    client: str
    outside: str  # link B
    inside: str  # links C and D
    length: int

    def host(self, prefix: str, number: int) -> str:
        return str(ip_address(prefix) + number)


PLANS: Final = {
    4: Plan("198.51.100.0", "203.0.113.0", "10.0.0.0", 24),
    6: Plan("2001:db8:a::", "2001:db8:b::", "2001:db8:c::", 64),
}
"""RFC 5737, RFC 1918, RFC 3849."""

ROUTER, LB, VIP, CLIENT, SERVER = 1, 2, 10, 10, 11


def mac_of(kind: str, number: int) -> str:
    """Locally administered addresses, told apart at a glance: c1 client, aa router, 1b balancer, 55 server."""
    return f"02:{kind}:00:00:{number >> 8:02x}:{number & 0xFF:02x}"


def link_of(letter: str, mac: str, addresses: list[tuple[str, int]], gateway: str | None = None) -> Link:
    return Link(
        link=letter,
        mac=(mac,),
        ip=tuple(ip for ip, _ in addresses),
        prefix=tuple(length for _, length in addresses),
        gateway=gateway,
    )


def families(mode: str, profile: str, options: Options) -> tuple[int, int]:
    """IP version of the service, and of what travels between load balancer and servers."""
    version = int(options.ip)
    if mode != "l3dsr-tunnel":
        return version, version
    if (pair := IPIP_PAIRS.get(options.tunnel or "")) is not None:
        return pair
    if options.tunnel is None and options.outer_ip is None and profile == "glb":
        return version, 4  # its outer header is always IPv4
    return version, int(options.outer_ip or options.ip)


def encapsulation(profile: str, options: Options, pair: tuple[int, int]) -> Encapsulation:
    """The tunnel that was asked for, or the one that the profile prefers, with nothing left open.

    Raises: UsageError for what the profile does not do, and for options that do not fit the tunnel.
    """
    known = profile_of(profile)
    asked = known.default(pair) if options.tunnel is None else None
    if asked is None:
        found = known.tunnels.get(options.tunnel or "")
        asked = found.default if found else Encapsulation(options.tunnel or "")
    asked = replace(
        asked,
        variant=asked.variant if options.gue_variant is None else options.gue_variant,
        port=options.tunnel_port or asked.port,
        checksum=asked.checksum or options.tunnel_checksum,
    )
    if asked.type != "gue" and (options.gue_variant is not None or options.tunnel_port is not None):
        raise UsageError(f"--gue-variant and --tunnel-port need --tunnel gue, not {asked.type}")
    if options.tunnel_checksum and asked.type not in ("gre", "gue"):
        raise UsageError(f"--tunnel-checksum: {asked.type} has no checksum (gre and gue have)")
    known.tunnel(asked, pair)
    return asked


def encapsulation_of(spec: Spec, profile: str) -> tuple[Encapsulation | None, int | None]:
    """The tunnel of a spec, what it leaves open as the profile has it, and the IP version of its outer header.

    Raises: UsageError for what the profile does not do.
    """
    if spec.mode != "l3dsr-tunnel":
        return None, None
    service = ip_address(spec.vips[0]).version if spec.vips else 4
    servers = {ip_address(ip).version for node in spec.nodes if node.role == "real-server" for ip in node.ips}
    tunnel = spec.tunnel or Tunnel()
    pair = IPIP_PAIRS.get(tunnel.type or "") or (
        service,
        service if service in servers or not servers else min(servers),
    )
    options = Options(
        ip=str(pair[0]),
        tunnel=tunnel.type,
        gue_variant=tunnel.variant if tunnel.type == "gue" else None,
        tunnel_port=tunnel.port if tunnel.type == "gue" else None,
        tunnel_checksum=bool(tunnel.checksum),
    )
    found = encapsulation(profile, options, pair)
    return found if tunnel.checksum is None else replace(found, checksum=tunnel.checksum), pair[1]


def preset(mode: Mode, profile: Profile, options: Options) -> Spec:
    """The complete spec of a mode's usual set-up.

    Raises: UsageError for options that contradict each other.
    """
    inner, outer = families(mode, profile, options)
    inline = mode in INLINE
    flat = mode in ("l2dsr", "garp")
    outside = _hosts("outside", inner, outer)
    inside = outside if flat else _hosts("inside", inner, outer)
    length = {version: PLANS[version].length for version in (4, 6)}

    def on(where: dict[int, str], number: int) -> list[tuple[str, int]]:
        return [(PLANS[v].host(prefix, number), length[v]) for v, prefix in where.items()]

    client_side = {inner: PLANS[inner].client}
    vip = options.vip or PLANS[inner].host(PLANS[inner].outside, VIP)
    r1 = [
        link_of("A", mac_of("aa", 0x0A), on(client_side, ROUTER)),
        link_of("B", mac_of("aa", 0x0B), on(outside, ROUTER)),
    ]
    lb1 = [link_of("B", mac_of("b1", 0x0B), on(outside, LB), PLANS[outer].host(outside[outer], ROUTER))]
    gateway = PLANS[inner].host(inside[inner], ROUTER)
    if inline:
        lb1.append(link_of("C", mac_of("b1", 0x0C), on(inside, ROUTER)))
    elif flat:
        r1.append(link_of("C", mac_of("aa", 0x0B), on(outside, ROUTER)))
    else:
        r1.append(link_of("C", mac_of("aa", 0x0C), on(inside, ROUTER)))
    letter = "C" if inline else "D"
    first = 21 if flat else SERVER
    servers = [
        SpecNode(
            f"web{n + 1}",
            "real-server",
            (link_of(letter, mac_of("55", n + 1), on(inside, first + n), gateway),),
        )
        for n in range(options.real_servers)
    ]
    nodes = [
        SpecNode("client", "client", (clients_link(inner, options.clients),)),
        SpecNode("r1", "router", tuple(r1)),
        SpecNode("lb1", "lb", tuple(lb1)),
    ]
    if not inline:
        nodes.append(SpecNode("sw1", "bridge", (Link(link="C"), Link(link="D"))))
    spec = Spec(
        services=(_service(mode, profile, vip, options),),
        path=_path(inline=inline, flat=flat),
        nodes=(*nodes, *servers),
        taps=tuple(SpecTap(letter, link=letter) for letter in ("ABC" if inline else "ABCD")),
        tunnel=_tunnel(mode, profile, options, (inner, outer)),
        dscp={options.dscp: vip} if mode == "l3dsr-dscp" else {},
        snat=Snat((PLANS[inner].host(inside[inner], ROUTER),)) if mode == "fullnat" else None,
        proxy=Proxy(options.proxy) if mode == "l7" and options.proxy else None,
    )
    return spec


def _hosts(where: str, inner: int, outer: int) -> dict[int, str]:
    return {version: str(getattr(PLANS[version], where)) for version in sorted({inner, outer})}


def clients_link(version: int, count: int) -> Link:
    """The client's link: one machine that holds every client address, as a capture behind a router shows them."""
    plan = PLANS[version]
    gateway = plan.host(plan.client, ROUTER)
    few = [plan.host(plan.client, CLIENT + n) for n in range(min(count, 240))]
    base = "198.18.0.0" if version == 4 else "2001:db8:a:1::"  # RFC 2544's benchmark range behind the client's link
    many = [str(ip_address(base) + n + 1) for n in range(count - len(few))]
    addresses = [(ip, plan.length) for ip in few] + [(ip, 32 if version == 4 else 128) for ip in many]
    return link_of("A", mac_of("c1", 0x0A), addresses, gateway)


def _service(mode: Mode, profile: Profile, vip: str, options: Options) -> SpecService:
    proto = options.protocol if options.protocol != "icmp" else "tcp"
    port = Port(proto, options.port, options.server_port or options.port)
    return SpecService(mode, (vip,), () if mode == "garp" else (port,), profile)


def _path(*, inline: bool, flat: bool) -> PathSpec:
    if inline:
        row = ("client", "r1", "lb1", "real-server")
        return PathSpec(row, tuple(reversed(row)))
    if flat:  # between load balancer and servers the router is but a switch
        return PathSpec(("client", "r1", "lb1", "sw1", "real-server"), ("real-server", "sw1", "r1", "client"))
    return PathSpec(("client", "r1", "lb1", "r1", "sw1", "real-server"), ("real-server", "sw1", "r1", "client"))


def _tunnel(mode: Mode, profile: Profile, options: Options, pair: tuple[int, int]) -> Tunnel | None:
    """The spec's tunnel; None where the spec has no word for what the profile does (an IP option, Geneve)."""
    if mode != "l3dsr-tunnel":
        return None
    asked = encapsulation(profile, options, pair)
    kind = next((name for name in TUNNEL_TYPES if name == asked.type), None)
    if kind is None:
        return None
    variant, port = (asked.variant, asked.port) if kind == "gue" else (None, None)
    return Tunnel(kind, variant, port, asked.checksum if kind in ("gre", "gue") else None, options.mtu)

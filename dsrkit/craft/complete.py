"""A user's spec made whole: what it leaves open comes from the mode's usual set-up, in the spec's own subnets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Final

from dsrkit.craft.options import BALANCED, SERVED
from dsrkit.craft.preset import PLANS
from dsrkit.errors import SpecError
from dsrkit.model.names import REWRITES, Mode
from dsrkit.model.spec import Link, PathSpec, Port, Spec, SpecNode, SpecTap

Address = IPv4Address | IPv6Address
Subnet = IPv4Network | IPv6Network
LENGTH: Final = {4: 24, 6: 64}


def spec_options(spec: Spec, mode: Mode, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The options of craft that a spec answers; of several ports, the one that the caller's own options ask for."""
    found: dict[str, Any] = {}
    path = _data_path(spec, mode)
    service = next((one for one in spec.services if one.mode in (None, mode, path)), None)
    if service is not None and service.vip:
        if mode in BALANCED:
            found["vip"] = service.vip[0]
        found["ip"] = str(ip_address(service.vip[0]).version)
    if service is not None and service.ports:
        found.update(_port(service.ports, mode, asked))
    if servers := [node for node in spec.nodes if node.role == "real-server"]:
        found["real_servers"] = len(servers)
    if clients := [ip for node in spec.nodes if node.role == "client" for ip in node.ips]:
        found["clients"] = len(clients)
    if path != mode:
        found["data_path"] = path
    match path:
        case "l3dsr-dscp" if spec.dscp:
            found["dscp"] = next(iter(spec.dscp))
        case "l3dsr-tunnel" if spec.tunnel is not None:
            found["tunnel"] = spec.tunnel.type
            if spec.tunnel.type == "gue":
                found["gue_variant"], found["tunnel_port"] = spec.tunnel.variant, spec.tunnel.port
            found["tunnel_checksum"], found["mtu"] = spec.tunnel.checksum, spec.tunnel.mtu
        case "l7" if spec.proxy is not None:
            found["proxy"] = spec.proxy.version
        case "dns-rr" if spec.dns is not None:
            found["name"], found["ttl"] = spec.dns.name, spec.dns.ttl
    match mode:
        case "health" if spec.health:
            check = spec.health[0]
            found["check"], found["path"] = check.type, check.path if check.type in (None, "http") else None
            found["through"] = None if path in ("nat", "fullnat") else check.through  # where both are one
            found["interval"] = None if check.interval is None else f"{check.interval:f}s"
        case "garp" if spec.takeover is not None:
            found["vrid"] = spec.takeover.vrid
    return {name: value for name, value in found.items() if value is not None}


def _data_path(spec: Spec, mode: Mode) -> Mode:
    """The mode that says how packets reach the servers."""
    return spec.mode if mode == "health" and spec.mode in REWRITES else mode


def _port(ports: tuple[Port, ...], mode: Mode, asked: Mapping[str, Any]) -> dict[str, Any]:
    proto, number = asked.get("protocol"), asked.get("port")
    if proto == "icmp":
        return {}  # a ping needs no port
    fits = (one for one in ports if proto in (None, one.proto) and number in (None, one.vport))
    port = next(fits, ports[0])
    found: dict[str, Any] = {}
    if mode in REWRITES:
        found["protocol"] = port.proto
    if mode in SERVED:
        found["port"] = port.vport
        if mode != "dns-rr" and (port.rport != port.vport or "server_port" in asked):
            found["server_port"] = port.rport
    return found


def completed(spec: Spec, base: Spec) -> Spec:
    """The spec with everything that it leaves open taken from `base`, the usual set-up for the same options.

    Raises: SpecError for links that cannot be joined to those of the usual set-up.
    """
    base = _moved(base, spec)
    nodes = _nodes(spec, base) if spec.nodes else base.nodes
    _check(spec, nodes, base)
    return replace(
        spec,
        services=tuple(
            replace(one, mode=one.mode or usual.mode, vip=one.vip or usual.vip, ports=one.ports or usual.ports)
            for usual in base.services[:1]
            for one in spec.services
        )
        or base.services,
        path=spec.path if spec.path.request else _path(base, nodes),
        dscp=spec.dscp or base.dscp,
        tunnel=spec.tunnel or base.tunnel,
        nodes=nodes,
        taps=_taps(spec.taps) or _taps_at(nodes, base),
        snat=spec.snat or base.snat,
        proxy=spec.proxy or base.proxy,
        dns=spec.dns or base.dns,
        health=spec.health or base.health,
        takeover=spec.takeover or base.takeover,
    )


def _path(base: Spec, nodes: tuple[SpecNode, ...]) -> PathSpec:
    """The usual path, by the names of the machines that stand in it."""
    names: dict[str, str] = {}
    for role in dict.fromkeys(node.role for node in base.nodes):
        usual, own = ([n.name for n in all_nodes if n.role == role] for all_nodes in (base.nodes, nodes))
        names |= dict(zip(usual, own, strict=False))
    rows = (base.path.request, base.path.reply)
    return PathSpec(*(tuple(names.get(name, name) for name in row) for row in rows))


def _check(spec: Spec, nodes: tuple[SpecNode, ...], base: Spec) -> None:
    """Refuse what would be built as something else than the spec says."""
    owners: dict[str, str] = {}
    for node in nodes:
        for ip in node.ips:
            if owners.setdefault(ip, node.name) != node.name:
                raise SpecError(f"{ip} is an address of {owners[ip]} and of {node.name}")
    needed = {ip_address(ip).version for node in base.nodes if node.role == "real-server" for ip in node.ips}
    for node in spec.nodes:
        own = {ip_address(ip).version for ip in node.ips}
        if node.role == "real-server" and base.vips and own and not own & needed:
            raise SpecError(
                f"{node.name} has no IPv{' or IPv'.join(map(str, sorted(needed)))} address, as the VIP needs"
            )


def _taps(taps: tuple[SpecTap, ...]) -> tuple[SpecTap, ...]:
    """The spec's own taps, without the files that they were once read from."""
    return tuple(replace(tap, file=None, interface=None) for tap in taps)


def _taps_at(nodes: tuple[SpecNode, ...], base: Spec) -> tuple[SpecTap, ...]:
    """The usual taps, at the spec's machines where they stand in the places of the usual ones."""
    names: dict[str | None, str] = {}
    for role in {node.role for node in base.nodes}:
        usual, own = ([node.name for node in group if node.role == role] for group in (base.nodes, nodes))
        names.update(zip(usual, own, strict=False))
    links = {link.link for node in nodes for link in node.links}
    return tuple(replace(tap, node=names.get(tap.node)) for tap in base.taps if tap.link is None or tap.link in links)


# --- the usual set-up in the spec's subnets ---------------------------------------------------------------------------


def _moved(base: Spec, spec: Spec) -> Spec:
    """`base` with its subnets replaced by those that the spec's machines stand in."""
    moves: dict[Subnet, Subnet] = {}
    for version in (4, 6):
        plan = PLANS[version]
        own = {
            plan.client: _subnets(spec, "client", version),
            plan.inside: _subnets(spec, "real-server", version),
            plan.outside: _outside(
                spec, version, flat=_stands_in(base, "real-server", f"{plan.outside}/{plan.length}")
            ),
        }
        for prefix, found in own.items():
            if found:
                moves[ip_network(f"{prefix}/{plan.length}")] = found[0]
    owners = {ip_address(ip): "" for node in spec.nodes for ip in node.ips} | {ip_address(v): "" for v in spec.vips}
    placed: dict[str, str] = {}
    for node in base.nodes:
        for text in node.ips:
            placed[text] = _place(text, node.name, moves, owners)

    def move(text: str) -> str:
        return placed.get(text, text)

    def lengths(link: Link) -> tuple[int | None, ...]:
        out: list[int | None] = []
        for ip, length in zip(link.ip, link.prefix, strict=True):
            subnet = next((new for new in moves.values() if ip_address(move(ip)) in new), None)
            out.append(subnet.prefixlen if subnet is not None and length not in (32, 128) else length)
        return tuple(out)

    nodes = []
    for node in base.nodes:
        links = tuple(
            replace(
                link,
                ip=tuple(move(ip) for ip in link.ip),
                prefix=lengths(link),
                gateway=None if link.gateway is None else move(link.gateway),
            )
            for link in node.links
        )
        nodes.append(replace(node, links=links))
    gateways = [link.gateway for node in spec.nodes for link in node.links if link.gateway is not None]
    return replace(base, nodes=tuple(_at_gateways(nodes, gateways, spec)), snat=base.snat)


def _at_gateways(nodes: list[SpecNode], gateways: list[str], spec: Spec) -> list[SpecNode]:
    """Routers of the usual set-up take the gateway addresses that the spec's machines name, if nobody else has them."""
    owned = {ip for node in spec.nodes for ip in node.ips}
    for gateway in dict.fromkeys(g for g in gateways if g not in owned):
        for at, node in enumerate(nodes):
            if node.role != "router":
                continue
            links = []
            for link in node.links:
                near = any(ip_address(gateway) in ip_network(net) for net in link.networks)
                ips = tuple(
                    gateway if near and ip_address(gateway) in ip_network(f"{ip}/{length}", strict=False) else ip
                    for ip, length in zip(link.ip, link.prefix, strict=True)
                )
                links.append(replace(link, ip=ips))
            renamed = {
                a: b for old, new in zip(node.links, links, strict=True) for a, b in zip(old.ip, new.ip, strict=True)
            }
            nodes = [
                replace(n, links=tuple(replace(k, gateway=renamed.get(k.gateway or "", k.gateway)) for k in n.links))
                for n in nodes
            ]
            nodes[at] = replace(node, links=tuple(links))
    return nodes


def _place(text: str, node: str, moves: Mapping[Subnet, Subnet], owners: dict[Address, str]) -> str:
    """Where an address of the usual set-up goes: the same host number in the new subnet, or the next one free.

    A router whose two links fall into one subnet has one address there: it switches between them.
    """
    old = ip_address(text)
    target = next((new for was, new in moves.items() if old.version == was.version and old in was), None)
    if target is None:
        return text
    number, size = int(old) & int(target.hostmask), int(target.hostmask) + 1
    for step in range(min(size, 4096)):
        candidate = target.network_address + (number + step) % size
        if candidate in (target.network_address, target.broadcast_address):
            continue
        if owners.setdefault(candidate, node) == node:
            return str(candidate)
    raise SpecError(f"no free address is left in {target}")


def _subnets(spec: Spec, role: str, version: int) -> list[Subnet]:
    return list(dict.fromkeys(_networks((node for node in spec.nodes if node.role == role), version)))


def _stands_in(spec: Spec, role: str, subnet: str) -> bool:
    return any(subnet in link.networks for node in spec.nodes if node.role == role for link in node.links)


def _outside(spec: Spec, version: int, *, flat: bool) -> list[Subnet]:
    """Where the load balancer meets the router: its subnet without servers, else its only one, else the VIP's.

    `flat`: the servers have to stand in it as well, so theirs will do.
    """
    own = _subnets(spec, "lb", version)
    inside = _subnets(spec, "real-server", version)
    vips = [ip_network(f"{v}/{LENGTH[version]}", strict=False) for v in spec.vips if ip_address(v).version == version]
    if flat:
        return inside or own or vips
    return [net for net in own if net not in inside] or own or vips


def _networks(nodes: Iterable[SpecNode], version: int) -> Iterable[Subnet]:
    for node in nodes:
        for link in node.links:
            for ip, length in zip(link.ip, link.prefix, strict=True):
                if ip_address(ip).version == version:
                    yield ip_network(f"{ip}/{LENGTH[version] if length is None else length}", strict=False)


# --- the spec's machines in the places of the usual ones --------------------------------------------------------------


def _nodes(spec: Spec, base: Spec) -> tuple[SpecNode, ...]:
    letters: dict[str, set[str | None]] = {}
    for node in base.nodes:
        letters.setdefault(node.role, set()).update(link.link for link in node.links)
    elsewhere = [
        (link.link, node.role)
        for node in spec.nodes
        for link in node.links
        if link.link is not None and link.link not in letters.get(node.role, {link.link})
    ]
    if elsewhere:
        roles = {node.role for node in spec.nodes}
        missing = [
            node.role for node in base.nodes if node.role not in roles and node.role in ("client", "lb", "real-server")
        ]
        loose = [node.name for node in spec.nodes if any(link.link is None for link in node.links) or not node.links]
        if missing or loose:
            what = f"a node of role {missing[0]}" if missing else f"the links of node {loose[0]}"
            letter, role = elsewhere[0]
            usual_letters = ", ".join(sorted(filter(None, letters[role])))
            raise SpecError(
                f"link {letter!r} of a {role} is not one of {usual_letters}: then the spec has to name {what} too"
            )
        return spec.nodes
    places: Mapping[str, list[SpecNode]] = {
        role: [node for node in base.nodes if node.role == role] for role in dict.fromkeys(n.role for n in base.nodes)
    }
    used: dict[str, int] = {}
    out = []
    for node in spec.nodes:
        usual = places.get(node.role, [])
        number = used.get(node.role, 0)
        used[node.role] = number + 1
        if not usual:
            out.append(node)
        elif number < len(usual):
            out.append(_placed(node, usual[number], fill=True))
        else:
            out.append(_placed(node, usual[-1], fill=False))
    names = {node.name for node in spec.nodes}
    return (*out, *(replace(n, name=_free(n.name, names)) for n in base.nodes if not used.get(n.role)))


def _free(name: str, taken: set[str]) -> str:
    """The name, or one like it where the spec has given it to a machine of another role."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free)
    return free


def _placed(node: SpecNode, usual: SpecNode, *, fill: bool) -> SpecNode:
    """A spec's node on the links of the usual node in its place; `fill` takes over addresses that it leaves open."""
    links = []
    loose_ips = [
        (ip, length)
        for link in node.links
        if link.link is None
        for ip, length in zip(link.ip, link.prefix, strict=True)
    ]
    loose_macs = [mac for link in node.links if link.link is None for mac in link.mac]
    gateway = next((link.gateway for link in node.links if link.link is None and link.gateway), None)
    last = len(usual.links) - 1
    for at, place in enumerate(usual.links):
        own = next((link for link in node.links if link.link == place.link), None)
        if own is not None:
            mac, addresses = own.mac, list(zip(own.ip, own.prefix, strict=True))
            way = own.gateway or place.gateway
        else:
            addresses = [one for one in loose_ips if _near(one[0], place)]
            if at == last and not any(_near(ip, other) for ip, _ in loose_ips for other in usual.links):
                addresses = loose_ips if last == 0 else addresses
            mac = (
                tuple(loose_macs[min(at, len(loose_macs) - 1) : min(at, len(loose_macs) - 1) + 1]) if loose_macs else ()
            )
            way = gateway or place.gateway
        if fill:
            mac = mac or place.mac
            versions = {ip_address(ip).version for ip, _ in addresses}
            usual_addresses = zip(place.ip, place.prefix, strict=True)
            addresses += [(ip, length) for ip, length in usual_addresses if ip_address(ip).version not in versions]
        links.append(Link(place.link, None, mac, tuple(ip for ip, _ in addresses), tuple(n for _, n in addresses), way))
    return SpecNode(node.name, node.role, tuple(links), node.dscp)


def _near(ip: str, place: Link) -> bool:
    return any(
        ip_address(ip).version == ip_network(net).version and ip_address(ip) in ip_network(net)
        for net in place.networks
    )

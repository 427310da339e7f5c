"""keepalived: moves the VIP between two load balancers, and checks the servers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address
from typing import Final

from dsrkit.errors import UsageError
from dsrkit.model.names import DIRECT_RETURN, Mode
from dsrkit.model.spec import Health, SpecNode
from dsrkit.setup.commands import daemon, file, host_prefix
from dsrkit.setup.ipvs import WITH_PORTS
from dsrkit.setup.network import EVERYTHING, Interface
from dsrkit.setup.nft import own_sources, servers_side
from dsrkit.setup.plan import Step
from dsrkit.setup.render import template
from dsrkit.setup.site import Site, address_of, slug

PRIORITY: Final = 150
STEP_DOWN: Final = 50
LOWEST: Final = 1
VRID: Final = 51
METHOD: Final[Mapping[Mode, str]] = {"nat": "NAT", "fullnat": "NAT", "l2dsr": "DR", "l3dsr-tunnel": "TUN"}
CHECKS: Final[Mapping[str, str]] = {"http": "HTTP_GET", "tcp": "TCP_CHECK", "ping": "PING_CHECK"}
SECONDS: Final = 2.0
PATH: Final = re.compile(r"/[A-Za-z0-9._~/?&=%+,:@-]*")


def keepalived(site: Site, node: SpecNode) -> Iterator[Step]:
    """Its configuration, and the daemon; only the parts of it that are needed run."""
    state = site.state(node)
    path = f"{state}/keepalived.conf"
    tasks = [("who owns the VIP", site.vrrp), ("how servers are checked", site.checks)]
    why = " and ".join(task for task, wanted in tasks if wanted)
    yield file(path, configuration(site, node), why, "keepalived")
    parts = [flag for flag, wanted in (("-P", not site.checks), ("-C", not site.vrrp)) if wanted]
    pids = [f"{state}/{name}.pid" for name in ("keepalived", "vrrp", "checkers")]
    files = (word for pair in zip(("-p", "-r", "-c"), pids, strict=True) for word in pair)
    yield daemon(("keepalived", *parts, "-f", path, *files), "runs in the background", *pids)


def configuration(site: Site, node: SpecNode) -> str:
    """keepalived.conf of one load balancer.

    Raises: UsageError for what keepalived cannot check or do.
    """
    return template("keepalived.conf.j2").render(
        router_id=slug(node.name),
        version=(site.options.vrrp or 2) if all(ip_address(vip).version == 4 for vip in site.spec.vips) else 3,
        instances=list(_instances(site, node)) if site.vrrp else [],
        checks=_checks(site.spec.health) if site.checks else [],
        delay=f"{min(map(interval, site.spec.health), default=SECONDS):g}",
        hidden=site.path in DIRECT_RETURN,
        services=site.services() if site.checks else (),
        method=_method(site) if site.checks else "",
        scheduler=site.scheduler,
        flags=WITH_PORTS.get(site.scheduler, ())[1:],
    )


def _instances(site: Site, node: SpecNode) -> Iterator[dict[str, object]]:
    """One VRRP instance per IP version: an advert holds addresses of one."""
    pair = site.nodes("lb")
    if len(pair) < 2:
        raise UsageError("a takeover needs two nodes of role lb")
    rank = [one.name for one in pair].index(node.name)
    vrid = (site.spec.takeover.vrid if site.spec.takeover is not None else None) or site.options.vrid or VRID
    for version in sorted({ip_address(vip).version for vip in site.spec.vips}):
        side = site.client_side(node)
        yield {
            "name": f"VIP_{version}",
            "state": "BACKUP" if rank else "MASTER",
            "interface": side.name,
            "vrid": vrid,
            "priority": max(PRIORITY - STEP_DOWN * rank, LOWEST),
            "vmac": site.options.vmac,
            "own": address_of(node, version) if site.choices.unicast else None,
            "peers": [address_of(one, version) for one in pair if one is not node] if site.choices.unicast else [],
            "vips": [_owned(vip) for vip in site.spec.vips if ip_address(vip).version == version],
            "inside": [
                (host_prefix(ip), device.name, why)
                for ip, device, why in moving(site, node)
                if ip_address(ip).version == version
            ],
        }


def _owned(vip: str) -> str:
    """An IPv6 VIP is deprecated, or the kernel would take it as the source of its own packets."""
    return host_prefix(vip) + (" preferred_lft 0" if ":" in vip else "")


def moving(site: Site, node: SpecNode) -> Iterator[tuple[str, Interface, str]]:
    """What is nobody's own address, and has to be at the VIP's owner: the servers' gateway in NAT, sources of SNAT."""
    owned = {ip for one in site.spec.nodes for ip in one.ips}
    ways = (way for server in site.nodes("real-server") for way in site.network.routes(server.name))
    gateways = [way.gateway for way in ways if site.path == "nat" and way.prefix in EVERYTHING.values()]
    for gateway in dict.fromkeys(gateways):
        device = next((one for one in site.network.interfaces(node.name) if one.holds(gateway)), None)
        if device is not None and gateway not in owned:
            yield gateway, device, "the servers' gateway, which their replies go to"
    for source in dict.fromkeys(own_sources(site, node)):
        if source not in owned:
            yield source, servers_side(site, node), "servers answer to this address"


def _method(site: Site) -> str:
    if site.path not in METHOD:
        raise UsageError(f"keepalived has no method for {site.path}: its checks need IPVS")
    if site.path != "l3dsr-tunnel":
        return METHOD[site.path]
    tunnel = site.encapsulation
    checksum = "csum" if tunnel.checksum else "nocsum"
    extra = {"gre": f" type gre {checksum}", "gue": f" type gue port {tunnel.port} {checksum}"}
    return METHOD[site.path] + extra.get(tunnel.type, "")


def interval(health: Health) -> float:
    """Seconds between two checks."""
    return health.interval or SECONDS


def _checks(checks: Sequence[Health]) -> list[dict[str, object]]:
    return [
        {
            "kind": CHECKS[one.type],
            "interval": f"{interval(one):g}",
            "path": checked_path(one.path or "/") if one.type == "http" else None,
        }
        for one in checks
    ]


def checked_path(path: str) -> str:
    """The path of an HTTP check, if it can stand in a configuration file.

    Raises: UsageError for one with characters that a URL has to escape.
    """
    if PATH.fullmatch(path) is None:
        raise UsageError(f"[[health]] path: {path!r} is not a path (write /health; other characters as %20)")
    return path

"""HAProxy: a connection on either side, so the client's address has to be told to servers, if at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Final

from dsrkit.errors import UsageError
from dsrkit.model.spec import SpecNode
from dsrkit.setup.commands import daemon, endpoint, file, sysctl
from dsrkit.setup.keepalived import checked_path, interval
from dsrkit.setup.plan import Step
from dsrkit.setup.render import template
from dsrkit.setup.site import Site, slug

SEND: Final[Mapping[int | None, str]] = {None: "", 1: " send-proxy", 2: " send-proxy-v2"}


def haproxy(site: Site, node: SpecNode) -> Iterator[Step]:
    """Its configuration, and the daemon."""
    state = site.state(node)
    if site.takes_over:
        why = "listen at the VIP before it is here, and after it has gone"
        for version in sorted({ip_address(vip).version for vip in site.spec.vips}):
            yield sysctl(f"net.ipv{version}.ip_nonlocal_bind", 1, why)
    path, pid = f"{state}/haproxy.cfg", f"{state}/haproxy.pid"
    yield file(path, configuration(site), "who is listened to, and where connections go", "haproxy")
    yield daemon(("haproxy", "-D", "-p", pid, "-f", path), "runs in the background", pid)


def configuration(site: Site) -> str:
    """haproxy.cfg of the proxy.

    Raises: UsageError for UDP services and for a health check that HAProxy does not have.
    """
    services = site.services()
    if any(service.proto != "tcp" for service in services):
        raise UsageError("HAProxy takes TCP connections only")
    if not services:
        raise UsageError("the proxy needs a VIP and a port to listen to")
    version = site.spec.proxy.version if site.spec.proxy is not None else None
    if len(site.spec.health) > 1:
        raise UsageError("HAProxy checks a server in one way: say one [[health]]")
    health = site.spec.health[0] if site.spec.health else None
    if health is not None and health.type == "ping":
        raise UsageError("HAProxy checks by tcp or http, not by ping")
    send = SEND[version] + (" proxy-v2-options crc32c" if version == 2 and site.options.crc32c else "")
    return template("haproxy.cfg.j2").render(
        mode="http" if site.options.xff else "tcp",
        forwardfor=site.options.xff,
        services=[
            (
                f"service{number}",
                endpoint(service.vip, service.vport),
                [(slug(one.node.name), endpoint(one.address, service.rport)) for one in service.backends],
            )
            for number, service in enumerate(services)
        ],
        send=send,
        check=health is not None,
        check_path=checked_path(health.path or "/") if health is not None and health.type == "http" else None,
        interval=round(interval(health) * 1000) if health is not None else None,
    )

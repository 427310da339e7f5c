"""A VIP on a machine that must not show that it has it."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address

from dsrkit.setup.commands import address, host_prefix, sysctl
from dsrkit.setup.plan import Step
from dsrkit.setup.site import Site

ONLY_THE_INTERFACES_OWN, BEST_LOCAL = 1, 2


def hidden_vip(site: Site) -> Iterator[Step]:
    """The VIP on the loopback, with ARP silent about it before it is there.

    IPv6 needs no setting: a neighbour solicitation is answered for addresses of the interface it came in by only
    (ndisc_recv_ns).

    Source: Linux, Documentation/networking/ip-sysctl.rst, arp_ignore and arp_announce.
    """
    if any(ip_address(vip).version == 4 for vip in site.spec.vips):
        ignore = "answer ARP for addresses of the asked interface only: the VIP's owner is the load balancer"
        yield sysctl("net.ipv4.conf.all.arp_ignore", ONLY_THE_INTERFACES_OWN, ignore)
        announce = "ask by ARP from an own address: a request from the VIP would claim it in the neighbours' caches"
        yield sysctl("net.ipv4.conf.all.arp_announce", BEST_LOCAL, announce)
    for vip in site.spec.vips:
        why = "packets for the VIP are for this server; /32, or the whole subnet would be local"
        if ip_address(vip).version == 6:
            why = "packets for the VIP are for this server; neighbour discovery does not answer for the loopback"
        yield address(host_prefix(vip), "lo", why)

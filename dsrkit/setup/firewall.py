"""Rules beside the load balancing itself, in the language that a machine's kernel has: nft, or iptables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address

from dsrkit.setup.commands import nft
from dsrkit.setup.plan import Argv, Step
from dsrkit.setup.render import family, template
from dsrkit.setup.site import Service, Site


def _families(vips: Sequence[str]) -> list[str]:
    return sorted({family(vip) for vip in vips})


def _rule(site: Site, vip: str, table: str, chain: str, rule: Argv, why: str) -> Step:
    program = site.choices.firewall
    if ip_address(vip).version == 6:
        program = program.replace("iptables", "ip6tables")  # type: ignore[assignment]
    before: Argv = (program, "-t", table)
    done = (*before, "-C", chain, *rule)
    return Step("iptables", (*before, "-A", chain, *rule), why, ((*before, "-D", chain, *rule),), unless=done)


def source_nat(site: Site, pools: Mapping[str, Sequence[str]]) -> Iterator[Step]:
    """Connections that were made to a VIP get a source out of its pool."""
    why = "a source of its own, so that servers answer here whatever their gateway is"
    if site.choices.firewall == "nft":
        families = _families(list(pools))
        rules = template("snat.nft.j2").render(families=families, pools=pools)
        yield nft(rules, [(one, "dsrkit_snat") for one in families], why)
        return
    for vip, pool in pools.items():
        for number, source in enumerate(pool):
            left = len(pool) - number
            turns = ("-m", "statistic", "--mode", "nth", "--every", str(left), "--packet", "0") if left > 1 else ()
            match = ("-m", "conntrack", "--ctorigdst", vip, *turns)
            yield _rule(site, vip, "nat", "POSTROUTING", (*match, "-j", "SNAT", "--to-source", source), why)


def clamp(site: Site, mss: int) -> Iterator[Step]:
    """SYN-ACKs of a VIP announce a smaller MSS."""
    why = "SYN-ACKs of the VIP announce segments that fit with the outer header around them"
    vips = site.spec.vips
    if site.choices.firewall == "nft":
        families = _families(vips)
        rules = template("clamp.nft.j2").render(families=families, vips=vips, mss=mss)
        yield nft(rules, [(one, "dsrkit_mss") for one in families], why)
        return
    for vip in vips:
        rule = ("-s", vip, "-p", "tcp", "--tcp-flags", "SYN", "SYN", "-j", "TCPMSS", "--set-mss", str(mss))
        yield _rule(site, vip, "mangle", "OUTPUT", rule, why)


def to_own_address(site: Site, services: Sequence[tuple[Service, str]]) -> Iterator[Step]:
    """Packets for a VIP become packets for an address of this machine; replies get the VIP back."""
    why = "the VIP becomes the server's own address, so no interface has to hold it and ARP is silent about it"
    if site.choices.firewall == "nft":
        families = _families([service.vip for service, _ in services])
        rules = template("dnat.nft.j2").render(families=families, services=services)
        yield nft(rules, [(one, "dsrkit_vip") for one in families], why)
        return
    for service, own in services:
        match = ("-d", service.vip, "-p", service.proto, "--dport", str(service.vport))
        yield _rule(site, service.vip, "nat", "PREROUTING", (*match, "-j", "DNAT", "--to-destination", own), why)

"""Faults of L3DSR by DSCP.

Left out: DSC509 is a rule that the tool refuses to install, or that comes too late; on the wire that is DSC510.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dsrkit.craft.faults.base import Fault
from dsrkit.craft.faults.breakage import beside, next_free, taken_addresses
from dsrkit.craft.frame import Frame
from dsrkit.craft.machines.host import Host
from dsrkit.craft.machines.world import World
from dsrkit.craft.options import Options
from dsrkit.craft.packets.octets import TCP, UDP, Octets, version_of
from dsrkit.craft.rewrite import Bindings, with_rule, without
from dsrkit.model.spec import Spec, SpecTap
from dsrkit.tables.rules import Free, const

MODE: Final = ("l3dsr-dscp",)
DSCP, ECN = "ip.dsfield.dscp", "ip.dsfield.ecn"
SSH: Final = 22
ABOVE_HOOK: Final = "S"
"""The tap on the server itself, after the rewrite."""
SMALL: Final = 100

# --- on the way ---------------------------------------------------------------------------------------------------


def _bleached(world: World, options: Options) -> None:
    router = world.router
    router.router_table = with_rule(router.router_table, DSCP, const(0))


def _remarked(world: World, options: Options) -> None:
    """RFC 9435 s5, Bleach-low: the top three bits stay; of a tag that has only those, another class is made."""

    def top_bits(packet: Octets, bindings: Bindings) -> int:
        mark = packet.number(DSCP)
        kept = mark & 0x38
        return kept if kept not in (0, mark) or mark == 0 else 0x10 if mark == 0x08 else 0x08

    router = world.router
    router.router_table = with_rule(router.router_table, DSCP, Free())
    router.router_habits[DSCP] = top_bits


def _marked_elsewhere(world: World, options: Options) -> None:
    """Somebody who goes to the servers' own addresses, marked with a tag: an operator whose SSH is EF, say."""
    for number, server in enumerate(world.servers):
        assert server.tcp is not None
        server.tcp.listen(SSH, lambda connection: None)
        own = server.address(version_of(world.vips[0]))
        beside(world, options, number, proto=TCP, service=(own, SSH), tos=options.dscp << 2)


# --- the load balancer --------------------------------------------------------------------------------------------


def _octet_for_code_point(world: World, options: Options) -> None:
    """The tag written as if it were the whole TOS octet: its low bits end up in ECN."""
    lb = world.balancer
    lb.request = with_rule(with_rule(lb.request, DSCP, const(options.dscp >> 2)), ECN, const(options.dscp & 3))


def _not_cleared(world: World, options: Options) -> None:
    """A VIP without a tag: what clients mark reaches the server, where it means the VIP that has this tag."""
    for number in range(2):
        beside(world, options, number, proto=TCP, service=(world.vips[-1], options.port), tos=options.dscp << 2)


def _ecn_lost(world: World, options: Options) -> None:
    lb = world.balancer
    lb.request = with_rule(lb.request, ECN, const(0))


def _tag_zero(world: World, options: Options) -> None:
    lb = world.balancer
    lb.request = with_rule(lb.request, DSCP, const(0))
    for server in world.servers:
        server.tags.pop(0, None)  # servers take tag 0 for none


def _sum_forgotten(world: World, options: Options) -> None:
    lb = world.balancer
    lb.request = without(lb.request, "l4.checksum")


def _not_marked(world: World, options: Options) -> None:
    lb = world.balancer
    lb.request = without(lb.request, DSCP)


# --- the servers --------------------------------------------------------------------------------------------------


def _rules_missing(world: World, options: Options) -> None:
    """Stateful DNAT looks like no rule at all: conntrack puts the RIP back into every reply."""
    for server in world.servers:
        server.tags.clear()


def _rule_missing(world: World, options: Options) -> None:
    world.servers[0].tags.clear()


def _maps_differ(world: World, options: Options) -> None:
    """One server has the tags of the two VIPs the wrong way round, the next one waits for another tag."""
    first, *others = world.servers
    first.tags = dict(zip(first.tags, reversed(list(first.tags.values())), strict=True))
    for server in others[:1]:
        server.tags = {(tag + 2) % 64: vip for tag, vip in server.tags.items()}


def _vip_missing(world: World, options: Options) -> None:
    world.servers[0].local.difference_update(world.vips)


def _tag_reflected(world: World, options: Options) -> None:
    for server in world.servers:
        assert server.tcp is not None
        server.tcp.reflects_tos = True


def _fragments_spoiled(world: World, options: Options) -> None:
    """xt_DADDR "corrects" the checksum field that a later fragment does not have: the datagram's own sum is wrong."""
    for server in world.servers:
        # without a word: the pieces are all there, only the sum of the whole is wrong
        server.firewall.append(lambda packet, label: not Host.is_fragment(packet))
    for number in range(2):
        beside(world, options, number, proto=UDP, octets=SMALL)


# --- the set-up ---------------------------------------------------------------------------------------------------


def _other_vip(spec: Spec) -> str:
    return next_free(spec.vips[0], taken_addresses(spec))


def _untagged_vip(spec: Spec, options: Options) -> Spec:
    service = spec.services[0]
    return replace(spec, services=(replace(service, vip=(*service.vip, _other_vip(spec))), *spec.services[1:]))


def _two_tagged_vips(spec: Spec, options: Options) -> Spec:
    second = _other_vip(spec)
    return replace(_untagged_vip(spec, options), dscp={**spec.dscp, options.dscp % 63 + 1: second})


def _tap_on_server(spec: Spec, options: Options) -> Spec:
    server = next(node for node in spec.nodes if node.role == "real-server")
    return replace(spec, taps=(*spec.taps, SpecTap(ABOVE_HOOK, node=server.name)))


def _seen_above_hook(frames: list[Frame], world: World, options: Options) -> list[Frame]:
    """FreeBSD's dscp_rewrite turns the destination into the VIP and leaves the TCP checksum alone, for it is known to
    be right: a capture taken after it shows a wrong one."""
    whole = [f for f in frames if f.tap == ABOVE_HOOK and len(f.data) == f.wire_octets]
    vip = next((Octets(f.data, depth=1).address("ip.src") for f in whole if _answers(f)), b"")
    return [_rewritten(frame, vip, options.dscp) if frame.tap == ABOVE_HOOK else frame for frame in frames]


def _answers(frame: Frame) -> bool:
    return Octets(frame.data, depth=1).get("tcp.flags") == 0x12


def _rewritten(frame: Frame, vip: bytes, tag: int) -> Frame:
    if len(frame.data) < frame.wire_octets:
        return frame  # cut by the snaplen, as some of its checksum's octets are
    before = Octets(frame.data, depth=1)
    if not before.networks or before.get(DSCP) != tag or len(before.address("ip.dst")) != len(vip):
        return frame
    after = before.copy()
    after.set("ip.dst", vip)
    after.mend("ip.checksum", before)
    return replace(frame, data=bytes(after))


FAULTS: Final = (
    Fault(
        "DSC501",
        "stateful-dnat-on-server",
        MODE,
        "the tag arrives and every server answers from its own address; clients send RSTs to the RIP",
        _rules_missing,
        alone=True,
    ),
    Fault(
        "DSC502",
        "dscp-bleached",
        MODE,
        "the tag is there behind the load balancer and 0 at the server, which answers from its own address",
        _bleached,
        alone=True,
    ),
    Fault(
        "DSC503",
        "dscp-remarked",
        MODE,
        "one tag behind the load balancer, another at the server, which answers from its own address",
        _remarked,
        {"dscp": 44},
        alone=True,
    ),
    Fault(
        "DSC504",
        "tag-written-as-tos",
        MODE,
        "a quarter of the tag behind the load balancer, the rest of it in the ECN bits; replies from the RIP",
        _octet_for_code_point,
        alone=True,
    ),
    Fault(
        "DSC505",
        "tag-maps-disagree",
        MODE,
        "one server answers from another VIP than was asked, one from its own address; the rest are fine",
        _maps_differ,
        {"real_servers": 3},
        flows=6,
        spec=_two_tagged_vips,
        alone=True,
    ),
    Fault(
        "DSC506",
        "tag-collides-with-marking",
        MODE,
        "packets to a RIP that the load balancer never saw carry the tag and are answered from the VIP",
        _marked_elsewhere,
        {"dscp": 46},
        flows=2,
    ),
    Fault(
        "DSC507",
        "client-dscp-not-cleared",
        MODE,
        "the client's own DSCP survives the load balancer for a VIP without a tag; the tag's VIP answers",
        _not_cleared,
        flows=2,
        spec=_untagged_vip,
    ),
    Fault(
        "DSC508",
        "ecn-overwritten",
        MODE,
        "ECN bits before the load balancer and 0 after it: it writes the whole TOS octet",
        _ecn_lost,
        {"ecn": True},
        alone=True,
    ),
    Fault(
        "DSC510",
        "tag-rule-missing",
        MODE,
        "the tag arrives and one server answers from its own address; the others are fine",
        _rule_missing,
        alone=True,
    ),
    Fault(
        "DSC511",
        "vip-missing-after-rewrite",
        MODE,
        "tagged requests reach one server and nothing comes back",
        _vip_missing,
        alone=True,
    ),
    Fault(
        "DSC512",
        "checksum-left-by-rewrite",
        MODE,
        "wrong TCP checksums towards the VIP in a capture on the server (tap S), right ones on D; all is answered",
        capture=_seen_above_hook,
        spec=_tap_on_server,
    ),
    Fault(
        "DSC513",
        "tag-in-replies",
        MODE,
        "SYN-ACKs and data from the VIP carry the request's tag all the way to the client",
        _tag_reflected,
        alone=True,
    ),
    Fault(
        "DSC514",
        "fragments-spoiled-by-rewrite",
        MODE,
        "datagrams that come in fragments are not answered, those that fit into one packet are",
        _fragments_spoiled,
        {"protocol": "udp", "request": 3000},
        flows=2,
    ),
    Fault(
        "DSC515",
        "tag-zero",
        MODE,
        "the load balancer clears the DSCP instead of writing a tag; servers answer from their own addresses",
        _tag_zero,
        {"client_dscp": 10},
        alone=True,
    ),
    Fault(
        "DSC516",
        "checksum-not-updated",
        MODE,
        "behind the load balancer the TCP checksum is still the one for the VIP; servers say nothing",
        _sum_forgotten,
        alone=True,
    ),
    Fault(
        "DSC517",
        "rewritten-but-not-marked",
        MODE,
        "behind the load balancer the destination is a RIP and the DSCP still the client's; replies from the RIP",
        _not_marked,
        {"client_dscp": 10},
        alone=True,
    ),
)

"""A server that gets requests and says nothing: what these look like, and what speaks against a cause."""

from __future__ import annotations

from typing import Any, Final

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.pictures.common import Told, balancer, names
from dsrkit.verify.connections import Connection
from dsrkit.verify.frames import TCP
from dsrkit.verify.scene import Party
from dsrkit.wire import layout

AT_SERVER: Final[dict[str | None, tuple[str, ...]]] = {
    "l2dsr": ("DSR301", "DSR311", "DSR316", "NAT213", "DSR323"),
    "l3dsr-tunnel": ("TUN402", "TUN403", "NAT213", "DSR323"),
    "l3dsr-dscp": ("DSC511", "DSC505", "DSR311", "NAT213", "DSR323"),
    "nat": ("NAT213", "DSR323"),
    "fullnat": ("NAT213", "DSR323"),
}
"""A server that says nothing, by mode, the likeliest first. Source: the catalogue's decision table."""
_AT_SERVER_V6: Final = {"l3dsr-tunnel": ("TUN403", "TUN402", "NAT213", "DSR323")}
"""Where the order is another one: the kernel filters IPv4 by source, IPv6 only where a rule of the firewall does."""
MADE_IN: Final = {"l3dsr-dscp": "DSC516", "nat": "NAT204", "fullnat": "NAT204"}


def silences(case: Case, server: Party | None, members: list[Connection]) -> tuple[str, ...]:
    """What a server that says nothing may have, without what this capture speaks against."""
    excluded = spoken_against(case, server, members) if server is not None else {}
    v6 = all(":" in case.scene.address(c.client >> 16) for c in members)
    codes = _AT_SERVER_V6.get(case.mode or "") if v6 else None
    return tuple(code for code in codes or AT_SERVER[case.mode] if code not in excluded)


def at_server(case: Case, server: Party, members: list[Connection]) -> Told:
    return (
        stale_sum(case, server, members)
        or unwrapped(case, server, members)
        or _unknown_mac(case, server, members)
        or _mute(case, server, members)
    )


def stale_sum(case: Case, server: Party, members: list[Connection]) -> Told | None:
    """The load balancer replaced an address and left the transport checksum as it was."""
    stale = case.evidence.facts.requests.stale_sums
    proven = any(ip in stale for ip in server.ips) or bool(case.failed(".l4.checksum", node="lb"))
    if case.mode not in MADE_IN or not proven or any(c.last_sum != layout.SUM_INVALID for c in members):
        return None
    lbs = names(case.scene.role("lb"))
    return Told(
        (MADE_IN[case.mode],),
        f"{balancer(case)} replaces the address and leaves the TCP or UDP checksum as it was, right for the VIP only:"
        " servers drop such packets without a word",
        lbs,
        members,
        {"CAP901": "the checksum is not the sum of the pseudo header, which offload leaves"},
        whole=True,
        frames=[x for ip in server.ips if ip in stale for x in stale[ip].frames],
    )


def unwrapped(case: Case, server: Party, members: list[Connection]) -> Told | None:
    """What one outer header already says."""
    if case.mode != "l3dsr-tunnel":
        return None
    outer = {o: seen for o, seen in case.evidence.facts.requests.outer.items() if o.dst in server.ips}
    own = [f for o, seen in outer.items() if o.src in case.scene.vips for f in seen.frames]
    lbs = names(case.scene.role("lb"))
    if own and all(o.src in case.scene.vips for o in outer):
        return Told(
            ("TUN421",),
            f"{balancer(case)} writes the VIP as the source of its outer packets; servers own that address themselves"
            " and drop them",
            lbs,
            members,
            whole=True,
            frames=own[:4],
        )
    served = any(case.served_by(p) for p in case.servers() if any(o.dst in p.ips for o in _checked(case)))
    if outer and all(o.checked for o in outer) and not served:
        return Told(
            ("TUN420", *silences(case, server, members)),
            "say[s|] nothing to GRE packets that carry a checksum; a device that was not made for them drops them",
            (server.name,),
            members,
            settle="ip -d link show on the server: has the GRE device icsum (csum)? or ipvsadm --tun-nocsum",
            frames=[f for seen in outer.values() for f in seen.frames][:4],
        )
    return None


def _checked(case: Case) -> list[Any]:
    return [o for o in case.evidence.facts.requests.outer if o.checked]


def _unknown_mac(case: Case, server: Party, members: list[Connection]) -> Told | None:
    """Frames for a MAC that is never heard on a link where its neighbours are."""
    heard = {mac for _, mac in case.evidence.facts.requests.heard}
    heard |= {mac for _, mac in case.scene.claims}  # in another slice of a capture that is judged in slices
    others = {mac for p in case.servers() if p is not server for mac in p.macs}
    at_own_tap = case.tap_at(server)
    if case.mode != "l2dsr" or at_own_tap or server.macs & heard or not others & heard:
        return None
    lbs = names(case.scene.role("lb"))
    return Told(
        ("DSR305",),
        f"{balancer(case)} sends frames to a MAC that nobody was heard to have, while other servers are heard on that"
        " link: an old neighbour entry, or a server that is down",
        (*lbs, server.name),
        members,
        settle="ip neigh on the load balancer, ip link on the server",
        whole=True,
    )


def _mute(case: Case, server: Party, members: list[Connection]) -> Told:
    excluded = spoken_against(case, server, members)
    codes = silences(case, server, members)
    if _gateway(case, server) == "unanswered" and "NAT213" in codes:
        codes = ("NAT213", *(code for code in codes if code != "NAT213"))
    return Told(
        codes,
        "get[s|] the requests and send[s|] nothing back, neither an answer nor an error",
        (server.name,),
        members,
        excluded,
        _DECIDE.get(case.mode or "", _DECIDE["nat"]),
    )


_DECIDE: Final = {
    "l2dsr": "on the server: ip addr show dev lo (is the VIP there?), sysctl -a | grep rp_filter, ip route get CLIENT,"
    " nft list ruleset",
    "l3dsr-tunnel": "on the server: ip addr show (is the VIP there?), rp_filter of the tunnel device, ip route get"
    " CLIENT, nft list ruleset",
    "l3dsr-dscp": "on the server: ip addr show dev lo (is the VIP there?), which tag its rule turns into which VIP, ip"
    " route get CLIENT, nft list ruleset",
    "nat": "on the server: ip route get CLIENT, nft list ruleset",
}


def spoken_against(case: Case, server: Party, members: list[Connection]) -> dict[str, str]:
    """Causes that something else in this capture speaks against."""
    out: dict[str, str] = {}
    if _gateway(case, server) == "answered":
        out["NAT213"] = "the server asks for its gateway, so it has a route back"
    protocols = {c.proto for c in members}
    served = {
        proto
        for (at, proto, _), n in case.connections.answered.items()
        if n and case.servers()[at] is server and at >= 0
    }
    if served and not served & protocols:
        other = "TCP" if TCP in served else "UDP"
        for code in AT_SERVER[case.mode]:
            if code not in ("DSR323", "DSC505"):
                out.setdefault(code, f"the server answers {other} of the same service")
    return out


def _gateway(case: Case, server: Party) -> str:
    """Whether a server that says nothing was seen to look for its way back, and whether it found it."""
    scene, facts = case.scene, case.evidence.facts
    ways = scene.ips("router") | scene.ips("client") | (scene.ips("lb") if not case.direct else set())
    state = ""
    for mac, address in facts.arp_asked:
        if mac in server.macs and (address in ways or address not in scene.ips("lb") | scene.ips("real-server")):
            found = any(a == address and n for (a, _), n in facts.arp_answered.items())
            state = "answered" if found or state == "answered" else "unanswered"
    return state

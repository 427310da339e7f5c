"""The VIP moves between load balancers: who was not told, who does not follow, and who claims it all the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from typing import Final

from dsrkit.classes import dataclass
from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.pictures.common import forwarded, unanswered
from dsrkit.model.sections import Takeover
from dsrkit.tables.checks.takeover import ADVERTS, PINGS, STATED
from dsrkit.verify.connections import Connection
from dsrkit.verify.verdicts import Verdict
from dsrkit.wire.address import mac_text

_VIRTUAL: Final = ("00:00:5e:00:01:", "00:00:5e:00:02:")
"""MACs of virtual routers. Source: RFC 5798 s7.3."""
_JOURNAL: Final = "journalctl -u keepalived on both load balancers"


@dataclass(slots=True)
class _Picture:
    """How one failed check is read; `with_it` are checks that break as its consequence."""

    codes: tuple[str, ...]
    with_it: tuple[str, ...] = ()
    settle: str = ""
    expected: str = ""
    actual: str = ""
    ruled_out: dict[str, str] = field(default_factory=dict)


_PICTURES: Final[dict[str, _Picture]] = {
    "garp.old-owner.lets-go": _Picture(
        ("ARP118",),
        ("garp.owner.announced", "garp.announcement.arrives", "garp.router.follows"),
        "ip neigh show to VIP on the router, sysctl net.ipv4.ip_forward on the old owner",
        "frames for the VIP at its new owner",
        "frames for the VIP at its old owner, which forwards them",
        {"DSR315": "the old owner hands the frames to the VIP's new owner, not to a real server"},
    ),
    "garp.owner.announced-last": _Picture(
        ("ARP108",),
        ("garp.owner.announced", "garp.router.follows"),
        f"{_JOURNAL}; ip neigh show to VIP on the router",
        "the last announcement from the machine that has the VIP",
        "the last announcement from the one that had it for a moment",
        {"ARP104": "announcements were sent, the last of them by the wrong machine"},
    ),
    "garp.announcement.gratuitous": _Picture(
        ("ARP105",),
        ("garp.router.follows", "garp.announcement.target-mac"),
        "the program that announces the VIP, and its arguments",
        "sender and target address the VIP",
        "another target address",
        {"ARP104": "something was sent, in a form that does not count"},
    ),
    "garp.announcement.sender": _Picture(
        ("ARP112",),
        ("garp.announcement.arrives", "garp.router.follows"),
        "port security, DHCP snooping or forged-transmit settings of the switch or hypervisor",
        "the Ethernet source that the ARP names",
        "another one",
        {"ARP104": "announcements were sent"},
    ),
    "garp.announcement.arrives": _Picture(
        ("ARP117",),
        ("garp.router.follows",),
        "ARP inspection and port counters of the switch, or filters of the hypervisor, at the new owner's port",
        "the announcement at the neighbours' taps",
        "none there",
        {"ARP104": "the announcements were seen to leave the new owner"},
    ),
    "garp.router.follows": _Picture(
        ("ARP115", "ARP107"),
        ("garp.announcement.target-mac",),
        "ip neigh show to VIP and sysctl net.ipv4.conf.all.drop_gratuitous_arp on the router; its ARP time-out",
        "frames for the new owner's MAC",
        "frames for the old owner's MAC",
        {"ARP117": "the announcement passed a tap at this neighbour", "ARP104": "the VIP was announced"},
    ),
    "garp.owner.exclusive": _Picture(
        ("ARP109",),
        (),
        f"{_JOURNAL}: does each hear the other's adverts (VRRP is IP protocol 112, to 224.0.0.18 or ff02::12)?",
        "one owner at a time",
        "two",
        {"ARP104": "both go on claiming the VIP: it has not moved"},
    ),
    "garp.vrrp.vrid": _Picture(
        ("ARP110",),
        (),
        "virtual_router_id of both groups: it must differ within one broadcast domain",
        "one set of addresses for each virtual router id",
        "two",
        {"ARP109": "the two advertise different addresses"},
    ),
    "garp.owner.announced": _Picture(
        ("ARP104",),
        ("garp.router.follows",),
        f"{_JOURNAL}; ip neigh show to VIP on the router",
        "an announcement by the new owner",
        "none",
    ),
    "garp.announcement.target-mac": _Picture(
        ("ARP106",), (), "the program that announces the VIP", "the sender's MAC as target MAC", "another one"
    ),
    "garp.owner.one-mac": _Picture(
        ("ARP111",), (), "use_vmac and vmac_xmit_base of keepalived", "the virtual MAC", "the machine's own MAC too"
    ),
}
"""By the check that fails, what explains others first."""
_UNTOLD: Final = ("ARP104", "ARP117", "ARP112")
"""What only the new owner, named first by its check, can mend."""


def takeover(case: Case) -> Iterator[Diagnosis]:
    """One diagnosis for each promise of a takeover that was broken by itself."""
    failed = {v.cell: v for v in case.failed() if v.cell in _PICTURES and not _stated_only(v)}
    macs = _old_owners(case)
    done: set[str] = set()
    for check, picture in _PICTURES.items():
        if check not in failed or check in done:
            continue
        lead = failed[check]
        late = [failed[c] for c in picture.with_it if c in failed and c not in done and _joins(lead, failed[c])]
        done |= {v.cell for v in late}
        yield _diagnosis(case, lead, picture, late, macs)


def _stated_only(v: Verdict) -> bool:
    """A number that only a spec says otherwise is no collision."""
    return STATED in v.signs


def _joins(lead: Verdict, other: Verdict) -> bool:
    """Whether a second broken promise is a consequence: not that of a form which did no harm."""
    return lead.severity != "info" or other.severity == "info"


def _diagnosis(case: Case, lead: Verdict, picture: _Picture, late: list[Verdict], macs: set[int]) -> Diagnosis:
    codes, ruled_out, nodes = picture.codes, dict(picture.ruled_out), lead.nodes
    message = lead.message
    if lead.cell == "garp.owner.announced":
        codes, ruled_out = _untold(case, lead)
        message = message.split(". Without a tap")[0]
        if "ARP117" in codes:
            message += ". No tap at the new owner shows whether an announcement was sent and lost"
    elif lead.cell == "garp.old-owner.lets-go":
        told = any(v.cell == "garp.announcement.arrives" for v in late)
        untold = any(v.cell == "garp.owner.announced" for v in late)
        codes = ("ARP118", "ARP117") if told else ("ARP118", "ARP104") if untold else codes
        nodes = tuple(reversed(nodes))
    elif lead.cell == "garp.router.follows" and any(v.cell == "garp.announcement.target-mac" for v in late):
        codes = ("ARP106", *codes)
    elif lead.cell == "garp.owner.exclusive" and ADVERTS not in lead.signs:
        codes = ("ARP109", "ARP116")
    mine = macs | {m for name in lead.nodes if (p := case.scene.party(name)) is not None for m in p.macs}
    lost, cells = _in_vain(case, mine) if lead.severity == "error" else ([], [])
    if codes[0] == "ARP118":
        cells = [v for v in case.failed(".lb.eth.dst") if set(v.nodes) <= set(lead.nodes)]
        cells += case.failed(".vip-frame-to-lb", ".arp-silent")  # one that forwards passes for a load balancer
    elif codes[0] == "ARP109":
        cells += case.failed(".owner.arp-silent")
    return Diagnosis(
        codes,
        message,
        nodes[:1] if codes[0] in _UNTOLD else nodes,
        [lead, *late, *cells],
        list(dict.fromkeys([f for v in (lead, *late) for f in v.frames])),
        failed=len(lost) or lead.failed,
        among=max(len(lost), lead.checked),
        ruled_out={code: why for code, why in ruled_out.items() if code not in codes},
        settle=picture.settle,
        severity=lead.severity,  # type: ignore[arg-type]
        field=lead.wireshark,
        expected=picture.expected or None,
        actual=picture.actual or None,
        tap=lead.tap,
    )


def _untold(case: Case, lead: Verdict) -> tuple[tuple[str, ...], dict[str, str]]:
    """Not announced, or announced and lost: only a tap at the new owner tells. Where no new owner is seen at all, its
    load balancer may be there and have nothing to forward to."""
    codes: tuple[str, ...] = _UNTOLD
    ruled_out: dict[str, str] = {}
    new = lead.nodes[0] if lead.nodes else ""
    unseen = any(move.new is None for one in _sections(case) for move in one.moves)
    if any(t.node == new for t in case.taps) and not (unseen and len(lead.nodes) == 1):
        codes, ruled_out = ("ARP104",), {"ARP117": f"the tap at {new} shows that no announcement was sent"}
    if codes == _UNTOLD and lead.severity == "warning":
        codes = (*codes, "ARP118")  # nothing is lost, and no tap shows what the old owner does with the frames
    if unseen and PINGS in lead.signs:
        ruled_out["HCK706"] = "the load balancer answers no ping of the VIP any more either"
    return (*codes, "HCK706") if unseen and "HCK706" not in ruled_out else codes, ruled_out


def _sections(case: Case) -> list[Takeover]:
    return [one for one in case.sections.get("takeovers", ()) if isinstance(one, Takeover)]


def _old_owners(case: Case) -> set[int]:
    """MACs that had a VIP before, and virtual ones."""
    owners = [move.old for one in _sections(case) for move in one.moves if move.old is not None]
    parties = [case.scene.party(owner.name) for owner in owners]
    known = {mac for p in parties if p is not None for mac in p.macs}
    texts = {owner.mac for owner in owners}
    hops = {c.last_hop for v in case.failed(".answered", ".appears") for c in v.connections}
    return known | {m for m in hops if mac_text(m) in texts or mac_text(m).startswith(_VIRTUAL)}


def _in_vain(case: Case, macs: set[int]) -> tuple[list[Connection], list[Verdict]]:
    """Connections whose requests went to machines that had the VIP and nowhere from there, and the cells about them."""
    found = unanswered(case.failed(".answered", ".appears"))
    lost = [c for c, _ in found if c.last_hop in macs and not forwarded(c) and c.refusal is None]
    ours = {id(c) for c in lost}
    cells = {id(v): v for _, v in found if v.connections and all(id(c) in ours for c in v.connections)}
    return lost, list(cells.values())

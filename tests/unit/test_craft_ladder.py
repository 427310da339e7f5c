"""The ladder: what its cells hold, and the page that is made of them."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from craft_scenarios import CIP, CLIENT, ROUTER_A, TAPS, VIP, frame, l2dsr, spec, tunnel, volume
from rich.cells import cell_len
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, GRE, Dot1Q, Ether
from scapy.packet import Packet, Raw

from dsrkit.craft.frame import Change
from dsrkit.craft.output.ladder import ladder
from dsrkit.craft.packets import dns
from dsrkit.craft.packets.describe import describe
from dsrkit.craft.scenario import Scenario
from dsrkit.model.ladder import Ladder, LadderCell, LadderRow, LadderTap
from dsrkit.report.ladder import render

GOLDEN = Path(__file__).parent / "golden"
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def single(packet: Packet, **changes: object) -> Scenario:
    seen = dataclasses.replace(frame("A", 0, packet, 0), **changes)
    return Scenario("nat", "ipvs", TAPS, spec(), kept=(seen,))


def changed(cell: LadderCell) -> dict[str, str]:
    return {field.name: field.text for field in cell.fields if field.changed}


def shown(cell: LadderCell) -> dict[str, str]:
    return {field.name: field.text for field in cell.fields}


@pytest.mark.parametrize(
    ("name", "scenario", "width"), [("l2dsr", l2dsr(), 80), ("l2dsr", l2dsr(), 140), ("tunnel", tunnel(), 100)]
)
def test_golden_page(name: str, scenario: Scenario, width: int) -> None:
    """Change the page on purpose, read it, then store what `render` gives."""
    stored = GOLDEN / f"ladder-{name}-{width}.txt"
    assert render(ladder(scenario), width=width) == stored.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize("scenario", [l2dsr(), tunnel(), volume()], ids=["l2dsr", "tunnel", "volume"])
def test_fits_the_width(scenario: Scenario, width: int) -> None:
    lines = render(ladder(scenario), width=width).splitlines()
    assert max(map(cell_len, lines)) == width
    assert lines == [line.rstrip() for line in lines]


def test_too_narrow_a_width_is_exceeded() -> None:
    assert render(ladder(l2dsr()), width=10) == render(ladder(l2dsr()), width=80)


def test_colour_marks_instead_of_stars() -> None:
    plain, colored = (render(ladder(l2dsr()), width=140, color=color) for color in (False, True))
    assert "\x1b" not in plain
    assert "\x1b[1;33m62\x1b[0m" in colored
    assert "*" not in colored
    shorter = plain.replace("*: changed", "Highlighted: changed").replace("*", "")
    assert ESCAPE.sub("", colored).split() == shorter.split()


def test_a_tap_before_and_after_the_load_balancer_holds_two_cells() -> None:
    row = ladder(l2dsr()).rows[0]
    assert [len(cells) for cells in row.cells] == [1, 2, 0, 1]
    before, after = row.cells[1]
    assert changed(row.cells[0][0]) == {}
    assert changed(before) == {"eth.src": "00:0b", "eth.dst": "00:02", "ip.ttl": "63"}
    assert changed(after) == {"eth.src": "00:02", "eth.dst": "00:11", "ip.ttl": "62"}
    assert changed(row.cells[3][0]) == {}
    assert (before.sender, before.receiver) == ("r1", "lb1")
    assert shown(after) == {"eth.src": "00:02", "eth.dst": "00:11", "ip.src": CIP, "ip.dst": VIP, "ip.ttl": "62"}


def test_rows_say_when_where_and_what() -> None:
    rows = ladder(l2dsr()).rows
    assert [(row.offset_ns // 1000, row.direction, row.summary) for row in rows] == [
        (0, "→", "SYN"),
        (150, "←", "SYN-ACK"),
        (300, "", "ARP: who has 203.0.113.10? tell 203.0.113.1"),
        (400, "", "PSH-ACK, 18 octets"),
    ]
    assert rows[1].endpoints == "203.0.113.10:80 > 198.51.100.10:40000"


def test_a_pushed_header_is_all_new() -> None:
    after = ladder(tunnel()).rows[0].cells[0][1]
    assert changed(after) == {
        "eth.src": "00:02",
        "eth.dst": "00:0b",
        "tunnel.type": "ipip",
        "outer.src": "10.0.0.2",
        "outer.dst": "10.0.9.11",
        "outer.ttl": "64",
        "outer.dsfield.dscp": "7 (tos 0x1c)",
        "ip.ttl": "62",
    }


def test_ports_stand_where_they_change() -> None:
    tap_b, tap_d = ladder(tunnel()).rows[1].cells
    assert shown(tap_b[0])["l4.dstport"] == "53"
    assert changed(tap_d[0])["l4.dstport"] == "5353"
    assert changed(tap_d[0])["ip.dst"] == "10.0.0.11"
    assert not {"l4.srcport", "l4.dstport"} & shown(ladder(tunnel()).rows[0].cells[0][0]).keys()


def test_other_changes_come_from_the_frame() -> None:
    syn = Ether(src=CLIENT, dst=ROUTER_A) / IP(src=CIP, dst=VIP) / TCP(flags="S")
    options = Change("tcp.options", "mss", "mss, toa")
    noise = (Change("ip.checksum", "0x0001", "0x0002"), Change("ip.len", "40", "48"), Change("outer.id", None, "0x1"))
    cell = ladder(single(syn, changes=(options, *noise))).rows[0].cells[0][0]
    assert changed(cell) == {"tcp.options": "mss, toa"}
    assert "│ tcp.options mss, toa*\n" in render(ladder(single(syn, changes=(options,))))


def test_dscp_shows_when_it_is_there_or_was() -> None:
    tagged, plain = (Ether(src=CLIENT, dst=ROUTER_A) / IP(src=CIP, dst=VIP, tos=tos) / UDP() for tos in (0x1C, 0))
    kept = (frame("A", 0, tagged, 0), frame("B", 1, plain, 0), frame("C", 2, plain, 0))
    cells = ladder(Scenario("l3dsr-dscp", "ipvs", TAPS, spec(), kept=kept)).rows[0].cells
    assert [shown(cell[0]).get("ip.dsfield.dscp") for cell in cells] == ["7 (tos 0x1c)", "0 (tos 0x00)", None]


L2 = Ether(src=CLIENT, dst=ROUTER_A)
V4 = IP(src="192.0.2.1", dst="192.0.2.2")
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")


@pytest.mark.parametrize(
    ("packet", "summary", "endpoints"),
    [
        (L2 / V4 / TCP(flags="FA"), "FIN-ACK", "192.0.2.1:20 > 192.0.2.2:80"),
        (L2 / V4 / TCP(flags=0), "no flags", "192.0.2.1:20 > 192.0.2.2:80"),
        (L2 / V4 / TCP(flags="RA") / Raw(b"x"), "RST-ACK, 1 octet", "192.0.2.1:20 > 192.0.2.2:80"),
        (L2 / V6 / UDP(sport=1, dport=2) / Raw(b"xy"), "UDP, 2 octets", "[2001:db8::1]:1 > [2001:db8::2]:2"),
        (L2 / V4 / ICMP(), "ICMP echo request", "192.0.2.1 > 192.0.2.2"),
        (L2 / V4 / ICMP(type=3, code=4) / V4 / UDP(), "ICMP fragmentation needed", "192.0.2.1 > 192.0.2.2"),
        (L2 / V4 / ICMP(type=3, code=9), "ICMP network administratively prohibited", "192.0.2.1 > 192.0.2.2"),
        (L2 / V4 / ICMP(type=13), "ICMP type 13 code 0", "192.0.2.1 > 192.0.2.2"),
        (L2 / V6 / ICMPv6EchoRequest(), "ICMPv6 echo request", "2001:db8::1 > 2001:db8::2"),
        (L2 / V6 / ICMPv6ND_NS(tgt="2001:db8::9"), "neighbour solicitation: who has 2001:db8::9? tell 2001:db8::1", ""),
        (L2 / IPv6(src="::") / ICMPv6ND_NS(tgt="fe80::9"), "neighbour solicitation: who has fe80::9?", ""),
        (
            L2 / V6 / ICMPv6ND_NA(tgt="fe80::9", R=0, S=1) / ICMPv6NDOptDstLLAddr(lladdr=CLIENT),
            f"neighbour advertisement: fe80::9 is at {CLIENT}",
            "",
        ),
        (L2 / V6 / ICMPv6ND_NA(tgt="fe80::9", R=0, S=0), "unsolicited neighbour advertisement: fe80::9", ""),
        (L2 / IP(src="192.0.2.1", dst="192.0.2.2", frag=9) / Raw(b"x" * 9), "fragment", "192.0.2.1 > 192.0.2.2"),
        (L2 / IP(src="192.0.2.1", dst="224.0.0.18", proto=112), "VRRP advertisement", "192.0.2.1 > 224.0.0.18"),
        (L2 / IP(src="192.0.2.1", dst="192.0.2.2", proto=99), "IP protocol 99", "192.0.2.1 > 192.0.2.2"),
        (L2 / ARP(op=2, hwsrc=CLIENT, psrc=VIP, pdst=CIP), f"ARP reply: {VIP} is at {CLIENT}", ""),
        (L2 / ARP(hwsrc=CLIENT, psrc=VIP, pdst=VIP), f"gratuitous ARP request: {VIP} is at {CLIENT}", ""),
        (L2 / ARP(op=2, hwsrc=CLIENT, psrc=VIP, pdst=VIP), f"gratuitous ARP reply: {VIP} is at {CLIENT}", ""),
        (Ether(src=CLIENT, dst=ROUTER_A, type=0x0806) / Raw(b"\0\1"), "broken ARP", ""),
        (Ether(src=CLIENT, dst=ROUTER_A, type=0x88CC) / Raw(b"\0\1"), "EtherType 0x88cc, 16 octets", ""),
        (Ether(src=CLIENT, dst=ROUTER_A, type=0x0800) / Raw(b"\x45\0\1"), "broken frame, 17 octets", ""),
    ],
)
def test_summaries(packet: Packet, summary: str, endpoints: str) -> None:
    row = ladder(single(packet)).rows[0]
    assert (row.summary, row.endpoints) == (summary, endpoints)


DNS_PORTS = UDP(sport=40000, dport=53), UDP(sport=53, dport=40000)
ANSWERS = dns.addresses("www.example.com", ["203.0.113.21", "203.0.113.22"])


@pytest.mark.parametrize(
    ("packet", "words"),
    [
        (DNS_PORTS[0] / Raw(dns.query("www.example.com")), "DNS query www.example.com A"),
        (
            DNS_PORTS[1] / Raw(dns.response("www.example.com", "A", ANSWERS)),
            "DNS response www.example.com A, 2 answers",
        ),
        (DNS_PORTS[1] / Raw(dns.response("x.test", "AAAA", ANSWERS[:1])), "DNS response x.test AAAA, 1 answer"),
        (DNS_PORTS[0] / Raw(b"what is this?"), "UDP"),
    ],
)
def test_messages_of_dns_say_what_is_asked(packet: Packet, words: str) -> None:
    payload = len(packet) - 8
    assert ladder(single(L2 / V4 / packet)).rows[0].summary == f"{words}, {payload} octets"


def test_comments_say_the_same_with_the_addresses_between() -> None:
    both = "192.0.2.1:1 > 192.0.2.2:2"
    assert describe(bytes(L2 / V4 / TCP(sport=1, dport=2, flags="PA") / Raw(b"x"))) == f"PSH-ACK {both}, 1 octet"
    assert describe(bytes(L2 / V6 / V4 / UDP(sport=1, dport=2))) == f"UDP {both} in 2001:db8::1 > 2001:db8::2"
    assert describe(bytes(L2 / V6 / ICMPv6EchoRequest())) == "ICMPv6 echo request 2001:db8::1 > 2001:db8::2"
    assert describe(b"\0" * 9) == "broken frame, 9 octets"


@pytest.mark.parametrize(
    ("packet", "name"),
    [
        (L2 / V4 / V4 / UDP(), "ipip"),
        (L2 / V6 / V6 / UDP(), "6in6"),
        (L2 / V6 / V4 / UDP(), "4in6"),
        (L2 / V4 / V6 / UDP(), "6in4"),
        (L2 / V4 / GRE() / V4 / UDP(), "gre"),
        (L2 / V4 / UDP(dport=6080) / Raw(bytes.fromhex("00040000") + bytes(V4 / UDP())), "gue"),
        (L2 / V4 / UDP(dport=6080) / Raw(bytes(V4 / UDP())), "gue"),
        (L2 / V4 / UDP(dport=6081) / Raw(bytes.fromhex("0000655800000000") + bytes(L2 / V4 / UDP())), "geneve"),
    ],
)
def test_tunnels_have_the_names_of_the_option(packet: Packet, name: str) -> None:
    assert shown(ladder(single(packet)).rows[0].cells[0][0])["tunnel.type"] == name


def test_a_tag_of_a_vlan() -> None:
    assert "│ vlan 100\n" in render(ladder(single(L2 / Dot1Q(vlan=100) / V4 / UDP())))


def test_a_cut_frame_is_read_as_far_as_it_goes() -> None:
    whole = bytes(L2 / V4 / TCP(flags="S") / Raw(b"x" * 500))
    row = ladder(single(Raw(whole), data=whole[:60])).rows[0]
    assert row.summary == "SYN, 500 octets"


@pytest.mark.parametrize(
    ("macs", "shown_as", "legend"),
    [
        (("02:00:00:01:00:01", "02:00:00:02:00:01"), "01:01", "octets 4 and 6"),
        (("02:aa:00:00:00:0b", "02:1b:00:00:00:0b"), "aa:0b", "octets 2 and 6"),
        (("02:00:00:00:00:01", "33:33:00:00:00:12"), "00:01", "octets 5 and 6"),
    ],
)
def test_macs_show_the_octets_that_tell_them_apart(macs: tuple[str, str], shown_as: str, legend: str) -> None:
    found = ladder(single(Ether(src=macs[0], dst=macs[1]) / V4 / UDP()))
    assert shown(found.rows[0].cells[0][0])["eth.src"] == shown_as
    assert render(found).endswith(f"; MACs: {legend}\n")


def test_addresses_of_groups_are_whole_and_name_nobody() -> None:
    found = ladder(single(Ether(src=CLIENT, dst="33:33:00:00:00:12") / V6, sender="lb1", receiver="all"))
    assert shown(found.rows[0].cells[0][0])["eth.dst"] == "33:33:00:00:00:12"
    assert found.taps == (LadderTap("A", ("lb1",)),)


def test_what_is_flooded_goes_no_way_and_has_its_fields_once() -> None:
    sizes = {}
    for dst in ("33:33:00:00:00:12", ROUTER_A):
        flooded = Ether(src=CLIENT, dst=dst) / V6
        kept = tuple(frame(tap, n, flooded, 0, "lb1", "all") for n, tap in enumerate("BCD"))
        (row,) = ladder(Scenario("garp", "ipvs", TAPS, spec(), kept=kept)).rows
        assert all(cell.sender == "lb1" for cells in row.cells for cell in cells)
        sizes[dst] = row.direction, [len(cell.fields) for cells in row.cells for cell in cells]
    assert sizes == {"33:33:00:00:00:12": ("", [5, 0, 0]), ROUTER_A: ("→", [5, 5, 5])}


def test_a_flooded_frame_that_was_changed_shows_how() -> None:
    kept = tuple(
        frame(tap, n, Ether(src=CLIENT, dst="33:33:00:00:00:12") / Dot1Q(vlan=7 + n) / V6, 0)
        for n, tap in enumerate("BC")
    )
    (row,) = ladder(Scenario("garp", "ipvs", TAPS, spec(), kept=kept)).rows
    assert changed(row.cells[1][0]) == {"vlan.id": "8"}


def test_hops_have_the_name_of_their_version() -> None:
    page = render(ladder(single(L2 / V6 / IP(src="192.0.2.1", dst="192.0.2.2", ttl=9) / UDP())))
    assert "│ hlim 64\n" in page
    assert "│ ttl 9\n" in page


def test_the_legend_explains_arrows_order_and_stars() -> None:
    legend = render(ladder(l2dsr()), width=80).splitlines()[-3:]
    assert [line.split(":")[0] for line in legend] == ["→ ←", "rows are in order of first sightings", "*"]


def test_many_stations_have_whole_macs() -> None:
    flips = [
        bytes.fromhex("020000000000"),
        *(bytes([2 | (n == 0) * 4, *(int(n == i) for i in range(1, 6))]) for n in range(6)),
    ]
    kept = tuple(frame("A", n, Ether(src=mac.hex(":"), dst=CLIENT) / V4, n) for n, mac in enumerate(flips))
    found = ladder(Scenario("nat", "ipvs", TAPS, spec(), kept=kept))
    assert shown(found.rows[1].cells[0][0])["eth.src"] == "06:00:00:00:00:00"
    assert "MACs" not in render(found)


def test_the_limit() -> None:
    assert [(len(found.rows), found.left_out) for found in (ladder(l2dsr(), n) for n in (1, 3, 4, 9))] == [
        (1, 3),
        (3, 1),
        (4, 0),
        (4, 0),
    ]
    assert (len(ladder(volume(), 5).rows), ladder(volume(), 5).left_out) == (5, None)
    assert "3 more packets follow\n" in render(ladder(l2dsr(), 1))
    assert "\nmore packets follow\n" in render(ladder(volume(), 1))


def test_no_frames() -> None:
    found = ladder(Scenario("nat", "ipvs", TAPS, spec()))
    assert (found.taps, found.rows) == ((), ())
    assert render(found).startswith("nat, profile ipvs\n")


def test_title_says_the_fault() -> None:
    scenario = dataclasses.replace(l2dsr(), fault="ARP101")
    assert render(ladder(scenario)).startswith("l2dsr, profile ipvs, fault ARP101\n")


def test_names_are_data() -> None:
    cell = LadderCell("\x1b[31m", "[bold]", ())
    page = render(Ladder("\x07", (LadderTap("\x1b", ("a\nb",)),), (LadderRow(0, "", "\x1b", "", ((cell,),)),)))
    assert "\x1b" not in page
    assert "\x07" not in page
    assert "[bold]" in page

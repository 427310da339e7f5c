"""Every third-party frame taken apart as tshark takes it apart, field by field; and the scan agrees with that."""

from __future__ import annotations

import functools
import re
import tomllib
from collections import Counter, defaultdict
from pathlib import Path

import pytest
import vector_frames
from dissections import scanned_differently
from vector_frames import ALSO_READ, COMPARED, GUE, MARKS, Vector, differences, only_ours, vectors

from dsrkit.errors import CaptureError
from dsrkit.wire import capture, layout, scanner
from dsrkit.wire.dissect.frame import LINKTYPES, dissect
from dsrkit.wire.dissect.tree import Dissection

pytestmark = pytest.mark.skipif(
    not vector_frames.FRAMES.exists(), reason=f"no third-party vectors: {vector_frames.FRAMES} is not there"
)

DISAGREEMENTS = tomllib.loads(Path(__file__).with_name("disagreements.toml").read_text(encoding="utf-8"))[
    "disagreement"
]
"""Frames that we read in another way on purpose, field by field, and what makes ours right."""

COMPARED_FRAMES = 2698
"""Frames of link types that we read."""

ONLY_OURS = {
    "tcpdump/captures/isakmpv1-attr-oobr.pcap:1": {"ip.opt.type"},
    "tcpdump/captures/pgm_group_addr_asan.pcap:1": {"ip.opt.type"},
    "tcpdump/captures/pgm_opts_asan.pcap:1": {"ip.opt.type"},
    "tcpdump/captures/pgm_opts_asan_2.pcap:1": {"ip.opt.type"},
    "tcpdump/captures/pgm_opts_asan_3.pcap:1": {"ip.opt.type"},
    "tcpdump/captures/radius_attr_asan.pcap:1": {"ip.opt.type"},
    "tcpdump/captures/icmpv6-length-zero.pcapng:1": {"icmpv6.type", "icmpv6.code"},
    "tcpdump/captures/bigtcp-ipv4-geneve-ipv4.pcap:1": {"udp.checksum"},
    "scapy/scapy-inline.linktype101.pcap:60": {"geneve.option.class", "geneve.option.type"},
}
"""Frames without a defect in which tshark names less than we do: options without a name (RFC 791 s3.1: they begin with
their type), packets whose length fields are 0 (RFC 2675), an option of which only the beginning is in the header."""

OTHER_LINKTYPES = {
    8: 8,  # SLIP
    9: 58,  # PPP
    10: 16,  # FDDI
    50: 3,  # PPP over serial, HDLC framing
    100: 1,  # ATM (RFC 1483)
    104: 24,  # Cisco HDLC
    105: 10,  # 802.11
    106: 1,  # ATM Classical IP
    107: 38,  # frame relay
    123: 3,  # SunATM
    127: 195,  # radiotap
    129: 10,  # ARCNET
    137: 4,  # Juniper ATM
    149: 3,  # user-defined
    160: 1,  # user-defined
    178: 4,  # Juniper
    195: 5,  # 802.15.4
    226: 4,  # ipnet
    227: 8,  # CAN
    230: 9,  # 802.15.4 without FCS
    231: 2,  # D-Bus
    239: 13,  # NFLOG
    242: 4,  # IP over InfiniBand
    258: 1,  # PKTAP
    271: 4,  # vsock
}
"""Link types that we do not read, and their frames among the vectors: nothing but lengths is compared."""

STRIPPED = {123: 4}
"""Octets of a pseudo-header that tshark takes for a part of the file, not of the frame."""

READ_BY_NOBODY = 15
"""Frames of the index in files that tshark refused (empty, or of link types it does not know)."""

OTHER_PROTOCOLS = """
    aodv aoe avsp ayiya babel bfd bgp bpq brdwlk bvlc can canfd cflow dccp dcerpc dhcp dhcpv6 dns dtp eapol finger ftp
    gnutella gprs-ns gquic gtp gvrp hsrp http ieee8021ah igrp ipx irc isakmp isis krb4 l2tp lcp ldap ldp lisp lldp lmp
    loop m3ua macsec mdns mip mipv6 mpls-echo msnlb mysql nbdgm nbns nbss ncp ndp nhrp nsh ntp olsr openflow_v1 ospf
    pfcp pgm pgsql pim pop proxy quic radius resp rip ripng rpc rsh rsvp rtcp rx sap sflow sip slow smtp snmp socks
    srvloc ssh stp telnet teredo tftp tipc tls tsp udld udpencap vntag websocket winsrepl wlan
"""
"""Protocols of payloads, and carriers, at which the comparison ends because we do not take them apart further."""


@functools.cache
def dissected() -> list[tuple[Vector, Dissection]]:
    """Every frame that is there to read, taken apart."""
    return [
        (one, dissect(one.octets, one.linktype, wirelen=int(one.row["wirelen"]), gue_ports=GUE))
        for one in vectors()
        if one.octets is not None
    ]


@functools.cache
def differing() -> dict[tuple[str, str], list[str]]:
    """(frame, field) -> how our reading differs from tshark's, over all frames of link types that we read."""
    found = defaultdict(list)
    for vector, ours in dissected():
        if vector.linktype in LINKTYPES:
            for text in differences(vector, ours):
                field = re.sub(r": ours .*", "", text)
                found[f"{vector.pcap}:{vector.number}", field].append(text)
    return found


def listed() -> set[tuple[str, str]]:
    return {(frame, one["field"]) for one in DISAGREEMENTS for frame in one["frames"]}


def test_every_frame_reads_as_in_tshark() -> None:
    wrong = [
        f"{frame} {text}"
        for (frame, field), texts in differing().items()
        if (frame, field) not in listed()
        for text in texts
    ]
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:60])
    assert sum(vector.linktype in LINKTYPES for vector, _ in dissected()) == COMPARED_FRAMES


def test_the_list_of_disagreements_only_shrinks() -> None:
    agreeing = sorted(listed() - differing().keys())
    assert not agreeing, f"these agree with tshark now, take them from the list: {agreeing}"
    assert sum(len(one["frames"]) for one in DISAGREEMENTS) == len(listed()) <= 36
    assert all(one["why"] and one["source"] for one in DISAGREEMENTS)


def test_fields_that_tshark_leaves_out_are_of_broken_headers() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for vector, ours in dissected():
        if vector.linktype in LINKTYPES and ours.defect is None:
            names = set(only_ours(vector, ours))
            if names:
                found[f"{vector.pcap}:{vector.number}"] = names
    assert found == ONLY_OURS


def test_frames_of_other_link_types_are_counted() -> None:
    counted = Counter(vector.linktype for vector, _ in dissected() if vector.linktype not in LINKTYPES)
    assert counted == OTHER_LINKTYPES
    assert sum(vector.octets is None for vector in vectors()) == READ_BY_NOBODY
    assert all(not vector.layers for vector in vectors() if vector.octets is None)
    for vector, ours in dissected():
        if vector.linktype not in LINKTYPES:
            assert ours.defect is not None
            assert ours.defect.kind == layout.DEFECT_LINKTYPE
            stripped = STRIPPED.get(vector.linktype, 0)
            lengths = [str(int(field.value) - stripped) for field in ours.layers[0].fields]
            assert lengths == [vector.layers[0]["len"], vector.layers[0]["caplen"]]


def test_the_comparison_ends_at_known_protocols_only() -> None:
    read = COMPARED.keys() | ALSO_READ
    ends = set()
    for vector, _ in dissected():
        names = [layer["p"] for layer in vector.layers if not layer["p"].startswith(MARKS)]
        if vector.linktype in LINKTYPES:
            ends |= set([name for name in names if name not in read][:1])
    assert ends == set(OTHER_PROTOCOLS.split())


def test_the_scan_and_the_dissector_agree() -> None:
    frames = [(f"{vector.pcap}:{vector.number}", vector.row, ours) for vector, ours in dissected()]
    compared, wrong = scanned_differently(frames)
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:60])
    assert compared > 70_000


def test_defects_of_the_scan_are_defects_of_the_dissector() -> None:
    seen = 0
    for vector, ours in dissected():
        scanned = tuple(int(vector.row[f"defect{part}"]) for part in ("", "_layer", "_need", "_have", "_by"))
        if scanned[0] != layout.DEFECT_NONE:
            assert ours.defect is not None, vector
            found = (ours.defect.kind, ours.defect.layer, ours.defect.need, ours.defect.have, ours.defect.claimed_by)
            assert found == scanned, f"{vector.pcap}:{vector.number}"
            seen += 1
    assert seen > 500


def test_payloads_lie_where_the_scan_sees_them() -> None:
    seen = 0
    for vector, ours in dissected():
        headers = [layer.name for layer in ours.layers if not layer.quoted]
        transports = [name for name in headers if name in ("tcp", "udp")]
        if (
            ours.defect
            or not vector.row["has"] & layout.HAS_L4
            or headers.count("ip") + headers.count("ipv6") != vector.row["depth"]
        ):
            continue
        if transports and transports[-1] == headers[-1] and ours.payload is not None:
            seen += 1
            assert ours.payload[0] == vector.row["payload_at"], f"{vector.pcap}:{vector.number}"
    assert seen > 1000


@pytest.mark.skipif(scanner.backend() != "compiled", reason="the compiled scan was not built")
def test_the_interpreted_scan_agrees_on_all_of_them() -> None:
    compared = 0
    for name in sorted({vector.pcap for vector in vectors()}):
        try:
            compiled, interpreted = (_rows(vector_frames.VECTORS / name, interpreted=how) for how in (False, True))
        except CaptureError:
            continue
        assert compiled == interpreted, name
        compared += len(compiled) // layout.RECORD.itemsize
    assert compared > 3000


def _rows(path: Path, *, interpreted: bool) -> bytes:
    return b"".join(window.rec.tobytes() for window in capture.read(path, interpreted=interpreted).windows())

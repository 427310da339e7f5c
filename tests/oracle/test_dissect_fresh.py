"""What the index of third-party frames leaves out, read fresh by tshark: extension headers, options, flags, bodies."""

from __future__ import annotations

import re
import struct
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import vector_frames
from needs import program
from vector_frames import ALSO_READ, COMPARED, GUE, MARKS, Vector, differences, vectors

from dsrkit.wire.dissect.frame import LINKTYPES, NAMES, dissect
from dsrkit.wire.dissect.tree import Dissection

pytestmark = [
    program("tshark"),
    pytest.mark.skipif(
        not vector_frames.FRAMES.exists(), reason=f"no third-party vectors: {vector_frames.FRAMES} is not there"
    ),
]

HEADERS = ("eth.", "vlan.", "ieee8021ad.", "arp.", "ip.", "ipv6.", "ah.", "tcp.", "udp.", "icmp.", "icmpv6.", "gre.")
HEADERS += ("vxlan.", "geneve.", "vrrp.", "mpls.", "pppoe.")
OURS = re.compile(r".*(\.checksum\.state|_calculated)")
"""Fields of which tshark has none, or only where the sum is wrong."""

OTHERWISE = {
    "ip.version": "tshark gives it for IPv6 packets as well, as ip.version",
    "tcp.flags.res": "three bits that tshark takes for a truth value",
    "tcp.option_kind": "tshark goes on behind the end of the list (RFC 9293 s3.2: it ends there)",
    "tcp.len": "tshark gives none for a quoted segment",
    "ip.src_rt": "tshark leaves out the last address, which it takes for the destination",
    "geneve.option.length": "tshark gives it twice",
}
"""Fields that are left out, and why."""

UNNAMED_OPTION = "an IPv4 option without a name: tshark shows no type of it (RFC 791 s3.1: it begins with one)"
DIFFERENT = {
    "tcpdump/captures/isakmpv1-attr-oobr.pcap:1": UNNAMED_OPTION,
    "tcpdump/captures/pgm_group_addr_asan.pcap:1": UNNAMED_OPTION,
    "tcpdump/captures/pgm_opts_asan.pcap:1": UNNAMED_OPTION,
    "tcpdump/captures/pgm_opts_asan_2.pcap:1": UNNAMED_OPTION,
    "tcpdump/captures/pgm_opts_asan_3.pcap:1": UNNAMED_OPTION,
    "tcpdump/captures/radius_attr_asan.pcap:1": UNNAMED_OPTION,
    "tcpdump/captures/icmpv6-length-zero.pcapng:1": "tshark reads nothing of a message in a packet without length",
    "scapy/scapy-inline.linktype101.pcap:40": "a message of mobile IPv6, whose options we do not read",
    "scapy/scapy-inline.linktype101.pcap:41": "a message of mobile IPv6, whose options we do not read",
    "tcpdump/captures/ipv6-too-long-jumbo.pcap:1": "tshark stops at an option with a wrong length",
    "tcpdump/captures/ipv6_frag6_negative_len.pcap:1": "tshark reads no fragment header beyond the payload length",
    "scapy/scapy-inline.linktype101.pcap:60": "tshark shows no Geneve option of which only a part is in the header",
}
"""Frames whose headers differ in more than what the index has, and why."""

PREFERENCES = (
    "ip.defragment:FALSE",
    "ipv6.defragment:FALSE",
    "tcp.relative_sequence_numbers:FALSE",
    "tcp.desegment_tcp_streams:FALSE",
    "tcp.analyze_sequence_numbers:FALSE",
)


CARRYING = {"sflow", "nhrp", "wlan"}
"""Protocols that we do not read, and in which tshark reads on."""


def same_headers(vector: Vector, ours: Dissection) -> bool:
    """Frames in which tshark and we see the same headers, whole, and nothing is carried in what we do not read."""
    names = [layer["p"] for layer in vector.layers if not layer["p"].startswith(MARKS)]
    unread = next((i for i, name in enumerate(names) if name not in COMPARED.keys() | ALSO_READ), len(names))
    hidden = any(name in COMPARED or name in CARRYING for name in names[unread:])
    gue = any(layer.name == "gue" for layer in ours.layers)
    return not hidden and not gue and ours.defect is None and not any(differences(vector, ours))


def fresh(chosen: list[Vector], fields: list[str], file: Path) -> Iterator[list[list[str]]]:
    """tshark's values of the fields, frame by frame, of frames of one link type."""
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, chosen[0].linktype)
    with file.open("wb") as stream:
        stream.write(header)
        for one in chosen:
            octets = one.octets or b""
            stream.write(struct.pack("<IIII", 1, 0, len(octets), int(one.row["wirelen"])) + octets)
    command = ["tshark", "-n", "-r", str(file), "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=|"]
    command += [part for preference in PREFERENCES for part in ("-o", preference)]
    command += [part for field in ("frame.number", *fields) for part in ("-e", field)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True)
    for line in done.stdout.splitlines():
        yield [value.split("|") if value else [] for value in line.split("\t")[1:]]


def normal(value: object) -> object:
    """A value of ours or of tshark's in one notation."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, int):
        return value
    text = str(value)
    if text in ("True", "False"):
        return int(text == "True")
    if re.fullmatch(r"0x[0-9a-fA-F]+|0|[1-9][0-9]{0,9}", text):
        return int(text, 0)
    return text.replace(":", "") if re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2})+", text) else text


def test_every_field_of_headers_is_tsharks(tmp_path: Path) -> None:
    fields = [name for name in NAMES if name.startswith(HEADERS) and not OURS.fullmatch(name) and name not in OTHERWISE]
    assert len(fields) > 130
    groups = defaultdict(list)
    for vector in vectors():
        if vector.octets is not None and vector.linktype in LINKTYPES:
            ours = dissect(vector.octets, vector.linktype, wirelen=int(vector.row["wirelen"]), gue_ports=GUE)
            if same_headers(vector, ours):
                groups[vector.linktype].append((vector, ours))
    compared, wrong, different = 0, [], set()
    for linktype, members in groups.items():
        lines = list(fresh([vector for vector, _ in members], fields, tmp_path / f"{linktype}.pcap"))
        assert len(lines) == len(members)
        for (vector, taken), line in zip(members, lines, strict=True):
            where = f"{vector.pcap}:{vector.number}"
            for name, values in zip(fields, line, strict=True):
                found = [normal(field.value) for layer in taken.layers for field in layer.fields if field.name == name]
                theirs = [normal(value) for value in values]
                compared += len(theirs)
                if [str(one) for one in found] != [str(one) for one in theirs]:
                    different.add(where)
                    if where not in DIFFERENT:
                        wrong.append(f"{where} {name}: ours {found}, tshark {theirs}")
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:60])
    assert different == DIFFERENT.keys()
    assert compared > 60_000

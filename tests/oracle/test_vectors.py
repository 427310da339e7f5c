"""Our reading of other projects' packets against tshark's, frame by frame.

The vectors lie in the folder that DSRKIT_VECTORS names; ``FRAMES.jsonl`` there holds tshark's reading of each frame.
"""

from __future__ import annotations

import functools
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dsrkit.errors import CaptureError
from dsrkit.wire import capture, layout
from dsrkit.wire.address import ip_text, mac_text

VECTORS = Path(os.environ.get("DSRKIT_VECTORS", Path(__file__).parents[3] / "shared" / "vectors"))
FRAMES = VECTORS / "FRAMES.jsonl"

pytestmark = pytest.mark.skipif(not FRAMES.exists(), reason=f"no third-party vectors: {FRAMES} is not there")

LINKTYPES = {0, 1, 12, 14, 101, 108, 113, 228, 229, 276}
CARRIERS = {"gre", "vxlan", "geneve", "eth", "vlan", "ieee8021ad"}
"""Layers between two IP headers that we decode as well."""
TRANSPORTS = {"tcp", "udp", "icmp", "icmpv6"}
STATUS = {
    layout.SUM_NONE: {None},
    layout.SUM_VALID: {"1"},
    layout.SUM_PARTIAL: {"0"},
    layout.SUM_ZERO: {"0", "1", "3", "4"},
    layout.SUM_ABSENT: {"3"},
    layout.SUM_INVALID: {"0"},
    layout.SUM_UNVERIFIABLE: {"2"},
}
"""Our checksum states as tshark's status: 0 bad, 1 good, 2 unverified, 3 not present, 4 illegal."""

Layer = dict[str, Any]

_NO_GUE = "GUE, of which tshark 4.0 has no dissector"
KNOWN_DIFFERENCES: dict[str, str] = {
    "katran/KatranGueOptionalTestFixtures.gueOptionalTestFixtures/*": _NO_GUE,
    "katran/KatranGueTestFixtures.gueTestFixtures/19": _NO_GUE,
    "katran/KatranGueTestFixtures.gueTestFixtures/20": _NO_GUE,
    "katran/KatranGueTestFixtures.gueTestFixtures/21": _NO_GUE,
    "katran/KatranLpmSrcLookupTestFixtures.lpmSrcLookupTestFixtures/*": _NO_GUE,
    "katran/tcSrcMatch/01": "GUE on port 9887, which has to be asked for (gue_ports)",
    "scapy-inline/inet.uts/IP assembly and dissection with options/3": "tshark shows the source route's last address",
    "tcpdump/tests/arista_ether.pcap": "a vendor's header between Ethernet and IP",
    "tcpdump/tests/icmp-cksum-oobr-*": "ip.len exceeds the frame; tshark sums what there is, for us it is unverifiable",
    "tcpdump/tests/icmpv6-rfc7112.pcap": "tshark takes the data of a quoted fragment for an IPv6 header",
    "tcpdump/tests/ipv6-srh-ipproto-ether.pcap": "Ethernet behind a segment routing header",
    "tcpdump/tests/wccp_redirect_gre.pcap": "WCCP in GRE",
    "tcpdump/tests/lisp_invalid_length.pcap": "a frame cut behind the UDP datagram: all of what is summed is there",
    "zeek/testing/btest/Traces/tunnels/gre-over-udp-4754.pcap": "GRE in UDP (RFC 8086)",
    "zeek/testing/btest/Traces/icmp/icmp6-redirect-hdr-opt.pcap": "a redirect is no ICMPv6 error (RFC 4443 s2.1)",
}
"""Frame id or prefix ending in ``*`` -> why we read it in another way on purpose."""


def _known(frame_id: str) -> bool:
    return any(frame_id == key or (key.endswith("*") and frame_id.startswith(key[:-1])) for key in KNOWN_DIFFERENCES)


@functools.cache
def _frames() -> dict[str, list[Layer]]:
    """The indexed frames by their file."""
    by_file: dict[str, list[Layer]] = defaultdict(list)
    for line in FRAMES.read_text().splitlines():
        frame = json.loads(line)
        by_file[frame["pcap"]].append(frame)
    return by_file


def _rows(path: Path) -> np.ndarray:
    parts = [window.rec.copy() for window in capture.read(path).windows()]
    return np.concatenate(parts) if parts else np.zeros(0, layout.RECORD)


def _levels(layers: list[Layer]) -> tuple[list[Layer], Layer | None]:
    """The IP headers that we should see, and the transport behind the last, None where something else is."""
    found: list[Layer] = []
    behind: Layer | None = None
    for layer in layers:
        name = layer["p"]
        if name in ("ip", "ipv6"):
            if len(found) == layout.LEVELS:
                return found, None
            found.append(layer)
            behind = None
        elif not found or name in CARRIERS:
            if (
                found
                and name == "gre"
                and layer.get("flags", "0x0000")
                not in ("0x0000", "0x8000", "0x2000", "0x1000", "0xa000", "0x3000", "0xb000", "0x9000")
            ):
                return found, None
            if not found and name in ("mpls", "pppoes", "ppp", "llc", "ieee8021ah", "macsec", "nsh", "vntag"):
                return found, None
        elif name in TRANSPORTS:
            if behind is not None:
                return found, behind
            behind = layer
        else:
            return found, behind
    return found, behind


def _differences(row: Any, frame: Layer) -> Iterator[str]:
    """Every field in which the row and tshark's reading differ."""
    layers = [layer for layer in frame["layers"] if not layer["p"].startswith("_")]

    def check(name: str, ours: object, theirs: object) -> Iterator[str]:
        if theirs is not None and str(ours) != str(theirs):
            yield f"{name}: ours {ours}, tshark {theirs}"

    first = layers[0] if layers and layers[0]["p"] == "frame" else {}
    yield from check("frame.len", row["wirelen"], first.get("len"))
    yield from check("frame.cap_len", row["caplen"], first.get("caplen"))
    link = next((layer for layer in layers if layer["p"] == "eth"), None)
    if link and row["linktype"] == 1:
        yield from check("eth.src", mac_text(row["eth_src"]), link.get("src"))
        yield from check("eth.dst", mac_text(row["eth_dst"]), link.get("dst"))
    yield from _arp_differences(row, layers, check)
    expected, transport = _levels(layers)
    tags = [layer for layer in layers[: layers.index(expected[0])] if layer["p"] == "vlan"] if expected else []
    if expected and row["linktype"] == 1 and tags and row["nvlan"] == len(tags):
        yield from check("vlan.id#1", row["vlan0"] & 0xFFF, tags[0].get("id"))
    if row["defect"] == layout.DEFECT_NONE or row["depth"] > len(expected):  # tshark names headers it cannot read
        yield from check("depth", row["depth"], len(expected))
    for level, layer in enumerate(expected[: row["depth"]]):
        yield from _ip_differences(row, level, layer, check)
    if transport is not None and row["depth"] == len(expected):
        yield from _transport_differences(row, transport, check)


def _arp_differences(row: Any, layers: list[Layer], check: Any) -> Iterator[str]:
    layer = next((layer for layer in layers if layer["p"] == "arp"), None)
    if layer is None or not row["has"] & layout.HAS_RES or row["depth"]:
        return
    yield from check("arp.op", row["res_op"], layer.get("op"))
    yield from check("arp.sha", mac_text(row["res_sha"]), layer.get("sha"))
    yield from check("arp.tha", mac_text(row["res_tha"]), layer.get("tha"))
    yield from check("arp.spa", ip_text(row["res_spa_hi"], row["res_spa_lo"]), layer.get("spa"))
    yield from check("arp.tpa", ip_text(row["res_tpa_hi"], row["res_tpa_lo"]), layer.get("tpa"))


def _ip_differences(row: Any, level: int, layer: Layer, check: Any) -> Iterator[str]:
    name = f"level {level} {layer['p']}"

    def number(field: str) -> int | None:
        return int(layer[field], 0) if field in layer else None

    yield from check(f"{name} version", row["ver"][level], 4 if layer["p"] == "ip" else 6)
    yield from check(f"{name} src", ip_text(row["src_hi"][level], row["src_lo"][level]), layer.get("src"))
    yield from check(f"{name} dst", ip_text(row["dst_hi"][level], row["dst_lo"][level]), layer.get("dst"))
    yield from check(f"{name} ttl", row["ttl"][level], number("ttl"))
    yield from check(f"{name} tos", row["tos"][level], number("tos"))
    if layer["p"] == "ip":
        if row["ip_len"][level]:  # tshark shows a total length of 0 as what it takes it for
            yield from check(f"{name} len", row["ip_len"][level], number("len"))
        yield from check(f"{name} id", row["ip_id"][level], number("id"))
        yield from check(f"{name} frag", row["frag"][level] & 0x1FFF, number("frag"))
        yield from check(f"{name} df", row["frag"][level] >> 14 & 1, number("df"))
        yield from check(f"{name} mf", row["frag"][level] >> 13 & 1, number("mf"))
        yield from check(f"{name} proto", row["nxt"][level], number("proto"))
        yield from check(f"{name} csum", row["ip_sum"][level], number("csum"))
        yield from check(f"{name} hlen", row["hdr_len"][level], number("hlen"))
        status = layer.get("csum_status")
        if status not in STATUS[int(row["sum_state"][level])] and (status or not row["defect"]):
            yield f"{name} checksum: ours {row['sum_state'][level]}, tshark {status}"
    else:
        yield from check(f"{name} plen", row["ip_len"][level], number("plen"))
        yield from check(f"{name} flow", row["flow"][level], number("flow"))


def _transport_differences(row: Any, layer: Layer, check: Any) -> Iterator[str]:
    name = layer["p"]
    protocol = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}[name]

    def number(field: str) -> int | None:
        return int(layer[field], 0) if field in layer else None

    yield from check("proto", row["proto"], protocol)
    if not row["has"] & layout.HAS_L4:
        if row["defect"] == layout.DEFECT_NONE:
            yield f"{name}: not read by us, and no defect"
        return
    if name in ("tcp", "udp"):
        yield from check(f"{name} sport", row["sport"], number("sport"))
        yield from check(f"{name} dport", row["dport"], number("dport"))
        yield from check(f"{name} csum", row["l4_sum"], number("csum"))
    if name == "tcp":
        yield from check("tcp flags", row["tcp_flags"], number("flags"))
        yield from check("tcp seq", row["seq"], number("seq"))
        yield from check("tcp ack", row["ack"], number("ack"))
    elif name == "udp":
        yield from check("udp len", row["udp_len"], number("len"))
    else:
        yield from check(f"{name} type", row["icmp_type"], number("type"))
        yield from check(f"{name} code", row["icmp_code"], number("code"))
        yield from _quoted_differences(row, layer.get("quoted", []), check)
    status = layer.get("csum_status")
    if status is not None and status not in STATUS[int(row["l4_state"])]:
        yield f"{name} checksum: ours {row['l4_state']}, tshark {status}"


def _quoted_differences(row: Any, quoted: list[Layer], check: Any) -> Iterator[str]:
    headers = [layer for layer in quoted if layer["p"] in ("ip", "ipv6")]
    for prefix, layer in zip(("q", "qi"), headers, strict=False):
        yield from check(f"{prefix} src", ip_text(row[f"{prefix}_src_hi"], row[f"{prefix}_src_lo"]), layer.get("src"))
        yield from check(f"{prefix} dst", ip_text(row[f"{prefix}_dst_hi"], row[f"{prefix}_dst_lo"]), layer.get("dst"))
        yield from check(f"{prefix} ttl", row[f"{prefix}_ttl"], layer.get("ttl"))
        yield from check(f"{prefix} tos", row[f"{prefix}_tos"], int(layer["tos"], 0))
        yield from check(f"{prefix} len", row[f"{prefix}_len"], layer.get("len", layer.get("plen")))
        if "id" in layer:
            yield from check(f"{prefix} id", row[f"{prefix}_id"], int(layer["id"], 0))
    for layer in quoted[-1:]:
        if layer["p"] in ("tcp", "udp") and len(headers) <= 2:
            yield from check("q sport", row["q_sport"], layer.get("sport"))
            yield from check("q dport", row["q_dport"], layer.get("dport"))


def _compared() -> tuple[int, list[str]]:
    """Frames compared, and every difference that is not known."""
    count, wrong = 0, []
    for name, frames in _frames().items():
        try:
            rows = _rows(VECTORS / name)
        except CaptureError:
            continue
        for frame in frames:
            if not 1 <= frame["frame"] <= len(rows):
                if frame["layers"]:
                    wrong.append(f"{frame['id']}: tshark has this frame, we do not")
                continue
            row = rows[frame["frame"] - 1]
            if (
                not any(layer["p"] == "frame" for layer in frame["layers"])
                or int(row["linktype"]) not in LINKTYPES
                or _known(frame["id"])
            ):
                continue
            count += 1
            wrong += [f"{frame['id']}: {text}" for text in _differences(row, frame)]
    return count, wrong


def test_every_frame_reads_as_in_tshark() -> None:
    count, wrong = _compared()
    assert count > 2000
    assert not wrong, f"{len(wrong)} differences:\n" + "\n".join(wrong[:60])


def test_known_differences_are_of_frames_that_are_there() -> None:
    ids = [frame["id"] for frames in _frames().values() for frame in frames]
    for key in KNOWN_DIFFERENCES:
        assert any(i == key or (key.endswith("*") and i.startswith(key[:-1])) for i in ids), key

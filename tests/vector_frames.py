"""The third-party frames and tshark's reading of them, and how that compares with ours, field by field.

The vectors lie in the folder that DSRKIT_VECTORS names; ``FRAMES.jsonl`` there holds tshark's reading of each frame.
"""

from __future__ import annotations

import functools
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from dsrkit.errors import CaptureError
from dsrkit.wire import capture, layout
from dsrkit.wire.dissect.frame import NAMES
from dsrkit.wire.dissect.tree import Dissection, Layer
from dsrkit.wire.scanner import GUE_PORTS

VECTORS = Path(os.environ.get("DSRKIT_VECTORS", Path(__file__).parents[2] / "shared" / "vectors"))
FRAMES = VECTORS / "FRAMES.jsonl"

GUE = GUE_PORTS | {9887}
"""One of katran's fixtures has GUE on this port, which has to be asked for."""

Theirs = dict[str, Any]


@dataclass(frozen=True)
class Vector:
    """One frame of the index: tshark's layers, our row of the scan and the octets; no octets where neither reads it."""

    id: str
    pcap: str
    number: int
    layers: list[Theirs]
    octets: bytes | None
    linktype: int
    row: Any


@functools.cache
def vectors() -> list[Vector]:
    """Every indexed frame."""
    by_file: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in FRAMES.read_text(encoding="utf-8").splitlines():
        frame = json.loads(line)
        by_file[frame["pcap"]].append(frame)
    found = []
    for name, frames in by_file.items():
        packets = _packets(VECTORS / name)
        for frame in frames:
            number = frame["frame"]
            octets, row = packets[number - 1] if 1 <= number <= len(packets) else (None, None)
            linktype = int(row["linktype"]) if row is not None else -1
            found.append(Vector(frame["id"], name, number, frame["layers"], octets, linktype, row))
    return found


def _packets(path: Path) -> list[tuple[bytes, Any]]:
    packets: list[tuple[bytes, Any]] = []
    try:
        for window in capture.read(path, gue_ports=GUE).windows():
            rows = window.rec.copy()
            packets += [(bytes(window.packet(i)), rows[i]) for i in range(len(rows))]
    except CaptureError:
        pass  # a file that neither reads; where tshark reads it, the frame has layers and the test fails
    return packets


COMPARED: dict[str, dict[str, str]] = {
    "frame": {"len": "frame.len", "caplen": "frame.cap_len", "wtap_encap": "frame.encap_type"},
    "eth": {"src": "eth.src", "dst": "eth.dst", "type": "eth.type"},
    "vlan": {"id": "vlan.id", "pcp": "vlan.priority"},
    "arp": {
        "op": "arp.opcode",
        "sha": "arp.src.hw_mac",
        "spa": "arp.src.proto_ipv4",
        "tha": "arp.dst.hw_mac",
        "tpa": "arp.dst.proto_ipv4",
        "gratuitous": "arp.isgratuitous",
        "probe": "arp.isprobe",
    },
    "ip": {
        "src": "ip.src",
        "dst": "ip.dst",
        "ttl": "ip.ttl",
        "tos": "ip.dsfield",
        "dscp": "ip.dsfield.dscp",
        "ecn": "ip.dsfield.ecn",
        "len": "ip.len",
        "id": "ip.id",
        "df": "ip.flags.df",
        "mf": "ip.flags.mf",
        "frag": "ip.frag_offset",
        "proto": "ip.proto",
        "csum": "ip.checksum",
        "hlen": "ip.hdr_len",
        "opts": "ip.opt.type",
    },
    "ipv6": {
        "src": "ipv6.src",
        "dst": "ipv6.dst",
        "ttl": "ipv6.hlim",
        "tos": "ipv6.tclass",
        "dscp": "ipv6.tclass.dscp",
        "flow": "ipv6.flow",
        "plen": "ipv6.plen",
        "nh": "ipv6.nxt",
    },
    "tcp": {
        "sport": "tcp.srcport",
        "dport": "tcp.dstport",
        "flags": "tcp.flags",
        "seq": "tcp.seq",
        "ack": "tcp.ack",
        "csum": "tcp.checksum",
        "hlen": "tcp.hdr_len",
    },
    "udp": {"sport": "udp.srcport", "dport": "udp.dstport", "len": "udp.length", "csum": "udp.checksum"},
    "icmp": {"type": "icmp.type", "code": "icmp.code", "mtu": "icmp.mtu"},
    "icmpv6": {"type": "icmpv6.type", "code": "icmpv6.code", "mtu": "icmpv6.mtu"},
    "gre": {"flags": "gre.flags_and_version", "proto": "gre.proto", "key": "gre.key", "seq": "gre.sequence_number"},
    "vxlan": {"vni": "vxlan.vni"},
    "geneve": {
        "vni": "geneve.vni",
        "proto": "geneve.proto_type",
        "opt_class": "geneve.option.class",
        "opt_type": "geneve.option.type",
    },
    "vrrp": {"ver": "vrrp.version", "vrid": "vrrp.virt_rtr_id", "prio": "vrrp.prio"},
}
"""Protocol -> name in FRAMES.jsonl -> ours. Names with a dot in them are Wireshark's there, too."""

CHECKSUMS = {"ip", "tcp", "udp", "icmp", "icmpv6", "gre", "vrrp"}
STATUS = {
    layout.SUM_VALID: {"1"},
    layout.SUM_PARTIAL: {"0"},
    layout.SUM_ZERO: {"0", "4"},
    layout.SUM_ABSENT: {"3"},
    layout.SUM_INVALID: {"0"},
    layout.SUM_UNVERIFIABLE: {"2"},
}
"""Our checksum states as tshark's status: 0 bad, 1 good, 2 unverified, 3 not present, 4 illegal."""

ALSO_READ = {"ieee8021ad", "llc", "sll", "null", "raw", "mpls", "pppoes", "pppoed", "ppp", "ah", "esp", "igmp", "sctp"}
ALSO_READ |= {"erspan"}
"""Layers beyond `COMPARED` that we read, too."""
FOLDED = ("ipv6.",)
"""Our layers that FRAMES.jsonl counts to the header before them."""
PAYLOADS = {"dns", "http", "proxy"}
"""Protocols of payloads: named by us, where we see them as tshark does."""
MARKS = ("_ws.", "_undissected")


def differences(vector: Vector, ours: Dissection) -> Iterator[str]:
    """Everything in which our reading differs from tshark's, up to the first layer that we do not read."""
    theirs = _known([layer for layer in vector.layers if not layer["p"].startswith(MARKS)])
    mine = _counted([layer for layer in ours.layers if not layer.quoted])
    if theirs and theirs[0]["p"] == "tcp":  # the PROXY vectors are indexed from their TCP header on
        mine = mine[next((i for i, layer in enumerate(mine) if layer.name == "tcp"), len(mine)) :]
    names, wanted = [layer.name for layer in mine], [layer["p"] for layer in theirs]
    if names != wanted and not (_tunnelled_in_gue(ours, len(wanted)) and names[: len(wanted)] == wanted):
        yield f"layers: ours {' '.join(names)}, tshark {' '.join(wanted)}"
    for ours_one, theirs_one in zip(mine, theirs, strict=False):
        if ours_one.name != theirs_one["p"]:
            return
        yield from _layer_differences(ours_one, theirs_one)
        if "quoted" in theirs_one or ours_one.name in ("icmp", "icmpv6"):
            yield from _quoted_differences(ours, theirs_one.get("quoted", []))


def only_ours(vector: Vector, ours: Dissection) -> Iterator[str]:
    """Fields that we have, and tshark, which has the layer and stopped in it, has not."""
    theirs = _known([layer for layer in vector.layers if not layer["p"].startswith(MARKS)])
    mine = _counted([layer for layer in ours.layers if not layer.quoted])
    if theirs and theirs[0]["p"] == "tcp":
        return
    for ours_one, theirs_one in zip(mine, theirs, strict=False):
        if ours_one.name != theirs_one["p"]:
            return
        for key, name in COMPARED.get(ours_one.name, {}).items():
            if key not in theirs_one and ours_one.get(name) is not None:
                yield name


def _known(layers: list[Theirs]) -> list[Theirs]:
    """tshark's layers up to the first that we do not read."""
    return list(takewhile(lambda layer: layer["p"] in COMPARED.keys() | ALSO_READ, layers))


def _tunnelled_in_gue(ours: Dissection, after: int) -> bool:
    """Whether GUE follows our first layers: tshark 4.0 has no dissector of it, and stops unless told how to decode."""
    counted = 0
    for layer in ours.layers:
        if layer.name == "gue":
            return counted == after
        counted += not layer.name.startswith(FOLDED)
    return False


def _counted(layers: Sequence[Layer]) -> list[Layer]:
    """Our layers as FRAMES.jsonl counts them: up to a GUE header, of which tshark 4.0 knows nothing."""
    counted: list[Layer] = []
    version = 0
    for layer in layers:
        if layer.name in ("ip", "ipv6"):
            version = 4 if layer.name == "ip" else 6
        if layer.name == "gue" and layer.stop > layer.start:
            break
        bare_gue = layer.name == "gue"
        folded = layer.name.startswith(FOLDED) or (layer.name == "ah" and version == 6 and not layer.quoted)
        if not bare_gue and not folded and layer.name not in PAYLOADS:
            counted.append(layer)
    return counted


def _quoted_differences(ours: Dissection, quoted: list[Theirs]) -> Iterator[str]:
    theirs = [layer for layer in quoted if not layer["p"].startswith((*MARKS, *FOLDED))]
    mine = _counted([layer for layer in ours.layers if layer.quoted])
    names, wanted = [layer.name for layer in mine], [layer["p"] for layer in theirs]
    if names != wanted:
        yield f"quoted: ours {' '.join(names)}, tshark {' '.join(wanted)}"
    for ours_one, theirs_one in zip(mine, theirs, strict=False):
        if ours_one.name == theirs_one["p"]:
            yield from (f"quoted {text}" for text in _layer_differences(ours_one, theirs_one))


def _layer_differences(ours: Layer, theirs: Theirs) -> Iterator[str]:
    compared = COMPARED.get(ours.name, {})
    for key, expected in theirs.items():
        if key in ("p", "quoted", "csum_status"):
            continue
        name = compared.get(key, key if "." in key else "")
        if not name and compared:
            yield f"{ours.name}: {key} is not compared"
        if name not in NAMES:
            continue
        found = [one.value for one in ours.fields if one.name == name]
        wanted = expected if isinstance(expected, list) else [expected]
        if not _same(found, wanted):
            yield f"{name}#{ours.number}: ours {found}, tshark {wanted}"
    status = theirs.get("csum_status")
    state = ours.get(f"{ours.name}.checksum.state")
    if ours.name in CHECKSUMS and status is not None and (state is None or status not in STATUS[int(state.value)]):
        yield f"{ours.name}.checksum.state#{ours.number}: ours {state.value if state else None}, tshark {status}"


def _same(ours: list[Any], theirs: list[str]) -> bool:
    return len(ours) == len(theirs) and all(_value(o) == _value(t) for o, t in zip(ours, theirs, strict=True))


def _value(value: Any) -> object:
    """Numbers in any notation as a number, addresses and text as they are, octets as tshark prints them."""
    if isinstance(value, bytes):
        return value.hex(":")
    if isinstance(value, (int, np.integer)):
        return int(value)
    try:
        return int(value, 0)
    except ValueError:
        return value

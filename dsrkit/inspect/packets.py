"""Packets in one line each, in the words of tcpdump and tshark: who to whom, flags, lengths, and what was not readable.

Everything is read from one row of the scan, and, where a header names more than that, from the octets of that frame.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np

from dsrkit.inspect.said import said
from dsrkit.verify.frames import ICMP, ICMPV6, TCP, UDP, Frames
from dsrkit.wire import layout
from dsrkit.wire.address import ip_text, mac_text
from dsrkit.wire.dissect.protocols import ETHERTYPES, PROTOCOLS
from dsrkit.wire.icmp import NAMES as ICMP_NAMES

BROADCAST: Final = 0xFFFF_FFFF_FFFF
_FLAGS: Final = (
    (0x001, "FIN"),
    (0x002, "SYN"),
    (0x004, "RST"),
    (0x008, "PSH"),
    (0x010, "ACK"),
    (0x020, "URG"),
    (0x040, "ECE"),
    (0x080, "CWR"),
    (0x100, "AE"),
)
_SYN: Final = 0x02
_OFFSET, _MORE = 0x1FFF, 0x2000
_VLAN_ID: Final = 0x0FFF
_IEEE_802_3: Final = 0x0600

_ENCAPS: Final = {
    layout.ENCAP_GRE: "GRE",
    layout.ENCAP_GUE: "GUE",
    layout.ENCAP_GUE1: "GUE variant 1",
    layout.ENCAP_VXLAN: "VXLAN",
    layout.ENCAP_GENEVE: "Geneve",
}
_PLAIN_TUNNELS: Final = {(4, 4): "IPIP", (6, 6): "6in6", (6, 4): "4in6", (4, 6): "6in4"}

_LAYERS: Final = {
    layout.LAYER_FRAME: "frame",
    layout.LAYER_LINK: "link header",
    layout.LAYER_ARP: "ARP packet",
    layout.LAYER_IP: "IP header",
    layout.LAYER_IPV6_EXT: "IPv6 extension header",
    layout.LAYER_TCP: "TCP header",
    layout.LAYER_UDP: "UDP header",
    layout.LAYER_ICMP: "ICMP header",
    layout.LAYER_GRE: "GRE header",
    layout.LAYER_GUE: "GUE header",
}
_CLAIMANTS: Final = {
    layout.BY_CAPTURE: "captured",
    layout.BY_IP_LEN: "by the IP header's length",
    layout.BY_UDP_LEN: "by the UDP header's length",
    layout.BY_HEADER: "by its own length",
}
LINKTYPES: Final = {
    6: "IEEE 802.5",
    9: "PPP",
    50: "PPP over serial HDLC",
    51: "PPPoE",
    104: "Cisco HDLC",
    105: "IEEE 802.11",
    107: "frame relay",
    117: "pf log",
    119: "IEEE 802.11 with Prism header",
    127: "IEEE 802.11 with radiotap",
    147: "private use",
    187: "Bluetooth HCI",
    189: "USB",
    192: "per-packet information",
    195: "IEEE 802.15.4",
    201: "Bluetooth HCI with direction",
    220: "USB with padding",
    249: "USBPcap",
    253: "Netlink",
    272: "nRF sniffer",
}
"""Names of link types that are not decoded. Source: www.tcpdump.org/linktypes.html."""


_ip_text = lru_cache(maxsize=1 << 14)(ip_text)
"""The same few addresses stand in most packets."""


def packet_text(f: Frames, i: int, *, outer: bool = True, known: str = "") -> str:
    """One frame; `outer` shows the headers around the innermost packet, and what `known` says is not said again."""
    rec = f.rec[i]
    depth = int(rec["depth"])
    if not depth:
        return _link(f, i, known)
    words = []
    if outer:
        words = [f"{tunnel_name(rec, level + 1)} {_ends(rec, level)}" for level in range(depth - 1)]
    return " | ".join([*words, _packet(f, i, depth - 1, known)])


def tunnel_name(rec: np.void, level: int) -> str:
    """How the IP header of a level is carried by the one before it."""
    encap = int(rec["encap"][level])
    plain = _PLAIN_TUNNELS.get((int(rec["ver"][level - 1]), int(rec["ver"][level])), "tunnel")
    return _ENCAPS.get(encap, plain)


def endpoint(address: str, port: int) -> str:
    """An address with its port, as URLs write it."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def flag_words(flags: int) -> str:
    """TCP flags by name.

    >>> flag_words(0x12)
    'SYN ACK'
    """
    return " ".join(name for bit, name in _FLAGS if flags & bit) or "no flags"


def _ends(rec: np.void, level: int) -> str:
    return f"{address(rec, 'src', level)} → {address(rec, 'dst', level)}"


def address(rec: np.void, side: str, level: int) -> str:
    """An address of a header, ``src`` or ``dst``."""
    return _ip_text(int(rec[f"{side}_hi"][level]), int(rec[f"{side}_lo"][level]))


def _packet(f: Frames, i: int, level: int, known: str) -> str:
    """The innermost packet."""
    rec = f.rec[i]
    proto = int(rec["proto"])
    name = PROTOCOLS.get(proto, f"IP protocol {proto}")
    there = bool(int(rec["has"]) & layout.HAS_L4)
    frag = int(rec["frag"][level])
    words = []
    if frag & (_OFFSET | _MORE):
        words.append(_fragment(frag, int(rec["ip_id"][level])))
    if proto in (TCP, UDP) and there:
        ends = [endpoint(address(rec, s, level), int(rec[p])) for s, p in (("src", "sport"), ("dst", "dport"))]
        words.insert(0, f"{name} {ends[0]} → {ends[1]}")
        words.append(_tcp(rec) if proto == TCP else f"len {int(rec['payload_len'])}")
        words.append(_unless(known, said(f, i)))
    else:
        words.insert(0, f"{name} {_ends(rec, level)}")
        if proto in (ICMP, ICMPV6) and there:
            words.append(_unless(known, icmp_text(rec)))
    return " ".join(word for word in words if word)


def _unless(known: str, text: str) -> str:
    return "" if text in known else text


def _tcp(rec: np.void) -> str:
    flags, size = int(rec["tcp_flags"]), int(rec["payload_len"])
    words = [flag_words(flags), f"seq {int(rec['seq'])}"]
    if flags & 0x10:
        words.append(f"ack {int(rec['ack'])}")
    if flags & _SYN:
        words.append(f"win {int(rec['window'])}")
        if int(rec["mss"]):
            words.append(f"mss {int(rec['mss'])}")
    if size or not flags & _SYN:
        words.append(f"len {size}")
    return " ".join(words)


def _fragment(frag: int, ident: int) -> str:
    more = ", more follow" if frag & _MORE else ", last"
    return f"fragment of 0x{ident:04x} at {8 * (frag & _OFFSET)}{more}"


def icmp_text(rec: np.void) -> str:
    """What an ICMP message is, with the numbers that matter."""
    version = 4 if int(rec["proto"]) == ICMP else 6
    kind, code, rest = int(rec["icmp_type"]), int(rec["icmp_code"]), int(rec["seq"])
    name = ICMP_NAMES.get((version, kind, code)) or ICMP_NAMES.get((version, kind, 0), "")
    if (version, kind) in ((4, 8), (4, 0), (6, 128), (6, 129)):
        return f"{name} id {rest >> 16} seq {rest & 0xFFFF} len {int(rec['payload_len'])}"
    if (version, kind, code) == (4, 3, 4):
        return f"{name} (mtu {rest & 0xFFFF})"
    if (version, kind) == (6, 2):
        return f"{name} (mtu {rest})"
    return name if (version, kind, code) in ICMP_NAMES else f"type {kind} code {code}"


def _link(f: Frames, i: int, known: str) -> str:
    """A frame without an IP header that could be read."""
    rec = f.rec[i]
    has = int(rec["has"])
    ends = [mac_text(int(rec["eth_src"]))] if has & layout.HAS_ETH_SRC else []
    if has & layout.HAS_ETH_DST:
        to = int(rec["eth_dst"])
        ends.append("broadcast" if to == BROADCAST else mac_text(to))
    words = [" → ".join(ends)]
    tags = [int(rec[f"vlan{k}"]) & _VLAN_ID for k in range(min(int(rec["nvlan"]), 2))]
    words += [f"VLAN {tag}" for tag in tags]
    kind = int(rec["ethertype"])
    if int(rec["defect"]) != layout.DEFECT_LINKTYPE and (kind or has & layout.HAS_ETH_DST):
        shown = "802.3" if kind < _IEEE_802_3 else ETHERTYPES.get(kind, f"EtherType 0x{kind:04x}")
        words.insert(0, shown)
    if has & layout.HAS_RES and not known:
        words.append(_arp(rec))
    return " ".join(word for word in words if word) or f"{int(rec['wirelen'])} octets"


def _arp(rec: np.void) -> str:
    op = int(rec["res_op"])
    sender, target = (ip_text(rec[f"res_{side}_hi"], rec[f"res_{side}_lo"]) for side in ("spa", "tpa"))
    if op == 1:
        return f"who-has {target} tell {sender}"
    return f"{sender} is-at {mac_text(int(rec['res_sha']))}" if op == 2 else f"operation {op}"


def defect_text(f: Frames, i: int) -> str:
    """Why a frame could not be read to its end; empty if it could."""
    rec = f.rec[i]
    kind = int(rec["defect"])
    if kind == layout.DEFECT_NONE:
        return ""
    layer, need, have = _LAYERS.get(int(rec["defect_layer"]), "frame"), int(rec["defect_need"]), int(rec["defect_have"])
    by = _CLAIMANTS.get(int(rec["defect_by"]), "")
    if kind == layout.DEFECT_LINKTYPE:
        number = int(rec["linktype"])
        name = LINKTYPES.get(number)
        return f"link type {number}{f' ({name})' if name else ''} is not decoded"
    if kind == layout.DEFECT_TOO_DEEP:
        return f"more than {have} IP headers"
    if kind == layout.DEFECT_VERSION:
        return f"malformed {layer}: " + (f"version {have}" if need in (4, 6) else f"{have} octets long")
    if kind == layout.DEFECT_RECORD:
        return f"the file's record is damaged: {need} octets claimed, {have} there"
    word = "truncated in the" if kind == layout.DEFECT_TRUNCATED else "bad length in the"
    return f"{word} {layer}: {need} octets needed, {have} there ({by})"

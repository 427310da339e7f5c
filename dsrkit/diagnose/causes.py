"""Which codes can stand behind a cell that fails: the way from a symptom to the pages about its causes."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Final

from dsrkit.diagnose.entry import Entry
from dsrkit.diagnose.registry import ENTRIES

CAUSES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (
        "lb.appears",
        ("HCK706", "DSR320", "NAT205", "NAT206", "NAT207", "NAT208", "NAT211", "TUN404", "TUN408", "CAP904", "CAP906"),
    ),
    ("lb.reply.appears", ("NAT214", "NAT209")),
    ("lb.reply.absent", ("DSR308", "TUN410")),
    ("router.appears", ("DSR322", "TUN409", "TUN412", "TUN415", "TUN418", "DSR306", "ARP104", "ARP117")),
    ("bridge.appears", ("DSR305", "ARP113")),
    ("*.reply.appears", ("DSR309", "DSR310", "TUN423", "CAP911")),
    ("*.vip-frame-to-lb", ("ARP101", "ARP103", "ARP104", "ARP108", "ARP109", "ARP115", "ARP116", "ARP117", "ARP118")),
    ("*.arp-silent", ("ARP101", "ARP102", "ARP114", "ARP119", "ARP103", "ARP116")),
    (
        "*.answered",
        (
            *("DSR301", "DSR302", "DSR303", "DSR307", "DSR311", "DSR316", "DSR319", "DSR323", "NAT204", "NAT212"),
            *("NAT213", "TUN401", "TUN402", "TUN403", "TUN413", "TUN420", "TUN421", "TUN422", "DSC511"),
        ),
    ),
    (
        "*.answered-by-vip",
        (
            *("NAT201", "NAT202", "DSR321", "DSC501", "DSC502", "DSC503", "DSC505", "DSC510", "DSC517", "TUN414"),
            "TUN417",
        ),
    ),
    ("lb.eth.dst", ("DSR304", "DSR305", "DSR306", "TUN418")),
    ("lb.ip.src", ("NAT203",)),
    ("lb.ip.dst", ("NAT203",)),
    ("lb.*l4.dstport", ("NAT212", "DSR307")),
    ("*l4.checksum", ("NAT204", "DSC516", "CAP901")),
    ("lb.ip.dsfield.dscp", ("DSC504", "DSC515", "DSC517", "DSC507")),
    ("router.ip.dsfield.dscp", ("DSC502", "DSC503")),
    ("*.ip.dsfield.ecn", ("DSC508",)),
    ("*.reply.ip.dsfield.dscp", ("DSC513",)),
    ("*.ip.frag_offset", ("NAT211", "DSC514")),
    ("lb.tcp.options", ("NAT210", "TUN405")),
    ("*.outer.src", ("TUN421", "DSR310")),
    ("*.outer.ttl", ("TUN412",)),
    ("*.outer.dsfield.*", ("TUN411",)),
    ("*.outer.flags.df", ("TUN407",)),
    ("*.tunnel.type", ("TUN413", "TUN401")),
    ("*.tunnel.dstport", ("TUN413",)),
    ("*.tunnel.header", ("TUN413", "TUN420")),
    ("*.tunnel.checksum", ("TUN420",)),
)
"""Patterns of cell ids without their mode, and codes; those that a mode cannot have are left out."""


def causes_of(mode: str, nodes: tuple[str, ...], rest: str) -> list[Entry]:
    """What can stand behind a failed cell, ``rest`` being its field with ``reply.`` in front for the way back.

    >>> [entry.code for entry in causes_of("nat", ("lb",), "reply.appears")][:2]
    ['NAT214', 'NAT209']
    """
    codes = [
        code
        for pattern, codes in CAUSES
        for node in nodes
        if fnmatchcase(f"{node}.{rest}", pattern)
        for code in codes
        if mode in ENTRIES[code].modes or mode == "path"
    ]
    return [ENTRIES[code] for code in dict.fromkeys(codes)]

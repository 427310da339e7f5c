"""Filters select as many frames as tshark's display filters do, wherever both know the fields.

Frames with ICMP are left out: Wireshark counts the headers that an ICMP error quotes among the layers, and we do not.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest
from needs import program
from scenarios import PCAPS

from dsrkit.inspect.view import View
from dsrkit.inspect.where import compile_filter

pytestmark = program("tshark")

EXPRESSIONS: Final = (
    "ip",
    "ip#2",
    "not tcp",
    "ip.src == 10.0.0.0/8",
    "ip.addr == 192.0.2.100",
    "ip.addr != 192.0.2.100",
    "ip.addr === 192.0.2.100",
    "!(ip.addr == 192.0.2.100)",
    "ip.dst#2 == 192.0.2.100 and tcp.flags.syn == 1",
    "ip.ttl != 64",
    "!(ip.ttl == 64)",
    "ip.ttl !== 64",
    "ip.ttl#1 == ip.ttl#2",
    "ip.len#1 == ip.len#2 + 20",
    "ip.len > 100 and ip.len <= 1000",
    "ip.flags.df == 1",
    "ip.frag_offset > 0",
    "ip.id == 0x0000",
    "ip.proto == 6 or ip.proto == 17",
    "ip.proto != 6",
    "ip.dsfield.dscp == 7",
    "ip.dsfield.dscp > 0 or ip.ttl < 64 and tcp",
    "ipv6.hlim < 64",
    "ipv6.src == 2001:db8::/32",
    "tcp.port in {79..80}",
    "tcp.port not in {80}",
    "tcp.dstport == tcp.srcport",
    "tcp.flags & 0x12",
    "tcp.flags & 0x12 == 0x10",
    "tcp.len > 0",
    "tcp.window_size_value >= 500",
    "tcp.options.wscale.shift",
    "tcp.options.mss_val == 1460",
    "udp.port == 53",
    "udp.length > 50",
    "dns",
    'dns.qry.name contains "example"',
    'dns.qry.name matches "^WWW"',
    "dns.flags.response == 1",
    "gre",
    "vrrp",
    "arp.opcode == 1",
    "arp.src.proto_ipv4 == 10.0.0.0/8",
    "eth.type == 0x0806",
    "eth.addr == ff:ff:ff:ff:ff:ff or arp",
    "eth.src == 02:00:00:00:00:00",
    "vlan.id > 0",
    "frame.len > 500",
    "frame.number in {3..9}",
    "frame.time_relative > 0.25",
    "frame.time_epoch > 1700000000.5",
    "(tcp or udp) and not (ip.ttl == 64 or ipv6)",
)
FILES: Final = (
    PCAPS / "l3dsr-tunnel" / "ipvs-tun-ipip" / "B_lb.pcap",
    PCAPS / "l3dsr-tunnel" / "lab-tun-4in6",
    PCAPS / "l3dsr-tunnel" / "lab-tun-gre-csum",
    PCAPS / "l2dsr" / "lab-dr-vlan-frag",
    PCAPS / "l2dsr" / "lab-dr-ipv6",
    PCAPS / "l3dsr-dscp" / "l3dsr-dscp",
    PCAPS / "garp" / "garp-keepalived-crash",
    PCAPS / "dns-rr" / "dns-rr",
    PCAPS / "nat" / "ipvs-nat-snaplen96",
)


def without_icmp(expression: str) -> str:
    return f"({expression}) and not icmp and not icmpv6"


def tshark_counts(file: Path) -> list[int]:
    """Frames that each expression selects, counted in one run."""
    columns = ",".join(map(without_icmp, EXPRESSIONS))
    table = tshark(file, "-q", "-z", f"io,stat,0,{columns}").splitlines()[-2]
    assert "<>" in table
    return [int(cell) for cell in re.findall(r"[0-9]+", table.partition("|")[2].partition("|")[2])[::2]]


def tshark(file: Path, *options: str) -> str:
    whole = ("-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-o", "tcp.desegment_tcp_streams:FALSE")
    command = ["tshark", "-n", "-r", str(file), *whole, *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def our_frames(file: Path, expression: str) -> list[int]:
    compiled = compile_filter(expression)
    return [batch.number(i) for batch in View(file, roles=False).batches() for i in compiled.rows(batch)]


@pytest.mark.parametrize("place", FILES, ids=lambda path: path.parent.name + "/" + path.name)
def test_as_many_frames_as_tshark_selects(place: Path) -> None:
    file = place if place.is_file() else sorted(place.glob("B_*.pcap*") or place.glob("*.pcap*"))[0]
    counts = tshark_counts(file)
    ours = [len(our_frames(file, without_icmp(one))) for one in EXPRESSIONS]
    wrong = {one: (a, b) for one, a, b in zip(EXPRESSIONS, ours, counts, strict=True) if a != b}
    assert not wrong
    assert sum(count > 0 for count in counts) >= 10


@pytest.mark.parametrize(
    "expression",
    ["tcp.port in {443, 80, 8000..8010}", "tcp.port not in {80, 81}", "ip.src in {10.0.0.0/8, 192.0.2.10..192.0.2.11}"],
)
def test_the_frames_that_tshark_selects(expression: str) -> None:
    shown = tshark(FILES[0], "-Y", without_icmp(expression), "-T", "fields", "-e", "frame.number")
    assert our_frames(FILES[0], without_icmp(expression)) == [int(number) for number in shown.split()]

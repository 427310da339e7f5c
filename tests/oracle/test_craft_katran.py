"""The katran profile against katran's own fixtures: their input in, their output out, octet for octet.

The vectors lie in the folder that DSRKIT_VECTORS names. Out of scope are fixtures that encapsulate nothing, and
`EXCLUDED` below.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scapy.utils import RawPcapReader

from dsrkit.craft.encapsulate import push
from dsrkit.craft.packets.octets import ICMP, ICMPV6, UDP, Octets, packed
from dsrkit.craft.profiles import Encapsulation
from dsrkit.craft.profiles.katran import health_check, too_big
from dsrkit.craft.rewrite import Bindings, rewritten
from dsrkit.tables import tables

KATRAN = Path(os.environ.get("DSRKIT_VECTORS", Path(__file__).parents[3] / "shared" / "vectors")) / "katran"
INDEX = KATRAN / "index.json"

pytestmark = pytest.mark.skipif(not INDEX.exists(), reason=f"no third-party vectors: {INDEX} is not there")

TABLE = tables("l3dsr-tunnel").table("lb", "request")
HASHED_BY_PORT = packed("10.200.1.4")
"""A VIP whose servers are chosen by the destination port: the client's address then counts as 0."""
KEPT = {
    "KatranTPRTestFixtures.tprTestFixtures/15": "the server id in a TCP option chose the server, no hash was made",
    "KatranTPRTestFixtures.tprGueTestFixtures/15": "the same",
    "KatranUdpFlowMigrationTestFixtures.udpFlowMigrationTestFirstFixtures/04": "the fixture does not say why",
    "KatranUdpFlowMigrationTestFixtures.udpFlowMigrationTestSecondFixtures/04": "the same",
}
"""Packets to that VIP whose client's address counts nevertheless."""
EXCLUDED = {
    "DecapTestFixtures": {"01", "02"},  # decapsulation
    "gueOptionalTestFixtures": {"01", "02", "11", "12", "13", "14"},  # ICMP errors, decapsulation
    "optionalTestFixtures": {"01", "02", *(f"{n}" for n in range(11, 17))},  # ICMP errors, decapsulation
    "hcTestFixtures": {"02", "03", "04"},  # health checks: a test of their own below
    "hcGueTestFixtures": {"02", "03", "04"},
    "icmpTooBigTestFixtures": {"01", "02"},  # ICMP errors: a test of their own below
    "originGueIcmpTooBigTestFixtures": {"01", "02"},
    "gueTestFixtures": set(),
    "egressDecap": {"01", "02", "03"},  # decapsulation
    "xPopDecap-head": {f"0{n}" for n in range(1, 8)},  # decapsulation, then encapsulation
    "tcSrcMatch": {"01"},  # a server's program: it rewrites the inner source
}
ECHO = "ICMP echo-request"  # answered by katran itself


def _vectors() -> Iterator[tuple[str, dict[str, Any]]]:
    if not INDEX.exists():
        return
    for group in json.loads(INDEX.read_text())["groups"]:
        for vector in group["vectors"]:
            yield group["group"], vector


def _encapsulations() -> list[Any]:
    found = []
    for group, vector in _vectors():
        if vector["output_equals_input"] or not vector["input_given"] or ECHO in vector["description"]:
            continue
        name = vector["id"].removeprefix("katran/")
        decapsulates = name.startswith("XdpDecap")
        if not decapsulates and name.rpartition("/")[2] not in EXCLUDED.get(group, set()):
            found.append(pytest.param(name, vector, id=name))
    return found


def _frames(name: str, side: str) -> bytes:
    """A frame of the fixture's pcap, where the index leaves out the octets of long ones."""
    fixture, _, number = name.removeprefix("katran/").rpartition("/")
    with RawPcapReader(str(KATRAN / f"{fixture}.{side}.pcap")) as reader:
        return [bytes(data) for data, _ in reader][int(number) - 1]


def _flow(name: str, frame: Octets) -> tuple[bytes, int]:
    """Client address and port that katran works with: those of the quoted packet in an ICMP error."""
    ip = frame.inner
    assert ip is not None
    client, ports = frame.get("ip.src"), frame.ports
    if ip.proto in (ICMP, ICMPV6):
        quoted = bytes(frame.data[ip.payload + 8 : ip.end])
        start = 20 if ip.version == 4 else 40
        client = quoted[16:20] if ip.version == 4 else quoted[24:40]
        return client, int.from_bytes(quoted[start + 2 : start + 4], "big")
    assert isinstance(client, bytes)
    assert ports is not None
    if frame.get("ip.dst") == HASHED_BY_PORT and name not in KEPT:
        client = bytes(4)
    return client, ports[0]


@pytest.mark.parametrize(("name", "vector"), _encapsulations())
def test_an_encapsulation_is_katrans(name: str, vector: dict[str, Any]) -> None:
    before = Octets(bytes.fromhex(vector["input_hex"]), depth=1)
    expected = Octets(bytes.fromhex(vector["output_hex"]))
    outer, server = expected.outer, expected.get("outer.dst")
    assert outer is not None
    assert before.inner is not None
    assert isinstance(server, bytes)
    if outer.proto == UDP:
        port, total = expected.word(outer.payload + 2), expected.word(outer.payload + 6)
        encapsulation = Encapsulation("gue", variant=1, port=port, checksum=total != 0)
        own = packed("10.0.13.37" if outer.version == 4 else "fc00:2307::1337")
    else:
        kind = {(4, 4): "ipip", (6, 6): "6in6", (4, 6): "4in6"}[before.inner.version, outer.version]
        encapsulation, own = Encapsulation(kind), b"made from the flow"
    client, client_port = _flow(name, before)
    bindings = Bindings({("lb", "ip"): own, ("real-server", "ip"): server}, client, client_port)
    after = rewritten(before, TABLE, bindings, profile="katran")

    pushed = push(before, after, TABLE, bindings, encapsulation, profile="katran")

    assert pushed.hex() == expected.ip_packet.hex()


def test_the_fixtures_in_scope_are_many() -> None:
    assert len(_encapsulations()) > 110


def _of(*groups: str) -> list[Any]:
    return [
        pytest.param(vector["id"], id=vector["id"].removeprefix("katran/"))
        for group, vector in _vectors()
        if group in groups and not vector["output_equals_input"]
    ]


@pytest.mark.parametrize("name", _of("icmpTooBigTestFixtures", "originGueIcmpTooBigTestFixtures"))
def test_an_icmp_error_is_katrans(name: str) -> None:
    room = 1500 - 48 if "originGue" in name else 1500  # the outer headers of GUE over IPv6 taken off
    assert too_big(Octets(_frames(name, "input")), mtu=room).hex() == _frames(name, "output").hex()


@pytest.mark.parametrize("name", _of("hcTestFixtures", "hcGueTestFixtures"))
def test_a_health_check_is_katrans(name: str) -> None:
    packet, expected = Octets(_frames(name, "input")).ip_packet, Octets(_frames(name, "output"), depth=1)
    source, server = expected.get("ip.src"), expected.get("ip.dst")
    assert isinstance(source, bytes)
    assert isinstance(server, bytes)
    assert health_check(packet, source, server, gue="hcGue" in name).hex() == expected.ip_packet.hex()

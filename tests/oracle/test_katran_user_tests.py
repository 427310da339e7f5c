"""katran's packet pairs as the tests that a user of dsrkit would write: what comes out is judged from what went in.

Every pair of katran's fixtures whose action is to transmit: the output must be right, and each field of it wrong where
it was damaged, by name. The vectors lie in the folder that DSRKIT_VECTORS names.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import dpkt
import pytest
from damaging import damaged, fields_of

from dsrkit import Spec
from dsrkit.craft.forward import Workbench
from dsrkit.testing.forwarded import assert_forwarded, wrong_frames
from dsrkit.wire.dissect.frame import dissect
from dsrkit.wire.dissect.tree import Field
from dsrkit.wire.scanner import GUE_PORTS

KATRAN = Path(os.environ.get("DSRKIT_VECTORS", Path(__file__).parents[3] / "shared" / "vectors")) / "katran"
INDEX = KATRAN / "index.json"

pytestmark = pytest.mark.skipif(not INDEX.exists(), reason=f"no third-party vectors: {INDEX} is not there")

ROUTER = "r1"
LB = "lb"
BY_PORT = "10.200.1.4"
"""A VIP whose servers are chosen by the destination port: in hashes the client's address then counts as 0."""
CHOSEN_BY_ID = {"tprTestFixtures/15", "tprGueTestFixtures/15"}
BY_FLOW = {"udpFlowMigrationTestFirstFixtures/04", "udpFlowMigrationTestSecondFixtures/04"}
"""Packets to that VIP whose client counts nevertheless; the fixtures of `BY_FLOW` do not say why."""
NO_PAIR = {"egressDecap/01"}
"""Its input holds the octets of its output once more, behind its own: no program makes the one of the other."""
SIZE_OF_OUTER = {"gue": 48, "ipip": 20, "6in6": 40}


@dataclass(frozen=True)
class Pair:
    """One packet in, one packet out."""

    name: str
    description: str
    given: bytes
    came: bytes

    @property
    def answers(self) -> bool:
        """Whether the packet goes back to where it came from: a ping's answer, an ICMP error about a long packet."""
        return "echo-request" in self.description or "packet too big" in self.description

    @property
    def only_unwraps(self) -> bool:
        return self.name.startswith("egressDecap")

    @property
    def arrives(self) -> bytes:
        """What there is to balance: a packet that came in a tunnel to katran is taken out, and has one hop more."""
        if "ecap" not in self.name and "decap" not in self.description:
            return self.given
        if self.name.startswith("KatranDecapStats"):  # plain traffic of a fixture about decapsulation
            return self.given
        return unwrapped(self.given)

    def spec(self) -> Spec:
        """The set-up, as one would write it down: the service, the server that must be chosen, the next hop."""
        packet = dissect(self.arrives, 1)
        network = packet.layers[2]
        transport = packet.layer("tcp") or packet.layer("udp")
        port = transport.get(f"{transport.name}.dstport") if transport is not None else None
        service = f"{transport.name}/{port.value}" if transport is not None and port is not None else "tcp/80"
        outer = dissect(self.came, 1, gue_ports=GUE_PORTS).layers[2]
        server = value(outer.get(f"{outer.name}.dst"))
        if self.answers:
            server = "fc00::9" if network.name == "ipv6" or "originGue" in self.name else "10.0.0.9"
        return Spec.parse(f"""
            spec = 1
            [service]
            mode = "l3dsr-tunnel"
            vip = "{value(network.get(f"{network.name}.dst"))}"
            ports = ["{service}"]
            {self.tunnel(network.name, server)}
            [[node]]
            name = "{ROUTER}"
            role = "router"
            mac = "{self.came[:6].hex(":")}"
            ip = ["10.0.13.1", "fc00:2307::1"]
            [[node]]
            name = "{LB}"
            role = "lb"
            [[node.link]]
            link = "B"
            mac = "{self.given[:6].hex(":")}"
            ip = ["10.0.13.37/24", "fc00:2307::1337/64"]
            gateway = "{"10.0.13.1" if "." in server else "fc00:2307::1"}"
            [[node]]
            name = "server"
            role = "real-server"
            ip = "{server}"
            """)

    def tunnel(self, network: str, server: str) -> str:
        """The spec's tunnel; ICMP errors tell what the links carry without the outer headers."""
        kind = "ipip" if "." in server else "6in6" if network == "ipv6" else "4in6"
        if self.answers:
            kind = "gue" if "originGue" in self.name else kind
            room = 1500 if "originGue" in self.name else 1500 + SIZE_OF_OUTER[kind]
            return f'[tunnel]\ntype = "{kind}"\nmtu = {room}'
        outer = dissect(self.came, 1)
        udp = outer.layers[3]
        if udp.name != "udp":
            return f'[tunnel]\ntype = "{kind}"'
        port, total = (value(udp.get(f"udp.{name}")) for name in ("dstport", "checksum"))
        summed = "false" if total == "0" else "true"
        return f'[tunnel]\ntype = "gue"\nvariant = 1\nport = {port}\nchecksum = {summed}'


def value(field: Field | None) -> str:
    assert field is not None
    return str(field.value)


def unwrapped(frame: bytes) -> bytes:
    """What katran takes out of a tunnel to itself: the inner packet, which is one hop older."""
    packet = dissect(frame, 1)
    inner = [layer for layer in packet.layers if layer.name in ("ip", "ipv6")][1]
    octets = bytearray(frame[inner.start : packet.payload[1] if packet.payload else len(frame)])
    if inner.name == "ipv6":
        octets[7] -= 1
        return frame[:12] + b"\x86\xdd" + octets
    octets[8] -= 1
    octets[10:12] = bytes(2)
    total = sum(int.from_bytes(octets[i : i + 2], "big") for i in range(0, 20, 2))
    total = (total & 0xFFFF) + (total >> 16)
    octets[10:12] = (~total & 0xFFFF).to_bytes(2, "big")
    return frame[:12] + b"\x08\x00" + octets


@cache
def frames(fixture: str, side: str) -> list[bytes]:
    with (KATRAN / f"{fixture}.{side}.pcap").open("rb") as file:
        return [bytes(data) for _, data in dpkt.pcap.Reader(file)]


def pairs() -> Iterator[Pair]:
    if not INDEX.exists():
        return
    for group in json.loads(INDEX.read_text())["groups"]:
        for vector in group["vectors"]:
            name = vector["id"].removeprefix("katran/")
            if vector["expected_action"] == "XDP_TX" and vector["input_given"] and name not in NO_PAIR:
                fixture, _, number = name.rpartition("/")
                at = int(number) - 1
                given, came = frames(fixture, "input")[at], frames(fixture, "output")[at]
                yield Pair(name, vector["description"], given, came)


PAIRS = [pytest.param(pair, id=pair.name) for pair in pairs()]


def bench(pair: Pair) -> Workbench:
    """The nodes of the pair's set-up."""
    found = Workbench(pair.spec(), profile="katran")
    short = pair.name.rpartition(".")[2]
    found.world.balancer.by_port = pair.spec().vips == (BY_PORT,) and short not in CHOSEN_BY_ID | BY_FLOW
    return found


def sent_back(pair: Pair) -> bytes:
    """What a server's own program makes of a packet in a tunnel: taken out, and back the way that it came."""
    whole = unwrapped(pair.given)
    return whole[6:12] + whole[:6] + whole[12:]


@pytest.mark.parametrize("pair", PAIRS)
def test_katrans_output_is_right(pair: Pair) -> None:
    if pair.only_unwraps:
        assert sent_back(pair) == pair.came
    else:
        assert_forwarded(pair.arrives, [pair.came], LB, bench(pair))


@pytest.mark.parametrize("pair", PAIRS)
def test_every_damaged_field_is_named(pair: Pair) -> None:
    expected = [sent_back(pair)] if pair.only_unwraps else bench(pair).forward(pair.arrives, LB)
    fields = list(fields_of(pair.came))
    assert len(fields) >= 15
    for name, field in fields:
        (found,) = wrong_frames(expected, [damaged(pair.came, field)])
        assert name in [named for named, _, _ in found.fields]


def test_the_pairs_are_many() -> None:
    assert len(PAIRS) > 140

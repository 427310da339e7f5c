"""The flow table against tshark's conversations: of ordinary captures at one tap both count the same packets."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import needs
import pytest
from scenarios import PCAPS

from dsrkit.inspect.flows import table

_ROW = re.compile(r"(\S+)\s+<->\s+(\S+)\s+(\d+) \d+ \w+\s+(\d+) ")
PLAIN = [
    PCAPS / name
    for name in (
        "l2dsr/ipvs-dr/A_client.pcap",
        "l2dsr/ipvs-dr-loss/A_client.pcap",
        "l3dsr-tunnel/ipvs-tun-6in6/A_client.pcap",
        "nat/ipvs-nat/A_client.pcap",
        "fullnat/ipvs-fullnat/A_client.pcap",
        "dns-rr/dns-rr/A_client.pcap",
    )
]


def conversations(path: Path, kind: str) -> dict[tuple[str, str], tuple[int, int]]:
    """Packets there and back, by endpoints."""
    command = ["tshark", "-n", "-r", str(path), "-q", "-z", f"conv,{kind}"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [match for line in out.splitlines() if (match := _ROW.match(line))]
    return {(_endpoint(m[1]), _endpoint(m[2])): (int(m[4]), int(m[3])) for m in rows}


def _endpoint(text: str) -> str:
    address, _, port = text.rpartition(":")
    return f"[{address}]:{port}" if ":" in address else text


@needs.program("tshark")
@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.parent.name)
def test_packets_there_and_back_are_those_of_tshark(path: Path, kind: str) -> None:
    expected = conversations(path, kind)
    found = {
        (flow.client, flow.service): (flow.packets, flow.packets_back)
        for flow in table(path).flows
        if flow.protocol == kind.upper()
    }
    turned = {(b, a): (back, there) for (a, b), (there, back) in expected.items() if (a, b) not in found}
    assert expected or kind == "udp"
    assert found == {key: value for key, value in (expected | turned).items() if key in found}
    assert len(found) == len(expected)

"""Each node of a recorded data plane, on the bench: what dsrkit makes of a frame is what the kernel made of it.

For every frame that a recorded router or load balancer got, `forward` must send the octets that were recorded behind
it. Left out are the few that the kernel chose: the identification of an outer header that may be fragmented, the
source port of a UDP tunnel, the port that full NAT gave a client.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import dpkt
import pytest
from scenarios import PCAPS, ROLES, Scenario

from dsrkit import Spec
from dsrkit.craft.forward import Workbench
from dsrkit.craft.machines.balancer import Balancer, Key, Server
from dsrkit.craft.packets.octets import TCP, UDP, Octets, mac_octets

CASES = {
    "nat/ipvs-nat": 1200,
    "fullnat/ipvs-fullnat": 1000,
    "l2dsr/ipvs-dr": 1000,
    "l2dsr/ipvs-dr-rs-dnat": 850,
    "l3dsr-tunnel/ipvs-tun-ipip": 1000,
    "l3dsr-tunnel/ipvs-tun-gue": 1000,
    "l3dsr-tunnel/ipvs-tun-6in6": 900,
    "l3dsr-dscp/l3dsr-dscp": 1000,
    "nat/lab-nat-ipv6": 80,
    "fullnat/lab-fullnat": 80,
    "l2dsr/lab-dr-ipv6": 40,
    "l3dsr-tunnel/lab-tun-gre": 70,
    "l3dsr-tunnel/lab-tun-gre-csum": 80,
    "l3dsr-tunnel/lab-tun-4in6": 80,
    "l3dsr-tunnel/lab-tun-6in4": 80,
    "l3dsr-tunnel/lab-tun-gue-csum": 60,
    "l3dsr-tunnel/lab-tun-gue-ipv6": 80,
    "l3dsr-tunnel/lab-tun-ipip-frag": 80,
    "l3dsr-dscp/lab-dscp-ipv6": 80,
}
"""Recordings, and the packets that must at least be compared in each."""


def spec_of(scenario: Scenario) -> Spec:
    """The recorded set-up with the links that truth.json names."""
    lines = [scenario.spec_text().split("\n[[node]]")[0]]
    tags = scenario.truth.get("dscp_map") or {}
    for node, entry in scenario.truth["nodes"].items():
        lines += ["", "[[node]]", f"name = {json.dumps(node)}", f"role = {json.dumps(ROLES[entry['role']])}"]
        mine = [tag for ip, tag in tags.items() if ip in scenario.addresses(node)]
        if mine:
            lines += ["[node.dscp]", *(f"{tag} = {json.dumps(scenario.vips[0])}" for tag in mine)]
        for interface in entry["interfaces"].values():
            if interface["segment"] and interface["mac"]:
                own = [a for a in interface["addresses"] if a.split("/")[0] not in scenario.vips]
                own = [a for a in own if not a.startswith("fe80")]
                lines += ["[[node.link]]", f"link = {json.dumps(interface['segment'])}"]
                lines += [f"mac = {json.dumps(interface['mac'])}", f"ip = {json.dumps(own)}"]
    if scenario.mode == "fullnat":
        lines += ["", "[snat]", f"source = {json.dumps(scenario.truth.get('snat_source', ['10.0.0.1']))}"]
    return Spec.parse("\n".join(lines))


def frames(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for _, data in dpkt.pcap.Reader(file):
            yield bytes(data)


def seen_by(scenario: Scenario, node: str) -> list[bytes]:
    """The frames at the links of a node: its own tap's where there is one, else those of everybody on the link."""
    out: list[bytes] = []
    segments = {i["segment"] for i in scenario.truth["nodes"][node]["interfaces"].values() if i["segment"]}
    for segment in sorted(segments):
        here = [c for c in scenario.truth["captures"] if c["segment"] == segment]
        for capture in [c for c in here if c["node"] == node] or here:
            out += frames(scenario.folder / capture["file"])
    return out


def identity(packet: Octets) -> tuple[object, ...] | None:
    """What no node on the path changes: the packet below the ports, and the identification."""
    ip = packet.inner
    if ip is None or not ip.first or ip.proto not in (TCP, UDP):
        return None
    header, end = ip.payload, ip.end
    if ip.proto == UDP:
        return ip.proto, packet.get("ip.id"), bytes(packet.data[header + 8 : end])
    data = packet.data
    return ip.proto, packet.get("ip.id"), bytes(data[header + 4 : header + 16]), bytes(data[header + 20 : end])


def chosen_by_the_kernel(packet: Octets) -> set[int]:
    """Octets of a sent frame that nothing in the received one determines."""
    if len(packet.networks) < 2:
        return set()
    outer = packet.networks[0]
    out: set[int] = set()
    if outer.version == 4 and not packet.get("outer.flags.df"):
        out |= {outer.at + 4, outer.at + 5, outer.at + 10, outer.at + 11}
    if outer.proto == UDP:
        out |= {outer.payload, outer.payload + 1}
    return out


def expected(node_frames: list[bytes], macs: set[bytes]) -> dict[tuple[object, ...], list[bytes]]:
    """What the node was recorded to send, by identity, in order."""
    sent: dict[tuple[object, ...], list[bytes]] = defaultdict(list)
    for frame in node_frames:
        packet = Octets(frame)
        key = identity(packet)
        if key is not None and frame[6:12] in macs:
            sent[key].append(frame)
    return sent


def follow(lb: Balancer, scenario: Scenario, node_frames: list[bytes], macs: set[bytes]) -> None:
    """Have the load balancer take the recorded decisions: the server of each connection, and full NAT's port."""
    sent = expected(node_frames, macs)
    servers: dict[Key, Server] = {}
    ports: dict[Key, int] = {}
    mac_owner = {
        mac_octets(i["mac"]): node
        for node in scenario.of_role("real-server")
        for i in scenario.truth["nodes"][node]["interfaces"].values()
        if i["mac"]
    }
    for frame in node_frames:
        packet = Octets(frame)
        key = identity(packet)
        if key is None or frame[:6] not in macs or packet.get("ip.dst") not in lb.vips or not sent.get(key):
            continue
        out = Octets(sent[key][0])
        target = out.address("outer.dst") if len(out.networks) > 1 else out.address("ip.dst")
        name = mac_owner.get(sent[key][0][:6])
        server = next((s for s in lb.servers if target in s.addresses.values() or s.name == name), None)
        if server is not None:
            session = lb.key_of(packet)
            servers[session] = server
            ports[session] = out.ports[0] if out.ports else 0
    lb.choose = servers.get
    lb.pick_port = lambda session, server: ports[session]


@pytest.mark.parametrize("case", CASES)
def test_a_node_makes_of_a_frame_what_the_kernel_made_of_it(case: str) -> None:
    scenario = Scenario(PCAPS / case)
    bench = Workbench(spec_of(scenario))
    compared: Counter[str] = Counter()
    wrong: list[str] = []
    for node in [*scenario.of_role("router"), *scenario.of_role("lb")]:
        macs = {mac_octets(mac) for mac in scenario.macs(node)}
        node_frames = seen_by(scenario, node)
        host = bench.world.hosts[node]
        if isinstance(host, Balancer):
            follow(host, scenario, node_frames, macs)
        sent = expected(node_frames, macs)
        for frame in node_frames:
            packet = Octets(frame)
            key = identity(packet)
            if key is None or frame[:6] not in macs or frame[6:12] in macs or not sent.get(key):
                continue
            if packet.get("ip.dst") in host.local and not isinstance(host, Balancer):
                continue
            recorded = sent[key].pop(0)
            made = bench.forward(frame, node)
            compared[node] += 1
            free = chosen_by_the_kernel(Octets(recorded))
            if len(made) != 1 or len(made[0]) != len(recorded):
                wrong.append(f"{node}: {frame.hex()} gave {[m.hex() for m in made]}, recorded {recorded.hex()}")
            elif differing := [i for i in range(len(recorded)) if i not in free and made[0][i] != recorded[i]]:
                wrong.append(f"{node}: octets {differing}: made {made[0].hex()}, recorded {recorded.hex()}")
    assert not wrong, f"{len(wrong)} of {sum(compared.values())}:\n" + "\n".join(wrong[:5])
    assert sum(compared.values()) >= CASES[case], compared

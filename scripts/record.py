"""Record the cases `lab-*` of pcaps/ anew: each is a lab that is built, configured by what setup prints, and captured.

Usage: ``python scripts/record.py [--into DIR] [NAME ...]`` as root; without names, all cases. A recording is taken only
if all requests were served, no tap lost a frame, and verify finds nothing, blind and by the spec; else the case that
was there stays, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from dsrkit.errors import DsrkitError
from dsrkit.lab.job import Request, Step
from dsrkit.lab.plan import Lab, Wishes, lab
from dsrkit.lab.run import TRUTH_FILE, Outcome, run
from dsrkit.model.spec import Port, Spec, SpecNode, SpecService

PCAPS = Path(__file__).parents[1] / "pcaps"
ROLES = {
    "client": "client",
    "router": "l3-router",
    "bridge": "l2-switch",
    "lb": "l4-switch",
    "real-server": "real-server",
    "resolver": "dns-server",
}
MOST_OCTETS_PER_FILE = 100_000
BIG = 4000
"""Octets of a UDP request that crosses every link in fragments."""


@dataclass(frozen=True)
class Case:
    """A recording to make: the lab's options, and how many requests; `big` of them are UDP in fragments."""

    mode: str
    name: str
    title: str
    seed: int
    engine: str = "uml"
    flows: int = 5
    big: int = 0
    ports: tuple[Port, ...] = (Port("tcp", 80, 80), Port("udp", 5300, 5300))
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        return f"{self.mode}/{self.name}"

    @property
    def data_path(self) -> str:
        """The mode by which packets reach the servers."""
        return str(self.options.get("data_path", "l2dsr")) if self.mode == "health" else self.mode


MAPPED = (Port("tcp", 80, 8080), Port("udp", 5300, 5353))
CASES = (
    Case("nat", "lab-nat-ipv6", "NAT over IPv6, with other ports at the servers.", 11, ports=MAPPED,
         options={"ip": "6", "clients": 2}),
    Case("fullnat", "lab-fullnat", "Full NAT to three servers.", 12, flows=6, ports=MAPPED,
         options={"real_servers": 3}),
    Case("l2dsr", "lab-dr-ipv6", "Direct routing over IPv6.", 13, flows=6,
         options={"ip": "6", "real_servers": 3}),
    Case("l2dsr", "lab-dr-vlan-frag", "Direct routing in a VLAN, with UDP requests in fragments.", 14, big=1,
         options={"vlan": 204}),
    Case("l3dsr-tunnel", "lab-tun-gre", "GRE tunnel.", 15, options={"tunnel": "gre", "clients": 2}),
    Case("l3dsr-tunnel", "lab-tun-gre-csum", "GRE tunnel with checksums.", 16,
         options={"tunnel": "gre", "tunnel_checksum": True}),
    Case("l3dsr-tunnel", "lab-tun-4in6", "IPv4 in IPv6 tunnel.", 17, options={"tunnel": "4in6"}),
    Case("l3dsr-tunnel", "lab-tun-6in4", "IPv6 in IPv4 tunnel.", 18, options={"tunnel": "6in4", "ip": "6"}),
    Case("l3dsr-tunnel", "lab-tun-gue-csum", "GUE tunnel with UDP checksums, on another port.", 19,
         options={"tunnel": "gue", "tunnel_checksum": True, "tunnel_port": 6088}),
    Case("l3dsr-tunnel", "lab-tun-gue-ipv6", "GUE tunnel over IPv6.", 20,
         options={"tunnel": "gue", "ip": "6"}),
    Case("l3dsr-tunnel", "lab-tun-ipip-frag", "IPIP tunnel, with UDP requests in fragments.", 21, big=1,
         options={"tunnel": "ipip", "real_servers": 3}),
    Case("l3dsr-dscp", "lab-dscp-ipv6", "DSCP tag over IPv6.", 22, engine="host", flows=6,
         options={"ip": "6", "real_servers": 3, "dscp": "AF21"}),
    Case("health", "lab-health-http", "HTTP checks of the servers' own addresses beside direct routing.", 23,
         options={"interval": "1s"}),
    Case("health", "lab-health-tcp-tunnel", "TCP checks of the servers' own addresses beside an IPv6 tunnel.", 24,
         options={"check": "tcp", "data_path": "l3dsr-tunnel", "ip": "6"}),
    Case("health", "lab-health-ping-nat", "Pings of the servers beside NAT.", 25,
         options={"check": "ping", "data_path": "nat", "interval": "1s"}),
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, default=PCAPS, metavar="DIR")
    parser.add_argument("names", nargs="*", metavar="NAME")
    chosen = parser.parse_args()
    unknown = set(chosen.names) - {case.name for case in CASES}
    if unknown:
        parser.error(f"no case {', '.join(sorted(unknown))} (cases: {', '.join(case.name for case in CASES)})")
    refused = 0
    for case in CASES:
        if not chosen.names or case.name in chosen.names:
            said = record(case, chosen.into)
            refused += said is not None
            print(f"{case.folder}: {said or 'recorded'}", flush=True)
    return 1 if refused else 0


def record(case: Case, into: Path) -> str | None:
    """Make one recording; why it was not taken, or None."""
    wishes = Wishes(engine=case.engine, flows=case.flows, seed=case.seed)
    service = None
    if case.mode != "health":  # whose checks come with the usual set-up
        service = Spec(services=(SpecService(case.mode, ports=case.ports),))  # type: ignore[arg-type]  # a mode
    with tempfile.TemporaryDirectory(prefix="dsrkit-record-") as name:
        found, made = Path(name) / "lab", Path(name) / case.name
        try:
            planned = lab(case.mode, service, wishes, **case.options)
            planned = replace(planned, job=replace(planned.job, steps=tuple(sized(planned.job.steps, case))))
            outcome = run(planned, wishes, found)
        except DsrkitError as error:
            return str(error)
        if wrong := fault_of(outcome, found):
            return wrong
        write(case, planned, found, made)
        shutil.rmtree(into / case.folder, ignore_errors=True)
        shutil.copytree(made, into / case.folder)
    return None


def sized(steps: tuple[Step, ...], case: Case) -> Iterator[Step]:
    """The lab's requests, small enough for a repository: a body of two segments is enough to see segments."""
    random = Random(case.seed)
    for step in steps:
        big = case.big

        def small(request: Request) -> Request:
            nonlocal big
            if not request.udp:
                return replace(request, up=random.choice((0, 0, 1900)), down=random.randint(120, 2500))
            big -= 1
            return replace(request, up=BIG if big >= 0 else random.randint(30, 900))

        yield replace(step, requests=tuple(map(small, step.requests)))


def fault_of(outcome: Outcome, folder: Path) -> str | None:
    """Why a recording cannot be a golden."""
    if outcome.served != outcome.asked:
        return f"served {outcome.served} of {outcome.asked}: {'; '.join(outcome.notes)}"
    if outcome.dropped:
        return f"the kernel dropped {outcome.dropped} frames"
    for how, report in (("by the spec", outcome.report), ("blind", outcome.blind)):
        if report is None or report.exit_code:
            said = [f"{one.code}: {one.message}" for one in report.findings] if report else []
            return f"not clean {how}: {'; '.join(said) or 'nothing was proven'}"
    large = [file.name for file in folder.glob("*.pcap") if file.stat().st_size > MOST_OCTETS_PER_FILE]
    return f"too large: {', '.join(large)}" if large else None


# --- the files of a case ----------------------------------------------------------------------------------------------


def write(case: Case, planned: Lab, found: Path, made: Path) -> None:
    known = json.loads((found / TRUTH_FILE).read_text())
    made.mkdir()
    for tap in planned.job.taps:
        shutil.copy(found / tap.file, made / tap.file)
    truth = truth_of(case, planned, known, made)
    (made / "truth.json").write_text(json.dumps(truth, indent=1) + "\n")
    (made / "setup.sh").write_text(commands(case, planned))
    (made / "setup.sh").chmod(0o755)
    (made / "case.toml").write_text(case_of(case, truth, known))


def truth_of(case: Case, planned: Lab, known: Mapping[str, Any], made: Path) -> dict[str, Any]:
    """What is known without looking at packets, in the words of the other cases."""
    spec = planned.site.spec
    requests = [one for step in known["steps"] for one in step.get("requests", ())]
    truth: dict[str, Any] = {
        "scenario": case.name,
        "mode": case.mode,
        "healthy": True,
        "wrong": None,
        "vip": spec.vips[0] if len(spec.vips) == 1 else list(spec.vips),
        "clients": sorted({one["source"] for one in requests}),
        "real_servers": {node.name: own_address(planned, node) for node in spec.role("real-server")},
        "topology": f"request: {' > '.join(spec.path.request)}; reply: {' > '.join(spec.path.reply)}",
        "lb_command": balancing(planned),
        "services": known["services"],
    }
    if spec.tunnel is not None:
        truth["tunnel"] = {"type": spec.tunnel.type}
        if spec.tunnel.type == "gue":
            truth["tunnel"]["udp_port"] = spec.tunnel.port
            truth["tunnel"]["checksum"] = bool(spec.tunnel.checksum)
        if spec.tunnel.type == "gre":
            truth["tunnel"]["checksum"] = bool(spec.tunnel.checksum)
    if case.mode == "l3dsr-dscp":
        tags = {node.name: next(iter(spec.dscp_for(node.name))) for node in spec.role("real-server")}
        truth["dscp_map"] = {truth["real_servers"][name]: tag for name, tag in tags.items()}
    if spec.snat is not None:
        truth["snat_source"] = list(spec.snat.source)
    return truth | {
        "nodes": {node.name: machine(planned, node) for node in spec.nodes},
        "captures": [capture(planned, number, made) for number in range(len(planned.job.taps))],
        "steps": known["steps"],
        "state": {node: entry["state"] for node, entry in known["nodes"].items()},
        "versions": {"kernel": known["kernel"], **{name: version(name) for name in programs(known)}},
    }


def own_address(planned: Lab, node: SpecNode) -> str:
    """The address that the load balancer sends to: the tunnel's end, where there is a tunnel."""
    tunnel = planned.site.spec.tunnel
    wanted = {"4in6": ":", "6in4": "."}.get(str(tunnel.type) if tunnel else "", "")
    return next(ip for ip in node.ips if wanted in ip)


def machine(planned: Lab, node: SpecNode) -> dict[str, Any]:
    found = planned.site.network.interfaces(node.name)
    vips = planned.site.spec.vips
    return {
        "role": ROLES[node.role],
        "interfaces": {
            one.name: {
                "mac": one.mac,
                "segment": one.segment,
                "addresses": [str(own) for own in one.addresses if str(own.ip) not in vips],
            }
            for one in found
        },
    }


def capture(planned: Lab, number: int, made: Path) -> dict[str, Any]:
    tap = planned.job.taps[number]
    node = planned.site.spec.node(tap.node)
    assert node is not None
    mac = next((one.mac for one in planned.site.network.interfaces(tap.node) if tap.interface in one.ports), None)
    return {
        "order": number + 1,
        "file": tap.file,
        "node": tap.node,
        "role": ROLES[node.role],
        "interface": tap.interface,
        "mac": mac,
        "segment": tap.link,
        "packets": packets(made / tap.file),
        "kernel_drops": 0,
    }


def packets(file: Path) -> int:
    """The records of a pcap file of this machine's byte order."""
    data = file.read_bytes()
    at, count = 24, 0
    while at < len(data):
        at += 16 + int.from_bytes(data[at + 8 : at + 12], sys.byteorder)
        count += 1
    return count


def balancing(planned: Lab) -> str:
    """The command that adds a server, as setup prints it."""
    (director,) = planned.site.nodes("lb")
    lines = planned.job.scripts[director.name].splitlines()
    if planned.site.checks:
        started = next(line for line in lines if "|| keepalived " in line)
        return started.rpartition("|| ")[2]
    added = next((line for line in lines if "ipvsadm -a" in line), None)
    return f"ipvsadm -a{added.rpartition('ipvsadm -a')[2]}" if added else "nftables, as setup.sh says"


def commands(case: Case, planned: Lab) -> str:
    """Everything that setup printed, each machine's in its namespace."""
    parts = [
        "#!/bin/sh",
        f"# {case.name}: what `dsrkit setup` prints for each machine, run unmodified in its network namespace.",
        "# The lab laid the cables; the MACs are in truth.json.",
        "set -e",
    ]
    for node, script in planned.job.scripts.items():
        parts += ["", f"ip netns exec {node} sh <<'SETUP'", script.rstrip("\n"), "SETUP"]
    return "\n".join(parts) + "\n"


def programs(known: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        "tcpdump",
        *(["keepalived"] if known["mode"] == "health" else []),
        "ipvsadm" if known["balancer"] == "ipvs" else "nftables",
    )


def version(package: str) -> str:
    """What is installed, by the name of its Debian package."""
    query = ("dpkg-query", "-W", "-f", "${Package} ${Version}", package)
    return subprocess.run(query, capture_output=True, text=True, check=True).stdout


def case_of(case: Case, truth: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    environment = {
        "uml": "user-mode Linux on Debian 12: network namespaces, veth, bridges",
        "host": "network namespaces, veth and bridges of the running kernel",
    }
    modes = list(dict.fromkeys((case.mode, case.data_path)))
    tables: list[tuple[str, dict[str, Any]]] = [
        ("", {"title": case.title, "mode": case.mode, "made": "recorded", "healthy": True}),
        (
            "[expected]",  # the codes of what is no more than a remark are filled in by scripts/pcaps.py
            {"exit_code": 0, "modes": modes, "codes": [], "cells": [], "nodes": []},
        ),
        (
            "[provenance]",
            {
                "origin": "recorded by dsrkit lab at every link of a real data plane; no packet edited, none crafted",
                "scenario": case.name,
                "engine": known["engine"],
                "kernel": known["kernel"],
                **{name: truth["versions"][name] for name in programs(known)},
                "environment": environment[known["engine"]],
                "command": f"make record CASES={case.name}",
                "options": [f"{name}={value}" for name, value in case.options.items()],
                "seed": case.seed,
                "load_balancer": truth["lb_command"],
                "topology": truth["topology"],
                "made_by": "setup.sh",
                "truth": "truth.json",
            },
        ),
    ]
    for one in truth["captures"]:
        keys = {"file": one["file"], "node": one["node"], "role": ROLE_OF[one["role"]], "link": one["segment"]}
        tables.append(("[[tap]]", {**keys, "interface": one["interface"], "packets": one["packets"]}))
    texts = [
        [*([head] if head else []), *(f"{key} = {json.dumps(value)}" for key, value in body.items())]
        for head, body in tables
    ]
    return "\n\n".join("\n".join(lines) for lines in texts) + "\n"


ROLE_OF = {name: role for role, name in ROLES.items()}


if __name__ == "__main__":
    sys.exit(main())

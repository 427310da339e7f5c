"""Recorded scenarios and their truth, for tests: paths, specs, blind names, and whom a report means."""

from __future__ import annotations

import json
import os
import random
import tomllib
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import dsrkit
from dsrkit.craft.scenario import Scenario as Crafted
from dsrkit.model.names import REWRITES
from dsrkit.model.report import Finding, Report

PCAPS = Path(__file__).parents[1] / "pcaps"
CAPTURES = Path(os.environ.get("DSRKIT_CAPTURES", Path(__file__).parents[2] / "shared" / "captures"))
ROLES = {
    "client": "client",
    "l3-router": "router",
    "l2-switch": "bridge",
    "l4-switch": "lb",
    "real-server": "real-server",
    "dns-server": "resolver",
}


class Scenario:
    """A folder with a truth.json and one pcap per capture point."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name

    def __repr__(self) -> str:
        return self.name

    @cached_property
    def truth(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "truth.json").read_text(encoding="utf-8")))

    @cached_property
    def case(self) -> dict[str, Any]:
        """The case.toml of a folder in pcaps/; empty for a shared capture."""
        path = self.folder / "case.toml"
        return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    @cached_property
    def expected(self) -> dict[str, Any]:
        """What the shared expected.json says of a shared capture."""
        everything = json.loads((self.folder.parent / "expected.json").read_text(encoding="utf-8"))
        return dict(everything[self.name])

    @property
    def healthy(self) -> bool:
        return bool(self.truth["healthy"])

    @property
    def files(self) -> list[Path]:
        """All capture points in path order."""
        return [self.folder / capture["file"] for capture in self.truth["captures"]]

    @property
    def modes(self) -> list[str | None]:
        """Modes that may be reported for all taps together; None is undetermined."""
        modes = self.case["expected"]["modes"] if self.case else self.expected["modes"]
        return [None if mode == "undetermined" else mode for mode in modes]

    @property
    def mode(self) -> str:
        """The true mode."""
        return str(self.case["mode"]) if self.case else str(next(m for m in self.modes if m))

    @property
    def vips(self) -> list[str]:
        vip = self.truth["vip"]
        return list(vip) if isinstance(vip, list) else [vip] if vip else []

    def addresses(self, node: str) -> set[str]:
        """Addresses of a node's own interfaces, the VIP left out."""
        interfaces = self.truth["nodes"][node]["interfaces"]
        found = {a.split("/")[0] for name, i in interfaces.items() if name != "lo" for a in i["addresses"]}
        return found - set(self.vips)

    def macs(self, node: str) -> set[str]:
        return {i["mac"] for i in self.truth["nodes"][node]["interfaces"].values() if i["mac"]}

    def role(self, node: str) -> str:
        return ROLES[self.truth["nodes"][node]["role"]]

    def of_role(self, role: str) -> list[str]:
        return [node for node in self.truth["nodes"] if self.role(node) == role]

    def truth_packets(self, file: str) -> int:
        """Packets that tcpdump counted into a file."""
        return int(next(c["packets"] for c in self.truth["captures"] if c["file"] == file))

    def true_names(self, report: Report, names: Iterable[str]) -> set[str]:
        """Names in truth.json of nodes of a report, matched by address and MAC; an unmatched name stays as it is."""
        known = {node.name: {*node.ip, *node.mac} for node in report.nodes}
        out = set()
        for name in names:
            keys = known.get(name, set())
            hits = {node for node in self.truth["nodes"] if keys & (self.addresses(node) | self.macs(node))}
            out |= hits or {name}
        return out

    def spec_text(self, files: Mapping[str, Path] | None = None) -> str:
        """A dsr.toml with everything that truth.json knows; `files` maps names of taps to their files."""
        lines = ["spec = 1", "", "[[service]]", f"mode = {json.dumps(self.mode)}"]
        if self.vips:
            lines.append(f"vip = {json.dumps(self.vips)}")
        ports = [
            f"{s['proto']}/{s['vport']}" + (f":{s['rport']}" if s["rport"] != s["vport"] else "")
            for s in self.truth["services"]
        ]
        lines.append(f"ports = {json.dumps(ports)}")
        if tunnel := self.truth.get("tunnel"):
            lines += ["", "[tunnel]", f"type = {json.dumps(tunnel['type'])}"]
            if "udp_port" in tunnel:
                lines.append(f"port = {tunnel['udp_port']}")
            if "checksum" in tunnel:
                lines.append(f"checksum = {json.dumps(tunnel['checksum'])}")
        tags = self.truth.get("dscp_map") or {}
        for node in self.truth["nodes"]:
            lines += ["", "[[node]]", f"name = {json.dumps(node)}", f"role = {json.dumps(self.role(node))}"]
            if ips := sorted(self.addresses(node)):
                lines.append(f"ip = {json.dumps(ips)}")
            if macs := sorted(self.macs(node)):
                lines.append(f"mac = {json.dumps(macs)}")
            mine = [tag for ip, tag in tags.items() if ip in self.addresses(node)]
            if mine:
                lines += ["[node.dscp]", *(f"{tag} = {json.dumps(self.vips[0])}" for tag in mine)]
        for capture in self.truth["captures"]:
            path = self.folder / capture["file"]
            name = next((n for n, f in (files or {}).items() if f == path), path.stem)
            lines += ["", "[[tap]]", f"name = {json.dumps(name)}", f"file = {json.dumps(str(path))}"]
            lines.append(f"node = {json.dumps(capture['node'])}")
        return "\n".join(lines) + "\n"

    def spec(self, folder: Path) -> Path:
        """The spec written into `folder`."""
        path = folder / "dsr.toml"
        path.write_text(self.spec_text(), encoding="utf-8")
        return path

    def blind(self, folder: Path, files: Iterable[Path] | None = None) -> list[Path]:
        """The capture files under shuffled names that say nothing."""
        order = list(files if files is not None else self.files)
        random.Random(self.name).shuffle(order)
        out = []
        for i, path in enumerate(order, 1):
            out.append(folder / f"t{i}.pcap")
            out[-1].symlink_to(path.resolve())
        return out


def cases(modes: Iterable[str] = REWRITES) -> list[Scenario]:
    """The captures of pcaps/ of some modes, by default those that rewrite packets."""
    return [Scenario(path.parent) for mode in sorted(modes) for path in sorted(PCAPS.glob(f"{mode}/*/case.toml"))]


def shared() -> list[Scenario]:
    """The shared captures; none where they are not at hand."""
    if not (CAPTURES / "expected.json").is_file():
        return []
    return [Scenario(CAPTURES / name) for name in json.loads((CAPTURES / "expected.json").read_text(encoding="utf-8"))]


def loud(report: Report) -> list[Finding]:
    """Findings that accuse: warnings and errors."""
    return [finding for finding in report.findings if finding.severity in ("warning", "error")]


def failing(report: Report) -> set[str]:
    """The cells that fail."""
    return {cell.cell for cell in report.cells if cell.verdict == "fail"}


def accused(report: Report) -> set[tuple[str, str]]:
    """What accuses, and the roles of whom."""
    roles = {node.name: node.role for node in report.nodes}
    return {(finding.code, roles.get(name, "")) for finding in report.findings for name in finding.nodes}


def verified(scenario: Crafted, folder: Path) -> Report:
    """The report about a crafted scenario."""
    path = folder / "made.pcapng"
    scenario.write(path)
    return dsrkit.verify(str(path))

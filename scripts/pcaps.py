"""Write what is derived in pcaps/: the crafted cases, the spec of each recording, and the codes that verify reports.

    pcaps/crafted/MODE/healthy*   every mode without a fault, in both IP versions, and what no recording is of
    pcaps/crafted/MODE/CODE       each fault that craft can make, in the first of its modes
    pcaps/MODE/CASE/dsr.toml      a recorded case's set-up, from its truth.json
    codes in every case.toml      of the findings of `dsrkit verify`, which is told nothing but the files

Usage: ``python scripts/pcaps.py [NAME ...]``; names are folders below pcaps/. A file that would not change is left as
it is, and a capture whose packets would not change as well.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import dsrkit
from dsrkit import Report, Scenario, Spec
from dsrkit.craft.faults import FAULTS
from dsrkit.craft.options import flag
from dsrkit.diagnose.registry import ENTRIES
from dsrkit.model.names import MODES
from dsrkit.model.spec import Link, Port, SpecNode, SpecService, SpecTap, Tunnel
from dsrkit.model.toml import dump

PCAPS = Path(__file__).resolve().parents[1] / "pcaps"
CRAFTED = "crafted"
CAPTURE = "crafted.pcapng"
SPEC = "dsr.toml"
ROLES = {
    "client": "client",
    "l3-router": "router",
    "l2-switch": "bridge",
    "l4-switch": "lb",
    "real-server": "real-server",
    "dns-server": "resolver",
}
SMALLER: Mapping[str, Mapping[str, Any]] = {
    "CAP902": {"request": 4000, "reply": 4000},
    "DSR314": {"reply": 5000},
    "DSR318": {"reply": 5000},
    "TUN404": {"request": 1600},
    "TUN406": {"reply": 1600},
    "TUN407": {"request": 1600},
    "TUN408": {"request": 2000},
    "TUN423": {"request": 1600},
}
"""Faults of large packets, with fewer of them than craft makes unasked."""
SHORT: Mapping[str, Any] = {"request": 60, "reply": 60}
"""Bodies of all others: the repository keeps them all."""


@dataclass(frozen=True)
class Recipe:
    """A call of craft, and what the case is called."""

    mode: str
    name: str
    title: str
    fault: str | None = None
    profile: str | None = None
    flows: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        return f"{CRAFTED}/{self.mode}/{self.name}"

    @property
    def command(self) -> str:
        words = ["dsrkit", "craft", self.mode]
        for name, value in (("profile", self.profile), ("fault", self.fault), ("flows", self.flows)):
            words += [f"--{name}", str(value)] if value is not None else []
        for name, value in self.options.items():
            words += [flag(name)] if value is True else [flag(name), str(value)]
        return shlex.join([*words, "--seed", "0", "-w", CAPTURE])

    def craft(self) -> Scenario:
        flows = 1 if self.flows is None else self.flows
        return dsrkit.craft(self.mode, profile=self.profile, fault=self.fault, flows=flows, seed=0, **self.options)


def recipes() -> Iterator[Recipe]:
    for mode in MODES:
        flows = 8 if mode == "dns-rr" else 3  # so many answers show that they rotate
        for ip in "46":
            name, title = ("healthy", f"{mode} without a fault.") if ip == "4" else ("", f"{mode} over IPv6.")
            yield Recipe(mode, name or "healthy-ipv6", title, flows=flows, options=_short(mode, {"ip": ip}))
    tunnel = "l3dsr-tunnel"
    for profile, what in (
        ("katran", "the outer source tells flows apart"),
        ("glb", "GUE whose private data lists the servers"),
        ("cilium", "an IPv4 option tells the server the VIP"),
    ):
        title = f"{tunnel} as {profile} does it: {what}."
        yield Recipe(tunnel, f"healthy-{profile}", title, profile=profile, flows=3, options=_short(tunnel, {}))
    for fault in FAULTS.values():
        options = SMALLER.get(fault.code) or _short(fault.modes[0], fault.options, besides=False)
        title = f"{fault.shows[0].upper()}{fault.shows[1:]}."
        yield Recipe(fault.modes[0], fault.code, title, fault=fault.code, options=options)


def _short(mode: str, options: Mapping[str, Any], *, besides: bool = True) -> dict[str, Any]:
    """Options with short bodies, or those alone, where nothing is said of their length."""
    from dsrkit.craft.options import options_of

    known = {name for name, _, _ in options_of(mode)}
    short = {name: value for name, value in SHORT.items() if name in known and name not in options}
    return {**(options if besides else {}), **short}


# --- crafted cases ----------------------------------------------------------------------------------------------------


def write_crafted(recipe: Recipe, into: Path) -> str:
    """Make one case; its name, and what was written."""
    scenario = recipe.craft()
    spec = replace(scenario.spec, taps=tuple(_tap(scenario, tap) for tap in scenario.taps))
    folder = into / recipe.folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        fresh = Path(made) / CAPTURE
        scenario.write(fresh)
        new, kept = fresh.read_bytes(), folder / CAPTURE
        if not kept.is_file() or packets_of(new) != packets_of(kept.read_bytes()):
            kept.write_bytes(new)
    report = dsrkit.verify(folder / CAPTURE)
    _write(folder / SPEC, dump(spec))
    _write(folder / "case.toml", _case(recipe, scenario, spec, report))
    return recipe.folder


def packets_of(pcapng: bytes) -> bytes:
    """A file without its section header, which holds the version of dsrkit."""
    return pcapng[int.from_bytes(pcapng[4:8], "little") :]


def _tap(scenario: Scenario, name: str) -> SpecTap:
    return replace(scenario.spec.tap(name) or SpecTap(name), file=Path(CAPTURE), interface=name)


def _case(recipe: Recipe, scenario: Scenario, spec: Spec, report: Report) -> str:
    wrong = {} if recipe.fault is None else {"wrong": ENTRIES[recipe.fault].summary, "fault": recipe.fault}
    loud = [one for one in report.findings if one.severity != "info"]
    first = (loud or [*report.findings] or [None])[0]  # type: ignore[list-item]  # none at all
    options = {"profile": recipe.profile, "fault": recipe.fault, "flows": recipe.flows, **recipe.options}
    tables: list[tuple[str, Mapping[str, Any]]] = [
        (
            "",
            {
                "title": recipe.title,
                "mode": recipe.mode,
                "made": "crafted",
                "healthy": recipe.fault is None,
                **wrong,
            },
        ),
        (
            "[expected]",
            {
                "exit_code": report.exit_code,
                "modes": [report.mode or "undetermined"],
                "codes": codes_of(report),
                "cells": [] if recipe.fault is None or first is None else list(first.symptoms),
                "nodes": [] if recipe.fault is None or first is None else names_in(spec, report, first.nodes),
            },
        ),
        (
            "[provenance]",
            {
                "origin": "crafted by dsrkit: no machine sent these packets, and they are no evidence of what any does",
                "scenario": recipe.name,
                "engine": "craft",
                "profile": scenario.profile,
                "command": recipe.command,
                "options": [f"{name}={value}" for name, value in options.items() if value is not None],
                "seed": 0,
                "load_balancer": f"profile {scenario.profile}",
                "topology": f"request: {' > '.join(spec.path.request)}; reply: {' > '.join(spec.path.reply)}",
                "made_by": "make pcaps",
            },
        ),
    ]
    for tap in spec.taps:
        node = spec.node(tap.node) if tap.node else None
        where = {"node": tap.node, "role": node.role if node else None, "link": tap.link}
        body = {"file": CAPTURE, "name": tap.name, **where, "interface": tap.interface}
        count = sum(1 for _ in scenario.frames(tap.name))
        tables.append(("[[tap]]", {**{k: v for k, v in body.items() if v is not None}, "packets": count}))
    return _toml(tables)


def codes_of(report: Report) -> list[str]:
    """The codes of the findings in their order; a finding that no code explains has the cell's name."""
    return list(dict.fromkeys(one.code for one in report.findings))


def names_in(spec: Spec, report: Report, named: Iterable[str]) -> list[str]:
    """Nodes of a report by their names in the spec: those with an address or MAC in common, the VIP apart."""
    known = {node.name: {*node.ip, *node.mac} for node in report.nodes}
    out: list[str] = []
    for name in named:
        keys = known.get(name, set()) | {name}
        hits = [n.name for n in spec.nodes if keys & ({*n.ips, *n.macs} - {*spec.vips})]
        out += hits or [name]
    return list(dict.fromkeys(out))


# --- recorded cases ---------------------------------------------------------------------------------------------------


def complete_recorded(name: str, into: Path) -> str:
    """Write the spec and the codes of one recording."""
    folder = into / name
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    mode = name.split("/")[0]
    _write(folder / SPEC, dump(spec_of(truth, mode)))
    report = dsrkit.verify([folder / capture["file"] for capture in truth["captures"]])
    case = folder / "case.toml"
    text = case.read_text(encoding="utf-8")
    _write(case, re.sub(r"^codes = .*$", f"codes = {json.dumps(codes_of(report))}", text, flags=re.MULTILINE))
    return name


def spec_of(truth: Mapping[str, Any], mode: str) -> Spec:
    """What the recording's truth.json says of its set-up."""
    vip = truth["vip"]
    vips = tuple(vip) if isinstance(vip, list) else (vip,) if vip else ()
    ports = tuple(Port(one["proto"], one["vport"], one["rport"]) for one in truth["services"])
    tunnel = truth.get("tunnel")
    return Spec(
        services=(SpecService(mode, vips, ports),),  # type: ignore[arg-type]  # a mode
        tunnel=Tunnel(tunnel["type"], port=tunnel.get("udp_port"), checksum=tunnel.get("checksum")) if tunnel else None,
        nodes=tuple(_node(name, node, vips, truth.get("dscp_map") or {}) for name, node in truth["nodes"].items()),
        taps=tuple(SpecTap(Path(c["file"]).stem, Path(c["file"]), node=c["node"]) for c in truth["captures"]),
    )


def _node(name: str, node: Mapping[str, Any], vips: Collection[str], tags: Mapping[str, int]) -> SpecNode:
    interfaces = node["interfaces"]
    found = {a.split("/")[0] for one, i in interfaces.items() if one != "lo" for a in i["addresses"]}
    ips = tuple(sorted(found - set(vips)))
    macs = tuple(sorted({i["mac"] for i in interfaces.values() if i["mac"]}))
    link = Link(mac=macs, ip=ips, prefix=(None,) * len(ips))
    dscp = {tag: next(iter(vips)) for ip, tag in tags.items() if ip in ips}
    return SpecNode(name, ROLES[node["role"]], (link,) if ips or macs else (), dscp)  # type: ignore[arg-type]  # a role


# --- files ------------------------------------------------------------------------------------------------------------


def _toml(tables: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    texts = [
        [*([head] if head else []), *(f"{k} = {json.dumps(v, ensure_ascii=False)}" for k, v in body.items())]
        for head, body in tables
    ]
    return "\n\n".join("\n".join(lines) for lines in texts) + "\n"


def _write(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(PCAPS.parent)}: written", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    chosen = parser.parse_args().names
    crafted = {recipe.folder: recipe for recipe in recipes()}
    recorded = [path.parent.relative_to(PCAPS).as_posix() for path in sorted(PCAPS.glob("*/*/truth.json"))]
    if unknown := set(chosen) - {*crafted, *recorded}:
        parser.error(f"no case {', '.join(sorted(unknown))}")
    for path in sorted(PCAPS.glob(f"{CRAFTED}/*/*")):
        if path.relative_to(PCAPS).as_posix() not in crafted:
            shutil.rmtree(path)
            print(f"{path.relative_to(PCAPS.parent)}: removed", flush=True)
    with ProcessPoolExecutor(2) as pool:
        todo = [pool.submit(write_crafted, one, PCAPS) for name, one in crafted.items() if name in (chosen or crafted)]
        todo += [pool.submit(complete_recorded, name, PCAPS) for name in recorded if name in (chosen or recorded)]
        for one in todo:
            one.result()
    return 0


if __name__ == "__main__":
    sys.exit(main())

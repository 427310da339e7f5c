"""Requests that go to another port of the servers than a spec states."""

from __future__ import annotations

from collections.abc import Iterator

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.pictures.common import frames_of, share, spoken, unanswered


def wrong_port(case: Case) -> Iterator[Diagnosis]:
    """The load balancer's map of ports is not the stated one; what servers say to that is its consequence."""
    cells = case.failed(".lb.l4.dstport")
    odd = {port for _, port in case.scene.odd_ports}
    if not cells or not odd:
        return
    asked = {name for name, ports in case.server_ports().items() if ports & odd}
    only = {name for name in asked if case.server_ports()[name] <= odd}
    servers = [p for p in case.servers() if p.name in asked]
    found = unanswered(case.failed(".answered", ".appears"))
    lost = [c for c, _ in found if (p := case.server_of(c)) is not None and p.name in only]
    ours = {id(c) for c in lost}
    theirs = {id(v): v for _, v in found if v.connections and all(id(c) in ours for c in v.connections)}
    lbs = tuple(dict.fromkeys(name for v in cells for name in v.nodes))
    stated = spoken(sorted({str(p) for ports in case.scene.services.values() for p in ports}), "or")
    used = spoken(map(str, sorted(odd)))
    refusals = spoken(dict.fromkeys(c.refusal.text for c in lost if c.refusal is not None))
    harm = f": {share(case, len(lost), servers)[1]} in vain{f' ({refusals})' if refusals else ''}" if lost else ""
    yield Diagnosis(
        ("NAT212",),
        f"{spoken(lbs) or 'the load balancer'} sends requests to port {used} of {spoken(p.name for p in servers)}, and"
        f" {stated} is stated{harm}",
        lbs,
        [*cells, *theirs.values()],
        list(dict.fromkeys([f for v in cells for f in v.frames] + frames_of(lost))),
        failed=len(lost) or max(v.failed for v in cells),
        among=max(v.checked for v in cells),
        ruled_out={"DSR319": "the port itself is not the stated one"},
        settle="ipvsadm -Ln on the load balancer",
        field=cells[0].wireshark,
        expected=stated,
        actual=used,
    )

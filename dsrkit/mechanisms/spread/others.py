"""Load spread where nothing rewrites packets: over the addresses of a DNS name, and behind a proxy."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import cast

from dsrkit.mechanisms.spread.collect import Collector
from dsrkit.mechanisms.spread.conclude import evenness
from dsrkit.mechanisms.statistics import SIGNIFICANT
from dsrkit.model.sections import Dns, Session, Spread
from dsrkit.model.sections.session import Endpoint
from dsrkit.model.sections.spread import Evenness, Fairness, Load, Test
from dsrkit.verify.frames import PROTOCOLS, TCP
from dsrkit.verify.observer import Told
from dsrkit.verify.scene import Scene


def by_name(scene: Scene, collector: Collector, told: Told) -> tuple[Spread, ...]:
    """Load per server of every name, by the ports that its servers were asked at."""
    names = [item for item in told.sections.get("dns", ()) if isinstance(item, Dns) and item.connections]
    return tuple(spread for name in names for spread in _of_name(scene, collector, name))


def by_session(scene: Scene, collector: Collector, told: Told) -> tuple[Spread, ...]:
    """Clients' sessions per server of every VIP of a proxy; packets and octets are those of the sessions behind it."""
    sessions = [item for item in told.sections.get("sessions", ()) if isinstance(item, Session)]
    given = {(s.vip.ip, s.vip.port, s.server, s.client, s.start_ns) for s in sessions}
    counts: dict[tuple[str, int], Counter[Endpoint]] = defaultdict(Counter)
    for ip, port, server, *_ in given:
        counts[ip, port][server] += 1
    out = []
    for (ip, port), servers in sorted(counts.items()):
        loads = []
        for server, clients in sorted(servers.items()):
            service = scene.book.number(server.ip) << 24 | TCP << 16 | server.port
            loads.append(replace(_load(collector, service, server.node or str(server)), connections=clients))
        out.append(Spread(ip, f"tcp/{port}", tuple(loads), fairness=evenness(list(servers.values()))))
    return tuple(out)


def _of_name(scene: Scene, collector: Collector, name: Dns) -> list[Spread]:
    records = {scene.book.number(record.address): record for record in name.records}
    asked = {service for service, _ in collector.servers.connections if service >> 24 in records}
    codes = sorted({service & 0xFF_FFFF for service in asked})
    codes = [code for code in codes if code & 0xFFFF in {one.port for one in name.connections}]
    out = []
    for code in codes:
        port = f"{PROTOCOLS.get(code >> 16, code >> 16)}/{code & 0xFFFF}"
        loads = tuple(
            _load(collector, ip << 24 | code, record.node or record.address) for ip, record in records.items()
        )
        out.append(Spread(name.name, port, loads, fairness=_fairness(name) if len(codes) == 1 else None))
    return out


def _load(collector: Collector, service: int, name: str) -> Load:
    counts, key = collector.servers, (service, -1)
    return Load(
        name,
        counts.connections[key],
        counts.request_packets[key],
        counts.request_octets[key],
        counts.reply_packets[key],
        counts.reply_octets[key],
    )


def _fairness(name: Dns) -> Fairness | None:
    """That of the choices: connections that follow one answer are one choice."""
    test = name.fairness
    if test is None:
        return None
    uneven = test.p_value is not None and test.p_value < SIGNIFICANT
    verdict: Evenness = "too-few" if not test.conclusive else "uneven" if uneven else "even"
    servers = sum(1 for record in name.records if record.connections)
    return Fairness(verdict, cast(Test, test.method), test.choices, servers, test.p_value, test.jain)

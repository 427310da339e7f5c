"""A report with something in every field, for the tests of the model and of the renderers."""

from __future__ import annotations

from dsrkit.model.frame import FrameRef
from dsrkit.model.report import (
    CellVerdict,
    Finding,
    Journey,
    Node,
    Path,
    Report,
    Service,
    Tap,
    Traffic,
)


def clean_report() -> Report:
    """L2DSR seen at both sides of the load balancer and on the reply's way: everything that could be seen holds."""
    return Report(
        mode="l2dsr",
        mode_from="inferred",
        profile="ipvs",
        mechanisms=("l2dsr", "garp"),
        service=Service(vip=("203.0.113.10",), ports=("tcp/80",)),
        nodes=(
            Node("client", "client", ("198.51.100.10",), ()),
            Node("r1", "router", (), ("02:00:00:00:00:01",)),
            Node("lb1", "lb", ("10.0.0.2",), ("02:00:00:00:00:02",)),
            Node("web1", "real-server", ("10.0.0.11",), ("02:00:00:00:00:11",)),
        ),
        path=Path(("client", "r1", "lb1", "web1"), ("web1", "r1", "client")),
        taps=(
            Tap("A", "A.pcap", node="client", link="A", packets=480, octets=90_210),
            Tap("B", "B.pcapng", interface="eth0", node="lb1", link="B", packets=240, octets=18_000),
        ),
        journeys=(
            Journey("A", "B.in", "request", "tcp", 120, 1),
            Journey("B.in", "B.out", "request", "tcp", 120, 0),
            Journey("B.in", "B.out", "request", "udp", 7, 0),
        ),
        cells=(
            CellVerdict("l2dsr.router.ip.ttl", "A→B.in", "request", "pass", 120, 0),
            CellVerdict("l2dsr.lb.eth.dst", "B.in→B.out", "request", "pass", 127, 0),
            CellVerdict("l2dsr.lb.ip.ttl", "B.in→B.out", "request", "pass", 127, 0),
            CellVerdict("l2dsr.real-server.answered", "B.out→D", "request", "not_observable", reason="no capture of D"),
        ),
        traffic=Traffic.of(20_000, 260_000, 20_000),
        notes=("mode l2dsr: on link B only the MAC addresses and the TTL change", "B is at lb1: it holds both copies"),
    )


def faulty_report() -> Report:
    """The same with a real server that drops what it gets, a warning whose text is hostile, and a failed cell."""
    clean = clean_report()
    return Report(
        mode=clean.mode,
        mode_from="spec",
        profile="any",
        mechanisms=clean.mechanisms,
        service=clean.service,
        nodes=clean.nodes,
        path=clean.path,
        taps=(*clean.taps, Tap("D", "D.pcap", node="web1", link="D", packets=12, octets=888)),
        journeys=(*clean.journeys, Journey("B.out", "D", "request", "tcp", 12, 0)),
        findings=(
            Finding(
                "DSR301",
                "vip-missing-on-real-server",
                "error",
                "web1 takes the frames for the VIP and answers none of them.",
                nodes=("web1",),
                tap="D",
                count=12,
                frames=(FrameRef("D.pcap", 7), FrameRef("D.pcap", 9), FrameRef("B.pcapng", 4)),
                field="ip.dst",
                expected="answered",
                actual="silence",
                fix="ip address add 203.0.113.10/32 dev lo\nsysctl -w net.ipv4.conf.all.arp_ignore=1",
                filter="frame.number in {7,9}",
                candidates=("DSR301", "DSR311"),
                symptoms=("l2dsr.real-server.answered",),
                ruled_out={"DSR303": "nothing at all comes back, not even a RST"},
                settle="ip -4 address show dev lo on web1",
            ),
            Finding("l2dsr.lb.ip.id", "l2dsr.lb.ip.id", "warning", "[bold]\x1b[31m:smile: \u202eeman", tap="B"),
        ),
        cells=(
            *clean.cells[:3],
            CellVerdict("l2dsr.lb.ip.id", "B.in→B.out", "request", "fail", 127, 3),
            CellVerdict("l2dsr.real-server.answered", "B.out→D", "request", "fail", 12, 12),
            CellVerdict("l2dsr.client.ip.ttl", "D→A", "reply", "not_observable"),
        ),
        traffic=Traffic(20_000, 0, 0),
        notes=clean.notes,
    )

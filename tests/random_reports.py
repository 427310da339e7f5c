"""Random reports, for the tests of the model: machines have the same addresses under the same names in all of them."""

from __future__ import annotations

from hypothesis import strategies as st

from dsrkit.model.frame import FrameRef
from dsrkit.model.names import DIRECTIONS, FAIL_ON, MODE_FROM, PROFILES, SEVERITIES, VERDICTS
from dsrkit.model.report import MAX_EXAMPLES, CellVerdict, Finding, Journey, Node, Path, Report, Service, Tap, Traffic
from dsrkit.model.sections.dns import RESULTS, ROTATIONS, Dns, DnsConnection, DnsFairness, DnsParty, DnsRecord
from dsrkit.model.sections.health_check import KINDS, WAYS, Change, HealthCheck, Interval
from dsrkit.model.sections.health_check import VERDICTS as STATES
from dsrkit.model.sections.session import ENDS, PROOFS, Endpoint, Session
from dsrkit.model.sections.spread import EVENNESS, Fairness, Load, Spread
from dsrkit.model.sections.takeover import REASONS, Blackout, Event, Move, Neighbour, Owner, Reign, Sight, Takeover

NAMES = st.sampled_from(["A", "B", "C", "web1"])
MAYBE = st.none() | NAMES
COUNTS = st.integers(0, 1000)


def in_path_order(node: Node) -> int:
    return list(MACHINES.values()).index(node)


def tuples(items: st.SearchStrategy[object], size: int = 3) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(items, max_size=size).map(tuple)


FINDINGS = st.builds(
    Finding,
    code=st.sampled_from(["DSR301", "l2dsr.lb.ip.ttl"]),
    name=NAMES,
    severity=st.sampled_from(SEVERITIES),
    message=st.text(),
    node=MAYBE,
    nodes=tuples(NAMES),
    tap=MAYBE,
    count=st.integers(1, 99),
    frames=tuples(st.builds(FrameRef, NAMES, st.integers(1, 9)), MAX_EXAMPLES + 2),
    field=MAYBE,
    candidates=tuples(NAMES),
    symptoms=tuples(NAMES),
)
CELLS = st.builds(
    CellVerdict,
    cell=NAMES,
    hop=st.sampled_from(["A→B.in", "B.in→B.out"]),
    direction=st.sampled_from(DIRECTIONS),
    verdict=st.sampled_from(VERDICTS),
    checked=COUNTS,
    failed=COUNTS,
    reason=MAYBE,
)
EVEN = st.none() | st.builds(DnsFairness, COUNTS, st.none() | st.floats(0, 1), st.just("exact"), st.booleans())
FRAMES = st.builds(FrameRef, NAMES, st.integers(1, 9))
TTLS = st.none() | st.tuples(COUNTS, COUNTS)
NAMED = st.builds(
    lambda *said, ttls, **more: Dns(*said, **dict(zip(("ttl_min", "ttl_max"), ttls or (), strict=False)), **more),
    NAMES,
    st.sampled_from(["A", "AAAA"]),
    COUNTS,
    COUNTS,
    COUNTS,
    COUNTS,
    ttls=TTLS,
    chain=tuples(NAMES),
    records=tuples(st.builds(DnsRecord, NAMES, MAYBE, COUNTS, COUNTS, COUNTS, COUNTS)),
    parties=tuples(
        st.builds(
            DnsParty,
            NAMES,
            st.sampled_from(["server", "client"]),
            MAYBE,
            COUNTS,
            COUNTS,
            COUNTS,
            st.sampled_from(ROTATIONS),
            st.dictionaries(NAMES, COUNTS, max_size=3).map(lambda shares: tuple(shares.items())),
            EVEN,
        )
    ),
    tied=COUNTS,
    untied=COUNTS,
    stale=COUNTS,
    fairness=EVEN,
    connections=tuples(
        st.builds(
            DnsConnection,
            NAMES,
            NAMES,
            COUNTS,
            COUNTS,
            FRAMES,
            st.sampled_from(RESULTS),
            MAYBE,
            st.none() | FRAMES,
            st.none() | FRAMES,
            st.none() | st.floats(0, 9),
            st.none() | COUNTS,
            st.none() | COUNTS,
        )
    ),
)
LOADS = st.builds(Load, MAYBE, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
SPREADS = st.builds(
    Spread,
    MAYBE,
    st.sampled_from(["tcp/80", "udp/53"]),
    servers=tuples(LOADS),
    load_balancers=tuples(LOADS),
    fairness=st.none()
    | st.builds(
        Fairness,
        st.sampled_from(EVENNESS),
        st.sampled_from(["exact", "chi-square", "none"]),
        COUNTS,
        COUNTS,
        st.none() | st.floats(0, 1),
        st.floats(0, 1),
    ),
    moved=COUNTS,
    rescheduled=COUNTS,
    handed_over=COUNTS,
)
CHECKS = st.builds(
    HealthCheck,
    checker=NAMES,
    source=NAMES,
    server=NAMES,
    address=MAYBE,
    kind=st.sampled_from(KINDS),
    target=NAMES,
    port=st.sampled_from([0, 80]),
    request=MAYBE,
    size=COUNTS,
    through=st.sampled_from(WAYS),
    carried=st.just("plain"),
    tap=NAMES,
    interval=st.builds(Interval, COUNTS, st.floats(0, 9), st.floats(0, 9)),
    probes=COUNTS,
    passed=COUNTS,
    failed=COUNTS,
    answer_ms=st.none() | st.floats(0, 9),
    timeout_ms=st.none() | st.floats(0, 9),
    first_ns=COUNTS,
    last_ns=COUNTS,
    verdict=st.sampled_from(STATES),
    history=tuples(
        st.builds(
            Change,
            COUNTS,
            st.floats(0, 9),
            st.sampled_from(STATES),
            NAMES,
            COUNTS,
            st.builds(FrameRef, NAMES, st.integers(1, 9)),
            st.none() | COUNTS,
        )
    ),
    connections=COUNTS,
    unanswered=COUNTS,
)
TRAFFIC = st.builds(Traffic.of, COUNTS, COUNTS, COUNTS) | st.builds(Traffic, COUNTS, COUNTS, COUNTS)
ENDPOINTS = st.builds(Endpoint, st.just("192.0.2.1"), st.integers(0, 1), MAYBE)
SESSIONS = st.builds(
    Session,
    *[ENDPOINTS] * 4,
    start_ns=st.integers(0, 1),
    delay_ms=st.none() | st.integers(0, 5).map(float),
    by=st.sets(st.sampled_from(PROOFS)).map(lambda found: tuple(proof for proof in PROOFS if proof in found)),
    requests=st.integers(0, 3),
    proxy_header=MAYBE,
    end=st.sampled_from(ENDS),
    frame_1=st.none() | FRAMES,
    frame_2=FRAMES,
)
OWNERS = st.builds(Owner, NAMES, MAYBE, MAYBE)
MS = st.floats(-9, 9)
MOVES = st.builds(
    Move,
    st.none() | OWNERS,
    st.none() | OWNERS,
    COUNTS,
    st.sampled_from(REASONS),
    COUNTS,
    tuples(NAMES),
    NAMES,
    tuples(st.builds(Event, NAMES, COUNTS, MS, NAMES, FRAMES)),
    tuples(st.builds(Sight, NAMES, COUNTS, st.none() | MS)),
    tuples(st.builds(Neighbour, NAMES, NAMES, NAMES, st.none() | MS, st.none() | MS, st.booleans())),
    tuples(st.builds(Blackout, NAMES, COUNTS, MS, st.none() | MS)),
)
TAKEOVERS = st.builds(
    Takeover,
    tuples(NAMES, 1),
    st.just("announcements"),
    st.none() | st.just(51),
    tuples(st.builds(Reign, OWNERS, COUNTS, COUNTS, COUNTS, COUNTS)),
    tuples(MOVES, 2),
)
MACHINES = {
    "client": Node("client", "client", ("198.51.100.1",)),
    "router": Node("router", "router", (), ("02:00:00:00:00:01",)),
    "lb": Node("lb", "lb", ("10.0.0.2",), ("02:00:00:00:00:02",)),
    "web1": Node("web1", "real-server", ("10.0.0.11", "10.0.1.11"), ("02:00:00:00:00:11",)),
    "web2": Node("web2", "real-server", ("10.0.0.12",), ("02:00:00:00:00:12",)),
}
PATHS = st.sampled_from([(), ("client", "lb", "web1"), ("client", "router", "lb", "web1")])
REPORTS = st.builds(
    Report,
    mode=st.sampled_from([None, "nat", "nat", "garp", "health", "l2dsr"]),
    mode_from=st.sampled_from(MODE_FROM),
    profile=st.none() | st.sampled_from(PROFILES),
    mechanisms=tuples(st.sampled_from(["nat", "garp"])),
    service=st.builds(
        Service,
        vip=st.sampled_from([(), ("203.0.113.10",), ("203.0.113.9", "203.0.113.10")]),
        ports=tuples(NAMES),
        tunnel=st.none()
        | st.sampled_from([{"type": "ipip"}, {"type": "gue", "port": 6080}, {"type": "gue", "port": 1}]),
        dscp=st.sampled_from([{}, {7: "203.0.113.10"}, {9: "203.0.113.9", "web1": {5: "203.0.113.9"}}]),
    ),
    nodes=st.sets(st.sampled_from(list(MACHINES.values()))).map(lambda found: tuple(sorted(found, key=in_path_order))),
    path=st.builds(Path, PATHS, PATHS),
    taps=tuples(st.builds(Tap, NAMES, NAMES, MAYBE, MAYBE, MAYBE, COUNTS, COUNTS, st.integers())),
    journeys=tuples(
        st.builds(Journey, NAMES, NAMES, st.sampled_from(DIRECTIONS), st.sampled_from(["tcp", "udp"]), COUNTS, COUNTS)
    ),
    findings=tuples(FINDINGS),
    cells=tuples(CELLS),
    traffic=TRAFFIC,
    health_checks=tuples(CHECKS),
    dns=tuples(NAMED, 2),
    spread=tuples(SPREADS),
    sessions=tuples(SESSIONS),
    takeovers=tuples(TAKEOVERS),
    notes=tuples(st.text(max_size=3) | st.sampled_from(["mode nat: why (1 packet)", "mode nat: why (7 packets)"])),
    fail_on=st.sampled_from(FAIL_ON),
)

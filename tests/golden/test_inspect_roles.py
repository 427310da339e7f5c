"""Roles of the frames of recorded scenarios, as truth.json and the frames' addresses alone have them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO

import numpy as np
import pytest
from merging import merged
from scenarios import Scenario, cases

from dsrkit.inspect.survey import Survey
from dsrkit.model.names import REWRITES
from dsrkit.model.spec import Spec
from dsrkit.wire.columns import Columns

CASES = {case.name: case for case in cases([*REWRITES, "garp", "health", "dns-rr", "l7"])}
COOKED = CASES["ipvs-tun-ipip-any"]
DATA_PATHS = [case for case in CASES.values() if case.healthy and case.mode in REWRITES and case is not COOKED]


@dataclass(frozen=True)
class Row:
    """A frame by its addresses, and what was said of it."""

    number: int
    tap: str
    eth_src: str
    eth_dst: str
    src: str
    dst: str
    outer_dst: str
    transport: bool
    role: str
    summary: str


@cache
def survey(name: str) -> tuple[list[str], list[Row]]:
    """Heading and frames of a scenario, all taps in one file."""
    found = Survey(BytesIO(merged(CASES[name].files)))
    rows: list[Row] = []
    for batch in found.batches():
        c = Columns(batch.window.rec)
        tunnelled = c.present("ip#2") | c.present("ipv6#2") | (c.present("ip") & c.present("ipv6"))
        ports = c.present("tcp") | c.present("udp")
        columns = [c.text(field) for field in ("eth.src", "eth.dst", "inner.src", "inner.dst", "outer.dst")]
        for i, (*ends, outer) in enumerate(zip(*columns, strict=True)):
            said = batch.role(i), batch.summary(i)
            outer = outer if tunnelled[i] else ""
            rows.append(Row(batch.first + i, batch.tap(i), *ends, outer, bool(ports[i]), *said))
    return found.heading, rows


def macs(case: Scenario, role: str) -> set[str]:
    return set().union(*(case.macs(node) for node in case.of_role(role)))


def addresses(case: Scenario, role: str) -> set[str]:
    return set().union(*(case.addresses(node) for node in case.of_role(role)))


def true_roles(case: Scenario) -> Iterator[tuple[Row, str]]:
    """Packets of the service, with how the words for them begin."""
    vips, lb, servers = set(case.vips), macs(case, "lb"), addresses(case, "real-server")
    clients = addresses(case, "client")
    for row in survey(case.name)[1]:
        if not row.transport or not {row.src, row.dst} & clients:
            continue
        if row.dst in vips:
            after = row.outer_dst if case.mode == "l3dsr-tunnel" else case.mode == "l2dsr" and row.eth_src in lb
            yield row, "request after LB" if after else "request before LB"
        elif row.src in vips:
            direct = case.mode not in ("nat", "fullnat")
            yield row, "reply, bypasses LB" if direct else "reply through LB, source rewritten to the VIP"
        elif row.dst in servers and case.mode in ("nat", "l3dsr-dscp"):
            yield row, "request after LB"
        elif row.src in servers and case.mode == "nat":
            yield row, "reply before LB"


@pytest.mark.parametrize("case", DATA_PATHS, ids=str)
def test_every_packet_of_the_service_has_its_true_role(case: Scenario) -> None:
    wrong = [(row, role) for row, role in true_roles(case) if not row.role.startswith(role)]
    assert wrong == []
    roles = Counter(role for _, role in true_roles(case))
    assert len(roles) >= (2 if case.mode == "fullnat" else 3)


@pytest.mark.parametrize("case", DATA_PATHS, ids=str)
def test_the_heading_states_mode_and_machines(case: Scenario) -> None:
    heading, _ = survey(case.name)
    assert heading[0].startswith(f"mode {case.mode}")
    assert "inferred" in heading[0]
    for vip in case.vips:
        assert f"VIP {vip}" in heading[1]
    if case.mode != "l2dsr":  # there the servers' own addresses are known from ARP alone
        assert all(any(address in heading[1] for address in case.addresses(node)) for node in asked(case))


def asked(case: Scenario) -> list[str]:
    """Real servers that got any request."""
    return [
        node
        for node in case.of_role("real-server")
        if any(row.eth_dst in case.macs(node) and row.transport for row in survey(case.name)[1])
    ]


@pytest.mark.parametrize("case", [case for case in DATA_PATHS if case.mode == "l3dsr-tunnel"], ids=str)
def test_tunnelled_requests_say_both_headers(case: Scenario) -> None:
    kinds = {"ipip": "IPIP", "gre": "GRE", "gue": "GUE"}
    tunnel = case.truth["tunnel"]["type"]
    for row in survey(case.name)[1]:
        if row.transport and row.outer_dst:
            assert row.role.startswith(f"request after LB, {kinds.get(tunnel, tunnel)} outer ")
            assert f"→{row.outer_dst}, inner VIP:" in row.role
            assert row.summary.startswith(kinds.get(tunnel, tunnel))
            assert " | " in row.summary


def test_cooked_frames_do_not_tell_where_replies_go() -> None:
    vips = set(COOKED.vips)
    for row in survey(COOKED.name)[1]:
        if row.transport and row.src in vips:
            assert row.role.startswith("reply")
            assert "LB" not in row.role
        if row.transport and row.dst in vips and not row.outer_dst and row.tap[2:4] == "rs":
            assert row.role.startswith("request, out of the tunnel at the real server")


def test_a_tag_is_said_with_the_vip_that_it_stands_for() -> None:
    case = CASES["l3dsr-dscp"]
    tags = case.truth["dscp_map"]
    for row, role in true_roles(case):
        if role == "request after LB":
            dscp = tags[row.dst]
            assert f"DSCP {dscp} (tos 0x{dscp << 2:02x}) = VIP {case.vips[0]}, to " in row.role


def test_a_frame_is_of_the_tap_and_the_sender_that_it_is_of() -> None:
    case = CASES["ipvs-dr"]
    found = Survey(BytesIO(merged(case.files)))
    assert found.several_taps
    batch = next(iter(found.batches()))
    assert {batch.tap(i) for i in range(len(batch))} <= {path.stem for path in case.files}
    sender = {batch.node(i) for i in range(len(batch)) if batch.role(i).startswith("request after LB")}
    assert sender == {"LB"}


def test_beside_its_role_a_tunnelled_packet_is_the_inner_one() -> None:
    found = Survey(BytesIO(merged(CASES["ipvs-tun-ipip"].files)))
    for batch in found.batches():
        for i in range(len(batch)):
            if batch.role(i).startswith("request after LB, IPIP outer"):
                assert batch.summary(i).endswith(f" | {batch.packet(i)}")


def test_replies_that_cross_the_load_balancer_are_told() -> None:
    _, rows = survey("b13-dr-reply-via-lb")
    vip = CASES["b13-dr-reply-via-lb"].vips[0]
    replies = [row.role for row in rows if row.src == vip and row.transport]
    assert len(replies) > 100
    assert all(role.startswith("reply, goes through the LB, which it should bypass") for role in replies)


def test_untranslated_replies_are_told() -> None:
    _, rows = survey("b06-nat-reply-bypass")
    servers = addresses(CASES["b06-nat-reply-bypass"], "real-server")
    replies = [row.role for row in rows if row.src in servers and row.transport]
    assert replies
    assert all(role.startswith("reply, bypasses LB, source still rs") for role in replies)


def test_requests_that_a_server_sends_on_are_told() -> None:
    case = CASES["b01b-dr-no-vip-forward-loop"]
    servers = macs(case, "real-server")
    rows = [row for row in survey(case.name)[1] if row.eth_src in servers and row.dst in case.vips and row.transport]
    assert rows
    assert all("which should have kept it" in row.role for row in rows)


def test_an_error_says_what_it_is_about() -> None:
    _, rows = survey("b07-tun-mtu-frag-needed")
    said = {row.role for row in rows if "fragmentation needed" in row.role}
    assert said
    for role in said:
        assert role.startswith("ICMP fragmentation needed (mtu 1480) from VIP 192.0.2.100 about request 198.51.100.1")
        assert role.endswith(" → 192.0.2.100:80")


def test_a_takeover_shows_who_announces() -> None:
    case = CASES["garp-keepalived-crash"]
    heading, rows = survey(case.name)
    roles = Counter(row.role for row in rows)
    for owner in ("vip_owner_before", "vip_owner_after"):
        announced = f"GARP (keepalived form) VIP {case.vips[0]} is-at {case.truth[owner]['mac']}"
        assert roles[announced] == sum(row.eth_src == case.truth[owner]["mac"] for row in rows if "GARP" in row.role)
        assert roles[announced]
    assert roles["VRRP advertisement vrid 51 prio 150, VIP 192.0.2.100"]
    assert roles["VRRP advertisement vrid 51 prio 100, VIP 192.0.2.100"]
    assert "VRRP announces VIP 192.0.2.100" in heading


def test_names_and_their_connections_are_told() -> None:
    _, rows = survey("dns-rr")
    roles = [row.role for row in rows]
    answers = {role for role in roles if role.startswith("DNS answer www.lab.example → ")}
    assert len(answers) == 3  # in turn
    assert "DNS query www.lab.example A" in roles
    servers = addresses(CASES["dns-rr"], "real-server")
    for row in rows:
        if row.transport and row.dst in servers:
            assert row.role.startswith("request to rs")
            assert f"{row.dst}, an address of www.lab.example" in row.role


def test_both_sessions_of_a_proxy_are_told() -> None:
    case = next(case for case in CASES.values() if case.name.startswith("l7"))
    _, rows = survey(case.name)
    clients, vips = addresses(case, "client"), set(case.vips)
    servers = addresses(case, "real-server")
    for row in rows:
        if row.transport and row.src in clients and row.dst in vips:
            assert row.role.startswith("request, front session of the proxy")
        if row.transport and row.dst in servers:
            assert row.role.startswith("request, back session of the proxy with rs")
            assert ", for 198.51.100.1" in row.role
    if "proxyv2" in case.name:
        assert any("PROXY v2 header (TCP4 198.51.100.1" in row.role for row in rows)


@pytest.mark.parametrize("name", ["lab-health-http", "lab-health-ping-nat", "lab-health-tcp-tunnel"])
def test_checks_are_told_from_traffic(name: str) -> None:
    case = CASES[name]
    heading, rows = survey(name)
    own = addresses(case, "lb")
    assert "health checks of 2 servers" in heading
    said = [row for row in rows if row.role.startswith("health check of ")]
    assert said
    assert all(row.src in own for row in said)
    what = {"lab-health-http": "(HTTP GET /health)", "lab-health-ping-nat": "(ping)"}.get(name, "(TCP connect)")
    assert all(what in row.role for row in said)
    asked_by_lb = [row for row in rows if row.src in own and row.transport]
    assert all("health check" in row.role or not row.role for row in asked_by_lb)


@pytest.mark.parametrize("name", ["ipvs-nat", "ipvs-fullnat"])
def test_one_side_of_a_nat_claims_nothing(name: str) -> None:
    found = Survey(CASES[name].files[0])
    assert found.heading[0] == "no load balancing seen; if there is any, state it by --vip and --mode"
    for batch in found.batches():
        for i in range(len(batch)):
            role = batch.role(i)
            assert "LB" not in role
            assert "VIP" not in role


def roles_of(found: Survey) -> Counter[str]:
    """Roles of the frames with ports, without what differs from frame to frame."""
    out: Counter[str] = Counter()
    for batch in found.batches():
        c = Columns(batch.window.rec)
        for i in np.flatnonzero(c.present("tcp") | c.present("udp")).tolist():
            out[batch.role(i).partition(", retransmission")[0]] += 1
    return out


def test_a_stated_mode_claims_no_more_than_one_tap_tells() -> None:
    case = CASES["ipvs-dr"]
    stated = Survey(case.folder / "A_client.pcap", mode="l2dsr", vip=case.vips)
    assert stated.heading[0] == "mode l2dsr, stated"
    assert "LB (not seen)" in stated.heading[1]
    assert set(roles_of(stated)) == {"request", "reply"}
    unknown = Survey(case.folder / "A_client.pcap", vip=case.vips)
    assert unknown.heading[0] == "no load balancing seen"
    assert set(roles_of(unknown)) == {"request", "reply"}


def test_a_spec_tells_what_one_tap_does_not() -> None:
    case = CASES["ipvs-dr"]
    found = Survey(case.folder / "B_rs1.pcap", spec=Spec.parse(case.spec_text()))
    assert found.heading[0] == "mode l2dsr, stated by the spec"
    (mac,) = case.macs("rs1")
    roles = roles_of(found)
    assert set(roles) == {f"request after LB, MAC rewritten to rs1 {mac}", "reply, bypasses LB, from rs1"}
    bleached = CASES["b04-dscp-bleached"]
    found = Survey(bleached.folder / "C_rs1.pcap", spec=Spec.parse(bleached.spec_text()))
    said = [role for role in roles_of(found) if role.startswith("request after LB")]
    assert said
    assert all("DSCP 0 (tos 0x00), which stands for no VIP, to rs1 " in role for role in said)
    assert any(role.startswith("reply in the name of rs1 ") for role in roles_of(found))

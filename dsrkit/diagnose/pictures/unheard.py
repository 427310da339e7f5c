"""Answers that the client never gets: where they were last seen on their way back."""

from __future__ import annotations

from collections.abc import Iterator

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.pictures.common import Told, balancer, diagnoses, grouped, in_order, names, spoken, unanswered
from dsrkit.verify.connections import Connection


def unheard(case: Case) -> Iterator[Diagnosis]:
    """A server answers, and the client goes on asking: the answers are lost on their way back."""
    if any(v.failed and v.cell.endswith(".lb.reply.absent") for v in case.verdicts):
        return  # they go the wrong way, which is a finding of its own
    found = unanswered(v for v in case.failed(".reply.appears") if v.connections)
    cells = {id(c): v for c, v in found}
    groups = grouped((c for c, _ in found), lambda c: cells[id(c)].cell.split(".")[1])
    for kind, members in groups.items():
        if kind == "lb":
            back = case.scene.macs("lb") | case.senders_to_servers()
            past = [c for c in members if not c.answer_to & back]
            members = [c for c in members if c.answer_to & back]
            if past:
                yield from diagnoses(case, [_past_the_balancer(case, past)], cells)
            if not members:
                continue
            told = _not_forwarded(case, members)
        elif case.direct:
            told = _filtered(case, members)
        else:
            continue
        yield from diagnoses(case, [told], cells)


def _past_the_balancer(case: Case, members: list[Connection]) -> Told:
    claims, routers = case.scene.claims, case.scene.macs("router")
    codes: tuple[str, ...] = ("NAT201", "NAT202")
    if all(any((c.client >> 16, mac) in claims for mac in c.answer_to) for c in members):
        codes = ("NAT202",)
    elif all(c.answer_to <= routers for c in members):
        codes = ("NAT201",)
    return Told(
        codes,
        "answer[s|] clients past the load balancer: the frames go to another MAC than its",
        in_order(case, names(case.server_of(c) for c in members)),
        members,
        {"NAT214": "the answers are not sent to the load balancer"},
        "ip route get CLIENT on the server",
        expected="the answer at the load balancer",
    )


def _not_forwarded(case: Case, members: list[Connection]) -> Told:
    lbs = names(case.scene.role("lb"))
    return Told(
        ("NAT214",),
        f"{balancer(case)} gets the servers' answers on its inside and does not send them on to the clients:"
        " ip_forward is off, a FORWARD rule drops them, or rp_filter is strict inside",
        lbs,
        members,
        {"NAT201": "the answers do come to the load balancer's MAC"},
        "sysctl net.ipv4.ip_forward and net.ipv4.conf.all.rp_filter, nft list ruleset on the load balancer",
        whole=True,
        expected="the answer outside",
    )


def _filtered(case: Case, members: list[Connection]) -> Told:
    routers = names(case.scene.role("router"))
    others = case.replies_pass({c_point.tap for c in members for c_point in c.answer_at}, "udp", "icmp", "icmpv6")
    where = spoken(routers) or "a router or firewall"
    codes = ("DSR309",) if others else ("DSR309", "DSR310")
    if case.mode == "l3dsr-dscp" and not case.sees_replies(members):
        return Told(
            (*codes, "DSC505", "DSC506", "DSC507"),
            "servers answer and the client goes on asking: the answers are lost on their way back, or come from"
            " another VIP than the one that was asked",
            (),
            members,
            settle="a tap on the clients' side shows whether answers arrive, and from which address",
            whole=True,
            expected="the answer at the client",
        )
    return Told(
        codes,
        f"servers answer in the VIP's name and the client never gets it: {where} on the way back drops the answers, as"
        " a stateful firewall does that saw no request" + ("" if others else ", or a filter against forged sources"),
        routers,
        members,
        {"DSR310": "UDP or ICMP replies from the VIP do pass"} if others else {},
        "state and uRPF/anti-spoofing counters of that device"
        + ("" if others else "; a UDP or ping reply from the VIP that passes speaks for a stateful firewall"),
        whole=True,
        expected="the answer at the client",
    )

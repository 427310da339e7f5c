"""DSCP mode, and servers that answer from their own address: what became of the mark that stands for the VIP."""

from __future__ import annotations

from dataclasses import field
from typing import Final

from dsrkit.classes import dataclass
from dsrkit.diagnose.case import Case
from dsrkit.diagnose.pictures.common import agreeing, names, spoken
from dsrkit.diagnose.pictures.marks import known_tags, remarking
from dsrkit.model.dscp import dscp_text
from dsrkit.verify.connections import Connection, WrongAnswer
from dsrkit.verify.frames import TCP
from dsrkit.verify.scene import Party

NOT_MARKED: Final = ("DSC504", "DSC515", "DSC517")
MARK_CELLS: Final = (".lb.ip.dsfield.dscp", ".lb.ip.dsfield.ecn")


@dataclass(slots=True)
class Found:
    """One cause, at the servers that show it; `who` are to mend it, and the subject of `what` (see `agreeing`) unless
    that is a whole sentence."""

    codes: tuple[str, ...]
    what: str
    who: list[str]
    servers: list[Party] = field(default_factory=list)
    answers: list[WrongAnswer] = field(default_factory=list)
    refused: list[Connection] = field(default_factory=list)
    ruled_out: dict[str, str] = field(default_factory=dict)
    settle: str = ""
    cells: tuple[str, ...] = ()
    whole: bool = False


@dataclass(slots=True)
class _Marks:
    """TOS octets of first packets for one server: before the load balancer (of the whole service), behind it, and as
    they come to the server."""

    before: set[int] = field(default_factory=set)
    out: set[int] = field(default_factory=set)
    arriving: set[int] = field(default_factory=set)


def _marks(case: Case, server: Party) -> _Marks:
    scene = case.scene
    out = _Marks()
    for place in case.evidence.facts.requests.asked:
        if place.dst in scene.vips:
            out.before.add(place.tos)
        elif place.dst in server.ips and place.eth_src in scene.macs("lb"):
            out.out.add(place.tos)
            if place.eth_dst in server.macs:
                out.arriving.add(place.tos)
        elif place.dst in server.ips:
            out.arriving.add(place.tos)
    return out


def by_marks(case: Case, server: Party, answers: list[WrongAnswer]) -> Found:
    """The mark behind the load balancer and at the server decides."""
    marks = _marks(case, server)
    sent, came = {t >> 2 for t in marks.out}, {t >> 2 for t in marks.arriving}
    lbs = names(case.scene.role("lb"))
    routers = list(names(case.scene.role("router")))
    if sent:
        unmarked = _unmarked(case, marks, list(lbs))
        if unmarked is not None:
            return unmarked
    if sent - {0} and came and not came & sent:
        return _changed_on_the_way(case, server, sent, came, routers)
    if came - {0} and (not sent or came & sent):
        return _intact(case, server, came, bool(sent))
    if came and not sent:
        return Found(
            ("DSC502", "DSC517", "DSC515"),
            "get[s|] requests without a mark and answer[s|] from [its|their] own address",
            [server.name],
            settle="a tap at the load balancer shows whether it marks them",
        )
    rule = _rule_codes(case, server)
    return Found(
        ("DSC502", *rule, "DSC503") if "DSC505" not in rule else (*rule, "DSC502", "DSC503"),
        f"answer[s|] from [its|their] own address; the load balancer marks its requests with DSCP {spoken_marks(sent)}",
        [server.name],
        ruled_out={"DSC517": "the mark is there behind the load balancer"} if sent else {},
        settle="a tap at the server shows whether the mark arrives",
    )


def spoken_marks(marks: set[int]) -> str:
    return spoken(dscp_text(m) for m in sorted(marks)) if marks else "that no tap shows"


def not_marked(case: Case, server: Party) -> Found | None:
    """The load balancer's own mistake, where its output is seen: no mark, or not the one that is meant."""
    marks = _marks(case, server)
    return _unmarked(case, marks, list(names(case.scene.role("lb")))) if marks.out else None


def _unmarked(case: Case, marks: _Marks, lbs: list[str]) -> Found | None:
    """The load balancer replaces the destination and writes no mark, or not the one that is meant."""
    who = spoken(lbs) or "the load balancer"
    ecn = any(v.failed and v.cell.endswith(".lb.ip.dsfield.ecn") for v in case.verdicts)
    cells = MARK_CELLS
    if ecn and all(t & 3 for t in marks.out):
        tag = next(iter(marks.out))
        return Found(
            ("DSC504",),
            f"{who} writes its tag as the whole TOS octet: {tag:#04x} on the wire is DSCP {tag >> 2} and ECN"
            f" {tag & 3}. As a code point, {tag} is TOS {tag << 2 & 0xFF:#04x}",
            lbs,
            cells=cells,
            whole=True,
            ruled_out={"DSC502": "the mark is wrong already behind the load balancer"},
        )
    if any(t >> 2 for t in marks.out) and not (marks.before and marks.out <= marks.before):
        return None
    if any(not t >> 2 for t in marks.before) and all(t >> 2 for t in marks.out):
        return None  # requests that come without a mark leave with one
    if marks.out - marks.before or not marks.before or not any(t >> 2 for t in marks.before):
        cleared = bool(marks.before and any(t >> 2 for t in marks.before))
        if any(t >> 2 for t in marks.out):
            return None
        codes = ("DSC515",) if cleared else ("DSC517", "DSC515")
        what = "clears the DSCP of requests and writes no tag" if cleared else "sends requests on without a tag"
    elif any(t >> 2 for t in marks.before) and not any(t >> 2 for t in marks.out):
        codes, what = ("DSC515",), "clears the DSCP of requests and writes no tag"
    elif {t >> 2 for t in marks.out} <= known_tags(case).keys():
        return None  # it writes the same mark elsewhere
    else:
        codes, what = ("DSC517",), "sends requests on with the DSCP that the client gave them: it writes no tag"
    ruled = {"DSC502": "the mark is missing already behind the load balancer", "DSC510": "no tag arrives at the server"}
    return Found(codes, f"{who} {what}", lbs, ruled_out=ruled, cells=cells, whole=True)


def left_by_clients(case: Case, members: list[Connection]) -> Found | None:
    """Requests for a VIP without a tag that come with another VIP's tag and leave with it."""
    tags = known_tags(case)
    meant = {a for c in members for known, _ in c.asked.values() for a in known & case.scene.vips}
    before = {p.tos >> 2 for p in case.evidence.facts.requests.asked if p.dst in meant}
    others = set[int]().union(*(vips for tag, vips in tags.items() if tag in before))
    if not before or not before <= tags.keys() or any(vips & meant for vips in tags.values()):
        return None
    text = case.scene.address
    lbs = names(case.scene.role("lb"))
    return Found(
        ("DSC507",),
        f"{spoken(lbs) or 'the load balancer'} leaves the DSCP of clients as it is in requests for"
        f" {spoken(sorted(map(text, meant)))}, which has no tag: {spoken_marks(before)} means"
        f" {spoken(sorted(map(text, others)))} to the servers, and clients get no answer that they know",
        list(lbs),
        whole=True,
    )


def _changed_on_the_way(case: Case, server: Party, sent: set[int], came: set[int], routers: list[str]) -> Found:
    gone = came == {0}
    what = agreeing("clear[s|]" if gone else "change[s|]", len(routers) or 1)
    how = "" if gone else remarking({m for m in sent if m}, came)
    where = spoken(routers) or "a router behind the load balancer"
    return Found(
        ("DSC502",) if gone else ("DSC503",),
        f"{where} {what} the mark between load balancer and servers: DSCP {spoken_marks(sent)} behind the load"
        f" balancer, {spoken_marks(came)} at {server.name}{f' ({how})' if how else ''}, so servers answer from their"
        " own addresses",
        routers,
        ruled_out={
            "DSC510": "the tag does not arrive",
            "DSC517": "the load balancer does write the tag",
            "NAT201": "the requests are marked",
        },
        cells=(".router.ip.dsfield.dscp", ".router.ip.dsfield.ecn"),
        whole=True,
    )


def _intact(case: Case, server: Party, came: set[int], proven: bool) -> Found:
    codes = _rule_codes(case, server)
    rule = "no rule that turns the tagged packets' destination into the VIP"
    why = {
        ("DSC510", "DSC501"): f"{rule}",
        ("DSC510", "DSC501", "DSC505"): f"{rule}, or one that waits for another tag than at the other servers",
    }.get(codes, f"[its|their] rule waits for another tag, or there is {rule}")
    if not proven:
        codes = (*codes, "DSC503")
    if not proven and all(t & 3 for t in _marks(case, server).arriving):
        codes = (*codes, "DSC504")
    ruled = {"DSC502": "the mark is there when the request reaches the server"}
    if proven:
        ruled["DSC503"] = "it is the mark that the load balancer wrote"
        ruled["DSC517"] = "the load balancer does write the tag"
    return Found(
        codes,
        f"get[s|] requests with DSCP {spoken_marks(came)} and answer[s|] from [its|their] own address: {why}, or"
        " it is a stateful DNAT, which puts the real address back into every reply",
        [server.name],
        ruled_out=ruled,
        settle="nft list ruleset or iptables-save -t raw on the server: is there a stateless rule for this DSCP?",
        cells=(),
    )


def _rule_codes(case: Case, server: Party) -> tuple[str, ...]:
    """What is wrong with the rule of a server that gets its tag and answers from its own address. A tag that works
    elsewhere is in the map of tags; one of this server's own may have been mixed up."""
    if _all_alike(case):
        return ("DSC510", "DSC501")
    tags = _tags(case, server)
    elsewhere = [_tags(case, p) for p in case.servers() if p is not server and case.served_by(p)]
    if tags and any(tags <= others for others in elsewhere):
        return ("DSC510", "DSC501", "DSC505")
    return ("DSC505", "DSC510", "DSC501")


def _tags(case: Case, server: Party) -> set[int]:
    marks = _marks(case, server)
    return {tos >> 2 for tos in marks.out or marks.arriving} - {0}


def _all_alike(case: Case) -> bool:
    """Whether every server that answers does so from its own address."""
    wrong = {server_of_answer(case, w) for w in case.wrong_answers() if w.source not in case.scene.vips}
    return all(i in wrong for i, p in enumerate(case.servers()) if case.served_by(p)) and len(wrong) > 1


def server_of_answer(case: Case, w: WrongAnswer) -> int:
    """Which server (its index) gave an answer: by its address or MAC, or as the one that was asked."""
    servers = case.servers()
    by_ip = [i for i, p in enumerate(servers) if w.source in p.ips]
    by_mac = [i for i, p in enumerate(servers) if w.sender in p.macs]
    asked = [w.server] if case.mode == "l3dsr-dscp" and w.proto == TCP else []
    return next(iter(by_ip or by_mac or asked), -1)

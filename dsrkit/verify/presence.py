"""Presence cells: packets that must be there, must not be there, or must be answered.

Loss, retransmission and reordering are normal and accuse nobody. A request is called unanswered only if its sender had
to repeat it and no tap holds an answer; a packet is called swallowed only if an ICMP error says so, or if copies of it
die where chance does not explain it; and shares decide, not single connections.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import field
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.model.names import DIRECT_RETURN, REWRITES
from dsrkit.tables import tables
from dsrkit.tables.nodes import cell_id
from dsrkit.verify.arrays import among, distinct
from dsrkit.verify.connections import COPIES, Connection, Connections, Group, too_big
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import REPLY, REQUEST, TCP, UDP, Frames, Ints, Mask, mix
from dsrkit.verify.journeys import PLAIN, REWRITTEN, Joiner, Journeys, Way, resegmented
from dsrkit.verify.scene import Scene, TapInfo
from dsrkit.verify.verdicts import MOST_FRAMES, Frame, Point, Verdict
from dsrkit.wire import layout
from dsrkit.wire.address import mac_text

_SHARE_REFUSED: Final = 0.05
_SHARE_SILENT: Final = 0.2
_SHARE_SILENT_DATAGRAMS: Final = 0.7
_RARE: Final = 0.01
_MOST_LOST: Final = 50_000
_MOST_KEPT: Final = 1000
"""Failed connections that a verdict keeps for who asks why; its counts are complete."""
_ONE_QUESTION_NS: Final = 200_000_000
_ONE_MOMENT_NS: Final = 1_000_000_000
_NO_NEIGHBOUR: Final = ((4, 3, 1), (6, 1, 3))
_EVERYWHERE: Final = "all taps"


@dataclass(slots=True)
class _Lost:
    """Segments that went in at one point and have not come out at the next."""

    copies: Counter[int] = field(default_factory=Counter)
    first: dict[int, Frame] = field(default_factory=dict)
    arrived: int = 0
    same_link: bool = False
    by_chance: int = 0  # lost, but sent again with success, or nothing that is sent again
    told: list[Frame] = field(default_factory=list)
    told_count: int = 0


@dataclass(slots=True)
class _Frames:
    """Counted frames with examples."""

    count: int = 0
    frames: list[Frame] = field(default_factory=list)
    ends: Counter[int] = field(default_factory=Counter)  # MACs at the frames' two ends


@dataclass(slots=True)
class _Question:
    """One ARP question: who answered it."""

    address: int
    since: int
    macs: set[int] = field(default_factory=set)
    frames: list[Frame] = field(default_factory=list)


@dataclass(slots=True)
class Presence:
    """Collects presence evidence batch by batch; `verdicts` judges it at the end."""

    scene: Scene
    taps: list[TapInfo]
    joiner: Joiner
    connections: Connections = field(init=False)
    _lost: dict[tuple[int, int], _Lost] = field(default_factory=lambda: defaultdict(_Lost))
    _ends: dict[tuple[int, int], tuple[Point, Point]] = field(default_factory=dict)
    _order: list[Point] = field(default_factory=list)
    _replies: int = 0
    _replies_to_lb: _Frames = field(default_factory=_Frames)
    _to_lb: Counter[int] = field(default_factory=Counter)  # sender's MAC -> frames for the VIP that it gave the LB
    _lb_in: set[int] = field(default_factory=set)  # taps that show requests on their way to the load balancer
    _lb_out: set[int] = field(default_factory=set)  # and those that show what it sends on
    _past_lb: dict[int, _Frames] = field(default_factory=lambda: defaultdict(_Frames))
    _claims: _Frames = field(default_factory=_Frames)
    _questions: list[_Question] = field(default_factory=list)
    _open: dict[tuple[int, int, int], _Question] = field(default_factory=dict)
    _sought: set[tuple[int, int]] = field(default_factory=set)  # (asking MAC, address): neighbours that were asked for
    _too_big: tuple[set[int], set[int]] = field(default_factory=lambda: (set(), set()))

    def __post_init__(self) -> None:
        self.connections = Connections(self.scene, self.joiner)

    def feed(self, f: Frames, flows: Flows, journeys: Journeys, leaving: Mask) -> None:
        """Take in one batch: settled journeys, and the rows that will not be seen again."""
        self.connections.feed(f, flows, journeys, leaving)
        self._learn_sizes(f)
        for way in journeys.ways.values():
            self._appearances(f, flows, way)
        if self.scene.mode in DIRECT_RETURN:
            self._replies_at(f, flows, leaving)
            self._frames_for_vip(f, flows, leaving)
            self._claims_by_servers(f, leaving)
        self._owners(f, flows, leaving)
        self._neighbours(f, leaving)

    def weigh(self, f: Frames, flows: Flows, journeys: Journeys) -> None:
        """Count journeys that each stand for many (`Frames.weight`) and that nothing is wrong with."""
        every = np.ones(f.n, bool)
        for way in journeys.ways.values():
            self._appearances(f, flows, way)
        if self.scene.mode in DIRECT_RETURN:
            self._replies_at(f, flows, every)
            self._frames_for_vip(f, flows, every)

    def verdicts(self) -> list[Verdict]:
        """All presence cells."""
        out = []
        unanswered = self.connections.finish()
        if self.scene.mode in REWRITES:
            # Without a load balancer in sight a refused connection is nobody's fault that we could name.
            out += self._answered(unanswered)
            out += self._unheard()
        out += self._answered_by_vip()
        out += self._appears()
        out += self._link_verdicts()
        promised = {name for mode in (self._mode, None) for name, _, _ in tables(mode).presence()}
        return [v for v in out if v.cell in promised]

    @property
    def _mode(self) -> str | None:
        return self.scene.mode if self.scene.mode in REWRITES else None

    def _cell(self, node: str, direction: str, name: str) -> str:
        return cell_id(self._mode or "path", node, direction, name)

    # --- answered -------------------------------------------------------------------------------------------------

    def _answered(self, unanswered: list[Connection]) -> list[Verdict]:
        c = self.connections
        self._order = self.joiner.points(REQUEST)
        groups: dict[Group, list[Connection]] = defaultdict(list)
        for connection in unanswered:
            groups[connection.group].append(connection)
        served = {(proto, port) for (_, proto, port), n in c.answered.items() if n}
        sizes: Counter[tuple[int, int]] = Counter()
        for group in {**groups, **c.answered, **c.unknown}:
            sizes[group[1:]] += len(groups.get(group, ())) + c.answered[group] + c.unknown[group]
        out: dict[tuple[str, str], Verdict] = {}
        for group in {**groups, **c.answered}:
            refused = [x for x in groups[group] if x.refusal is not None]
            if group[1:] in served:
                refused = self._but_passing(refused)
            silent = [x for x in groups[group] if x.refusal is None and self._silent(x, served)]
            answered = c.answered[group]
            judged = len(refused) + len(silent) + answered
            if not judged:
                continue
            # Those whose server is not known are a share of the whole service.
            among = max(judged, sizes[group[1:]]) if group[0] < 0 else judged
            guilty = refused if len(refused) >= max(1.0, _SHARE_REFUSED * among) else []
            # Connections that a one-way tap shows without an answer were not repeated, so they had one. Those whose
            # server is not known are a share of the whole service.
            members = len(groups[group]) + answered + c.unknown[group]
            if group[0] < 0:
                members = sizes[group[1:]]
            kin = [x for g, xs in groups.items() if g[1:] == group[1:] and g != group for x in xs if x.refusal is None]
            rate = len(kin) / max(1, sizes[group[1:]] - members)
            if len(silent) >= _SHARE_SILENT * members and (group[1] == TCP or _not_loss(silent, members, rate)):
                guilty = guilty + silent
            self._count_answers(out, group, judged - len(guilty), guilty)
        return list(out.values())

    def _but_passing(self, refused: list[Connection]) -> list[Connection]:
        """Without those for whom a machine found no neighbour once only, one that answers at other times.

        Three lost questions make an ICMP error for all that waited. Source: Linux neigh_timer_handler, mcast_solicit.
        """
        lost = [x for x in refused if x.refusal is not None and x.refusal.icmp in _NO_NEIGHBOUR]
        errors = [x.refusal for x in lost if x.refusal is not None]
        if not errors or max(r.when for r in errors) - min(r.when for r in errors) > _ONE_MOMENT_NS:
            return refused
        parties = [self.scene.party_of_mac(r.sender) for r in errors]
        macs = {r.sender for r in errors}.union(*(p.macs for p in parties if p is not None))
        sought = {address for mac, address in self._sought if mac in macs}
        found = {address for address, _ in self.scene.claims}
        passing = sought <= found if sought else len(lost) == 1
        return [x for x in refused if x not in lost] if passing else refused

    def _count_answers(
        self, out: dict[tuple[str, str], Verdict], group: Group, good: int, guilty: list[Connection]
    ) -> None:
        parties = self.scene.role("real-server")
        name = parties[group[0]].name if 0 <= group[0] < len(parties) else None
        answered = self._cell("real-server", "request", "answered")
        if good:
            self._verdict(out, answered, name or _EVERYWHERE).checked += good
        places: dict[tuple[str, str, Point | None, Point | None], list[Connection]] = defaultdict(list)
        for connection in guilty:
            places[self._place(connection)].append(connection)
        for (cell, place, source, target), failed in places.items():
            verdict = self._verdict(out, cell, place, source, target)
            verdict.checked += len(failed)
            verdict.failed += len(failed)
            verdict.connections += failed[: _MOST_KEPT - len(verdict.connections)]
            at_lb = cell.endswith(".lb.appears")
            verdict.blame([p.name for p in self.scene.role("lb")] if at_lb else [name] if name else [])
            for x in failed[:MOST_FRAMES]:
                verdict.show([*([x.last[1]] if x.last else []), *([x.refusal.frame] if x.refusal else [])])
            first = failed[0]
            silence = f"no answer to {first.copies} transmissions" if first.proto == TCP else "no answer"
            verdict.actual = verdict.actual or (first.refusal.text if first.refusal else silence)
            if verdict.tap is None and verdict.frames:
                verdict.tap = verdict.frames[0][0]

    def _verdict(
        self,
        out: dict[tuple[str, str], Verdict],
        cell: str,
        place: str,
        source: Point | None = None,
        target: Point | None = None,
    ) -> Verdict:
        key = (cell, place or f"{id(source)}-{id(target)}")
        if key not in out:
            out[key] = Verdict(
                cell, cell.rsplit(".", 1)[-1], REQUEST, source=source, target=target, place=place, expected="an answer"
            )
        return out[key]

    def _silent(self, x: Connection, served: set[tuple[int, int]]) -> bool:
        if x.proto == TCP:
            # A client that repeats its SYN says itself that nothing came back.
            seen = any((TCP, tap) in self.connections.two_way for tap in x.asked)
            # Where one copy came further than all others, they were not lost in one place.
            return (x.copies >= COPIES and not x.came_once) or (x.copies == 2 and seen)
        return (UDP, x.port) in served and any((UDP, tap) in self.connections.two_way for tap in x.asked)

    def _place(self, x: Connection) -> tuple[str, str, Point | None, Point | None]:
        """Where an unanswered request was last seen, and whose cell that makes it."""
        answered = self._cell("real-server", "request", "answered")
        order = self._order
        reached = [i for i, p in enumerate(order) if p in x.reached]
        if not reached:
            return answered, _EVERYWHERE, None, None
        last = order[reached[-1]]
        later = order[reached[-1] + 1 :]
        onward = [p for p in later if self.joiner.leads(p, x.server, x.proto)] if x.server >= 0 else []
        parties = self.scene.role("real-server")
        at_server = x.server >= 0 and self.taps[last.tap].node == parties[x.server].name
        if not at_server and x.server < 0 and last.form == PLAIN:
            onward = [p for p in later if p.form == REWRITTEN or self.joiner.all_pass(REQUEST, p, x.proto)][:1]
        if at_server or not onward:
            return answered, last.name or self.taps[last.tap].name, None, None
        kind = "lb" if last.form != onward[0].form else "router"
        return self._cell(kind, "request", "appears"), "", last, onward[0]

    def _unheard(self) -> list[Verdict]:
        """Answers that a server gave and the client never got: it went on asking."""
        groups: dict[Group, list[Connection]] = defaultdict(list)
        for x in self.connections.unheard:
            if x.answer_at:
                groups[x.group].append(x)
        out: dict[tuple[str, str], Verdict] = {}
        order = self.joiner.points(REPLY)
        for group, members in groups.items():
            among = self.connections.answered[group]
            if len(members) < max(2.0, _SHARE_SILENT * among) and among > 1:
                continue
            for x in members:
                last = order[max(order.index(p) for p in x.answer_at)]
                inside = last.form == REWRITTEN and self.scene.mode in ("nat", "fullnat")
                kind = "lb" if inside else "router"
                verdict = self._verdict(out, self._cell(kind, "reply", "appears"), f"{last.name}→")
                verdict.direction = REPLY
                verdict.failed += 1
                verdict.checked += 1
                verdict.blame(p.name for p in self.scene.role("lb") if inside)
                verdict.connections.append(x)
                verdict.expected, verdict.actual = (
                    "the same packet there",
                    "the client repeats its SYN, though a server answered",
                )
                verdict.show([x.last[1]] if x.last else [])
                verdict.tap = last.tap
        return list(out.values())

    def _answered_by_vip(self) -> list[Verdict]:
        c = self.connections
        out = []
        cell = self._cell("real-server" if self._mode else "server", "request", "answered-by-vip")
        for tap, judged in c.judged_answers.items():
            wrong = c.wrong.get(tap, [])
            count = c.wrong_count[tap]
            if self._mode is None:
                # Only the client's own refusal then proves that the answer was wrong.
                wrong = [w for w in wrong if (w.client, w.endpoint) in c.resets]
                judged = count = len(wrong)
            if not judged:
                continue
            verdict = Verdict(cell, "ip.src", REQUEST, place=self.taps[tap].name, tap=tap, checked=judged, failed=count)
            for w in wrong:
                party = self.scene.party_of_ip(w.source) or self.scene.party_of_mac(w.sender)
                if party is not None and party.role == "real-server":
                    verdict.blame([party.name])
                verdict.show([w.asked, w.answer])
            if wrong:
                text = self.scene.address
                verdict.expected = " or ".join(sorted(text(a) for a in wrong[0].right))
                verdict.actual = text(wrong[0].source)
                verdict.wireshark = "ip.src"
            out.append(verdict)
        return out

    # --- appears --------------------------------------------------------------------------------------------------

    def _appearances(self, f: Frames, flows: Flows, way: Way) -> None:
        """Count for every two neighbouring points what came out, and remember what did not."""
        n = len(way.points)
        through = self.joiner.passes(way).T
        for i in range(n):
            here = way.rows[:, i] >= 0
            skipped = np.zeros(len(way.rows), bool)
            for j in range(i + 1, min(way.reach(i), n)):
                if not self.joiner.together(way.points[i], way.points[j]):
                    skipped |= through[j]
                    continue
                between = (way.rows[:, i + 1 : j] >= 0).any(axis=1)
                there = way.rows[:, j] >= 0
                # A packet lost further on counts once, at the first hop that lost it.
                due = here & through[j] & ~between & (there | ~skipped)
                if (due & ~there).any():
                    due &= there | ~resegmented(f, flows, way, i, j)
                skipped |= through[j]
                if due.any():
                    key = (id(way.points[i]), id(way.points[j]))
                    self._ends[key] = (way.points[i], way.points[j])
                    loss = self._lost[key]
                    both = np.flatnonzero(due & there)[:1]
                    if len(both):
                        a, b = int(way.rows[both[0], i]), int(way.rows[both[0], j])
                        loss.same_link = bool(f.eth_src[a] == f.eth_src[b] and f.wire_ttl[a] == f.wire_ttl[b])
                    self._account(f, way, loss, way.rows[due & there, i], way.rows[due & ~there, i])

    def _account(self, f: Frames, way: Way, loss: _Lost, arrived: Ints, gone: Ints) -> None:
        loss.arrived += f.count(arrived)
        whole = arrived[f.payload_len[arrived] > 0]  # a bare ACK has the number of the segment behind it
        got = distinct(mix(f.source[whole], f.seq[whole])) if len(whole) else np.zeros(0, np.uint64)
        for key in set(got.tolist()) & loss.copies.keys():
            loss.by_chance += loss.copies.pop(key)
            loss.first.pop(key, None)
        if not len(gone):
            return
        if way.direction == REQUEST and self._mode is not None:
            told = gone[self._told(f, gone)]
            loss.told_count += len(told)
            loss.told += [f.ref(r) for r in told[:MOST_FRAMES]]
        data = gone[f.is_tcp[gone] & (f.payload_len[gone] > 0)]
        keys = mix(f.source[data], f.seq[data]) if len(data) else np.zeros(0, np.uint64)
        open_ = ~among(keys, got)
        loss.by_chance += len(gone) - int(open_.sum())
        for key, row in zip(keys[open_].tolist(), data[open_].tolist(), strict=True):
            loss.copies[key] += 1
            loss.first.setdefault(key, f.ref(row))
        while len(loss.copies) > _MOST_LOST:
            oldest = next(iter(loss.copies))
            del loss.copies[oldest]
            loss.first.pop(oldest, None)

    def _learn_sizes(self, f: Frames) -> None:
        """Remember which packets an ICMP error calls too big: by source and IP id, by source and sequence number."""
        rows = np.asarray([r for r in np.flatnonzero(f.is_error).tolist() if too_big(f, r)], np.int64)
        if len(rows):
            inner = f.has(layout.HAS_QUOTE_INNER)[rows]
            ident = np.where(inner, f.rec["qi_id"][rows], f.rec["q_id"][rows]).astype(np.int64)
            self._too_big[0].update(mix(f.quoted_src[rows], ident).tolist())
            self._too_big[1].update(mix(f.quoted_src[rows], f.field("q_seq")[rows]).tolist())
        for known in self._too_big:
            if len(known) > _MOST_LOST:
                known.clear()

    def _told(self, f: Frames, rows: Ints) -> Mask:
        """Rows that an ICMP error calls too big."""
        by_id, by_seq = (np.asarray(sorted(known), np.uint64) for known in self._too_big)
        v4 = (f.ver[rows] == 4) & (f.ip_id[rows] != 0)
        hit = v4 & among(mix(f.src[rows], f.ip_id[rows]), by_id)
        hit |= ~v4 & (f.proto[rows] == TCP) & among(mix(f.src[rows], f.seq[rows]), by_seq)
        return np.asarray(hit & (f.payload_len[rows] > 0), bool)

    def _appears(self) -> list[Verdict]:
        """What was seen at one point and belongs to the next one is there, up to what loss explains."""
        out = []
        for key, loss in self._lost.items():
            source, target = self._ends[key]
            if not loss.arrived:
                continue
            kind = "lb" if source.form != target.form else "bridge" if loss.same_link else "router"
            verdict = Verdict(
                self._cell(kind, "request" if source.direction == REQUEST else "reply", "appears"),
                "appears",
                source.direction,
                "warning",
                source,
                target,
                nodes=tuple(p.name for p in self.scene.role(kind)),
                tap=source.tap,
                checked=loss.arrived,
                expected="the same packet there",
            )
            victims = _improbable(loss)
            if loss.told_count or victims:
                verdict.failed = max(loss.told_count, sum(loss.copies[k] for k in victims))
                verdict.checked += verdict.failed
                said = "ICMP says that it is too big for the next link"
                verdict.actual = said if loss.told_count else "every copy is lost"
                verdict.show([*loss.told, *(loss.first[k] for k in victims)])
            out.append(verdict)
        return out

    # --- where frames must not go ---------------------------------------------------------------------------------

    def misdirected(self, f: Frames, flows: Flows) -> Mask:
        """Packets in frames that should have gone elsewhere, in direct server return."""
        if self.scene.mode not in DIRECT_RETURN:
            return np.zeros(f.n, bool)
        every = np.ones(f.n, bool)
        lb, servers = self._lb(), self._servers()
        back = self._direct_replies(f, flows, every) & among(f.eth_dst, lb)
        return np.asarray(back | (self._to_vip(f, flows, every) & among(f.eth_dst, servers)), bool)

    def _lb(self) -> list[int]:
        return list(self.scene.macs("lb") - {0})

    def _servers(self) -> list[int]:
        return list(self.scene.macs("real-server") - self.scene.macs("lb") - {0})

    def _direct_replies(self, f: Frames, flows: Flows, leaving: Mask) -> Mask:
        """Replies in the VIP's name, but for those that the load balancer itself sends."""
        scene = self.scene
        mine = leaving & (flows.direction == REPLY) & among(flows.server >> 16, list(scene.vips)) & f.has_eth_dst
        mine &= ~among(flows.client >> 16, list(scene.ips("lb") | scene.vips)) & (f.is_tcp | f.is_udp)
        return np.asarray(mine & ~among(f.eth_src, self._lb()), bool)

    def _to_vip(self, f: Frames, flows: Flows, leaving: Mask) -> Mask:
        """Requests for the VIP that neither the load balancer nor a server sends."""
        request = leaving & (flows.direction == REQUEST) & (f.tunnel == 0)
        plain = request & among(f.dst, list(self.scene.vips)) & f.has_eth_dst
        return np.asarray(plain & ~among(f.eth_src, self._lb()) & ~among(f.eth_src, self._servers()), bool)

    def _replies_at(self, f: Frames, flows: Flows, leaving: Mask) -> None:
        """Replies of direct server return that are addressed to the load balancer."""
        mine = self._direct_replies(f, flows, leaving)
        self._replies += f.count(mine)
        _count_frames(f, np.flatnonzero(mine & among(f.eth_dst, self._lb())), self._replies_to_lb)

    def _frames_for_vip(self, f: Frames, flows: Flows, leaving: Mask) -> None:
        lb = self._lb()
        sent = leaving & (flows.direction == REQUEST) & among(f.eth_src, lb)
        self._lb_out |= set(distinct(f.tap[sent]).tolist())
        plain = self._to_vip(f, flows, leaving)
        right = plain & among(f.eth_dst, lb)
        self._lb_in |= set(distinct(f.tap[right]).tolist())
        for sender in distinct(f.eth_src[right]).tolist():
            self._to_lb[sender] += f.count(right & (f.eth_src == sender))
        past = plain & among(f.eth_dst, self._servers())
        for sender in distinct(f.eth_src[past]).tolist():
            _count_frames(f, np.flatnonzero(past & (f.eth_src == sender)), self._past_lb[sender])

    def _claims_by_servers(self, f: Frames, leaving: Mask) -> None:
        servers = list(self.scene.macs("real-server") - self.scene.macs("lb"))
        rows = np.flatnonzero(f.has(layout.HAS_RES) & leaving & among(f.claimant, servers))
        if len(rows):
            spa = f.book.intern(f.rec["res_spa_hi"][rows], f.rec["res_spa_lo"][rows])
            _count_frames(f, rows[among(spa, list(self.scene.vips))], self._claims)

    def _owners(self, f: Frames, flows: Flows, leaving: Mask) -> None:
        """One question for a served address that gets answers from several MACs."""
        rows = np.flatnonzero(f.has(layout.HAS_RES) & leaving & among(f.rec["res_op"], (1, 2)))
        if not len(rows):
            return
        asks = f.rec["res_op"][rows] == 1
        spa = f.book.intern(f.rec["res_spa_hi"][rows], f.rec["res_spa_lo"][rows])
        tpa = f.book.intern(f.rec["res_tpa_hi"][rows], f.rec["res_tpa_lo"][rows])
        about = np.where(asks, tpa, spa)
        served = among(about, distinct(flows.server[flows.direction == REQUEST] >> 16))
        rows, asks, about = rows[served], asks[served], about[served]
        asker = np.where(asks, f.field("res_sha")[rows], f.field("res_tha")[rows])
        for row, ask, address, who in zip(rows.tolist(), asks.tolist(), about.tolist(), asker.tolist(), strict=True):
            place = (int(f.tap[row]), address, who)
            if ask:
                self._open.pop(place, None)  # asked again: an answer to this one is no second answer to the last
                continue
            question = self._open.get(place)
            if question is None or int(f.ts[row]) - question.since > _ONE_QUESTION_NS:
                question = self._open[place] = _Question(address, int(f.ts[row]))
                self._questions.append(question)
            question.macs.add(int(f.rec["res_sha"][row]))
            if len(question.frames) < MOST_FRAMES:
                question.frames.append(f.ref(row))
        if len(self._questions) > _MOST_LOST:
            self._questions = [q for q in self._questions if len(q.macs) > 1][:_MOST_LOST]

    def _neighbours(self, f: Frames, leaving: Mask) -> None:
        """Who asks for which address. Source: RFC 826, RFC 4861 s4.3."""
        rows = np.flatnonzero(f.has(layout.HAS_RES) & leaving & among(f.rec["res_op"], (1, 135)))
        if len(rows) and len(self._sought) < _MOST_LOST:
            tpa = f.book.intern(f.rec["res_tpa_hi"][rows], f.rec["res_tpa_lo"][rows])
            self._sought |= set(zip(f.eth_src[rows].tolist(), tpa.tolist(), strict=True))

    def _link_verdicts(self) -> list[Verdict]:
        scene = self.scene
        out = []
        if scene.mode in DIRECT_RETURN:
            if scene.macs("lb") and self._replies and self._sure_of_lb():
                absent = Verdict(
                    self._cell("lb", "reply", "absent"), "eth.dst", REPLY, place=_EVERYWHERE, checked=self._replies
                )
                absent.expected, absent.actual = "a router's MAC", "the load balancer's MAC"
                self._close(absent, self._replies_to_lb, [p.name for p in scene.role("lb")])
                out.append(absent)
            out += self._frame_to_lb()
            out += self._silent_owners()
        # Where real servers are known by their MACs, the cell above says more.
        if not scene.macs("real-server") and any(len(q.macs) > 1 for q in self._questions):
            out.append(self._several_owners())
        return out

    def _sure_of_lb(self) -> bool:
        """Whether these MACs are the load balancer's, and not those of a router around one that no tap shows."""
        macs = self.scene.macs("lb")
        owns = any((vip, mac) in self.scene.claims for vip in self.scene.vips for mac in macs)
        return owns or bool(self._lb_in & self._lb_out) or any(p.stated for p in self.scene.role("lb"))

    def _several_owners(self) -> Verdict:
        double = [q for q in self._questions if len(q.macs) > 1]
        worst = max(double, key=lambda q: len(q.macs))
        verdict = Verdict(
            "path.owner.arp-silent", "arp.src.hw_mac", REQUEST, place=_EVERYWHERE, checked=len(self._questions)
        )
        verdict.expected = "one MAC"
        verdict.actual = f"{len(worst.macs)} answer one question for {self.scene.address(worst.address)}: " + ", ".join(
            mac_text(mac) for mac in sorted(worst.macs)
        )
        self._close(verdict, _Frames(len(double), [x for q in double for x in q.frames]), [])
        return verdict

    def _frame_to_lb(self) -> list[Verdict]:
        """A frame for the VIP goes to the load balancer, not past it to a server.

        Who hands frames to a server may be a second load balancer that no tap shows: only a stated router, or a machine
        that gives the load balancer its frames at other times, can be said to go past it.
        """
        scene = self.scene
        routers = set(self._to_lb).union(*(p.macs for p in scene.role("router") if p.stated))
        past = _Frames()
        for sender, seen in self._past_lb.items():
            if sender in routers:
                past.count += seen.count
                past.frames += seen.frames
                past.ends.update(seen.ends)
        right = sum(self._to_lb.values())
        if not scene.macs("lb") or not (right or past.count):
            return []
        verdict = Verdict(
            self._cell("router", "request", "vip-frame-to-lb"),
            "eth.dst",
            REQUEST,
            place=_EVERYWHERE,
            checked=right + past.count,
        )
        verdict.expected, verdict.actual = "the load balancer's MAC", "a real server's MAC"
        self._close(verdict, past, [])
        return [verdict]

    def _silent_owners(self) -> list[Verdict]:
        """Real servers own the VIP silently: they neither answer for it nor ask in its name."""
        scene = self.scene
        claims = {mac: how for (ip, mac), how in scene.claims.items() if ip in scene.vips}
        if not claims:
            return []
        loud = {m: how for m, how in claims.items() if m in scene.macs("real-server") - scene.macs("lb")}
        verdict = Verdict(
            self._cell("real-server", "request", "arp-silent"),
            "arp.src.proto_ipv4",
            REQUEST,
            place=_EVERYWHERE,
            checked=sum(sum(how.values()) for how in claims.values()),
            expected="the load balancer alone",
        )
        names = list(dict.fromkeys(p.name for m in loud if (p := scene.party_of_mac(m)) is not None))
        kinds = sorted({k for how in loud.values() for k in how})
        verdict.actual = f"{', '.join(names)} {' and '.join(kinds)} for the VIP"
        self._close(verdict, self._claims, names)
        verdict.failed = sum(sum(how.values()) for how in loud.values())
        return [verdict]

    def _close(self, verdict: Verdict, seen: _Frames, otherwise: list[str]) -> None:
        """Put counted frames into a verdict, and blame the real servers at their ends."""
        verdict.failed = seen.count
        if not seen.count:
            verdict.expected = verdict.actual = ""
            return
        verdict.show(seen.frames)
        verdict.tap = seen.frames[0][0]
        verdict.wireshark = verdict.field
        parties = [self.scene.party_of_mac(mac) for mac in seen.ends]
        servers = sorted({p.name for p in parties if p is not None and p.role == "real-server"})
        verdict.blame(servers or otherwise)


def _count_frames(f: Frames, rows: Ints, into: _Frames) -> None:
    into.count += len(rows)
    room = MOST_FRAMES - len(into.frames)
    into.frames += [f.ref(r) for r in rows[: max(room, 0)]]
    for macs in (f.eth_src[rows], f.eth_dst[rows]):
        into.ends.update({int(m): 1 for m in distinct(macs)})


def _not_loss(silent: list[Connection], members: int, elsewhere: float) -> bool:
    """Whether unanswered datagrams are more than loss on a path that leaves this share unanswered elsewhere.

    Nobody repeats a datagram: a few per cent of loss at each hop there and back leave many of them unanswered.
    """
    sent = sum(x.copies for x in silent)
    most = len(silent) >= _SHARE_SILENT_DATAGRAMS * members
    return (
        most and sent >= COPIES and (elsewhere >= _SHARE_SILENT_DATAGRAMS or max(elsewhere, 0.05) ** sent < _RARE / 2)
    )


def _improbable(loss: _Lost) -> list[int]:
    """Segments of which every copy was lost, so often that chance does not explain it."""
    most = max(loss.copies.values(), default=0)
    if most < COPIES:
        return []
    sent = loss.arrived + loss.by_chance
    rate = max(1, loss.by_chance) / max(1, sent)
    for enough in range(COPIES, most + 1):
        if sent * rate**enough < _RARE:
            return [key for key, n in loss.copies.items() if n >= enough]
    victims = [key for key, n in loss.copies.items() if n >= COPIES]
    chance = sent * rate**COPIES
    return victims if len(victims) > chance + 6 * chance**0.5 + 3 else []

"""Presence cells: packets that must be there, must not be there, or must be answered.

Loss, retransmission and reordering are normal and accuse nobody. A request is called unanswered only if its sender had
to repeat it and no tap holds an answer; a packet is called swallowed only if an ICMP error says so, or if copies of it
die where chance does not explain it; and shares decide, not single connections.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from dsrkit.tables import tables
from dsrkit.tables.nodes import cell_id
from dsrkit.verify.cells import Verdict
from dsrkit.verify.flows import Flows, is_syn, is_synack
from dsrkit.verify.frames import ACK, RST, TCP, UDP, Frames, Ints, Mask, mix
from dsrkit.verify.journeys import PLAIN, REPLY, REQUEST, REWRITTEN, Journeys
from dsrkit.verify.scene import DIRECT_RETURN, HEADER_MODES, Scene, TapInfo
from dsrkit.wire import layout

_MOST_FRAMES: Final = 10
_SHARE_REFUSED: Final = 0.05
_SHARE_SILENT: Final = 0.2
_COPIES: Final = 3
"""So many transmissions of one segment, all lost at one hop, are no accident on a path that loses a few per cent."""
_RARE: Final = 0.01


@dataclass(slots=True)
class Connection:
    """A TCP connection attempt (one initial sequence number), or all UDP of one client endpoint with a service."""

    proto: int
    client: int
    asked: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))  # tap -> rows of the request
    answers: list[int] = field(default_factory=list)  # rows of SYN-ACKs or UDP replies
    refusals: list[int] = field(default_factory=list)  # rows of RSTs and ICMP errors
    server: int = -1
    port: int = 0

    copies: int = 0  # transmissions: the most often that one place saw the request

    def rows(self) -> list[int]:
        return [r for rows in self.asked.values() for r in rows]


def judge_presence(f: Frames, flows: Flows, scene: Scene, taps: list[TapInfo], journeys: Journeys) -> list[Verdict]:
    """All presence cells."""
    connections = _connections(f, flows, scene, journeys)
    # Without a load balancer in sight a refused connection is nobody's fault that we could name.
    out = _answered(f, flows, scene, taps, journeys, connections) if scene.mode in HEADER_MODES else []
    out += _answered_by_vip(f, flows, scene, taps, connections)
    out += _appears(f, flows, scene, taps, journeys)
    if scene.mode in DIRECT_RETURN:
        out += _reply_absent(f, flows, scene, taps)
        out += _frames_to_lb(f, flows, scene, taps)
        out += _arp_silent(f, scene, taps)
    elif scene.mode is None:
        out += _one_owner(f, flows, taps)
    promised = {name for name, _, _ in tables(scene.mode if scene.mode in HEADER_MODES else None).presence()}
    return [v for v in out if v.cell in promised]


# --- connections ------------------------------------------------------------------------------------------------------


def _connections(f: Frames, flows: Flows, scene: Scene, journeys: Journeys) -> list[Connection]:
    found: dict[int, Connection] = {}
    full = scene.mode == "fullnat"
    wanted = _of_service(f, flows, scene)
    who = np.zeros(f.n, np.int64) if full else f.source
    whom = np.zeros(f.n, np.int64) if full else f.target
    syn = np.flatnonzero(is_syn(f) & wanted)
    key = mix(f.seq[syn], who[syn]) if len(syn) else np.zeros(0, np.uint64)
    for k, row in zip(key.tolist(), syn.tolist(), strict=True):
        c = found.setdefault(k, Connection(TCP, int(flows.client[row]), port=int(flows.server[row]) & 0xFFFF))
        c.asked[int(f.tap[row])].append(row)
    back = (f.seq * 0) + ((f.ack - 1) & 0xFFFF_FFFF)
    for rows, name in (
        (np.flatnonzero(is_synack(f)), "answers"),
        (np.flatnonzero(f.is_tcp & ((f.flags & (RST | ACK)) == (RST | ACK)) & (f.payload_len == 0)), "refusals"),
    ):
        if len(rows):
            for k, row in zip(mix(back[rows], whom[rows]).tolist(), rows.tolist(), strict=True):
                if k in found:
                    getattr(found[k], name).append(row)
    for c in found.values():
        c.copies = _transmissions(f, c)
    _icmp_refusals(f, found, full)
    _udp(f, flows, wanted, found)
    _assign_servers(flows, journeys, found)
    return list(found.values())


def _transmissions(f: Frames, c: Connection) -> int:
    """How often a request was sent: copies that one tap shows before and after a node are one transmission."""
    seen = Counter((tap, int(f.wire_ttl[r]), int(f.eth_src[r]), int(f.port_of_tap[r])) for tap, rows in c.asked.items() for r in rows)
    return max(seen.values(), default=0)


def _of_service(f: Frames, flows: Flows, scene: Scene) -> Mask:
    """Requests to the balanced service, before or behind the load balancer; any request where the mode is unknown."""
    request = flows.direction == REQUEST
    if scene.mode not in HEADER_MODES:
        return request & (f.tunnel == 0)
    server = flows.server >> 16
    port = flows.server & 0xFFFF
    mine = np.isin(server, list(scene.vips | scene.ips("real-server")))
    if scene.services:
        ports = {(p, v) for p, v in scene.services} | {(p, r) for (p, _), rs in scene.services.items() for r in rs}
        mine &= np.isin(f.proto << 16 | port, [p << 16 | v for p, v in ports])
    own = scene.ips("lb")
    if scene.mode != "fullnat":
        mine &= ~np.isin(flows.client >> 16, list(own))
    return request & mine


def _icmp_refusals(f: Frames, found: dict[int, Connection], full: bool) -> None:
    rows = np.flatnonzero(f.is_error)
    if not len(rows):
        return
    source = np.zeros(len(rows), np.int64) if full else (f.quoted_src[rows] << 16) | f.rec["q_sport"][rows].astype(np.int64)
    key = mix(f.rec["q_seq"][rows].astype(np.int64), source)
    for k, row in zip(key.tolist(), rows.tolist(), strict=True):
        if k in found and not _too_big(f, row):
            found[k].refusals.append(row)


def _too_big(f: Frames, row: int) -> bool:
    """Path MTU discovery refuses a size, not a connection."""
    kind, code = int(f.icmp_type[row]), int(f.rec["icmp_code"][row])
    return (f.ver[row] == 4 and (kind, code) == (3, 4)) or (f.ver[row] == 6 and kind == 2)


def _udp(f: Frames, flows: Flows, wanted: Mask, found: dict[int, Connection]) -> None:
    rows = np.flatnonzero(f.is_udp & wanted)
    if not len(rows):
        return
    endpoints: dict[tuple[int, int], Connection] = {}
    for row in rows.tolist():
        client, port = int(flows.client[row]), int(flows.server[row]) & 0xFFFF
        c = endpoints.setdefault((client, 0), Connection(UDP, client, port=port))
        c.asked[int(f.tap[row])].append(row)
    for row in np.flatnonzero(f.is_udp & (flows.direction == REPLY)).tolist():
        got = endpoints.get((int(flows.client[row]), 0))
        if got is not None:
            got.answers.append(row)
    for row in np.flatnonzero(f.is_error & (f.rec["q_sport"] != 0)).tolist():
        got = endpoints.get((int(f.quoted_src[row]) << 16 | int(f.rec["q_sport"][row]), 0))
        if got is not None and not _too_big(f, row) and _quoted_proto(f, row) == UDP:
            got.refusals.append(row)
    for (client, _), c in endpoints.items():
        found[int(mix([client], [17])[0])] = c


def _quoted_proto(f: Frames, row: int) -> int:
    inner = int(f.rec["has"][row]) & layout.HAS_QUOTE_INNER
    return int(f.rec["qi_proto" if inner else "q_proto"][row])


def _assign_servers(flows: Flows, journeys: Journeys, found: dict[int, Connection]) -> None:
    matrix, server = journeys.rows[REQUEST], journeys.server[REQUEST]
    of_row: dict[int, int] = {}
    for column in range(matrix.shape[1]):
        seen = matrix[:, column] >= 0
        of_row.update(zip(matrix[seen, column].tolist(), server[seen].tolist(), strict=True))
    for c in found.values():
        known = [s for s in (of_row.get(r, -1) for r in c.rows()) if s >= 0]
        c.server = known[-1] if known else -1


# --- answered ---------------------------------------------------------------------------------------------------------


def _answered(
    f: Frames, flows: Flows, scene: Scene, taps: list[TapInfo], journeys: Journeys, connections: list[Connection]
) -> list[Verdict]:
    parties = scene.role("real-server")
    two_way = {
        (c.proto, tap) for c in connections if c.answers for tap in {int(f.tap[r]) for r in c.answers} if tap in c.asked
    }
    groups: dict[tuple[int, int, int], list[Connection]] = defaultdict(list)
    for c in connections:
        groups[c.server, c.proto, c.port].append(c)
    served_ports = {(c.proto, c.port) for c in connections if c.answers}
    out: dict[tuple[str, str], Verdict] = {}
    for (server, proto, port), members in groups.items():
        refused = [c for c in members if not c.answers and c.refusals]
        silent = [c for c in members if not c.answers and not c.refusals and _silent(c, two_way, served_ports)]
        answered = [c for c in members if c.answers]
        judged = len(refused) + len(silent) + len(answered)
        if not judged:
            continue
        guilty = refused if len(refused) >= max(1.0, _SHARE_REFUSED * judged) else []
        # Connections that a one-way tap shows without an answer were not repeated, so they had one.
        if len(silent) >= _SHARE_SILENT * len(members) and (len(silent) > 1 or judged == 1 or proto == TCP):
            guilty = guilty + silent
        by_place: dict[tuple[str, str], list[Connection]] = defaultdict(list)
        for c in guilty:
            by_place[_place(f, scene, taps, journeys, c)].append(c)
        name = parties[server].name if 0 <= server < len(parties) else None
        place = _answer_cell(scene)
        if answered or not guilty:
            _count(out, place, name or "", len(answered) + len(refused) + len(silent) - len(guilty), [], f, taps, scene)
        for (cell, hop), failed in by_place.items():
            verdict = _count(out, cell, hop, len(failed), failed, f, taps, scene)
            verdict.nodes = tuple(dict.fromkeys([*verdict.nodes, *([name] if name else [])]))
            verdict.actual = verdict.actual or _how(f, failed[0])
    return list(out.values())


def _answer_cell(scene: Scene) -> str:
    if scene.mode in HEADER_MODES:
        return cell_id(scene.mode, "real-server", "request", "answered")
    return "path.server.answered"


def _silent(c: Connection, two_way: set[tuple[int, int]], served: set[tuple[int, int]]) -> bool:
    if c.proto == TCP:
        # A client that repeats its SYN says itself that nothing came back.
        return c.copies >= _COPIES or (c.copies == 2 and any((TCP, tap) in two_way for tap in c.asked))
    return (UDP, c.port) in served and any((UDP, tap) in two_way for tap in c.asked)


def _how(f: Frames, c: Connection) -> str:
    if not c.refusals:
        return f"silence after {c.copies} transmissions" if c.proto == TCP else "silence"
    row = c.refusals[0]
    source = f.book.text(int(f.src[row]))
    if f.is_error[row]:
        return f"ICMP type {int(f.icmp_type[row])} code {int(f.rec['icmp_code'][row])} from {source}"
    return f"RST from {source}"


def _place(f: Frames, scene: Scene, taps: list[TapInfo], journeys: Journeys, c: Connection) -> tuple[str, str]:
    """Where an unanswered request was last seen, and whose cell that makes it."""
    if scene.mode not in HEADER_MODES:
        return "path.server.answered", ""
    points, matrix = journeys.points[REQUEST], journeys.rows[REQUEST]
    mine = set(c.rows())
    reached = [i for i in range(len(points)) if mine & set(matrix[matrix[:, i] >= 0, i].tolist())]
    if not reached:
        return _answer_cell(scene), ""
    last = max(reached)
    after = [
        i for i in range(last + 1, len(points)) if journeys.expected[REQUEST].get((i, c.server, c.proto), False)
    ]
    parties = scene.role("real-server")
    own = c.server >= 0 and taps[points[last].tap].node == parties[c.server].name
    if own or c.server >= 0 and not after:
        return _answer_cell(scene), points[last].name
    rewritten_later = [i for i in range(len(points)) if i > last and points[i].form == REWRITTEN]
    if points[last].form == PLAIN and rewritten_later and c.server < 0:
        target = points[rewritten_later[0]].name
        return cell_id(scene.mode, "lb", "request", "appears"), f"{points[last].name}→{target}"
    if after:
        kind = "lb" if points[last].form == PLAIN and points[after[0]].form == REWRITTEN else "router"
        return cell_id(scene.mode, kind, "request", "appears"), f"{points[last].name}→{points[after[0]].name}"
    return _answer_cell(scene), points[last].name


def _count(
    out: dict[tuple[str, str], Verdict],
    cell: str,
    hop: str,
    n: int,
    failed: list[Connection],
    f: Frames,
    taps: list[TapInfo],
    scene: Scene,
) -> Verdict:
    verdict = out.get((cell, hop))
    if verdict is None:
        verdict = out[cell, hop] = Verdict(
            cell, "answered", hop, REQUEST, (), "error", expected="answered", tap=None
        )
    verdict.checked += n
    verdict.failed += len(failed)
    for c in failed[:_MOST_FRAMES]:
        rows = sorted(c.rows(), key=lambda r: (int(f.wire_ttl[r]), int(f.number[r])))
        verdict.failures += [(-1, r) for r in rows[:1] + c.refusals[:1]]
    if failed and verdict.tap is None:
        verdict.tap = taps[int(f.tap[verdict.failures[0][1]])].name
    return verdict


# --- answered by the address that was asked ---------------------------------------------------------------------------


def _answered_by_vip(
    f: Frames, flows: Flows, scene: Scene, taps: list[TapInfo], connections: list[Connection]
) -> list[Verdict]:
    mode = scene.mode if scene.mode in HEADER_MODES else None
    cell = cell_id(mode, "real-server", "request", "answered-by-vip") if mode else "path.server.answered-by-vip"
    resets = _client_resets(f)
    out: dict[int, Verdict] = {}
    for c in connections:
        for row in c.answers:
            tap = int(f.tap[row])
            if tap not in c.asked:
                continue
            verdict = out.setdefault(
                tap, Verdict(cell, "ip.src", taps[tap].name, REQUEST, (), "error", tap=taps[tap].name)
            )
            asked = {int(f.dst[r]) for r in c.asked[tap]}
            right = scene.vips if mode == "l3dsr-dscp" and scene.vips else asked
            source = int(f.src[row])
            wrong = source not in right
            if mode is None and not wrong:
                continue
            if wrong and mode is None and int(f.source[row]) not in resets.get(int(f.target[row]), ()):
                continue  # without a mode only the client's own refusal proves that the answer was wrong
            verdict.checked += 1
            if wrong:
                verdict.failed += 1
                verdict.expected = " or ".join(sorted(f.book.text(a) for a in right))
                verdict.actual = f.book.text(source)
                if len(verdict.failures) < _MOST_FRAMES:
                    verdict.failures.append((c.asked[tap][0], row))
                party = scene.party_of_ip(source) or scene.party_of_mac(int(f.eth_src[row]))
                if party is not None and party.role == "real-server":
                    verdict.servers.add(party.name)
    if scene.mode in DIRECT_RETURN:
        _udp_from_rip(f, flows, scene, taps, connections, cell, out)
    for verdict in out.values():
        verdict.nodes = tuple(sorted(verdict.servers))
    return [v for v in out.values() if v.checked]


def _client_resets(f: Frames) -> dict[int, set[int]]:
    """Endpoints whose packets a client answered with a RST: client endpoint -> such endpoints."""
    out: dict[int, set[int]] = defaultdict(set)
    for row in np.flatnonzero(f.is_tcp & ((f.flags & (RST | ACK)) == RST)).tolist():
        out[int(f.source[row])].add(int(f.target[row]))
    return out


def _udp_from_rip(
    f: Frames,
    flows: Flows,
    scene: Scene,
    taps: list[TapInfo],
    connections: list[Connection],
    cell: str,
    out: dict[int, Verdict],
) -> None:
    clients = {c.client for c in connections if c.proto == UDP}
    ports = {p for proto, p in scene.services if proto == UDP}
    rips = scene.ips("real-server")
    rows = np.flatnonzero(f.is_udp & np.isin(f.src, list(rips)) & np.isin(f.target, list(clients)))
    for row in rows.tolist():
        if int(f.source[row]) & 0xFFFF not in ports:
            continue
        tap = int(f.tap[row])
        verdict = out.setdefault(tap, Verdict(cell, "ip.src", taps[tap].name, REQUEST, (), "error", tap=taps[tap].name))
        verdict.checked += 1
        verdict.failed += 1
        verdict.expected = " or ".join(sorted(f.book.text(a) for a in scene.vips))
        verdict.actual = f.book.text(int(f.src[row]))
        verdict.failures.append((-1, row))
        party = scene.party_of_ip(int(f.src[row]))
        if party is not None:
            verdict.servers.add(party.name)


# --- appears ----------------------------------------------------------------------------------------------------------


def _appears(f: Frames, flows: Flows, scene: Scene, taps: list[TapInfo], journeys: Journeys) -> list[Verdict]:
    """What was seen at one point and belongs to the next one is there, up to what loss explains."""
    mode = scene.mode if scene.mode in HEADER_MODES else "path"
    assert mode is not None
    refused = _refused_sizes(f)
    out = []
    for direction in (REQUEST, REPLY):
        points, matrix = journeys.points[direction], journeys.rows[direction]
        name = "request" if direction == REQUEST else "reply"
        for i in range(len(points)):
            for j in range(i + 1, len(points)):
                verdict = _appears_at(f, scene, taps, journeys, direction, i, j, refused)
                if verdict is None:
                    continue
                kind = "lb" if points[i].form != points[j].form else "router"
                verdict.cell = cell_id(mode, kind, name, "appears")
                party = scene.role("lb" if kind == "lb" else "router")
                verdict.nodes = tuple(p.name for p in party)
                out.append(verdict)
    del matrix
    return out


def _appears_at(
    f: Frames,
    scene: Scene,
    taps: list[TapInfo],
    journeys: Journeys,
    direction: int,
    i: int,
    j: int,
    refused: tuple[Ints, Ints],
) -> Verdict | None:
    matrix, points = journeys.rows[direction], journeys.points[direction]
    between = (matrix[:, i + 1 : j] >= 0).any(axis=1)
    here, there = matrix[:, i] >= 0, matrix[:, j] >= 0
    due = here & journeys.passes(direction, j) & ~between
    # A packet lost further on was last seen at the last point it reached: count each loss once, at its first hop.
    skipped = np.zeros(len(matrix), bool)
    for k in range(i + 1, j):
        skipped |= journeys.passes(direction, k)
    due &= there | ~skipped
    if not due.any() or not (due & there).any():
        return None
    rows = matrix[due & ~there, i]
    verdict = Verdict(
        "", "appears", f"{points[i].name}→{points[j].name}", direction, (), "warning", expected="appears", tap=taps[points[i].tap].name
    )
    verdict.checked = int((due & there).sum())
    if not len(rows):
        return verdict
    told = _told(f, rows, refused) if direction == REQUEST and scene.mode in HEADER_MODES else np.zeros(len(rows), bool)
    dead = told | _improbable(f, rows, matrix[due, i], matrix[due & there, i])
    if dead.any():
        verdict.checked += int(dead.sum())
        verdict.failed = int(dead.sum())
        verdict.actual = "ICMP says that it is too big for the next link" if told.any() else "every copy is lost"
        verdict.failures = [(-1, int(r)) for r in rows[dead][:_MOST_FRAMES]]
    return verdict


def _refused_sizes(f: Frames) -> tuple[Ints, Ints]:
    """Keys (source and IP id, source and sequence number) of packets that an ICMP error calls too big."""
    rows = np.flatnonzero(f.is_error)
    rows = rows[[_too_big(f, int(r)) for r in rows]] if len(rows) else rows
    inner = (f.rec["has"][rows] & layout.HAS_QUOTE_INNER) != 0
    ident = np.where(inner, f.rec["qi_id"][rows], f.rec["q_id"][rows]).astype(np.int64)
    by_id = mix(f.quoted_src[rows], ident) if len(rows) else np.zeros(0, np.uint64)
    by_seq = mix(f.quoted_src[rows], f.rec["q_seq"][rows].astype(np.int64)) if len(rows) else np.zeros(0, np.uint64)
    return by_id.view(np.int64), by_seq.view(np.int64)


def _told(f: Frames, rows: Ints, refused: tuple[Ints, Ints]) -> Mask:
    by_id, by_seq = refused
    v4 = (f.ver[rows] == 4) & (f.ip_id[rows] != 0)
    hit = v4 & np.isin(mix(f.src[rows], f.ip_id[rows]).view(np.int64), by_id)
    hit |= ~v4 & (f.proto[rows] == TCP) & np.isin(mix(f.src[rows], f.seq[rows]).view(np.int64), by_seq)
    return np.asarray(hit & (f.payload_len[rows] > 0), bool)


def _improbable(f: Frames, lost: Ints, sent: Ints, arrived: Ints) -> Mask:
    """Lost rows whose segment was sent `_COPIES` times or more, never arrived, and cannot be put down to chance."""
    data = f.is_tcp[lost] & (f.payload_len[lost] > 0)
    if not data.any():
        return data
    key = mix(f.source[lost], f.seq[lost])
    unique, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
    got = np.unique(mix(f.source[arrived], f.seq[arrived])) if len(arrived) else np.zeros(0, np.uint64)
    never = (count >= _COPIES) & ~np.isin(unique, got)
    victims = data & never[inverse]
    rate = max(1, len(lost) - int(victims.sum())) / max(1, len(sent))
    chance = len(np.unique(mix(f.source[sent], f.seq[sent]))) * rate**_COPIES
    found = len(np.unique(key[victims]))
    return victims if found and (chance < _RARE or found > chance + 6 * chance**0.5 + 3) else np.zeros(len(lost), bool)


# --- where frames must not go -----------------------------------------------------------------------------------------


def _reply_absent(f: Frames, flows: Flows, scene: Scene, taps: list[TapInfo]) -> list[Verdict]:
    """Replies of direct server return never reach the load balancer."""
    assert scene.mode is not None
    lb = list(scene.macs("lb") - {0})
    replies = (flows.direction == REPLY) & np.isin(flows.server >> 16, list(scene.vips)) & f.has_eth_dst
    replies &= ~np.isin(flows.client >> 16, list(scene.ips("lb") | scene.vips)) & (f.is_tcp | f.is_udp)
    replies &= ~np.isin(f.eth_src, lb)
    wrong = np.flatnonzero(replies & np.isin(f.eth_dst, lb))
    if not lb or not replies.any():
        return []
    verdict = Verdict(
        cell_id(scene.mode, "lb", "reply", "absent"),
        "eth.dst",
        "",
        REPLY,
        tuple(p.name for p in scene.role("lb")),
        "error",
        checked=int(replies.sum()),
        failed=len(wrong),
    )
    if len(wrong):
        _show_frames(f, scene, taps, verdict, wrong)
        verdict.expected, verdict.actual = "a router's MAC", "the load balancer's MAC"
    return [verdict]


def _frames_to_lb(f: Frames, flows: Flows, scene: Scene, taps: list[TapInfo]) -> list[Verdict]:
    """A frame for the VIP goes to the load balancer, not past it to a server."""
    assert scene.mode is not None
    lb, servers = list(scene.macs("lb") - {0}), list(scene.macs("real-server") - scene.macs("lb") - {0})
    plain = (flows.direction == REQUEST) & (f.tunnel == 0) & np.isin(f.dst, list(scene.vips)) & f.has_eth_dst
    plain &= ~np.isin(f.eth_src, lb) & ~np.isin(f.eth_src, servers)
    right = plain & np.isin(f.eth_dst, lb)
    # Who hands frames to a server may be a second load balancer that no tap shows: only a known router, or a machine
    # that gives the load balancer its frames at other times, can be said to go past it.
    routers = set(f.eth_src[right].tolist()).union(*(p.macs for p in scene.role("router") if p.stated))
    wrong = np.flatnonzero(plain & np.isin(f.eth_dst, servers) & np.isin(f.eth_src, list(routers)))
    if not lb or not (right.any() or len(wrong)):
        return []
    verdict = Verdict(
        cell_id(scene.mode, "router", "request", "vip-frame-to-lb"),
        "eth.dst",
        "",
        REQUEST,
        (),
        "error",
        checked=int(right.sum()) + len(wrong),
        failed=len(wrong),
    )
    if len(wrong):
        _show_frames(f, scene, taps, verdict, wrong)
        verdict.expected, verdict.actual = "the load balancer's MAC", "a real server's MAC"
    return [verdict]


def _show_frames(f: Frames, scene: Scene, taps: list[TapInfo], verdict: Verdict, rows: Ints) -> None:
    verdict.hop = verdict.tap = taps[int(f.tap[rows[0]])].name
    verdict.failures = [(-1, int(r)) for r in rows[:_MOST_FRAMES]]
    for mac in np.unique(np.concatenate([f.eth_src[rows], f.eth_dst[rows]])):
        party = scene.party_of_mac(int(mac))
        if party is not None and party.role == "real-server":
            verdict.servers.add(party.name)
    verdict.nodes = tuple(sorted(verdict.servers)) or verdict.nodes


def _arp_silent(f: Frames, scene: Scene, taps: list[TapInfo]) -> list[Verdict]:
    """Real servers own the VIP silently: they neither answer for it nor ask in its name."""
    assert scene.mode is not None
    claims = {(ip, mac): how for (ip, mac), how in scene.claims.items() if ip in scene.vips}
    servers = scene.macs("real-server") - scene.macs("lb")
    loud = {mac: how for (_, mac), how in claims.items() if mac in servers}
    if not claims:
        return []
    verdict = Verdict(
        cell_id(scene.mode, "real-server", "request", "arp-silent"),
        "arp.src.proto_ipv4",
        "",
        REQUEST,
        (),
        "error",
        checked=sum(sum(how.values()) for how in claims.values()),
        failed=sum(sum(how.values()) for how in loud.values()),
        expected="the load balancer alone",
    )
    if loud:
        verdict.nodes = tuple(dict.fromkeys(p.name for m in loud if (p := scene.party_of_mac(m)) is not None))
        kinds = {k for how in loud.values() for k in how}
        verdict.actual = f"{', '.join(verdict.nodes)} {' and '.join(sorted(kinds))} for the VIP"
        rows = np.flatnonzero(((f.rec["has"] & layout.HAS_RES) != 0) & np.isin(f.rec["res_sha"].astype(np.int64), list(loud)))
        spa = f.book.intern(f.rec["res_spa_hi"][rows], f.rec["res_spa_lo"][rows]) if len(rows) else rows
        rows = rows[np.isin(spa, list(scene.vips))]
        verdict.failures = [(-1, int(r)) for r in rows[:_MOST_FRAMES]]
        if len(rows):
            verdict.hop = verdict.tap = taps[int(f.tap[rows[0]])].name
    return [verdict]


def _one_owner(f: Frames, flows: Flows, taps: list[TapInfo]) -> list[Verdict]:
    """One question for a served address gets answers from one MAC, whatever the mode is."""
    rows = np.flatnonzero(((f.rec["has"] & layout.HAS_RES) != 0) & (f.rec["res_op"] == 2))
    if not len(rows):
        return []
    spa = f.book.intern(f.rec["res_spa_hi"][rows], f.rec["res_spa_lo"][rows])
    served = np.isin(spa, np.unique(flows.server[flows.direction == REQUEST] >> 16))
    rows, spa = rows[served], spa[served]
    asked = mix(f.tap[rows], spa, f.rec["res_tha"][rows], f.ts[rows] // 1_000_000_000) if len(rows) else np.zeros(0, np.uint64)
    verdict = Verdict(
        "path.owner.arp-silent", "arp.src.hw_mac", "", REQUEST, (), "error", expected="one MAC", checked=len(np.unique(asked))
    )
    for key in np.unique(asked):
        mine = rows[asked == key]
        macs = {int(m) for m in f.rec["res_sha"][mine]}
        if len(macs) > 1:
            verdict.failed += 1
            verdict.actual = f"{len(macs)} MACs answer one question for {f.book.text(int(spa[asked == key][0]))}"
            verdict.failures += [(-1, int(r)) for r in mine[:_MOST_FRAMES]]
            verdict.hop = verdict.tap = taps[int(f.tap[mine[0]])].name
    return [verdict] if verdict.failed else []


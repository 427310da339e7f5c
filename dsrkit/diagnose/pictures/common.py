"""What several pictures need: connections that failed alike, and words for shares and machines."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import field
from typing import Protocol, TypeVar

from dsrkit.classes import dataclass
from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.verify.connections import Connection
from dsrkit.verify.journeys import REWRITTEN
from dsrkit.verify.scene import Party
from dsrkit.verify.verdicts import Frame, Verdict

K = TypeVar("K", bound=Hashable)


def grouped(connections: Iterable[Connection], key: Callable[[Connection], K]) -> dict[K, list[Connection]]:
    """Connections by a key, in the order in which keys turn up."""
    out: dict[K, list[Connection]] = defaultdict(list)
    for connection in connections:
        out[key(connection)].append(connection)
    return dict(out)


def unanswered(verdicts: Iterable[Verdict]) -> list[tuple[Connection, Verdict]]:
    """Connections that failed, each with the cell that says so, once."""
    seen: set[int] = set()
    out = []
    for verdict in verdicts:
        for connection in verdict.connections:
            if id(connection) not in seen:
                seen.add(id(connection))
                out.append((connection, verdict))
    return out


def forwarded(connection: Connection) -> bool:
    """Whether the load balancer was seen to send its request on."""
    return any(point.form == REWRITTEN for point in connection.reached)


def frames_of(connections: Iterable[Connection]) -> list[Frame]:
    """Where to look: the last sighting of the request, and the refusal."""
    out: list[Frame] = []
    for c in connections:
        out += [c.last[1]] if c.last is not None else []
        out += [c.refusal.frame] if c.refusal is not None else []
    return list(dict.fromkeys(out))


class Sighting(Protocol):
    """A fact that knows where it was seen."""

    frames: list[Frame]


def sightings(facts: Iterable[Sighting]) -> list[Frame]:
    """Where to look for facts."""
    return [frame for one in facts for frame in one.frames]


def names(parties: Iterable[Party | None]) -> tuple[str, ...]:
    """Names of machines, once each."""
    return tuple(dict.fromkeys(p.name for p in parties if p is not None))


def in_order(case: Case, machines: Iterable[str]) -> tuple[str, ...]:
    """Names of machines, once each, in the order of the scene's."""
    place = {p.name: i for i, p in enumerate(case.scene.parties)}
    return tuple(sorted(dict.fromkeys(machines), key=lambda name: place.get(name, len(place))))


def spoken(words: Iterable[str], joint: str = "and") -> str:
    """``a, b and c``.

    >>> spoken(["web1", "web2", "web3"])
    'web1, web2 and web3'
    """
    items = list(dict.fromkeys(words))
    return f" {joint} ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def odd_ports(case: Case, servers: Iterable[str]) -> tuple[set[int], set[int]] | None:
    """The ports that requests to these servers are sent to, and those at the others, if they have none in common."""
    ports, who = case.server_ports(), set(servers)
    mine = {p for name in who for p in ports.get(name, ())}
    others = {p for name, known in ports.items() if name not in who for p in known}
    return (mine, others) if mine and others and not mine & others else None


def balancer(case: Case) -> str:
    """The load balancers' names, in a sentence."""
    return spoken(names(case.scene.role("lb"))) or "the load balancer"


def agreeing(what: str, count: int) -> str:
    """A sentence with each ``[one|many]`` as the number of its subjects wants it.

    >>> agreeing("get[s|] requests from [its|their] neighbour", 2)
    'get requests from their neighbour'
    """
    return re.sub(r"\[([^|\]]*)\|([^\]]*)\]", lambda m: m.group(1 if count == 1 else 2), what)


def share(case: Case, failed: int, parties: Iterable[Party], in_vain: int = 0) -> tuple[int, str]:
    """How many connections there were with these servers, and what part of them failed, in words.

    Without servers, the whole service is meant. `in_vain` of the failed ones were answered, by their server at least.
    """
    servers = list(parties)
    everyone = sum(case.connections.answered.values()) - in_vain
    answered = sum(case.served_by(p) for p in servers) - in_vain if servers else everyone
    others = everyone - answered
    total = failed + answered
    if answered:
        text = f"{failed} of {total} connections"
    else:
        text = f"all {failed} connections" if failed > 1 else "the only connection"
    return total, text + (f", while {others} to others {'are' if others > 1 else 'is'} served" if others else "")


@dataclass(slots=True)
class Told:
    """What some connections that failed alike tell: the codes, and the sentence about who does what.

    `who` are the machines to be mended, and the subject of `what` (see `agreeing`) unless that is a whole sentence.
    """

    codes: tuple[str, ...]
    what: str
    who: tuple[str, ...]
    members: list[Connection]
    ruled_out: dict[str, str] = field(default_factory=dict)
    settle: str = ""
    whole: bool = False
    expected: str = "an answer"
    frames: list[Frame] = field(default_factory=list)


def diagnoses(case: Case, told: Iterable[Told], cells: dict[int, Verdict]) -> list[Diagnosis]:
    """One diagnosis for all that have the same codes; `cells` has the failed cell of each connection by its id."""
    by_codes: dict[tuple[str, ...], list[Told]] = defaultdict(list)
    for one in told:
        by_codes[one.codes].append(one)
    return [_joined(case, alike, cells) for alike in by_codes.values()]


def _joined(case: Case, alike: list[Told], cells: dict[int, Verdict]) -> Diagnosis:
    members = [c for one in alike for c in one.members]
    parties = [p for p in case.servers() if any(case.server_of(c) is p for c in members)]
    among, part = share(case, len(members), parties, sum(c.answered for c in members))
    subjects: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for one in alike:
        subjects[one.what, one.whole] += one.who
    sentences = [
        what if whole else f"{spoken(in_order(case, who))} {agreeing(what, len(set(who)))}"
        for (what, whole), who in subjects.items()
    ]
    refusals = dict.fromkeys(c.refusal.text for c in members if c.refusal is not None)
    return Diagnosis(
        codes=alike[0].codes,
        message=f"{'; '.join(sentences)} ({part})",
        nodes=in_order(case, (w for one in alike for w in one.who)),
        symptoms=list({id(v): v for c in members if (v := cells.get(id(c))) is not None}.values()),
        frames=list(dict.fromkeys([f for one in alike for f in one.frames] + frames_of(members))),
        failed=len(members),
        among=among,
        ruled_out={code: why for one in alike for code, why in one.ruled_out.items()},
        settle=alike[0].settle,
        expected=alike[0].expected,
        actual=spoken(refusals) or f"no answer to {max(c.copies for c in members)} transmissions",
    )

"""What several pictures need: grouping of connections, and words for shares and machines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from dsrkit.diagnose.case import Case
from dsrkit.verify.connections import Connection
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


def frames_of(connections: Iterable[Connection]) -> list[Frame]:
    """Where to look: the last sighting of the request, and the refusal."""
    out: list[Frame] = []
    for c in connections:
        out += [c.last[1]] if c.last is not None else []
        out += [c.refusal.frame] if c.refusal is not None else []
    return list(dict.fromkeys(out))


def names(parties: Iterable[Party | None]) -> tuple[str, ...]:
    """Names of machines, once each."""
    return tuple(dict.fromkeys(p.name for p in parties if p is not None))


def spoken(words: Iterable[str], joint: str = "and") -> str:
    """``a, b and c``.

    >>> spoken(["web1", "web2", "web3"])
    'web1, web2 and web3'
    """
    items = list(dict.fromkeys(words))
    return f" {joint} ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def share(case: Case, failed: int, parties: Iterable[Party]) -> tuple[int, str]:
    """How many connections there were with these servers, and what part of them failed, in words."""
    servers = list(parties)
    answered = sum(case.served_by(p) for p in servers)
    everyone = sum(case.connections.answered.values())
    total = failed + answered
    if not answered:
        text = f"all {failed} connections" if failed > 1 else "the only connection"
    else:
        text = f"{failed} of {total} connections"
    others = everyone - answered
    return total, text + (f", while {others} to others are served" if others and servers else "")

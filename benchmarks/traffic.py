"""TCP conversations as columns: who sends what when, and which connections there are.

A handful of scripts (connections packet by packet, relative to their start) are drawn once; every connection of a
capture follows one of them with addresses, ports and counters of its own. Nothing here is a loop over packets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]

FIN, SYN, PSH, ACK = 1, 2, 8, 16
SCRIPTS: Final = 48
SHORTEST: Final = 9  # handshake, a request, a reply, their acknowledgments, the close
CLIENTS, CLIENT_PORTS, FIRST_PORT = 5003, 59999, 2048  # both prime: no address and port comes twice in 300 million
TO_CLOSE: Final = ((True, FIN | ACK), (False, FIN | ACK), (True, ACK))
LEAST_GAP_NS: Final = 600_000  # longer than any path through all taps: no packet comes before its cause, at no tap
MILLISECOND: Final = 1_000_000
MIXED: Final = ((0, 0.46), (120, 0.21), (536, 0.15))  # octets of payload and their share; the rest are full segments
MIXED_MEAN: Final = 421


@dataclass(frozen=True, slots=True)
class Scripts:
    """Every packet of every script, one after the other; script i begins at `start[i]`.

    `seq` and `ack` count from the initial numbers, `order` counts the packets of the sender; `echo_ns` is when the
    last packet of the other end was sent (-1: there was none).
    """

    start: Ints
    length: Ints
    visible: Ints
    request: npt.NDArray[np.bool_]
    flags: Ints
    size: Ints
    seq: Ints
    ack: Ints
    order: Ints
    at_ns: Ints
    echo_ns: Ints


@dataclass(frozen=True, slots=True)
class Connections:
    """What tells connections apart, in the order of their start.  Shape: (n,), `client` (n, 4 or 16)."""

    script: Ints
    start_ns: Ints
    client: npt.NDArray[np.uint8]
    port: Ints
    server: Ints
    isn: Ints  # (n, 2): of the client, of the server
    stamp: Ints  # (n, 2): the clocks of their time stamps
    ip_id: Ints  # (n, 2)

    def __len__(self) -> int:
        return len(self.script)


def scripts_of(lengths: Sequence[int], payloads: Payloads, random: np.random.Generator, *, requests: bool) -> Scripts:
    """Scripts of so many packets that can be seen (`requests`: only those of the client can)."""
    all_rows = [_script(length, payloads, random, requests) for length in lengths]
    columns = np.array([row for rows in all_rows for row in rows], np.int64)
    count = np.array([len(rows) for rows in all_rows], np.int64)
    request = columns[:, 0].astype(bool)
    begin = np.concatenate([np.zeros(1, np.int64), count.cumsum()[:-1]])
    seen = np.array([sum(row[0] for row in rows) if requests else len(rows) for rows in all_rows], np.int64)
    return Scripts(begin, count, seen, request, *(columns[:, n] for n in range(1, 8)))


@dataclass(frozen=True, slots=True)
class Payloads:
    """How long the payloads are: sizes and their shares; 0 is a segment that only acknowledges."""

    sizes: tuple[int, ...]
    shares: tuple[float, ...]

    @classmethod
    def of(cls, name: str, full: int, header: int) -> Payloads:
        """`name` of a mix: mixed (about 421 octets on the mean), small (64; IPv6: 76), full: the longest payload."""
        match name:
            case "small":
                return cls((max(2, 64 - header),), (1.0,))
            case "full":
                return cls((full,), (1.0,))
        rest = 1 - sum(share for _, share in MIXED)
        some = sum(size * share for size, share in MIXED)
        # as many full segments as make the mean; what remains has 200 octets
        large = (MIXED_MEAN - header - some - 200 * rest) / (full - 200)
        return cls((*(s for s, _ in MIXED), 200, full), (*(s for _, s in MIXED), rest - large, large))


def _script(visible: int, payloads: Payloads, random: np.random.Generator, requests: bool) -> list[tuple[int, ...]]:
    rows: list[tuple[int, ...]] = []
    sent, count, last, news = [0, 0], [0, 0], [-1, -1], [False, False]
    now = 0

    def send(request: bool, flags: int, size: int = 0) -> None:
        nonlocal now
        me, peer = (0, 1) if request else (1, 0)
        ack = sent[peer] if flags & ACK else 0
        rows.append((int(request), flags | (PSH if size else 0), size, sent[me], ack, count[me], now, last[peer]))
        sent[me] += size + (1 if flags & (SYN | FIN) else 0)
        count[me] += 1
        last[me] = now
        news[peer] = news[peer] or size > 0
        news[me] = False
        now += LEAST_GAP_NS + int(random.exponential(4 * MILLISECOND))

    send(True, SYN)
    send(False, SYN | ACK)
    send(True, ACK)
    left = visible - (4 if requests else 6)
    choices = random.choice(payloads.sizes, size=4 * left + 16, p=payloads.shares).tolist()
    turns = (random.random(4 * left + 16) < 0.5).tolist()
    data = [size for size in payloads.sizes if size]
    for size, request in zip(choices, turns, strict=True):
        if left <= 0:
            break
        if not size and not news[0 if request else 1]:
            size = min(data)  # there is nothing to acknowledge
        send(request, ACK, size)
        left -= 1 if request or not requests else 0
    for request, flags in TO_CLOSE:
        send(request, flags)
    return rows


def lengths_of(mean: int, random: np.random.Generator, *, requests: bool) -> list[int]:
    """Lengths of scripts around a mean (of all packets), in packets that can be seen."""
    half = 2 if requests else 1
    least = 5 if requests else SHORTEST
    if mean <= SHORTEST:
        return [least] * SCRIPTS
    return [max(least, int(n) // half) for n in random.uniform(0.5 * mean, 1.5 * mean, SCRIPTS)]


def connections_for(
    packets: int,
    scripts: Scripts,
    *,
    rate: int,
    servers: int,
    version: int,
    epoch_ns: int,
    random: np.random.Generator,
) -> tuple[Connections, int]:
    """So many connections that all but a rest of the packets are theirs; and the rest, for one more."""
    least = int(scripts.visible.min())
    some = random.integers(len(scripts.start), size=packets // least + 1)
    total = scripts.visible[some].cumsum()
    count = int(np.searchsorted(total, max(0, packets - least), side="right"))
    rest = packets - (int(total[count - 1]) if count else 0)
    return _connections(
        np.append(some[:count], len(scripts.start)),
        packets,
        rate=rate,
        servers=servers,
        version=version,
        epoch_ns=epoch_ns,
        random=random,
    ), rest


def _connections(
    script: Ints, packets: int, *, rate: int, servers: int, version: int, epoch_ns: int, random: np.random.Generator
) -> Connections:
    n = len(script)
    number = np.arange(n, dtype=np.int64)
    host = number % CLIENTS
    if version == 4:  # of 100.64.0.0/10, which nobody owns
        client = np.stack([np.full(n, 100), 64 + (host >> 16), host >> 8 & 255, host & 255], axis=1).astype(np.uint8)
    else:
        client = np.zeros((n, 16), np.uint8)
        client[:, :8] = np.frombuffer(bytes.fromhex("20010db800ca0000"), np.uint8)
        client[:, 14], client[:, 15] = host >> 8, host & 255
    between = packets / n / rate * 1e9  # of a tap that sees every packet of `packets`
    return Connections(
        script=script,
        start_ns=epoch_ns + np.round(number * between).astype(np.int64),
        client=client,
        port=FIRST_PORT + number % CLIENT_PORTS,
        server=random.permutation(n) % servers,
        isn=random.integers(1 << 32, size=(n, 2)),
        stamp=random.integers(1 << 32, size=(n, 2)),
        ip_id=random.integers(1 << 16, size=(n, 2)),
    )

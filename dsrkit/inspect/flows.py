"""The flow table: every conversation of a capture with what both sides sent, counted once however many taps saw it.

Columns are summed batch by batch into one row for each conversation; which packets are the same, and which addresses
stand for the same conversation on both sides of a load balancer, is known from their identities.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, fields
from functools import cache, partial
from typing import IO, Any, Final, TypeAlias

import numpy as np

from dsrkit.inspect.head import Head, Known, Taps, know
from dsrkit.inspect.listing import heading
from dsrkit.inspect.marks import (
    ANSWERED,
    BACK,
    CHECK,
    DATA,
    FIN_BACK,
    FIN_THERE,
    FRONT,
    REPLY_PAST,
    REPLY_VIA,
    REQUEST_PAST,
    REQUEST_VIA,
    RST_BACK,
    RST_THERE,
    SYN_BACK,
    SYN_THERE,
)
from dsrkit.inspect.packets import endpoint
from dsrkit.inspect.service import DIRECT
from dsrkit.inspect.sums import Sums
from dsrkit.inspect.survey import file_name
from dsrkit.model.spec import Spec
from dsrkit.verify.frames import TCP
from dsrkit.wire.address import ip_text, mac_text
from dsrkit.wire.capture import Rows, read
from dsrkit.wire.dissect.protocols import PROTOCOLS
from dsrkit.wire.scanner import GUE_PORTS

MOST_FLOWS: Final = 100_000
_BATCH_ROWS: Final = 2048
_WHOLE_ROWS: Final = 512
"""Rows from which a window is a portion of its own; smaller ones are put together."""

Cell: TypeAlias = str | int | float
Watch: TypeAlias = Callable[[int, int], None]
"""Told how many octets and frames have been read."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One conversation; ``_back`` is what the server's side sent.

    `service` is the endpoint that the client asks, `server` who answers for it, `path` how packets go by the load
    balancer.  Units: `octets` of the innermost IP packets; `start` and `duration` in seconds, from the first packet of
    the capture and of the flow.  Absent: `server`, `state` and `path` empty where nothing tells.
    """

    client: str
    service: str
    server: str
    protocol: str
    state: str
    packets: int
    octets: int
    packets_back: int
    octets_back: int
    start: float
    duration: float
    retransmissions: int
    path: str


NAMES: Final = tuple(column.name for column in fields(Flow))
_SECONDS: Final = ("start", "duration")
_NUMBERS: Final = ("packets", "octets", "packets_back", "octets_back", *_SECONDS, "retransmissions")
RIGHT: Final = tuple(name in _NUMBERS for name in NAMES)
"""Which columns are numbers, to be printed on the right."""
FORMS: Final = tuple(".6f" if name in _SECONDS else "d" if name in _NUMBERS else "" for name in NAMES)
"""How numbers are put into words; texts are as they are."""


@dataclass(slots=True)
class FlowTable:
    """Conversations, those with most octets first. Texts are unescaped.

    `heading` is what is known of the set-up, `notes` what is not in the table and what the reader has to say; `columns`
    has a list for each of `NAMES`, with numbers as numbers.
    """

    heading: list[str]
    notes: list[str]
    columns: list[list[Cell]]

    @property
    def flows(self) -> list[Flow]:
        """A row for each conversation."""
        return [Flow(*row) for row in zip(*self.columns, strict=True)]

    def texts(self) -> list[list[str]]:
        """The columns as texts."""
        return [[f"{x:{form}}" for x in column] for form, column in zip(FORMS, self.columns, strict=True)]


def table(
    source: str | os.PathLike[str] | IO[bytes],
    *,
    spec: Spec | os.PathLike[str] | str | None = None,
    mode: str | None = None,
    vip: Collection[str] = (),
    gue_ports: Collection[int] = GUE_PORTS,
    most: int = MOST_FLOWS,
    first: int | None = None,
    watch: Watch | None = None,
) -> FlowTable:
    """The conversations of a capture; those beyond `most` are counted, not listed. Of these the `first`, if given.

    Raises: DsrkitError as `Survey`.
    """
    loaded = spec if isinstance(spec, Spec) or spec is None else Spec.load(spec)
    capture = read(source, gue_ports=gue_ports)
    taps = Taps(capture, file_name(capture.path), loaded)
    head = Head(capture)
    known = know(head, taps, spec=loaded, mode=mode, vip=vip)
    sums = Sums(known, taps, most)
    for rec in _batches(head, watch):
        sums.add(rec)
    return FlowTable(heading(known), [*sums.notes, *capture.notes], _columns(sums, known, first))


def _batches(head: Head, watch: Watch | None) -> Iterator[Rows]:
    """All packets in portions, without their octets."""
    held: list[Rows] = []
    rows = 0
    for window in head:
        if not held and len(window.rec) >= _WHOLE_ROWS:
            yield window.rec
        else:
            held.append(window.rec.copy())
            rows += len(window.rec)
        if rows >= _BATCH_ROWS:
            yield np.concatenate(held)
            held, rows = [], 0
        if watch is not None:
            watch(window.base + len(window.buf), window.first_row + len(window.rec))
    if held:
        yield np.concatenate(held)


def _columns(sums: Sums, known: Known, first: int | None) -> list[list[Cell]]:
    """The rows as people read them: a capture may have very many."""
    rows = sums.rows()
    rows = rows[np.argsort(-(rows["octets"] + rows["octets_back"]), kind="stable")][:first]
    # who is the client is not known: then the one who sends
    turned = (rows["packets"] == 0) & (rows["marks"] == 0)
    there, back = ([np.where(turned, rows[b], rows[a]).tolist() for a, b in pairs] for pairs in (_THERE, _BACK))
    clients, services = _ends(rows, "client", 32), _ends(rows, "service", 16)
    for i in np.flatnonzero(turned).tolist():
        clients[i], services[i] = services[i], clients[i]
    protocols = (rows["ports"] & 0xFF).tolist()
    marks = rows["marks"].tolist()
    either = cache(partial(_either, [_server(known, i) for i in range(len(known.scene.role("real-server")))]))
    states, paths = cache(_state), cache(partial(_path, known=known))
    return [
        clients,
        services,
        list(map(either, rows["server_low"].tolist(), rows["server_high"].tolist())),
        [PROTOCOLS.get(protocol, str(protocol)) for protocol in protocols],
        [states(mark) if protocol == TCP else "" for mark, protocol in zip(marks, protocols, strict=True)],
        *there,
        *back,
        ((rows["first"] - sums.started) / 1e9).tolist(),
        ((rows["last"] - rows["first"]) / 1e9).tolist(),
        rows["repeats"].tolist(),
        list(map(paths, marks)),
    ]


_THERE: Final = (("packets", "packets_back"), ("octets", "octets_back"))
_BACK: Final = (("packets_back", "packets"), ("octets_back", "octets"))


def _ends(rows: Any, side: str, shift: int) -> list[str]:
    """The endpoints of one side; an address is put into words once."""
    text = cache(ip_text)
    addresses = map(text, rows[f"{side}_hi"].tolist(), rows[f"{side}_lo"].tolist())
    has_ports = (rows["ports"] >> 16 & 0xFFFF != 0).tolist()
    ports = (rows["ports"] >> shift & 0xFFFF).tolist()
    return [
        endpoint(address, port) if has_port else address
        for address, port, has_port in zip(addresses, ports, has_ports, strict=True)
    ]


def _either(servers: list[str], low: int, high: int) -> str:
    """The servers that were seen in a conversation."""
    if high < 0:
        return ""
    return servers[low] if low == high else f"{servers[low]} or {servers[high]}"


def _server(known: Known, index: int) -> str:
    """A real server's name, and its address or MAC."""
    party = known.scene.role("real-server")[index]
    if party.ips:
        return f"{party.name} {known.scene.address(min(party.ips))}"
    return f"{party.name} {mac_text(min(party.macs))}" if party.macs else party.name


def _state(marks: int) -> str:
    """How far a TCP connection got. Source: RFC 9293 s3.3.2, s3.5."""
    if marks & (RST_THERE | RST_BACK) and not (marks & FIN_THERE and marks & FIN_BACK):
        refused = marks & RST_BACK and not marks & (SYN_BACK | ANSWERED)
        return "refused" if refused else "reset"
    if marks & FIN_THERE and marks & FIN_BACK:
        return "closed"
    if marks & (FIN_THERE | FIN_BACK):
        return "closing"
    if marks & (DATA | ANSWERED):
        return "established"
    if marks & SYN_BACK:
        return "half-open"
    return "SYN only" if marks & SYN_THERE else ""


_REQUESTS: Final = {
    REQUEST_VIA: "requests via LB",
    REQUEST_PAST: "requests past LB",
    REQUEST_VIA | REQUEST_PAST: "some requests via LB",
}
_REPLIES: Final = {
    REPLY_VIA: "replies via LB",
    REPLY_PAST: "replies bypass LB",
    REPLY_VIA | REPLY_PAST: "some replies via LB",
}


def _path(marks: int, known: Known) -> str:
    """How a conversation goes by the load balancer, as far as it was seen."""
    if marks & CHECK:
        return "health check"
    if marks & (FRONT | BACK):
        return "front session of the proxy" if marks & FRONT else "back session of the proxy"
    if known.scene.mode not in DIRECT:
        if marks & REPLY_PAST:
            return "replies bypass LB"
        return "via LB" if marks & (REQUEST_VIA | REPLY_VIA) else ""
    words = (
        _REQUESTS.get(marks & (REQUEST_VIA | REQUEST_PAST)),
        _REPLIES.get(marks & (REPLY_VIA | REPLY_PAST)),
    )
    return ", ".join(word for word in words if word)

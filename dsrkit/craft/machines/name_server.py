"""The name service: servers with records, resolvers that remember answers, and the asking of both.

Source: RFC 1034 s5.3.3; RFC 1035 s4.2; RFC 2181 s5.2, s9; RFC 6891 s6.2; RFC 7766 s5; recorded dns-rr (dnsmasq).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dsrkit.craft.machines.host import Host
from dsrkit.craft.machines.network import MILLISECOND, SECOND, Label, Network
from dsrkit.craft.machines.tcp import Connection
from dsrkit.craft.packets import dns, ip
from dsrkit.craft.packets.dns import Message, Record
from dsrkit.craft.packets.octets import Octets, address_text, packed, version_of

PORT: Final = 53
PLAIN: Final = 512
"""Octets of a message by UDP, where no EDNS says otherwise (RFC 1035 s2.3.4)."""
EDNS: Final = 1232
"""What resolvers offer since DNS flag day 2020; fits into IPv6's smallest MTU."""
CLIENT_TIMEOUT: Final = 5 * SECOND  # resolv.conf(5): timeout:5 attempts:2
RESOLVER_TIMEOUT: Final = 400 * MILLISECOND
ATTEMPTS: Final = 3

Question = tuple[str, str]  # name and type
Answered = Callable[[Message | None], None]


@dataclass(eq=False)
class Cached:
    """An answer that a resolver remembers.

    Units: `since` in nanoseconds of the simulated clock.
    """

    records: tuple[Record, ...]
    since: int
    given: int = 0  # how often it was handed out


def rotated(records: Sequence[Record], turns: int) -> tuple[Record, ...]:
    """The records with the first `turns` of them moved to the end."""
    if not records:
        return ()
    by = turns % len(records)
    return (*records[by:], *records[:by])


class NameServer(Host):
    """A server that knows records of its own (`zone`), or asks `upstream` and remembers the answers.

    Each answer starts with another record, unless `rotates` is off.
    """

    role = "resolver"

    def __init__(self, name: str, network: Network) -> None:
        super().__init__(name, network)
        self.zone: dict[Question, tuple[Record, ...]] = {}
        self.upstream: bytes | None = None
        self.recursive = True  # says that it does recursion (RA)
        self.rotates = True
        self.known: dict[Question, Cached] = {}
        self._asked: dict[Question, list[Callable[[tuple[Record, ...]], None]]] = {}
        self._turns = 0

    def serve(self) -> None:
        """Listen to UDP and TCP."""
        assert self.tcp is not None
        self.udp_ports[PORT] = self._datagram
        self.tcp.listen(PORT, self._stream)

    # --- answers --------------------------------------------------------------------------------------------------

    def _datagram(self, packet: Octets, label: Label) -> None:
        source, own, ports = packet.address("ip.src"), packet.address("ip.dst"), packet.ports
        assert ports is not None
        asked = dns.parse(bytes(packet.data[packet.ip.payload + 8 : packet.ip.end]))

        def answer(records: tuple[Record, ...]) -> None:
            room = max(PLAIN, asked.edns or 0)
            fitting = len(records)
            while len(message := self._message(asked, records[:fitting], cut=fitting < len(records))) > room:
                fitting -= 1
            words = told(asked, records[:fitting]) + (", cut" if fitting < len(records) else "")
            send_udp(self, own, (PORT, ports[0]), source, message, label.flow, words)

        self._find(asked, label.flow, answer)

    def _stream(self, connection: Connection) -> None:
        received = bytearray()

        def read(one: Connection, data: bytes) -> None:
            received.extend(data)
            if len(received) < 2 or len(received) < 2 + int.from_bytes(received[:2], "big"):
                return
            asked = dns.parse(bytes(received[2:]))
            received.clear()
            self._find(asked, one.flow, lambda records: one.send(dns.over_tcp(self._message(asked, records))))

        connection.on_data = read
        connection.on_close = lambda one, reason: one.close() if reason == "fin" else None

    def _message(self, asked: Message, records: Sequence[Record], *, cut: bool = False) -> bytes:
        return dns.response(
            asked.name,
            asked.type,
            records,
            ident=asked.ident,
            authoritative=(asked.name.lower(), asked.type) in self.zone,
            truncated=cut,
            recursion_desired=asked.recursion_desired,
            recursion_available=self.recursive,
            edns=None if asked.edns is None else EDNS,
            dnssec_ok=asked.dnssec_ok,
        )

    def _find(self, asked: Message, flow: int, found: Callable[[tuple[Record, ...]], None]) -> None:
        """Hand over the records of a name: its own, remembered ones with the TTL that is left, or fresh ones."""
        question = asked.name.lower(), asked.type
        own = self.zone.get(question)
        if own is not None or self.upstream is None:
            self._turns += 1
            records = rotated(own or (), self._turns - 1 if self.rotates else 0)
            self.network.after(MILLISECOND, lambda: found(records))
            return
        if self._remembered(question) is not None:
            self.network.after(MILLISECOND, lambda: found(self._again(question)))
            return
        waiting = self._asked.setdefault(question, [])
        waiting.append(found)
        if len(waiting) == 1:
            self._ask_upstream(question, flow)

    def _remembered(self, question: Question) -> Cached | None:
        kept = self.known.get(question)
        if kept is None or any(self._left(kept, record) <= 0 for record in kept.records):
            return None
        return kept

    def _left(self, kept: Cached, record: Record) -> int:
        return record.ttl - (self.network.now - kept.since) // SECOND

    def _again(self, question: Question) -> tuple[Record, ...]:
        kept = self.known[question]
        records = rotated(kept.records, kept.given if self.rotates else 0)
        kept.given += 1
        return tuple(replace(record, ttl=max(0, self._left(kept, record))) for record in records)

    def _ask_upstream(self, question: Question, flow: int) -> None:
        assert self.upstream is not None
        own = self.address(version_of(self.upstream))

        def answered(message: Message | None) -> None:
            waiting = self._asked.pop(question)
            if message is None:  # the clients ask again, or give up
                return
            self.known[question] = Cached(message.answers, self.network.now)
            for found in waiting:
                found(self._again(question))

        ask(
            self,
            own,
            self.upstream,
            question,
            answered,
            flow=flow,
            edns=EDNS,
            dnssec_ok=True,
            recursion_desired=False,
            timeout_ns=RESOLVER_TIMEOUT,
        )


# --- asking ---------------------------------------------------------------------------------------------------------


def ask(
    host: Host,
    source: bytes,
    server: bytes,
    question: Question,
    answered: Answered,
    *,
    flow: int,
    edns: int | None = None,
    dnssec_ok: bool = False,
    recursion_desired: bool = True,
    timeout_ns: int = CLIENT_TIMEOUT,
    takes_truncated: bool = False,
) -> None:
    """Ask a server by UDP, again after a while, and by TCP where the answer is truncated (RFC 7766 s5).

    `takes_truncated` makes do with what a truncated answer holds (RES_IGNTC). None is handed over if nobody answers.
    """
    random = host.network.random
    ident = random.randrange(1 << 16)
    query = dns.query(
        *question, ident=ident, recursion_desired=recursion_desired, edns=edns, dnssec_ok=dnssec_ok and edns is not None
    )
    port = free_port(host)
    done = False

    def take(packet: Octets, label: Label) -> None:
        nonlocal done
        if done or packet.address("ip.src") != server:
            return
        message = dns.parse(bytes(packet.data[packet.ip.payload + 8 : packet.ip.end]))
        if message.ident != ident:
            return
        done = True
        host.udp_ports.pop(port, None)
        if message.truncated and not takes_truncated:
            _ask_by_tcp(host, source, server, query, answered, flow)
        else:
            answered(message)

    def attempt(number: int) -> None:
        nonlocal done
        if done:
            return
        if number == ATTEMPTS:
            done = True
            host.udp_ports.pop(port, None)
            answered(None)
            return
        words = f"{question[1]} {question[0]}?" + (" once more" if number else "")
        send_udp(host, source, (port, PORT), server, query, flow, words)
        host.network.after(timeout_ns, lambda: attempt(number + 1))

    host.udp_ports[port] = take
    attempt(0)


def _ask_by_tcp(host: Host, source: bytes, server: bytes, query: bytes, answered: Answered, flow: int) -> None:
    assert host.tcp is not None
    connection = host.tcp.connect((source, free_port(host)), (server, PORT), flow=flow)
    received = bytearray()

    def read(one: Connection, data: bytes) -> None:
        received.extend(data)
        if len(received) >= 2 and len(received) >= 2 + int.from_bytes(received[:2], "big"):
            one.close()
            answered(dns.parse(bytes(received[2:])))

    def closed(one: Connection, reason: str) -> None:
        if not received:
            answered(None)

    connection.on_open = lambda one: one.send(dns.over_tcp(query))
    connection.on_data = read
    connection.on_close = closed
    connection.open()


def told(asked: Message, records: Sequence[Record]) -> str:
    """An answer in a few words."""
    if not records:
        return f"{asked.type} {asked.name}: nothing"
    shown = ", ".join(one.data for one in records[:4]) + (", ..." if len(records) > 4 else "")
    return f"{asked.type} {asked.name}: {shown} for {records[0].ttl} s"


def free_port(host: Host) -> int:
    """A port by chance, as resolvers take them (RFC 5452 s9.2)."""
    while True:
        port = host.network.random.randrange(32768, 40000)
        if port not in host.udp_ports:
            return port


def send_udp(
    host: Host, source: bytes, ports: tuple[int, int], target: bytes, payload: bytes, flow: int, about: str
) -> None:
    """One datagram with a message."""
    label = host.network.random.randrange(1, 1 << 20) if len(source) == 16 else 0
    header = ip.Header(source, target, host.ttl, 0, host.next_id(target), flow_label=label)
    host.output(ip.udp(header, ports, payload), host.network.label(flow, about))


def records_of(name: str, addresses: Sequence[str], ttl: int) -> dict[Question, tuple[Record, ...]]:
    """A zone with the addresses of one name."""
    own = name.rstrip(".").lower()
    zone: dict[Question, tuple[Record, ...]] = {}
    for kind, width in (("A", 4), ("AAAA", 16)):
        of_kind = [one for one in addresses if len(packed(one)) == width]
        zone[own, kind] = dns.addresses(own, [address_text(packed(one)) for one in of_kind], ttl=ttl)
    return zone

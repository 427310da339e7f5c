"""Servers that answer as themselves: real servers without their rule, and machines that only speak to strangers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from scenarios import loud

import dsrkit
from dsrkit.craft.api import craft
from dsrkit.model.report import Report, Tap, out_of_the_way

sys.path.insert(0, str(Path(__file__).parent))
import capture_files as make

PCAPS = Path(__file__).parents[2] / "pcaps" / "l3dsr-dscp"
SERVERS = ("C_rs1", "C_rs2", "D_rs3")
ROUTER, SERVER = bytes.fromhex("02aa0000000c"), bytes.fromhex("025500000002")
STRANGER, RS2 = "198.51.100.77", "10.1.1.12"
SYN, RST, ACK, PSH = 2, 4, 16, 8


class Stranger:
    """Packets between a stranger and the second server's own address, as the server's tap shows them."""

    def __init__(self, port: int, tos: int, sport: int = 5555, server: str = RS2) -> None:
        self.port, self.tos, self.sport, self.server = port, tos, sport, server

    def asks(self, flags: int, body: bytes = b"", tos: int | None = None, ack: int = 501) -> bytes:
        ports = {"sport": self.sport, "dport": self.port}
        ack, seq = (0, 100) if flags == SYN else (ack, 101)
        segment = make.tcp(body, STRANGER, self.server, seq=seq, ack=ack, flags=flags, **ports)
        tos = self.tos if tos is None else tos
        packet = make.ipv4(segment, 6, STRANGER, self.server, ttl=61, tos=tos, ident=flags)
        return SERVER + ROUTER + b"\x08\0" + packet

    def answers(self, flags: int, body: bytes = b"") -> bytes:
        ports = {"sport": self.port, "dport": self.sport}
        seq = 500 if flags & SYN else 501
        segment = make.tcp(body, self.server, STRANGER, seq=seq, ack=101, flags=flags, **ports)
        return ROUTER + SERVER + b"\x08\0" + make.ipv4(segment, 6, self.server, STRANGER, ttl=64, ident=flags)

    def is_served(self) -> list[bytes]:
        """A whole conversation."""
        return [
            self.asks(SYN),
            self.answers(SYN | ACK),
            self.asks(ACK),
            self.asks(PSH | ACK, b"hello"),
            self.answers(PSH | ACK, b"hi"),
        ]

    def probes(self) -> list[bytes]:
        """Half-open checks, as some load balancers make: nothing is asked a second time."""
        return [self.asks(SYN), self.answers(SYN | ACK), self.asks(RST, tos=0)]

    def disowns(self, tos: int) -> list[bytes]:
        """Every answer is reset, and the question repeated."""
        return [self.asks(SYN), self.answers(SYN | ACK), self.asks(RST, tos=tos)] * 3


def taps(folder: Path, case: str, extra: Mapping[str, list[bytes]], names: Sequence[str] = SERVERS) -> Iterator[Path]:
    """Taps of a recorded set-up, with more packets at their ends."""
    for name in names:
        path = folder / f"{name}.pcap"
        recorded = (PCAPS / case / path.name).read_bytes()
        path.write_bytes(recorded + make.pcap(extra.get(name, []), step=300_000)[24:])
        yield path


def with_strangers(folder: Path, frames: list[bytes]) -> Report:
    """A report on a healthy set-up, whose second server hears from a stranger."""
    return dsrkit.verify(list(taps(folder, "l3dsr-dscp", {"C_rs2": frames})))


@pytest.mark.parametrize(
    "files",
    [SERVERS, ("C_rs1", "C_rs2"), ("C_rs2", "D_rs3"), ("C_router",), ("C_router", "C_rs1", "C_rs2", "D_rs3")],
    ids="+".join,
)
def test_a_server_without_its_rule_is_known_by_its_clients(files: tuple[str, ...]) -> None:
    """Neither the client's tap nor the load balancer's: the finding is that of all taps."""
    report = dsrkit.verify([PCAPS / "b05-dscp-mismatch" / f"{name}.pcap" for name in files])
    (finding,) = loud(report)
    assert finding.code == "DSC505"
    assert {"DSC510", "DSC501", "DSC503"} < set(finding.candidates), "no tap shows what the load balancer wrote"
    assert [node.ip for node in report.nodes if node.name in finding.nodes] == [(RS2,)]
    assert any(RS2 in note and "they asked another address" in note for note in report.notes)


@pytest.mark.parametrize("ip", ["4", "6"])
@pytest.mark.parametrize("files", ["D", "C D"])
def test_it_is_so_for_both_protocols_and_for_tags_of_the_vip(ip: str, files: str, tmp_path: Path) -> None:
    craft("l3dsr-dscp", fault="DSC510", ip=ip).write_split(tmp_path)
    (finding,) = loud(dsrkit.verify([tmp_path / f"{name}.pcap" for name in files.split()]))
    assert {"DSC510", "DSC501", "DSC505"} <= set(finding.candidates)
    assert finding.nodes == ("rs1",)


def test_alone_it_is_noted_and_a_mode_and_a_vip_make_a_finding_of_it() -> None:
    tap = PCAPS / "b05-dscp-mismatch" / "C_rs2.pcap"
    alone = dsrkit.verify(tap)
    assert (alone.mode, alone.exit_code, alone.findings) == (None, 2, ())
    assert any(RS2 in note and "--mode" in note for note in alone.notes)
    (finding,) = loud(dsrkit.verify(tap, mode="l3dsr-dscp", vip=["192.0.2.100"]))
    assert finding.code == "DSC505"


@pytest.mark.parametrize("tos", [0, 0x10, 0x30, 0xB8])
@pytest.mark.parametrize("port", [22, 80, 443])
def test_strangers_that_a_real_server_serves_accuse_nobody(port: int, tos: int, tmp_path: Path) -> None:
    """ssh, monitoring, checks: what is asked of a server's own address is answered from it, marked or not."""
    report = with_strangers(tmp_path, Stranger(port, tos).is_served())
    assert report.mode == "l3dsr-dscp"
    assert loud(report) == []


@pytest.mark.parametrize("tos", [0, 0x30])
@pytest.mark.parametrize("files", [SERVERS, ("A_client", "B_lb", "C_rs2")], ids="+".join)
def test_nor_do_those_that_are_served_by_udp(files: tuple[str, ...], tos: int, tmp_path: Path) -> None:
    ask = make.udp(b"which?", STRANGER, RS2, sport=5555, dport=5300)
    tell = make.udp(b"that", RS2, STRANGER, sport=5300, dport=5555)
    frames = [
        SERVER + ROUTER + b"\x08\0" + make.ipv4(ask, 17, STRANGER, RS2, ttl=61, tos=tos),
        ROUTER + SERVER + b"\x08\0" + make.ipv4(tell, 17, RS2, STRANGER),
    ]
    report = dsrkit.verify(list(taps(tmp_path, "l3dsr-dscp", {"C_rs2": frames}, files)))
    assert report.mode == "l3dsr-dscp"
    assert loud(report) == []


@pytest.mark.parametrize("case", ["l2dsr/ipvs-dr", "l3dsr-tunnel/ipvs-tun-ipip"])
def test_udp_for_a_servers_own_address_accuses_it_in_no_mode(case: str, tmp_path: Path) -> None:
    files = sorted((PCAPS.parent / case).glob("*.pcap"))
    healthy = dsrkit.verify(files)
    server = next(node for node in healthy.nodes if node.name == "rs2")
    (address,), mac = server.ip, bytes.fromhex(server.mac[0].replace(":", ""))
    ask = make.udp(b"which?", STRANGER, address, sport=5555, dport=5300)
    tell = make.udp(b"that", address, STRANGER, sport=5300, dport=5555)
    frames = [
        mac + ROUTER + b"\x08\0" + make.ipv4(ask, 17, STRANGER, address, ttl=61),
        ROUTER + mac + b"\x08\0" + make.ipv4(tell, 17, address, STRANGER),
    ]
    own = next(path for path in files if path.stem.endswith("_rs2"))
    (tmp_path / own.name).write_bytes(own.read_bytes() + make.pcap(frames, step=300_000)[24:])
    report = dsrkit.verify([tmp_path / path.name if path == own else path for path in files])
    assert report.mode == healthy.mode
    assert loud(report) == []


@pytest.mark.parametrize("tos", [0x10, 0x30])
@pytest.mark.parametrize("port", [22, 80])
def test_strangers_of_other_machines_accuse_nobody(port: int, tos: int, tmp_path: Path) -> None:
    """Marked packets for a machine that is no server of the service, on the same link."""
    other = Stranger(port, tos, server="10.1.1.99")
    marked_by_the_network = Stranger(port, tos, server="10.1.1.99", sport=5556).disowns(tos)
    report = with_strangers(tmp_path, [*other.is_served(), *other.probes(), *marked_by_the_network])
    assert loud(report) == []
    assert not any(node.ip == ("10.1.1.99",) for node in report.nodes)


def test_what_is_no_port_of_the_service_makes_no_server_of_it(tmp_path: Path) -> None:
    report = with_strangers(tmp_path, Stranger(8080, 0x30, server="10.1.1.99").disowns(0))
    assert loud(report) == []


def test_one_odd_client_among_many_makes_no_server(tmp_path: Path) -> None:
    served = [frame for i in range(5) for frame in Stranger(80, 0x30, 6000 + i, "10.1.1.99").is_served()]
    report = with_strangers(tmp_path, [*served, *Stranger(80, 0x30, server="10.1.1.99").disowns(0)])
    assert loud(report) == []


@pytest.mark.parametrize(("mark_of_reset", "codes"), [(0, ["DSC505"]), (0x40, [])], ids=["bare", "marked"])
def test_the_reset_tells_whether_the_mark_is_the_load_balancers(
    mark_of_reset: int, codes: list[str], tmp_path: Path
) -> None:
    frames = Stranger(80, 0x40, server="10.1.1.99").disowns(mark_of_reset)
    assert [finding.code for finding in loud(with_strangers(tmp_path, frames))] == codes


def test_a_tap_out_of_the_services_way_is_named_once(tmp_path: Path) -> None:
    aside = tmp_path / "aside.pcap"
    aside.write_bytes(make.pcap(Stranger(22, 0x10, server="10.1.1.99").is_served()))
    on_the_way = PCAPS / "l3dsr-dscp" / "B_lb.pcap"
    report = dsrkit.verify([on_the_way, aside])
    assert report.exit_code == 0
    assert [note for note in report.notes if "no packet of the service" in note] == [out_of_the_way("aside")]
    assert not any("no packet of the service" in note for note in dsrkit.verify(on_the_way).notes)
    assert not any("no packet of the service" in note for note in dsrkit.verify(aside).notes), "there is no service"


def test_parts_agree_on_a_tap_out_of_the_way_before_the_whole_says_so() -> None:
    note = out_of_the_way("D")
    without = Report(taps=(Tap("D", "d1.pcap"),), notes=(note,))
    shown = Report(taps=(Tap("D", "d2.pcap"),))
    elsewhere = Report(taps=(Tap("C", "c.pcap"),))
    assert note in without.merge(without).notes
    assert note in without.merge(elsewhere).notes
    assert note not in without.merge(shown).notes
    assert note not in shown.merge(without).notes

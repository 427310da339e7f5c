"""tshark reads every crafted file of every mode, profile, IP version and option: sums hold, nothing is malformed, the
layers are those that the case promises, and every option shows.

tshark 4.0 has no dissector for GUE: its header is taken off here, and what was inside is read in a second run.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest
from craft_cases import MODES, Case, cases
from scenarios import PCAPS

from dsrkit import Scenario, UsageError
from dsrkit.craft.frame import Frame
from dsrkit.craft.options import options_of
from dsrkit.craft.profiles import PROFILES
from dsrkit.model.dscp import parse_dscp
from dsrkit.model.spec import Spec

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

SUMS: Final = tuple(f"{layer}.checksum.status" for layer in ("ip", "tcp", "udp", "icmp", "icmpv6", "gre", "vrrp"))
SEEN: Final = (
    "frame.len", "frame.cap_len", "eth.src", "vlan.id", "ip.src", "ipv6.src", "ip.dst", "ipv6.dst",
    "ip.dsfield.dscp", "ip.dsfield.ecn", "ipv6.tclass.dscp", "ipv6.tclass.ecn", "ip.opt.type", "icmp.mtu",
    "icmpv6.mtu", "icmpv6.type", "arp.isgratuitous", "udp.srcport", "udp.dstport", "udp.checksum", "tcp.dstport",
    "tcp.flags.reset", "tcp.option_kind", "http.request.uri", "http.x_forwarded_for", "http.content_length",
    "proxy.version", "proxy.v2.tlv.type", "dns.qry.name", "dns.resp.ttl", "dns.resp.type", "dns.count.answers",
    "vrrp.version", "vrrp.prio", "vrrp.virt_rtr_id",
)  # fmt: skip
FIELDS: Final = ("frame.protocols", "_ws.malformed", "_ws.short", "_ws.expert.severity", "_ws.expert.message")
ERROR: Final = 0x800000
GUE_PORTS: Final = ("6080", "7000", "9886", "19523")
NET: Final = {4: "ip", 6: "ipv6"}
CLIENTS: Final = {4: "198.51.100.", 6: "2001:db8:a:"}


@dataclass(frozen=True, slots=True)
class Row:
    """One frame and what tshark says about it."""

    frame: Frame
    fields: Mapping[str, str]

    @property
    def protocols(self) -> str:
        return self.fields["frame.protocols"]

    def values(self, name: str) -> list[str]:
        return [value for value in self.fields[name].split(",") if value]


@dataclass(slots=True)
class Seen:
    """All frames of one case, and what was inside their GUE headers."""

    case: Case
    rows: list[Row] = field(default_factory=list)
    inside: list[Row] = field(default_factory=list)

    def __call__(self, *names: str, tap: str | None = None) -> set[str]:
        """The values of fields anywhere in the case, or at one tap."""
        rows = (row for row in [*self.rows, *self.inside] if tap in (None, row.frame.tap))
        return {value for row in rows for name in names for value in row.values(name)}


# --- tshark -----------------------------------------------------------------------------------------------------------


def views(made: Iterable[tuple[Case, Scenario]]) -> list[tuple[Case, Frame]]:
    """All frames, each packet once per stream: by tap, and behind that what comes past the same tap again.

    Every stream begins with the SYNs that the first tap heard, so that tshark tells it from that of the case before,
    which had the same addresses and ports.
    """
    found: dict[tuple[str, bool], list[tuple[Case, Frame]]] = defaultdict(list)
    for case, scenario in made:
        frames = list(scenario.frames())
        syns = [(case, one) for one in frames if one.tap == scenario.taps[0] and " > r1: SYN " in one.comment]
        first: dict[tuple[str, int], str] = {}  # who sent the packet when the tap heard it first
        streams: dict[tuple[str, bool], list[tuple[Case, Frame]]] = {}
        for one in frames:
            again = first.setdefault((one.tap, one.packet), one.sender) != one.sender
            streams.setdefault((one.tap, again), list(syns) if one.tap != scenario.taps[0] else []).append((case, one))
        for key, stream in streams.items():
            found[key] += stream
    return [one for view in sorted(found) for one in found[view]]


def tshark(path: Path, *names: str) -> list[dict[str, str]]:
    """Fields of every frame of a file, with all sums checked; several values of one field are joined by a comma."""
    command = ["tshark", "-n", "-r", str(path), "-T", "fields"]
    command += [part for layer in ("ip", "tcp", "udp") for part in ("-o", f"{layer}.check_checksum:TRUE")]
    command += ["-o", "tcp.try_heuristic_first:TRUE"]  # PROXY before HTTP on port 80
    command += [part for port in GUE_PORTS for part in ("-d", f"udp.port=={port},data")]
    command += [part for name in names for part in ("-e", name)]
    shown = subprocess.run(command, capture_output=True, check=True).stdout.decode(errors="replace")
    return [dict(zip(names, line.split("\t"), strict=True)) for line in shown.split("\n")[:-1]]


def read(path: Path, frames: Sequence[tuple[Case, Frame]]) -> list[tuple[Case, Row]]:
    """The frames of many cases in one file, as tshark sees them."""
    taps = tuple(dict.fromkeys(one.tap for _, one in frames))
    Scenario("walk", "", taps, Spec(), kept=tuple(one for _, one in frames)).write(path)
    shown = tshark(path, *FIELDS, *SUMS, *SEEN)
    assert len(shown) == len(frames)
    return [(case, Row(one, fields)) for fields, (case, one) in zip(shown, frames, strict=True)]


def unwrapped(frames: Iterable[tuple[Case, Frame]]) -> list[tuple[Case, Frame]]:
    """What is inside GUE, as frames of its own; outer fragments are put together first.

    Source: draft-ietf-intarea-gue-09 s3.1, s4; RFC 791 s2.3; RFC 8200 s4.5.
    """
    found: list[tuple[Case, Frame]] = []
    body = b""
    for case, one in frames:
        if case.tunnel != "gue" or case.get("snaplen") is not None:
            continue
        at = 18 if one.data[12:14] == b"\x81\x00" else 14
        kind, proto, start, end = int.from_bytes(one.data[at - 2 : at], "big"), 0, at, len(one.data)
        offset, more = 0, 0
        if kind == 0x0800:
            proto, start = one.data[at + 9], at + 4 * (one.data[at] & 15)
            offset, more = one.data[at + 6] & 0x1F or one.data[at + 7], one.data[at + 6] & 0x20
        elif kind == 0x86DD:
            proto, start = one.data[at + 6], at + 40
            if proto == 44:
                proto, start = one.data[start], start + 8
                offset, more = one.data[start - 6] or one.data[start - 5] & 0xF8, one.data[start - 5] & 1
        if proto != 17:
            continue
        body = (body if offset else b"") + one.data[start:end]
        if more or str(int.from_bytes(body[2:4], "big")) not in GUE_PORTS:
            continue
        inner = body[8:] if body[8] >> 6 else body[12 + 4 * (body[8] & 0x1F) :]
        data = one.data[: at - 2] + (b"\x08\x00" if inner[0] >> 4 == 4 else b"\x86\xdd") + inner
        found.append((case, replace(one, data=data, wire_octets=len(data))))
    return found


def walked(folder: Path, made: Sequence[tuple[Case, Scenario]]) -> list[Seen]:
    found = {case: Seen(case) for case, _ in made}
    frames = views(made)
    for case, row in read(folder / "walk.pcapng", frames):
        found[case].rows.append(row)
    if inside := unwrapped(frames):
        for case, row in read(folder / "inside.pcapng", inside):
            found[case].inside.append(row)
    return list(found.values())


# --- what tshark complains about --------------------------------------------------------------------------------------


def _quoted(case: Case, row: Row) -> bool:
    return bool(re.search(r":(icmp|icmpv6):ipv?6?:", row.protocols))


def _recut(case: Case, row: Row) -> bool:
    return bool(case.get("pmtud")) and "in smaller segments" in row.frame.comment


def _no_sum(case: Case, row: Row) -> bool:
    return case.tunnel in ("gue", "geneve") and case.pair[1] == 6 and "ipv6:" in row.protocols


EXEMPT: Final[Mapping[str, tuple[str, Callable[[Case, Row], bool]]]] = {
    "quoted": (r"Bad checksum", _quoted),
    "re-cut": (r"New fragment overlaps old data", _recut),
    "no sum": (r"Illegal checksum value \(0\)", _no_sum),
}
"""What tshark calls an error and is none.

quoted: of the packet that an ICMP error quotes, IPv4 and most of IPv6 cut the end, and tshark sums up what is left: it
says the same of the recorded b07 (`test_recordings_need_the_same_exemption`).
re-cut: after "too big" Linux cuts what it had sent anew and sends it again (b07, frames 21 to 25). tshark takes what
comes back within the first round trip for out of order, and finds that it overlaps the longer segment before.
no sum: the UDP header of a tunnel over IPv6 may go without (RFC 6935 s5); Linux does unless it is told otherwise.
"""


def complaints(case: Case, row: Row) -> list[str]:
    """What is wrong with a frame."""
    said = row.fields["_ws.expert.message"]
    pardoned = [name for name, (words, holds) in EXEMPT.items() if re.search(words, said) and holds(case, row)]
    cut = case.get("snaplen") is not None
    found = [name for name in SUMS if "0" in row.values(name) and not cut and not {"quoted", "no sum"} & {*pardoned}]
    found += ["malformed"] if row.fields["_ws.malformed"] and "re-cut" not in pardoned else []
    found += ["cut"] if row.fields["_ws.short"] and not cut else []
    worst = max(map(int, row.values("_ws.expert.severity")), default=0)
    return found + (["error"] if worst >= ERROR and not pardoned else [])


# --- what a case promises ---------------------------------------------------------------------------------------------

TCP: Final = r"tcp(:proxy)?(:http(:data|:data-text-lines)?)?"
ECHO: Final = {4: "icmp:data", 6: "icmpv6:data"}


def transports(case: Case) -> str:
    """What stands behind the IP header of whoever talks in the case, as a pattern."""
    version = case.pair[0]
    usual = {"udp": "udp:data", "icmp": ECHO[version]}.get(case.get("protocol"), TCP)
    also = {"dns-rr": "udp:dns", "health": ECHO[version], "garp": "vrrp"}.get(case.mode)
    return f"({usual}|{also})" if also else f"({usual})"


def wrapping(case: Case) -> str | None:
    """The layers from the outer IP header to the inner one."""
    inner, outer = (NET[version] for version in case.pair)
    named = {
        "gre": f"{outer}:gre:{inner}",
        "gue": f"{outer}:udp:data",
        "geneve": f"{outer}:udp:geneve:eth:ethertype:{inner}",
        "option": inner if case.pair[0] == 4 else "ipv6:ipv6.dstopts",
    }
    return None if case.tunnel is None else named.get(case.tunnel, f"{outer}:{inner}")


def fragmented(case: Case) -> bool:
    """Whether datagrams come in fragments."""
    return case.get("protocol") == "udp" and max(case.get("request"), case.get("reply")) > 1400


def complained_about(case: Case) -> bool:
    """Whether ICMP errors follow: the outer header leaves no room, or the answer to an ARP request was lost."""
    return bool(case.get("loss")) or (case.tunnel is not None and (case.get("pmtud") is True or fragmented(case)))


def allowed(case: Case) -> str:
    """The layers that any frame of the case may have."""
    inner = NET[case.pair[0]]
    over = wrapping(case)
    found = [f"{inner}:{transports(case)}"]
    found += ["arp"] if 4 in case.pair else []
    found += ["ipv6:icmpv6"] if 6 in case.pair else []
    if over is not None:
        behind = "" if case.tunnel == "gue" else f":{transports(case)}"
        found += [over + behind]
        if fragmented(case):
            found += [over.replace("ipv6:", "ipv6:ipv6.fraghdr:", 1) + behind]
    if fragmented(case):
        found += [f"{NET[version]}(:ipv6.fraghdr)?:(udp:)?data" for version in set(case.pair)]
    if complained_about(case):
        found += [f"{net}:{icmp}:{net}:.*" for net, icmp in (("ip", "icmp"), ("ipv6", "icmpv6"))]
    return "|".join(found)


def arrives(case: Case) -> bool:
    """Whether what a client sends passes the load balancer.

    ICMP echo does not: the load balancer owns the VIP and answers itself. Fragments are put together by IPVS alone,
    which refuses those of IPv6 if the longest leaves no room for the outer header (__mtu_check_toobig_v6).
    """
    if case.get("protocol") == "icmp":
        return False
    if not (case.get("protocol") == "udp" and case.get("request") > 1400):
        return True
    return PROFILES[case.profile].stack and (case.tunnel is None or case.pair[0] == 4)


def required(case: Case) -> list[tuple[str, str]]:
    """Layers that some frame at a tap must have."""
    inner = NET[case.pair[0]]
    found = [("A", "arp" if case.pair[0] == 4 else "ipv6:icmpv6")]
    found += [("A", f"{inner}(:ipv6.fraghdr)?:({transports(case)}|udp:data)")]
    over = wrapping(case)
    if over is not None and arrives(case):
        behind = "" if case.tunnel == "gue" else f":{transports(case)}"
        found += [(tap, f"{over}{behind}|{over.replace('ipv6:', 'ipv6:ipv6.fraghdr:', 1)}{behind}") for tap in "BD"]
    return found


def parsed_dscp(value: object) -> str:
    return str(parse_dscp(value))


def addresses(seen: Seen, name: str, **where: Any) -> set[str]:
    return seen(f"ip.{name}", f"ipv6.{name}", **where)


TLVS: Final = {"alpn": "0x01", "authority": "0x02", "noop": "0x04", "unique-id": "0x05", "ssl": "0x20", "netns": "0x30"}
PROXY_V2: Final = bytes.fromhex("0d0a0d0a000d0a515549540a")
CRC32C: Final = b"\x03\x00\x04"
"""The start of the TLV, which tshark 4.0 does not read: it leaves out what begins within the last 16 octets."""
SILENT_FORMS: Final = ("send-arp", "seesaw")
"""Forms that Wireshark does not call gratuitous (ARP105)."""


def largest(seen: Seen) -> int:
    return max(map(int, seen("frame.len")))


SHOWS: Final[Mapping[str, Callable[[Seen, Any], bool]]] = {
    "clients": lambda seen, n: (
        len({a for a in addresses(seen, "src") if a.startswith(CLIENTS[seen.case.pair[0]])}) >= n
    ),
    "real_servers": lambda seen, n: 1 <= len({mac for mac in seen("eth.src") if mac.startswith("02:55:")}) <= n,
    "vip": lambda seen, vip: vip in addresses(seen, "dst", tap="A"),
    "port": lambda seen, port: str(port) in seen("tcp.dstport", tap="A"),
    "server_port": lambda seen, port: str(port) in seen("tcp.dstport", tap="C") - seen("tcp.dstport", tap="A"),
    "request": lambda seen, octets: largest(seen) > min(octets, 1400, seen.case.get("mtu")) - 30,
    "reply": lambda seen, octets: largest(seen) > min(octets, 1400, seen.case.get("mtu")) - 30,
    "client_dscp": lambda seen, dscp: parsed_dscp(dscp) in seen("ip.dsfield.dscp", "ipv6.tclass.dscp", tap="A"),
    "ecn": lambda seen, _: "2" in seen("ip.dsfield.ecn", "ipv6.tclass.ecn", tap="A"),
    "vlan": lambda seen, vlan: seen("vlan.id") == {str(vlan)},
    "mtu": lambda seen, mtu: largest(seen) <= mtu + 14 and (seen.case.mode == "garp" or largest(seen) > mtu - 100),
    "snaplen": lambda seen, octets: octets == max(map(int, seen("frame.cap_len"))) < largest(seen),
    "toa": lambda seen, _: "254" in seen("tcp.option_kind"),
    "tunnel_port": lambda seen, port: str(port) in seen("udp.dstport"),
    "tunnel_checksum": lambda seen, _: "1" in seen("gre.checksum.status") or _summed(seen),
    "pmtud": lambda seen, _: bool(seen("icmp.mtu", "icmpv6.mtu")) or seen.case.tunnel == "option",  # on the SYN alone
    "dscp": lambda seen, dscp: parsed_dscp(dscp) in seen("ip.dsfield.dscp", "ipv6.tclass.dscp", tap="D"),
    "proxy": lambda seen, version: any(":proxy" in row.protocols for row in seen.rows),
    "proxy_tlv": lambda seen, tlvs: {TLVS[one.partition("=")[0]] for one in tlvs} <= seen("proxy.v2.tlv.type"),
    "crc32c": lambda seen, _: any(PROXY_V2 in row.frame.data and CRC32C in row.frame.data for row in seen.rows),
    "xff": lambda seen, _: any(told.startswith(CLIENTS[seen.case.pair[0]]) for told in seen("http.x_forwarded_for")),
    "name": lambda seen, name: seen("dns.qry.name") == {name},
    "ttl": lambda seen, seconds: str(seconds) in seen("dns.resp.ttl"),
    "resolvers": lambda seen, n: len({a for a in _asked(seen) if a}) >= n,
    "edns": lambda seen, _: "41" in seen("dns.resp.type"),
    "path": lambda seen, path: path in seen("http.request.uri"),
    "outage": lambda seen, _: "1" in seen("tcp.flags.reset") or seen.case.get("check") == "ping",
    "form": lambda seen, form: form in SILENT_FORMS or bool({"1", "136"} & seen("arp.isgratuitous", "icmpv6.type")),
    "vrrp": lambda seen, version: seen("vrrp.version") == {str(version if seen.case.pair[0] == 4 else 3)},
    "vmac": lambda seen, _: any(mac.startswith("00:00:5e:00:0") for mac in seen("eth.src")),
    "vrid": lambda seen, vrid: seen("vrrp.virt_rtr_id") == {str(vrid)},
    "graceful": lambda seen, _: "0" in seen("vrrp.prio"),
}
"""How a given option shows, beside the layers of the frames."""

IN_LAYERS: Final = {"ip", "protocol", "tunnel", "outer_ip", "gue_variant", "check", "through", "data_path"}
IN_TIME: Final = {"rate", "jitter", "loss", "skew", "interval", "checks"}
"""Options that change when, how often or whether frames come, not what is in them."""


def _asked(seen: Seen) -> set[str]:
    """Who was asked at tap A."""
    rows = [row for row in seen.rows if row.frame.tap == "A" and "53" in row.values("udp.dstport")]
    return {value for row in rows for name in ("ip.dst", "ipv6.dst") for value in row.values(name)}


def _summed(seen: Seen) -> bool:
    """Whether the UDP header in front of GUE has a sum, where anything comes that far."""
    if not arrives(seen.case):
        return True
    tunnel = [row for row in seen.rows if {*GUE_PORTS} & {*row.values("udp.dstport")}]
    return bool(tunnel) and all(row.values("udp.checksum") != ["0x0000"] for row in tunnel)


def disappointments(seen: Seen) -> list[str]:
    """Everything that a case does not keep of its promises."""
    case, found = seen.case, []
    shape = re.compile(f"eth:ethertype:(vlan:ethertype:)?({allowed(case)})")
    inside = re.compile(f"eth:ethertype:(vlan:ethertype:)?{NET[case.pair[0]]}:{transports(case)}")
    for row, layers in [*((row, shape) for row in seen.rows), *((row, inside) for row in seen.inside)]:
        wrong = complaints(case, row)
        if not layers.fullmatch(row.protocols) and case.get("snaplen") is None:
            wrong.append("layers")
        if ("vlan" in row.protocols) != (case.get("vlan") is not None and row.frame.tap != "A"):
            wrong.append("vlan")
        if wrong:
            found.append(f"{', '.join(wrong)} at {row.frame.tap}: {row.protocols}: {row.fields['_ws.expert.message']}")
    for tap, layers in required(case):
        needed = re.compile(f"eth:ethertype:(vlan:ethertype:)?({layers})")
        if not any(row.frame.tap == tap and needed.fullmatch(row.protocols) for row in seen.rows):
            found.append(f"no frame at {tap} has the layers {layers}")
    if case.tunnel == "gue" and arrives(case) and case.get("snaplen") is None and not seen.inside:
        found.append("nothing in GUE")
    for name, value in case.given:
        if name in SHOWS and not SHOWS[name](seen, value):
            found.append(f"--{name.replace('_', '-')} {value} does not show")
    return found


# --- the walk ---------------------------------------------------------------------------------------------------------

PARTS: Final = {"l3dsr-tunnel": 4, "health": 2}
"""In how many parts the walk through a mode is done, so that several processes share it."""


@pytest.mark.parametrize(("mode", "part"), [(mode, part) for mode in MODES for part in range(PARTS.get(mode, 1))])
def test_everything_that_craft_makes(tmp_path: Path, mode: str, part: int) -> None:
    mine = cases(mode)[part :: PARTS.get(mode, 1)]
    made = [(case, case.craft(seed)) for seed, case in enumerate(mine) if case.refused is None]
    assert made
    wrong = {str(seen.case): why for seen in walked(tmp_path, made) if (why := disappointments(seen))}
    shown = "\n".join(f"{case}\n    {why[0]} ({len(why)} in all)" for case, why in list(wrong.items())[:20])
    assert not wrong, f"{len(wrong)} of {len(made)} cases:\n{shown}"


@pytest.mark.parametrize("mode", MODES)
def test_what_cannot_be_is_refused_with_the_reason(mode: str) -> None:
    unlike = []
    refused = [case for case in cases(mode) if case.refused is not None]
    for case in refused:
        assert case.refused is not None
        try:
            case.craft()
        except UsageError as error:
            unlike += [] if case.refused in str(error) else [f"{case}: {error}, not {case.refused!r}"]
        else:
            unlike.append(f"{case}: not refused, as {case.refused!r} would have it")
    assert not unlike
    assert len(refused) < len(cases(mode)) / 3


def test_every_option_says_how_it_shows() -> None:
    names = {name for mode in MODES for name, _, _ in options_of(mode)}
    assert names == {*SHOWS, *IN_LAYERS, *IN_TIME}


def test_recordings_need_the_same_exemption() -> None:
    """Of the kernel's own ICMP errors tshark says that the sum in the quoted TCP header is bad, of nothing else."""
    recorded = PCAPS / "l3dsr-tunnel/b07-tun-mtu-frag-needed/A_client.pcap"
    bad = [row for row in tshark(recorded, *FIELDS, *SUMS) if "Bad checksum" in row["_ws.expert.message"]]
    assert bad
    assert all(":icmp:ip:tcp" in row["frame.protocols"] for row in bad)

"""Filter expressions: what they mean, what is refused and where, and that columns and single frames answer alike."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenarios import PCAPS

from dsrkit.errors import CaptureError, UsageError
from dsrkit.inspect.batch import Batch
from dsrkit.inspect.view import View
from dsrkit.inspect.where import compile_filter
from dsrkit.inspect.where.syntax import DEEPEST
from dsrkit.wire.address import ip_halves, mac_int
from dsrkit.wire.capture import read
from dsrkit.wire.dissect.tree import Dissection

TUNNEL: Final = PCAPS / "l3dsr-tunnel" / "ipvs-tun-gue" / "B_lb.pcap"
MIXED: Final = (
    TUNNEL,
    PCAPS / "l3dsr-tunnel" / "lab-tun-4in6",
    PCAPS / "l3dsr-tunnel" / "lab-tun-gre-csum",
    PCAPS / "l3dsr-tunnel" / "b03a-tun-no-ipip-module" / "A_client.pcap",
    PCAPS / "garp" / "garp-keepalived-crash",
    PCAPS / "dns-rr" / "dns-rr",
    PCAPS / "nat" / "ipvs-nat-snaplen96",
)
FRAMES: Final = 120
VECTORS: Final = Path(os.environ.get("DSRKIT_VECTORS", Path(__file__).parents[3] / "shared" / "vectors"))


def files() -> list[Path]:
    """One capture of each."""
    return [path if path.is_file() else sorted(path.glob("*.pcap*"))[0] for path in MIXED]


def selected(expression: str, file: Path = TUNNEL, *, roles: bool = False, **stated: Any) -> list[int]:
    """Numbers of the frames that an expression selects."""
    compiled = compile_filter(expression)
    view = View(file, roles=roles or compiled.asks_roles, **stated)
    return [batch.number(i) for batch in view.batches() for i in compiled.rows(batch)]


@cache
def every_frame(file: Path) -> list[tuple[int, Dissection]]:
    view = View(file, roles=False)
    return [(batch.number(i), batch.dissection(i)) for batch in view.batches() for i in range(len(batch))][:FRAMES]


# --- what expressions mean --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ip.ttl == 64", "ip.ttl eq 0x40"),
        ("ip.ttl == 64", "64 == ip.ttl"),
        ("ip.ttl > 63", "63 < ip.ttl"),
        ("ip.ttl != 64", "ip.ttl ne 64"),
        ("ip.ttl != 64", "ip and not ip.ttl == 64 and !(ip.ttl == 64)"),
        ("ip.ttl === 62", "all ip.ttl == 62"),
        ("ip.ttl !== 62", "any ip.ttl != 62"),
        ("tcp and udp or icmp", "(tcp && udp) || icmp"),
        ("not tcp and gue", "(not tcp) and gue"),
        ("tcp xor gue", "(tcp and not gue) or (gue and not tcp)"),
        (
            "tcp.port in {80, 443, 8000..8010}",
            "tcp.port == 80 or tcp.port == 443 or tcp.port ge 8000 and tcp.port <= 8010",
        ),
        ("tcp.port not in {80}", "not tcp.port in {80}"),
        ("ip.src == 10.0.0.0/8", "ip.src >= 10.0.0.0 and ip.src <= 10.255.255.255"),
        ("ip.src in {10.0.0.0/8 192.0.2.10}", "ip.src == 10.0.0.0/8 || ip.src == 192.0.2.10"),
        ("ip.dst#2 == 192.0.2.100", "ip.dst#[2] == 192.0.2.100"),
        ("ip.addr == 192.0.2.100", "ip.src == 192.0.2.100 or ip.dst == 192.0.2.100"),
        ("ip#2", "ip.version#2"),
        ("tcp.flags.syn", "tcp.flags & 0x02"),
        ("tcp.flags.syn", "tcp.flags.syn == true"),
        ("tcp.flags & 0x12 == 2", "tcp.flags.syn and not tcp.flags.ack"),
        ("ip.ttl#1 == ip.ttl#2", "ip.ttl#2 and ip.ttl#1 - ip.ttl#2 == 0"),
        ("ip.len#1 == ip.len#2 + 32", "gue"),
        ("ip.checksum.state == bad", "ip.checksum.status == bad"),
        ("inner.proto == tcp", "tcp"),
        ("ip.dsfield.dscp == EF", "ip.dsfield.dscp == 46"),
        ("ip.dsfield.dscp == tos=0x1c", "ip.dsfield == 28"),
        ("outer.tos == tos=0x00", "ip.dsfield#1 == 0"),
        ("eth.addr == ff:ff:ff:ff:ff:ff", "eth.dst == ff-ff-ff-ff-ff-ff"),
        ("frame.number in {3..5, 9}", "frame.number >= 3 and frame.number < 6 or frame.number == 9"),
        ("frame.time_relative < 0.5", "frame.number < 500 and frame.time_relative < 500000.0e-6"),
        ("frame.time_epoch > 0", "frame.time >= 1970-01-01T00:00:01"),
        ("arp.opcode == reply", "arp.opcode == 2"),
    ],
)
def test_two_ways_to_say_the_same(one: str, other: str) -> None:
    assert selected(one) == selected(other)


def test_names_that_only_the_dissector_knows_are_found_in_single_frames() -> None:
    scale = selected("tcp.options.wscale.shift == 7 and gue")
    assert scale
    assert scale == selected("tcp.flags.syn and gue")


def test_a_capture_of_dns_is_asked_for_names() -> None:
    file = sorted((PCAPS / "dns-rr" / "dns-rr").glob("*.pcap*"))[0]
    asked = selected("dns.qry.name contains 'example'", file)
    assert asked == selected("dns.qry.name matches 'EXAMPLE'", file) == selected("dns", file)
    assert selected("dns.qry.name == nothing", file) == []


def test_roles_are_texts() -> None:
    after = selected('role contains "after LB"')
    assert after == selected("gue")
    assert selected('not role contains "after LB" and gue') == []


def test_defects_are_there_or_not_and_texts() -> None:
    file = sorted((PCAPS / "nat" / "ipvs-nat-snaplen96").glob("*.pcap*"))[0]
    assert selected("defect", file) == selected('defect contains "e"', file)
    assert selected("not defect") == selected("frame")


def test_an_absent_field_makes_every_comparison_false() -> None:
    for sign in ("==", "!=", "<", ">=", "===", "!=="):
        assert selected(f"ipv6.hlim {sign} 64") == []
    assert selected("not ipv6.hlim == 64") == selected("frame")


# --- what is refused, and where ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "empty (column 1, at ^ in: ^)"),
        ("   ", "empty"),
        ("ip.dts == 1", "no field 'ip.dts' (near: ip.dst"),
        ("tcp and ip.dts == 1", "column 9, at ^ in: tcp and ^ip.dts == 1"),
        ("ip.dst == 10.0.0", "'10.0.0' is no address and no network (10.0.0.0/8) (column 11"),
        ("ip.dst == 2001:db8::1", "ip.dst holds IPv4 addresses, and 2001:db8::1 is none; ask ipv6.dst"),
        ("ip.checksum.state == 1", "good, partial, zero, absent, bad"),
        ("ip.ttl == ip.src", "cannot be compared with each other"),
        ("ip == 4", "ip is a header, which is there or not"),
        ("tcp.port in 80", "a set in braces follows 'in'"),
        ("tcp.port in {}", "the set is empty"),
        ("tcp.port in {90..80}", "ends before it begins"),
        ("(tcp", "closing bracket"),
        ("tcp)", "'and' or 'or' goes between"),
        ("tcp udp", "'and' or 'or' goes between"),
        ("tcp and", "the expression ends"),
        ("10 < ip.ttl < 64", "one comparison at a time"),
        ("role == 'a", "not closed"),
        ("role < 'a'", "texts have no order"),
        ("ip.ttl contains 6", "needs a field that is text"),
        ("role matches '('", "not a regular expression"),
        ("ip.ttl $ 4", "'$' means nothing here"),
        ("eth.src[0:3] == 02:00:00", "no field"),
        ("ip.src#0", "counted from 1"),
        ("frame.number#2 == 1", "belongs to the frame"),
        ("5", "a number alone"),
        ("5 == 5", "no field is compared"),
        ("ip.src + 1 == 2", "no number to calculate with"),
        ("not " * (DEEPEST + 1) + "tcp", "inside each other"),
        ("(" * 5000 + "tcp" + ")" * 5000, "inside each other"),
    ],
)
def test_a_mistake_is_one_line_that_shows_its_place(expression: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        compile_filter(expression)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "^" in str(caught.value)


def test_long_chains_are_no_deep_ones() -> None:
    assert selected(" or ".join(["tcp"] * 5000)) == selected("tcp")


WORDS: Final = (
    *"(){}!&|<>=~.#,\"' ",
    *(
        "ip.src",
        "tcp",
        "role",
        "tcp.port",
        "in",
        "10.0.0.1",
        "80",
        "and",
        "not",
        "==",
        "..",
        "0x",
        "contains",
        "matches",
    ),
)


@given(st.text(max_size=40) | st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))
def test_any_text_is_an_expression_or_a_mistake(text: str) -> None:
    try:
        compile_filter(text)
    except UsageError as error:
        mistake = str(error)
    else:
        mistake = "--where: none"
    assert mistake.startswith("--where: ")


# --- columns against frames taken apart -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """An expression as text, and as what it means for one frame."""

    text: str
    holds: Callable[[int, Dissection], bool]


SIDES: Final = {
    "ip.addr": ("ip.src", "ip.dst"),
    "tcp.port": ("tcp.srcport", "tcp.dstport"),
    "udp.port": ("udp.srcport", "udp.dstport"),
    "eth.addr": ("eth.src", "eth.dst"),
}
NUMBERS: Final = (
    "ip.ttl",
    "ip.len",
    "ip.id",
    "ip.dsfield",
    "ip.dsfield.dscp",
    "ip.flags.df",
    "ip.frag_offset",
    "ip.hdr_len",
    "ipv6.hlim",
    "ipv6.plen",
    "ipv6.nxt",
    "tcp.srcport",
    "tcp.port",
    "tcp.flags",
    "tcp.flags.syn",
    "tcp.seq",
    "tcp.len",
    "tcp.window_size_value",
    "tcp.options.mss_val",
    "tcp.options.wscale.shift",
    "udp.dstport",
    "udp.port",
    "udp.length",
    "icmp.type",
    "icmp.code",
    "arp.opcode",
    "eth.type",
    "dns.id",
    "dns.count.answers",
    "gre.proto",
    "gue.hlen",
    "icmpv6.type",
    "vlan.id",
)
ADDRESSES: Final = ("ip.src", "ip.dst", "ip.addr", "ipv6.src", "eth.src", "eth.addr", "arp.src.proto_ipv4")
LAYERS: Final = ("ip", "ipv6", "tcp", "udp", "icmp", "icmpv6", "arp", "eth", "gre", "gue", "dns")
ORDERS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def number_of(value: int | str | bytes) -> int:
    if isinstance(value, bytes):
        return int.from_bytes(value, "big")
    if isinstance(value, int):
        return value
    if value.count(":") == 5 and len(value) == 17:
        return mac_int(value)
    high, low = ip_halves(value)
    return high << 64 | low


def values(taken: Dissection, name: str, layer: int | None) -> Iterator[int]:
    """Every value of a field, straight from the frame taken apart."""
    for one in taken.layers:
        if not one.quoted and layer in (None, one.number):
            yield from (number_of(f.value) for f in one.fields if f.name in SIDES.get(name, (name,)))


@cache
def met(name: str) -> list[str]:
    """Values of a field that the captures hold, as they are written."""
    found = {
        str(f.value)
        for file in files()
        for _, taken in every_frame(file)
        for one in taken.layers
        if not one.quoted
        for f in one.fields
        if f.name in SIDES.get(name, (name,))
    }
    return sorted(found)[:40] or ["1"]


@st.composite
def a_test(draw: st.DrawFn) -> Said:
    layer = draw(st.sampled_from([None, None, 1, 2]))
    mark = f"#{layer}" if layer else ""
    if draw(st.integers(0, 4)) == 0:
        header = draw(st.sampled_from(LAYERS))
        return Said(
            header + mark,
            lambda _, d: any(o.name == header and not o.quoted and layer in (None, o.number) for o in d.layers),
        )
    is_number = draw(st.booleans())
    name = draw(st.sampled_from(NUMBERS if is_number else ADDRESSES))
    written = draw(st.sampled_from(met(name)))
    constant = number_of(int(written) if is_number else written)
    sign = draw(st.sampled_from([*ORDERS, "!=", "===", "!==", "in"] + (["&"] if is_number else [])))
    if sign == "&":
        return Said(f"{name}{mark} & {written}", lambda _, d: any(v & constant for v in values(d, name, layer)))
    if sign == "in":
        other = draw(st.sampled_from(met(name)))
        among = {constant, number_of(int(other) if is_number else other)}
        return Said(
            f"{name}{mark} in {{{written}, {other}}}", lambda _, d: any(v in among for v in values(d, name, layer))
        )

    def holds(_: int, taken: Dissection) -> bool:
        found = list(values(taken, name, layer))
        if sign == "!=":
            return bool(found) and all(v != constant for v in found)
        if sign == "===":
            return bool(found) and all(v == constant for v in found)
        if sign == "!==":
            return any(v != constant for v in found)
        return any(ORDERS[sign](v, constant) for v in found)

    return Said(f"{name}{mark} {sign} {written}", holds)


def joined(parts: st.SearchStrategy[Said]) -> st.SearchStrategy[Said]:
    pairs = st.tuples(parts, parts)
    return st.one_of(
        parts.map(lambda a: Said(f"not ({a.text})", lambda n, d: not a.holds(n, d))),
        pairs.map(
            lambda p: Said(f"({p[0].text}) and ({p[1].text})", lambda n, d: p[0].holds(n, d) and p[1].holds(n, d))
        ),
        pairs.map(lambda p: Said(f"({p[0].text}) || ({p[1].text})", lambda n, d: p[0].holds(n, d) or p[1].holds(n, d))),
        pairs.map(
            lambda p: Said(f"({p[0].text}) xor ({p[1].text})", lambda n, d: p[0].holds(n, d) != p[1].holds(n, d))
        ),
    )


def not_cooked(file: Path) -> bool:
    """Cooked captures have no Ethernet header, but columns keep the sender that they name as ``eth.src``."""
    try:
        return not {interface.linktype for interface in read(file).interfaces} & {113, 276}
    except CaptureError:
        return False


@cache
def published() -> list[Path]:
    """Small captures of other projects, if they are there: every protocol, every way to be malformed."""
    small = (path for path in VECTORS.rglob("*.pcap*") if path.stat().st_size < 100_000)
    return [path for path in sorted(small)[::7] if not_cooked(path)]


EXPRESSIONS: Final = st.recursive(a_test(), joined, max_leaves=5)


@settings(max_examples=150, derandomize=True)
@given(EXPRESSIONS, st.sampled_from(files()))
def test_columns_answer_as_frames_taken_apart_do(said: Said, file: Path) -> None:
    answers_agree(said, file)


@pytest.mark.skipif(not VECTORS.is_dir(), reason=f"no vectors at {VECTORS}")
@settings(max_examples=150, derandomize=True)
@given(st.data())
def test_they_do_for_frames_of_other_projects(data: st.DataObject) -> None:
    answers_agree(data.draw(EXPRESSIONS), data.draw(st.sampled_from(published())))


def answers_agree(said: Said, file: Path) -> None:
    expected = [number for number, taken in every_frame(file) if said.holds(number, taken)]
    assert [n for n in selected(said.text, file) if n <= FRAMES] == expected, said.text


def test_only_open_rows_are_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    dissection = Batch.dissection

    def counted(self: Batch, i: int) -> Dissection:
        taken.append(i)
        return dissection(self, i)

    monkeypatch.setattr(Batch, "dissection", counted)
    selected("ip.ttl == 64 and tcp.port == 80")
    assert not taken
    found = selected("tcp.flags.syn and gue and tcp.options.wscale.shift == 7")
    assert len(taken) == len(found)

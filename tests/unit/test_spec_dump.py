"""The text of a spec parses back to it, whatever it holds, and looks as the interface page shows it."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from dsrkit.model.names import MODES, PORT_MAPPING, PROFILES, ROLES, TUNNEL_TYPES
from dsrkit.model.spec import (
    HEALTH_THROUGH,
    HEALTH_TYPES,
    PROTOCOLS,
    TAKEOVER_PROTOCOLS,
    Allow,
    Dns,
    Health,
    Link,
    PathSpec,
    Port,
    Proxy,
    RuleSelection,
    Snat,
    Spec,
    SpecNode,
    SpecService,
    SpecTap,
    Takeover,
    Tunnel,
)
from dsrkit.model.toml import dump

PAGE = """\
spec = 1

[[service]]
mode = "l3dsr-dscp"
vip = "203.0.113.10"
ports = ["tcp/80", "udp/53"]
profile = "ipvs"

[path]
request = ["client", "r1", "lb1", "r1", "sw", "web1"]
reply = ["web1", "sw", "r1", "client"]

[dscp]
7 = "203.0.113.10"

[tunnel]
type = "gue"
variant = 0
port = 6080
checksum = false
mtu = 1500

[[node]]
name = "lb1"
role = "lb"
[[node.link]]
link = "B"
interface = "eth0"
mac = "02:00:00:00:00:02"
ip = "10.0.0.2/24"
gateway = "10.0.0.1"

[[node]]
name = "web1"
role = "real-server"
ip = "10.0.0.11"
mac = ["02:00:00:00:00:11", "02:00:00:00:00:12"]
[node.dscp]
9 = "203.0.113.11"

[[tap]]
name = "lb"
file = "b.pcap"
node = "lb1"
link = "B"

[snat]
source = ["10.0.0.2"]

[proxy]
version = 2

[dns]
name = "www.example.com"
records = ["203.0.113.21", "203.0.113.22"]
ttl = 60

[[health]]
type = "http"
interval = 2.0
path = "/health"
through = "vip"

[takeover]
protocol = "vrrp"
vrid = 51

[rules]
ignore = ["DSC513"]

[[allow]]
code = "ARP107"
node = "web1"
reason = "arp_accept is \\"off\\" on purpose"
"""


def test_page_of_every_table() -> None:
    assert dump(Spec.parse(PAGE)) == PAGE


def test_empty() -> None:
    assert dump(Spec()) == "spec = 1\n"


T = TypeVar("T")
TEXT = st.text(min_size=1, max_size=12).filter(lambda text: text.strip())
ADDRESS = st.ip_addresses().map(str)
MACS = st.binary(min_size=6, max_size=6).map(lambda octets: octets.hex(":"))


def several(items: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(items, max_size=3, unique=True).map(tuple)


def maybe(items: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    return st.none() | items


@st.composite
def services(draw: st.DrawFn) -> SpecService:
    mode = draw(maybe(st.sampled_from(MODES)))
    vport = st.integers(1, 65535)
    ports = []
    for _ in range(draw(st.integers(0, 2))):
        port = draw(vport)
        mapped = mode is None or mode in PORT_MAPPING
        ports.append(Port(draw(st.sampled_from(PROTOCOLS)), port, draw(vport) if mapped else port))
    vips = draw(st.lists(ADDRESS, min_size=1, max_size=2, unique=True))
    return SpecService(mode, tuple(vips), tuple(dict.fromkeys(ports)), draw(st.sampled_from(PROFILES)))


@st.composite
def links(draw: st.DrawFn, *, named: bool) -> Link:
    ips = draw(several(ADDRESS))
    prefix = tuple(draw(maybe(st.integers(0, 32))) for _ in ips)
    if not named:
        return Link(None, None, draw(several(MACS)), ips, prefix)
    return Link(draw(maybe(TEXT)), draw(maybe(TEXT)), draw(several(MACS)), ips, prefix, draw(maybe(ADDRESS)))


TAGS = st.dictionaries(st.integers(0, 63), ADDRESS, max_size=3)


@st.composite
def nodes(draw: st.DrawFn) -> tuple[SpecNode, ...]:
    names = draw(st.lists(TEXT, max_size=3, unique=True))
    return tuple(
        SpecNode(
            name,
            draw(st.sampled_from(ROLES)),
            (*draw(st.lists(links(named=False), max_size=1)), *draw(st.lists(links(named=True), max_size=2))),
            draw(TAGS),
        )
        for name in names
    )


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    those = draw(nodes())
    node = st.sampled_from([None, *(node.name for node in those)])
    taps = [
        SpecTap(name, draw(maybe(st.sampled_from(["b.pcap", "x/c d.pcap"]).map(Path))), draw(maybe(TEXT)), draw(node))
        for name in draw(st.lists(TEXT, max_size=3, unique=True))
    ]
    tunnels = st.builds(
        Tunnel,
        maybe(st.sampled_from(TUNNEL_TYPES)),
        maybe(st.integers(0, 1)),
        maybe(st.integers(1, 65535)),
        maybe(st.booleans()),
        maybe(st.integers(68, 65535)),
    )
    seconds = st.floats(1e-9, 1e6, exclude_min=True)
    checks = st.builds(
        Health,
        st.sampled_from(HEALTH_TYPES),
        maybe(seconds),
        maybe(TEXT),
        maybe(st.sampled_from(HEALTH_THROUGH)),
    )
    return Spec(
        services=tuple(draw(st.lists(services(), max_size=2))),
        path=PathSpec(draw(several(TEXT)), draw(several(TEXT))),
        dscp=draw(TAGS),
        tunnel=draw(maybe(tunnels)),
        nodes=those,
        taps=tuple(taps),
        snat=draw(maybe(st.builds(Snat, several(ADDRESS)))),
        proxy=draw(maybe(st.builds(Proxy, maybe(st.integers(1, 2))))),
        dns=draw(maybe(st.builds(Dns, maybe(TEXT), several(ADDRESS), maybe(st.integers(0, 2**31 - 1))))),
        health=tuple(draw(st.lists(checks, max_size=2))),
        takeover=draw(
            maybe(st.builds(Takeover, maybe(st.sampled_from(TAKEOVER_PROTOCOLS)), maybe(st.integers(1, 255))))
        ),
        rules=RuleSelection(draw(several(TEXT)), draw(several(TEXT))),
        allow=tuple(draw(st.lists(st.builds(Allow, TEXT, TEXT, node), max_size=2))),
    )


@given(specs())
def test_parses_back(spec: Spec) -> None:
    assert Spec.parse(dump(spec)) == spec

"""The spec file: what it holds, and one clear line for each way of getting it wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsrkit.errors import SpecError
from dsrkit.model.schema import SPEC_SCHEMA
from dsrkit.model.spec import (
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
    SpecService,
    SpecTap,
    Takeover,
    Tunnel,
)

FULL = """
spec = 1

[[service]]
mode = "l3dsr-dscp"
vip = "203.0.113.10"
ports = ["tcp/80", "udp/53"]
profile = "ipvs"

[path]
request = ["client", "r1", "lb1", "r1", "...", "real-server"]
reply = ["web1", "r1", "client"]

[dscp]
7 = "203.0.113.10"
"tos=0x20" = "203.0.113.11"
EF = "2001:DB8:0::1"

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
mac = ["02:00:00:00:00:02", "0200.0000.0002", "00-00-5E-00-01-33"]
ip = ["10.0.0.2/24", "2001:db8::2"]
gateway = "10.0.0.1"

[[node]]
name = "lb2"
role = "lb"
ip = "10.0.0.3"

[[node]]
name = "web1"
role = "real-server"
ip = "10.0.0.11/24"
mac = "02:00:00:00:00:11"
[node.dscp]
9 = "203.0.113.10"

[[tap]]
name = "lb"
file = "b.pcap"
node = "lb1"
link = "B"

[[tap]]
name = "web"
interface = "eth1"

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
interval = 2
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
reason = "arp_accept is off on purpose"
"""


def test_everything_a_spec_may_hold(tmp_path: Path) -> None:
    spec = Spec.parse(FULL, base=tmp_path)
    assert spec.services == (
        SpecService("l3dsr-dscp", ("203.0.113.10",), (Port("tcp", 80, 80), Port("udp", 53, 53)), "ipvs"),
    )
    assert spec.path == PathSpec(("client", "r1", "lb1", "r1", "...", "real-server"), ("web1", "r1", "client")), (
        "a path may cross a router twice"
    )
    assert spec.dscp == {7: "203.0.113.10", 8: "203.0.113.11", 46: "2001:db8::1"}
    assert spec.tunnel == Tunnel("gue", 0, 6080, False, 1500)
    assert spec.taps == (SpecTap("lb", tmp_path / "b.pcap", None, "lb1", "B"), SpecTap("web", None, "eth1"))
    assert spec.snat == Snat(("10.0.0.2",))
    assert spec.proxy == Proxy(2)
    assert spec.dns == Dns("www.example.com", ("203.0.113.21", "203.0.113.22"), 60)
    assert spec.health == (Health("http", 2.0, "/health", "vip"),)
    assert spec.takeover == Takeover("vrrp", 51)
    assert spec.rules == RuleSelection(ignore=("DSC513",))
    assert spec.allow == (Allow("ARP107", "arp_accept is off on purpose", "web1"),)


def test_nodes_and_their_links() -> None:
    spec = Spec.parse(FULL)
    lb1, lb2, web1 = spec.nodes
    assert lb1.links == (
        Link(
            "B",
            "eth0",
            ("02:00:00:00:00:02", "00:00:5e:00:01:33"),
            ("10.0.0.2", "2001:db8::2"),
            (24, None),
            "10.0.0.1",
        ),
    )
    assert lb1.links[0].networks == ("10.0.0.0/24",)
    assert spec.role("lb") == (lb1, lb2)
    assert web1.ips == ("10.0.0.11",)
    assert web1.macs == ("02:00:00:00:00:11",)
    assert web1.links == (Link(None, None, web1.macs, web1.ips, (24,)),)
    assert spec.node("web1") is web1
    assert spec.node("web9") is None
    assert spec.dscp_for("web1") == {9: "203.0.113.10"}
    assert spec.dscp_for("lb1") == spec.dscp


def test_a_shorthand_that_repeats_a_link_is_not_another_link() -> None:
    text = '[[node]]\nname="lb1"\nrole="lb"\nip="10.0.0.2"\nmac="02:00:00:00:00:02"\n'
    link = '[[node.link]]\nlink="B"\nip="10.0.0.2/24"\nmac="02:00:00:00:00:02"\n'
    (node,) = Spec.parse(text + link).nodes
    assert [found.link for found in node.links] == ["B"]
    (node,) = Spec.parse(text + link.replace("10.0.0.2", "10.0.9.2")).nodes
    assert [found.link for found in node.links] == [None, "B"]
    assert node.ips == ("10.0.0.2", "10.0.9.2")


def test_the_schema_accepts_what_the_parser_accepts() -> None:
    jsonschema.validate(tomllib.loads(FULL), SPEC_SCHEMA)


@pytest.mark.parametrize(
    "text",
    ["", "spec = 1", '[service]\nvip = "203.0.113.10"', '[service]\nmode = "dns-rr"', '[[service]]\nmode = "l7"'],
)
def test_most_keys_are_optional(text: str) -> None:
    spec = Spec.parse(text)
    assert spec.nodes == ()
    jsonschema.validate(tomllib.loads(text), SPEC_SCHEMA)


def test_service_as_one_table_or_several() -> None:
    one = Spec.parse('[service]\nmode = "nat"\nvip = ["203.0.113.10", "2001:db8::10"]\nports = "tcp/80:8080"')
    assert (one.mode, one.vips, one.ports) == ("nat", ("203.0.113.10", "2001:db8::10"), (Port("tcp", 80, 8080),))
    assert str(one.ports[0]) == "tcp/80:8080"
    two = Spec.parse(
        '[[service]]\nmode = "nat"\nvip = "203.0.113.10"\n[[service]]\nmode = "l2dsr"\nvip = "203.0.113.11"\n'
        'profile = "ipvs"'
    )
    assert two.mode is None
    assert two.modes == ("nat", "l2dsr")
    assert two.profile == "any"


NODE = '[[node]]\nname = "web1"\nrole = "real-server"\n'


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        # unknown keys, each with the nearest valid one
        ("servce = 1", "servce", "unknown key (did you mean 'service'?)"),
        ('[service]\nvips = "203.0.113.10"', "service.vips", "did you mean 'vip'?"),
        (NODE + 'addr = "10.0.0.1"', "node[web1].addr", "unknown key"),
        (NODE + '[[node.link]]\ngatway = "10.0.0.1"', "node[web1].link[0].gatway", "did you mean 'gateway'?"),
        ("[tunnel]\nmut = 1", "tunnel.mut", "did you mean 'mtu'?"),
        ("[path]\nrequests = []", "path.requests", "did you mean 'request'?"),
        ('[[tap]]\nname = "B"\nfiles = "x"', "tap[B].files", "did you mean 'file'?"),
        ('[rules]\nignored = "x"', "rules.ignored", "did you mean 'ignore'?"),
        ('"a\\nb" = 1', "'a\\nb'", "unknown key"),
        # the ambiguous name of an octet
        ("[service]\ntos = 28", "service.tos", "ambiguous"),
        (NODE + "tos = 28", "node[web1].tos", "ambiguous"),
        ('[dscp]\n7 = "203.0.113.10"\ntos = "203.0.113.10"', "dscp.tos", "ambiguous"),
        # values
        ('[service]\nmode = "l3dsr"', "service.mode", "'l3dsr' is not valid (did you mean 'l2dsr'?"),
        ('[service]\nmode = "nat"', "service.vip", "is required for mode nat"),
        ('[service]\nprofile = "lvs"', "service.profile", "did you mean 'ipvs'?"),
        ('[service]\nvip = "203.0.113.300"', "service.vip", "'203.0.113.300' is not an IP address"),
        ('[service]\nvip = "203.0.113.10/32"', "service.vip", "without the prefix length"),
        ('[service]\nvip = "fe80::1%eth0"', "service.vip", "is not an IP address"),
        ('[service]\nports = ["80"]', "service.ports", "'80' is not a port (write tcp/80"),
        ('[service]\nports = "tcp/0"', "service.ports", "a port is within 1 and 65535"),
        ('[service]\nports = "tcp/80:70000"', "service.ports", "a port is within 1 and 65535"),
        ('[service]\nports = "icmp/8"', "service.ports", "is not a port"),
        (
            '[service]\nmode = "l2dsr"\nvip = "203.0.113.10"\nports = "tcp/80:8080"',
            "service.ports",
            "mode l2dsr cannot change a port",
        ),
        (NODE + 'ip = "10.0.0.1/33"', "node[web1].ip", "is not an IP address"),
        (NODE + 'ip = "10.0.0.1/255.255.255.0"', "node[web1].ip", "is not an IP address"),
        (NODE + 'ip = "10.0.0.1/00009999"', "node[web1].ip", "is not an IP address"),
        (NODE + 'mac = "02:00:00:00:11"', "node[web1].mac", "is not a MAC address"),
        (NODE + 'mac = "02:00-00:00:00:11"', "node[web1].mac", "is not a MAC address"),
        ('[[node]]\nname = "x"\nrole = "server"', "node[x].role", "did you mean 'real-server'?"),
        ('[[node]]\nname = "x"', "node[x].role", "is required"),
        ('[[node]]\nrole = "lb"', "node[0].name", "is required"),
        ('[tunnel]\ntype = "vxlan"', "tunnel.type", "one of: ipip, 6in6, 4in6, 6in4, gre, gue"),
        ("[tunnel]\nvariant = 2", "tunnel.variant", "must be within 0 and 1"),
        ('[dscp]\n64 = "203.0.113.10"', "dscp.64", "not within 0 to 63"),
        (
            '[dscp]\n7 = "203.0.113.10"\n"tos=0x1c" = "203.0.113.10"',
            "dscp.'tos=0x1c'",
            "7 (tos 0x1c) stands here twice",
        ),
        ('[dscp]\n"203.0.113.10" = 7', "dscp.'203.0.113.10'", "[dscp] holds the tag and the VIP that it stands for"),
        ("[dscp]\n203.0.113.10 = 7", "dscp.203", "[dscp] holds the tag and the VIP that it stands for"),
        ("[dscp]\nvip = 7", "dscp.vip", "[dscp] holds the tag and the VIP that it stands for"),
        (
            '[[service]]\nmode = "l3dsr-dscp"\nvip = "203.0.113.10"\ndscp = 7',
            "service[0].dscp",
            "stands in a table of its own: [dscp] holds the tag and the VIP that it stands for, as in 7 = ",
        ),
        ('[dscp]\n7 = "vip"', "dscp.7", "is not an IP address"),
        ("[[health]]\ninterval = 1", "health[0].type", "is required"),
        ('[[health]]\ntype = "tcp"\ninterval = 0', "health[0].interval", "above 0"),
        ('[[health]]\ntype = "tcp"\ninterval = nan', "health[0].interval", "above 0"),
        ('[[health]]\ntype = "tcp"\ninterval = inf', "health[0].interval", "above 0"),
        ("[takeover]\nvrid = 256", "takeover.vrid", "must be within 1 and 255"),
        ("spec = 2", "spec", "reads version 1"),
        ("spec = 0x" + "f" * 6000, "spec", "must be within"),
        # names
        (NODE + NODE, "node", "two of them are named 'web1'"),
        ('[[tap]]\nname = "B"\n[[tap]]\nname = "B"', "tap", "two of them are named 'B'"),
        (
            NODE + '[[tap]]\nname = "B"\nnode = "web"',
            "tap[B].node",
            "no [[node]] is named 'web' (did you mean 'web1'?)",
        ),
        ('[[tap]]\nname = "B"\nnode = "web"', "tap[B].node", "the spec has: no nodes"),
        ('[[tap]]\nname = " "', "tap[0].name", "must not be empty"),
        ('[[allow]]\ncode = "ARP107"', "allow[0].reason", "is required: say why"),
        ('[[allow]]\ncode = "ARP107"\nreason = ""', "allow[0].reason", "must not be empty"),
        ('[[allow]]\ncode = "A"\nreason = "r"\nnode = "n"', "allow[0].node", "no [[node]] is named 'n'"),
        # wrong types
        ("spec = true", "spec", "must be an integer, not a boolean"),
        ("service = 1", "service", "must be a list of tables ([[service]]), not an integer"),
        ("service = [1]", "service", "but holds an integer"),
        ("[node]", "node", "must be a list of tables ([[node]]), not a table"),
        ("path = []", "path", "must be a table, not a list"),
        ('[path]\nrequest = "client"', "path.request", "must be a list of strings, not a string"),
        ("[path]\nrequest = [1]", "path.request", "must be a list of names, but holds an integer"),
        ("[service]\nvip = 1979-05-27", "service.vip", "must be a string or a list of strings, not a date or time"),
        ("[service]\nvip = [[]]", "service.vip", "but holds a list"),
        ('[service]\nvip = [""]', "service.vip", "must not hold an empty string"),
        ("[service]\nmode = {}", "service.mode", "must be a string, not a table"),
        ("[tunnel]\nchecksum = 1", "tunnel.checksum", "must be true or false, not an integer"),
        ('[[health]]\ntype = "tcp"\ninterval = true', "health[0].interval", "must be a number of seconds"),
        ("[dscp]\n7 = 1", "dscp.7", "must be a string, not an integer"),
        ('[[tap]]\nname = "B"\nfile = "a\\u0000b"', "tap[B].file", "NUL"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(text: str, where: str, message: str) -> None:
    with pytest.raises(SpecError) as mistake:
        Spec.parse(text)
    line = str(mistake.value)
    assert line.startswith(f"dsr.toml: {where}: ")
    assert message in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"spec = ", "not TOML"),
        (b"spec = 1\nspec = 1", "not TOML"),
        (b"x = " + b"[" * 50_000, "not TOML"),
        (b"x = " + b"9" * 50_000, "not TOML"),
        (b"x = '\xff'", "not UTF-8 text (octet 5)"),
    ],
)
def test_a_file_that_is_no_spec(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "dsr.toml"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=r"\A[^\n]*\Z") as mistake:
        Spec.load(path)
    assert str(mistake.value).startswith(f"{path}: ")
    assert message in str(mistake.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="No such file"):
        Spec.load(tmp_path / "missing.toml")
    with pytest.raises(SpecError, match="Is a directory"):
        Spec.load(tmp_path)
    with pytest.raises(SpecError, match="null"):
        Spec.load("a\0b")


def test_files_of_taps_are_relative_to_the_spec(tmp_path: Path) -> None:
    path = tmp_path / "site" / "dsr.toml"
    path.parent.mkdir()
    path.write_bytes(b'\xef\xbb\xbf[[tap]]\nname = "B"\nfile = "../b.pcap"\n[[tap]]\nname = "C"\nfile = "/c.pcap"\n')
    spec = Spec.load(path)
    assert [tap.file for tap in spec.taps] == [path.parent / "../b.pcap", Path("/c.pcap")]
    assert spec.file == path
    assert spec.tap("C") == spec.taps[1]
    assert spec.tap("D") is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "ip", "type", "7"]), inner),
    max_leaves=6,
)
KEYS = [
    "spec", "service", "path", "dscp", "tunnel", "node", "tap",
    "snat", "proxy", "dns", "health", "takeover", "rules", "allow",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(KEYS), VALUES | st.lists(st.dictionaries(st.text(), VALUES), max_size=2)))
def test_wrong_types_are_never_a_traceback(data: dict[str, object]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dsrkit.model.spec.tomllib.loads", lambda text: data)
        try:
            outcome = Spec.parse("").file
        except SpecError as mistake:
            outcome = str(mistake)
    assert outcome is None or outcome.startswith("dsr.toml: ")

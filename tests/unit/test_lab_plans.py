"""What a lab is made of, before anything is built."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from dsrkit.craft.faults import FAULTS as CATALOGUE
from dsrkit.errors import MissingDependency, SpecError, UsageError
from dsrkit.lab import plan
from dsrkit.lab.engine import Engine
from dsrkit.lab.faults import FAULTS, faulty
from dsrkit.lab.job import Job
from dsrkit.lab.plan import Lab, Wishes, job_of, lab
from dsrkit.lab.run import recorded
from dsrkit.lab.topology import cables, taps
from dsrkit.lab.traffic import steps
from dsrkit.lab.vary import varied
from dsrkit.model.names import MODES
from dsrkit.model.spec import Spec
from dsrkit.model.toml import dump
from dsrkit.setup.api import plan_of, site_of
from dsrkit.setup.output import shell
from dsrkit.setup.site import Choices, Site

LAB_PAGE = Path(__file__).parents[2] / "docs" / "lab.md"
TWO_ROUTERS = """
service = {mode = "l3dsr-dscp", vip = "203.0.113.10", ports = "tcp/80"}
dscp = {7 = "203.0.113.10"}
node = [
    {name = "client", role = "client", link = [{link = "A", ip = "198.51.100.10/24", gateway = "198.51.100.1"}]},
    {name = "r1", role = "router", link = [{link = "A", ip = "198.51.100.1/24"}, {link = "B", ip = "203.0.113.1/24"}]},
    {name = "lb1", role = "lb", link = [{link = "B", ip = "203.0.113.2/24", gateway = "203.0.113.1"}]},
    {name = "r2", role = "router", link = [
        {link = "B", ip = "203.0.113.3/24", gateway = "203.0.113.1"}, {link = "C", ip = "10.0.0.1/24"}]},
    {name = "web1", role = "real-server", link = [{link = "C", ip = "10.0.0.11/24", gateway = "10.0.0.1"}]},
    {name = "web2", role = "real-server", link = [{link = "C", ip = "10.0.0.12/24", gateway = "10.0.0.1"}]},
]
[path]
request = ["client", "r1", "lb1", "r2", "real-server"]
reply = ["real-server", "r2", "r1", "client"]
"""


def job(site: Site, wishes: Wishes | None = None) -> Job:
    return job_of(site, [plan_of(site, node) for node in site.spec.nodes], wishes or Wishes())


@pytest.mark.parametrize("mode", MODES)
def test_a_job_is_plain_data(mode: str) -> None:
    made = job(site_of(mode))
    assert Job.load(made.dump()) == Job.load(Job.load(made.dump()).dump())
    assert Job.load(made.dump()).cables == made.cables
    assert Job.load(made.dump()).steps == made.steps
    json.loads(made.dump())


@pytest.mark.parametrize("mode", MODES)
def test_every_node_runs_what_setup_prints(mode: str) -> None:
    site = site_of(mode)
    assert dict(job(site).scripts) == {node.name: shell(plan_of(site, node)) for node in site.spec.nodes}


@pytest.mark.parametrize("mode", MODES)
def test_every_cable_has_a_tap_and_the_spec_names_them(mode: str) -> None:
    site = site_of(mode)
    found = taps(site)
    assert len(found) == len(cables(site)) == len({tap.file for tap in found})
    spec = Spec.parse(dump(recorded(site, job(site))))
    assert [tap.link for tap in spec.taps] == [tap.link for tap in found]


def test_the_load_balancer_is_where_a_cable_is_tapped() -> None:
    assert [tap.file for tap in taps(site_of("nat", real_servers=1))] == ["A_client.pcap", "B_lb1.pcap", "C_lb1.pcap"]


def test_cables_have_the_addresses_of_the_spec() -> None:
    macs = {(end.node, end.port): end.mac for one in cables(site_of("l2dsr")) for end in (one.near, one.far) if end}
    assert macs["web1", "eth0"] == "02:55:00:00:00:01"
    assert macs["sw1", "eth0"] is None


def test_the_spec_of_a_recording_knows_every_address() -> None:
    site = site_of(spec=Spec.parse(TWO_ROUTERS))
    made = job(site)
    macs = {(end.node, one.link): end.mac for one in made.cables for end in (one.near, one.far) if end}
    assert len(set(macs.values())) == len(macs) == 8
    spec = Spec.parse(dump(recorded(site, made)))
    assert {(node.name, link.link): link.mac[0] for node in spec.nodes for link in node.links} == macs
    taken = Spec.parse(dump(recorded(site_of("l2dsr"), job(site_of("l2dsr")))))
    assert [node.macs for node in taken.nodes] == [node.macs for node in site_of("l2dsr").spec.nodes]


def test_an_address_that_the_spec_gives_is_given_to_no_other() -> None:
    mac = next(end.mac for one in cables(site_of(spec=Spec.parse(TWO_ROUTERS))) for end in (one.near,))
    stated = TWO_ROUTERS.replace('ip = "10.0.0.12/24"', f'ip = "10.0.0.12/24", mac = "{mac}"')
    macs = [end.mac for one in cables(site_of(spec=Spec.parse(stated))) for end in (one.near, one.far) if end]
    assert macs.count(mac) == 1


def test_a_takeover_stands_between_two_rounds() -> None:
    labels = [step.label for step in steps(site_of("garp"), 3, Random(0))]
    assert labels[-2:] == ["takeover: keepalived of lb1 stops", "requests of client again"]
    assert labels[0] == "requests of client"


def test_requests_follow_the_service_and_the_seed() -> None:
    site = site_of("nat", port=8000, server_port=9000, clients=3)
    first = steps(site, 6, Random(5))[0].requests
    assert {(one.to, one.port, one.udp) for one in first} == {("203.0.113.10", 8000, False)}
    assert {one.source for one in first} == {"198.51.100.10", "198.51.100.11", "198.51.100.12"}
    assert steps(site, 6, Random(5))[0].requests == first != steps(site, 6, Random(6))[0].requests
    assert {one.port for one in job(site).servers} == {9000}


def test_clients_of_a_name_ask_their_resolver() -> None:
    request = steps(site_of("dns-rr"), 1, Random(0))[0].requests[0]
    assert (request.name, request.to) == ("www.example.com", "")
    assert request.resolver in site_of("dns-rr").nodes("resolver")[0].ips


@pytest.mark.parametrize(("code", "mode"), [(code, mode) for code, fault in FAULTS.items() for mode in fault.modes])
@pytest.mark.parametrize("firewall", ["nft", "iptables-legacy"])
def test_each_fault_spoils_something(code: str, mode: str, firewall: str) -> None:
    if mode == "l3dsr-dscp":
        firewall = "nft"
    site = site_of(mode, choices=Choices(firewall=firewall))  # type: ignore[arg-type]
    healthy = job(site)
    spoilt = faulty(code, site, healthy)
    changed = {node for node in healthy.scripts if spoilt.scripts[node] != healthy.scripts[node]}
    assert spoilt != healthy
    assert changed == ({"lb1"} if code in ("NAT212", "PRX801") else set())
    assert not [text for texts in spoilt.faults.values() for text in texts if "{vip}" in text or "{{" in text]


def test_faults_have_the_names_of_the_catalogue() -> None:
    assert {code: fault.name for code, fault in FAULTS.items()} == {code: CATALOGUE[code].name for code in FAULTS}


@pytest.mark.parametrize("word", ["DSR319", "dsr319", FAULTS["DSR319"].name, FAULTS["DSR319"].name.upper()])
def test_a_fault_is_given_by_code_or_name(word: str) -> None:
    assert Wishes(fault=word).fault == "DSR319"


def test_the_page_has_a_result_of_every_fault() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([\w-]+)` \| (?:host|uml) \|", LAB_PAGE.read_text(), re.MULTILINE)
    assert rows == [(code, mode) for code, fault in FAULTS.items() for mode in fault.modes]


@pytest.mark.parametrize("code", ["DSC502", "DSC503"])
@pytest.mark.parametrize(
    ("row", "spoilt"),
    [
        (("client", "r1", "lb1", "r2", "real-server"), {"r2"}),
        (("client", "r1", "lb", "r1", "real-server"), {"r1"}),
        (("client", "...", "lb1", "...", "real-server"), {"r1", "r2"}),
        (("client", "r2", "r1", "real-server"), {"r1", "r2"}),
    ],
)
def test_tags_are_spoilt_where_they_pass(code: str, row: tuple[str, ...], spoilt: set[str]) -> None:
    spec = Spec.parse(TWO_ROUTERS)
    site = site_of(spec=replace(spec, path=replace(spec.path, request=row)))
    assert set(job(site, Wishes(fault=code)).faults) == spoilt


@pytest.mark.parametrize(
    ("code", "mode", "choices", "options", "said"),
    [
        ("ARP101", "l2dsr", Choices(), {"ip": "6"}, "IPv6 has no arp_ignore"),
        ("ARP101", "l2dsr", Choices(vip_on="dnat"), {}, "no server has the VIP"),
        ("DSR303", "l2dsr", Choices(vip_on="dnat"), {}, "no server has the VIP"),
        ("DSR322", "l3dsr-dscp", Choices(), {"ip": "6"}, "IPv6 has no rp_filter"),
        ("TUN402", "l3dsr-tunnel", Choices(), {"ip": "6"}, "IPv6 has no rp_filter"),
        ("TUN423", "l3dsr-tunnel", Choices(), {"protocol": "udp"}, "UDP has no MSS"),
        ("TUN423", "l3dsr-tunnel", Choices(mss="clamp"), {}, "without --mss clamp"),
        ("NAT214", "nat", Choices(engine="nft"), {"ip": "6"}, "forwards both ways or neither"),
    ],
)
def test_set_ups_that_cannot_have_a_fault(
    code: str, mode: str, choices: Choices, options: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        job(site_of(mode, choices=choices, **options), Wishes(fault=code))


def test_a_fault_of_the_load_balancer_is_another_set_up_of_it() -> None:
    site = site_of("nat")
    assert "10.0.0.11:81 " in faulty("NAT212", site, job(site)).scripts["lb1"]
    site = site_of("l7", proxy="2")
    assert "send-proxy" in job(site).scripts["lb1"]
    assert "send-proxy" not in faulty("PRX801", site, job(site)).scripts["lb1"]


def test_what_traffic_and_faults_run_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def missing(modules: object, programs: list[str]) -> list[str]:
        asked.extend(programs)
        return []

    monkeypatch.setattr(plan, "ENGINES", {"host": Engine("host", "h", lambda folder: None, missing)})
    lab("garp", None, Wishes(engine="host", fault="ARP104"))
    assert {"keepalived", "pkill", "pgrep", "ipvsadm"} <= set(asked)


@pytest.mark.parametrize(
    ("wishes", "said"),
    [
        (Wishes(fault="NAT214"), "NAT214 belongs to nat; l2dsr has: ARP101 ("),
        (Wishes(fault="dsr310"), "no 'dsr310' (did you mean 'DSR319'? l2dsr has: ARP101 ("),
        (Wishes(shell="web9"), "no node 'web9' (nodes: client, r1"),
    ],
)
def test_mistakes_are_named(wishes: Wishes, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        job(site_of("l2dsr"), wishes)
    assert said in str(raised.value)


def test_ping_alone_is_no_service() -> None:
    with pytest.raises(UsageError, match="tcp or udp"):
        job(site_of("nat", protocol="icmp"))


def test_names_that_are_no_file_names_are_refused() -> None:
    site = site_of("nat")
    nodes = tuple(replace(one, name="../x") if one.name == "web1" else one for one in site.spec.nodes)
    with pytest.raises((UsageError, SpecError), match="needs names of letters"):
        job(site_of(spec=replace(site.spec, nodes=nodes)))


# --- which engine ---------------------------------------------------------------------------------------------------


def engines(monkeypatch: pytest.MonkeyPatch, host: set[str], uml: set[str] | None) -> None:
    """A computer whose kernels have these modules; without `uml` there is no user-mode Linux."""

    def here(name: str, modules: set[str] | None) -> Engine:
        def missing(wanted: object, _: object) -> list[str]:
            assert isinstance(wanted, list)
            return [name] if modules is None else sorted(set(wanted) - modules)

        return Engine(name, name, lambda folder: None, missing, interactive=name == "host")

    monkeypatch.setattr(plan, "ENGINES", {"host": here("host", host), "uml": here("uml", uml)})


EVERYTHING = {"ip_vs", "ip_vs_rr", "ip_vs_mh", "ipip", "sch_netem"}


def found(mode: str, **wishes: object) -> tuple[str, str]:
    made: Lab = lab(mode, None, Wishes(**wishes))  # type: ignore[arg-type]
    return made.engine.name, made.site.choices.engine


def test_a_kernel_that_has_all_needs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    engines(monkeypatch, EVERYTHING, EVERYTHING)
    assert found("nat") == found("l3dsr-tunnel") == ("host", "ipvs")


def test_real_ipvs_goes_before_an_imitation(monkeypatch: pytest.MonkeyPatch) -> None:
    engines(monkeypatch, set(), EVERYTHING)
    assert found("nat") == found("l3dsr-tunnel") == ("uml", "ipvs")
    assert found("l3dsr-dscp")[0] == found("l7")[0] == found("dns-rr")[0] == "host"
    assert found("nat", engine="host") == ("host", "nft")
    assert found("l7", delay=10**6)[0] == "uml"


def test_who_wants_to_look_around_gets_the_running_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    engines(monkeypatch, set(), EVERYTHING)
    assert found("nat", shell="lb1") == found("nat", keep=True) == ("host", "nft")


def test_nft_balances_where_no_ipvs_is(monkeypatch: pytest.MonkeyPatch) -> None:
    engines(monkeypatch, set(), None)
    assert found("nat") == found("l2dsr") == found("garp") == ("host", "nft")


def test_what_is_missing_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    engines(monkeypatch, {"ip_vs"}, None)
    with pytest.raises(MissingDependency) as raised:
        lab("l3dsr-tunnel", None, Wishes())
    assert str(raised.value) == "the lab cannot run here: engine host needs ip_vs_rr, ipip; engine uml needs uml"


def test_the_way_that_lacks_least_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    engines(monkeypatch, set(), None)
    with pytest.raises(MissingDependency) as raised:
        lab("nat", None, Wishes(loss=0.1))
    assert str(raised.value) == "the lab cannot run here: engine host needs sch_netem; engine uml needs uml"


# --- other addresses, names and ports -------------------------------------------------------------------------------


@pytest.mark.parametrize("ip", ["4", "6"])
@pytest.mark.parametrize("mode", MODES)
def test_a_seed_changes_every_word_and_not_the_shape(mode: str, ip: str) -> None:
    usual = site_of(mode, ip=ip).spec
    other = varied(usual, 3)
    assert [node.role for node in other.nodes] == [node.role for node in usual.nodes]
    assert [len(node.links) for node in other.nodes] == [len(node.links) for node in usual.nodes]
    for word in ("name", "ips", "macs"):
        assert not {str(getattr(node, word)) for node in usual.nodes if getattr(node, word)} & {
            str(getattr(node, word)) for node in other.nodes
        }
    assert not set(usual.vips) & set(other.vips)
    assert varied(usual, 3) == other != varied(usual, 4)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_neighbours_stay_neighbours(mode: str, seed: int) -> None:
    usual = site_of(mode).network
    names = dict(zip([n.name for n in usual.spec.nodes], [n.name for n in varied(usual.spec, seed).nodes], strict=True))
    other = site_of(spec=varied(usual.spec, seed)).network
    for name, new in names.items():
        assert [(one.name, one.ports) for one in usual.interfaces(name)] == [
            (one.name, one.ports) for one in other.interfaces(new)
        ]
        assert len(usual.routes(name)) == len(other.routes(new))


def test_a_seed_keeps_what_options_said(monkeypatch: pytest.MonkeyPatch) -> None:
    engines(monkeypatch, EVERYTHING, None)
    made = lab("nat", None, Wishes(seed=9), real_servers=3, server_port=8080, vip="192.0.2.5", proxy=None)
    (port,) = made.site.spec.ports
    assert len(made.site.nodes("real-server")) == 3
    assert port.vport != port.rport != 8080
    assert made.site.spec.vips != ("192.0.2.5",)

"""Setup as data and as text: what each machine of each mode is told, and that no name can become a command."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from needs import program

from dsrkit.craft.modes import DRIVERS
from dsrkit.craft.options import parse_options
from dsrkit.craft.presets import PRESETS
from dsrkit.errors import DsrkitError, UsageError
from dsrkit.model.names import DIRECT_RETURN, MODES, Mode
from dsrkit.model.spec import Spec, Takeover
from dsrkit.model.toml import dump
from dsrkit.setup.api import chosen_nodes, plan_of, setup, site_of
from dsrkit.setup.output import SCHEMA, render, reversed_steps, shell
from dsrkit.setup.plan import Plan
from dsrkit.setup.render import comment, delimiter, words
from dsrkit.setup.site import Choices, slug
from dsrkit.setup.words import CONFIGS, FORMATS

GOLDEN = Path(__file__).parent / "golden/setup"

CASES: list[tuple[str, dict[str, Any], Choices]] = [
    *((mode, {"ip": ip}, Choices()) for mode in MODES for ip in "46"),
    *((mode, {"ip": ip}, Choices(engine="nft")) for mode in ("nat", "fullnat", "l2dsr", "garp") for ip in "46"),
    *(
        (
            "l3dsr-tunnel",
            {"ip": ip, "outer_ip": outer, "tunnel": kind, "tunnel_checksum": checksum},
            Choices(mss="clamp"),
        )
        for ip in "46"
        for outer in "46"
        for kind in ("gre", "gue")
        for checksum in (False, True)
    ),
    ("l3dsr-tunnel", {"tunnel": "4in6"}, Choices()),
    ("l3dsr-tunnel", {"tunnel": "6in4", "ip": "6"}, Choices()),
    ("l3dsr-tunnel", {"pmtud": True}, Choices()),
    ("l7", {"proxy": 1, "xff": True}, Choices()),
    ("l7", {"proxy": 2, "crc32c": True, "ip": "6"}, Choices()),
    ("l2dsr", {"vlan": 100, "mtu": 9000}, Choices(vip_on="dnat")),
    ("l2dsr", {"vip": "192.0.2.77"}, Choices(vip_on="dnat", firewall="iptables")),
    ("fullnat", {"ip": "6", "server_port": 8080}, Choices(firewall="iptables-legacy")),
    ("garp", {"vmac": True}, Choices(unicast=True, scheduler="sh")),
    ("health", {"data_path": "l3dsr-tunnel", "tunnel": "gue", "check": "ping"}, Choices()),
    ("health", {"data_path": "nat", "check": "tcp"}, Choices(network=False)),
]


def case_name(case: tuple[str, dict[str, Any], Choices]) -> str:
    mode, options, choices = case
    usual = Choices()
    chosen = [str(value) for name in Choices.__slots__ if (value := getattr(choices, name)) != getattr(usual, name)]
    return "-".join([mode, *(f"{name}={value}" for name, value in options.items()), *chosen])


@pytest.fixture(params=CASES, ids=map(case_name, CASES))
def plans(request: pytest.FixtureRequest) -> tuple[Plan, ...]:
    mode, options, choices = request.param
    return setup(mode, choices=choices, **options)


def named(plans: tuple[Plan, ...], node: str) -> Plan:
    return next(plan for plan in plans if plan.node == node)


def commands(plan: Plan) -> list[str]:
    return [" ".join(step.argv) for step in plan.steps]


def scripts(plans: tuple[Plan, ...]) -> Iterator[str]:
    for plan in plans:
        yield shell(plan)
        yield shell(plan, undo=True)


# --- every mode, every machine, every format --------------------------------------------------------------------------


def test_every_machine_has_a_plan_with_reasons(plans: tuple[Plan, ...]) -> None:
    for plan in plans:
        assert plan.steps or plan.role in ("client", "bridge", "real-server")
        for step in plan.steps:
            assert step.why.strip()
            assert all(isinstance(word, str) and word for word in step.argv)


def test_scripts_are_shell(plans: tuple[Plan, ...]) -> None:
    joined = "\n".join(scripts(plans))
    checked = subprocess.run(["sh", "-n"], input=joined, text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


@program("shellcheck")
def test_shellcheck_has_nothing_to_say(plans: tuple[Plan, ...]) -> None:
    joined = "\n".join(scripts(plans)).replace("#!/bin/sh\n", "")
    checked = subprocess.run(
        ["shellcheck", "--shell=sh", "-"], input=joined, text=True, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout) == (0, "")


def test_every_command_of_a_script_has_a_comment(plans: tuple[Plan, ...]) -> None:
    for plan in plans:
        blocks = shell(plan).split("\n\n# ")[1:]
        assert len(blocks) >= len(plan.steps)
        found = iter(blocks)
        for step in plan.steps:
            assert any(block.startswith(f"{comment(step.why)}\n") and words(step.argv) in block for block in found)


def test_everything_that_is_made_is_taken_back(plans: tuple[Plan, ...]) -> None:
    stays = {"module", "sysctl"}  # modules may have other users; sysctls come back with the saved file
    for plan in plans:
        saved = {key for step in plan.steps if step.kind == "save" for key in step.argv[2:]}
        made = set()
        for step in plan.steps:
            if step.kind == "tunnel" and step.argv[:3] == ("ip", "link", "add"):
                made.add(step.argv[4])
            if step.kind == "sysctl":
                key = step.argv[-1].partition("=")[0]
                assert key in saved or set(key.split("/")) & made
            if step.kind in stays or step.argv[:2] == ("ipvsadm", "-a") or step.argv[-2:] == ("lo", "up"):
                continue
            assert step.undo or step.argv[:3] == ("ip", "link", "set")
        undone = [" ".join(step.argv) for step in reversed_steps(plan)]
        assert len(undone) == sum(len(step.undo) for step in plan.steps)


def test_json_holds_all_steps(plans: tuple[Plan, ...]) -> None:
    for undo in (False, True):
        found = json.loads(render(plans, "json", undo=undo))
        assert found["schema"] == SCHEMA
        assert found["undo"] is undo
        for plan, node in zip(plans, found["nodes"], strict=True):
            steps = reversed_steps(plan) if undo else plan.steps
            assert [tuple(step["argv"]) for step in node["steps"]] == [step.argv for step in steps]


def test_configurations_are_those_of_the_steps(plans: tuple[Plan, ...]) -> None:
    for form in CONFIGS:
        texts = [text for plan in plans if (text := plan.config(form)) is not None]
        if not texts:
            with pytest.raises(UsageError, match=f"--format {form}: nothing"):
                render(plans, form)
            continue
        rendered = render(plans, form)
        for text in texts:
            assert all(line in rendered for line in text.splitlines())


@pytest.mark.parametrize("node", ["lb1", "web1", "r1"])
@pytest.mark.parametrize("mode", ["l2dsr", "l3dsr-tunnel", "l3dsr-dscp", "fullnat"])
def test_scripts_stay_as_they_were_read(mode: str, node: str) -> None:
    plan = named(setup(mode), node)
    expected = (GOLDEN / f"{mode}-{node}.sh").read_text(encoding="utf-8")
    assert shell(plan) == expected


@pytest.mark.parametrize(
    ("mode", "form"), [("garp", "keepalived"), ("health", "keepalived"), ("l7", "haproxy"), ("dns-rr", "dnsmasq")]
)
def test_configurations_stay_as_they_were_read(mode: str, form: str) -> None:
    expected = (GOLDEN / f"{mode}.{form}").read_text(encoding="utf-8")
    assert render(setup(mode), form) == expected


@pytest.mark.parametrize("mode", MODES)
def test_the_usual_set_up_is_that_of_craft(mode: Mode) -> None:
    options = parse_options(mode, {})
    assert PRESETS[mode](mode, "ipvs", options) == DRIVERS[mode].preset(mode, "ipvs", options)


# --- what the modes need ----------------------------------------------------------------------------------------------


def test_hidden_vip_is_silent_before_it_is_there() -> None:
    found = commands(named(setup("l2dsr"), "web1"))
    ignore = found.index("sysctl -q -w net/ipv4/conf/all/arp_ignore=1")
    announce = found.index("sysctl -q -w net/ipv4/conf/all/arp_announce=2")
    vip = found.index("ip address replace 203.0.113.10/32 dev lo")
    assert max(ignore, announce) < vip


def test_ipv6_vip_of_a_balancer_is_deprecated() -> None:
    found = commands(named(setup("l2dsr", ip="6"), "lb1"))
    assert "ip address replace 2001:db8:b::a/128 dev eth0 nodad preferred_lft 0" in found


@pytest.mark.parametrize(
    ("options", "words_of_lb", "device", "mss"),
    [
        ({}, "-i", "type ipip local 10.0.0.11 remote 203.0.113.2", 1440),
        ({"tunnel": "6in6", "ip": "6"}, "-i", "type ip6tnl mode ip6ip6", 1400),
        ({"tunnel": "4in6"}, "-i", "type ip6tnl mode ipip6", 1420),
        ({"tunnel": "6in4", "ip": "6"}, "-i", "type sit local 10.0.0.11", 1420),
        ({"tunnel": "gre"}, "-i --tun-type gre --tun-nocsum", "type gre local", 1436),
        ({"tunnel": "gre", "tunnel_checksum": True}, "-i --tun-type gre --tun-csum", "remote 203.0.113.2 csum", 1432),
        ({"tunnel": "gue"}, "-i --tun-type gue --tun-port 6080 --tun-nocsum", "type ipip", 1428),
        ({"tunnel": "gue", "tunnel_checksum": True}, "--tun-port 6080 --tun-csum", "type ipip", 1428),
        ({"tunnel": "gue", "tunnel_port": 5555, "ip": "6"}, "--tun-port 5555", "type ip6tnl mode ip6ip6", 1388),
        ({"mtu": 9000}, "-i", "type ipip", 8940),
    ],
    ids=str,
)
def test_both_ends_of_a_tunnel(options: dict[str, Any], words_of_lb: str, device: str, mss: int) -> None:
    plans = setup("l3dsr-tunnel", **options)
    server = commands(named(plans, "web1"))
    assert any(line.startswith("ipvsadm -a") and words_of_lb in line for line in commands(named(plans, "lb1")))
    assert any(line.startswith("ip link add name dsr0") and device in line for line in server)
    assert server[-1].endswith(f"advmss {mss}")


def test_tunnel_devices_of_a_pair_take_what_either_sends() -> None:
    pair = Spec.parse(
        """
        service = {mode = "l3dsr-tunnel", vip = "203.0.113.10", ports = "tcp/80"}
        takeover = {vrid = 7}
        node = [{name = "a", role = "lb", ip = "203.0.113.2"}, {name = "b", role = "lb", ip = "203.0.113.3"}]
        """
    )
    found = [line for line in commands(named(setup(spec=pair), "web1")) if line.startswith("ip link add")]
    assert [line.split()[-1] for line in found] == ["203.0.113.2", "203.0.113.3"]
    assert "virtual_router_id 7" in str(named(setup(spec=pair), "a").config("keepalived"))


def test_a_pair_of_proxies_listens_before_it_has_the_vip() -> None:
    pair = Spec.parse(
        """
        service = {mode = "l7", vip = "203.0.113.10", ports = "tcp/80:8080"}
        takeover = {protocol = "vrrp"}
        node = [{name = "a", role = "lb", ip = "203.0.113.2"}, {name = "b", role = "lb", ip = "203.0.113.3"}]
        """
    )
    second = named(setup(spec=pair), "b")
    assert "sysctl -q -w net/ipv4/ip_nonlocal_bind=1" in commands(second)
    assert "bind 203.0.113.10:80" in str(second.config("haproxy"))
    assert "state BACKUP" in str(second.config("keepalived"))
    assert not any("address replace 203.0.113.10/32" in line for line in commands(second))


def test_a_takeover_by_hand_says_how() -> None:
    by_hand = replace(site_of("garp").spec, takeover=Takeover("garp"))
    first, second = (named(setup("garp", spec=by_hand), name) for name in ("lb1", "lb2"))
    assert "ip address replace 203.0.113.10/32 dev eth0" in commands(first)
    assert second.notes == (
        "to take over 203.0.113.10: ip address add 203.0.113.10/32 dev eth0; arping -U -c 3 -I eth0 203.0.113.10",
    )


def test_full_nat_tracks_connections() -> None:
    plan = named(setup("fullnat"), "lb1")
    assert "sysctl -q -w net/ipv4/vs/conntrack=1" in commands(plan)
    assert "ct original ip daddr 203.0.113.10 snat to 10.0.0.1" in str(plan.config("nft"))


def test_full_nat_takes_turns_in_a_pool() -> None:
    service = 'service = {mode = "fullnat", vip = "203.0.113.10", ports = "tcp/80"}'
    spec = Spec.parse(f'{service}\n[snat]\nsource = ["10.0.0.8", "10.0.0.9"]')
    plan = named(setup(spec=spec), "lb1")
    assert "ip address replace 10.0.0.9/32 dev eth1" in commands(plan)
    assert "map { 0 : 10.0.0.8, 1 : 10.0.0.9 }" in str(plan.config("nft"))
    legacy = commands(named(setup(spec=spec, choices=Choices(firewall="iptables")), "lb1"))
    assert any("--every 2 --packet 0 -j SNAT --to-source 10.0.0.8" in line for line in legacy)


def test_a_tag_per_server() -> None:
    spec = Spec.parse(
        """
        service = {mode = "l3dsr-dscp", vip = "203.0.113.10", ports = "tcp/80"}
        [[node]]
        name = "s1"
        role = "real-server"
        ip = "10.0.0.11"
        dscp = {11 = "203.0.113.10"}
        [[node]]
        name = "s2"
        role = "real-server"
        ip = "10.0.0.12"
        dscp = {12 = "203.0.113.10"}
        """
    )
    plans = setup(spec=spec)
    rules = str(named(plans, "lb1").config("nft"))
    assert "ip daddr 10.0.0.11 ip dscp set 11" in rules
    assert "ip daddr 10.0.0.12 ip dscp set 12" in rules
    assert "ip daddr 10.0.0.12 ip dscp 12 ip daddr set 203.0.113.10 notrack" in str(named(plans, "s2").config("nft"))


def test_a_vip_in_no_subnet_is_routed() -> None:
    plans = setup("l3dsr-dscp", vip="192.0.2.77")
    assert "ip -4 route replace 192.0.2.77/32 via 203.0.113.2 dev eth1" in commands(named(plans, "r1"))
    assert not any("192.0.2.77" in line and "route" in line for plan in plans[2:] for line in commands(plan))


def test_servers_behind_a_second_router() -> None:
    spec = Spec.parse(
        """
        service = {mode = "l3dsr-tunnel", vip = "203.0.113.10", ports = "tcp/80"}
        [[node]]
        name = "c"
        role = "client"
        link = {link = "A", ip = "198.51.100.9/24", gateway = "198.51.100.1"}
        [[node]]
        name = "r1"
        role = "router"
        link = [
            {link = "A", ip = "198.51.100.1/24"},
            {link = "B", ip = "203.0.113.1/24"},
            {link = "F", ip = "10.9.0.1/30"},
        ]
        [[node]]
        name = "lb"
        role = "lb"
        link = [{link = "B", ip = "203.0.113.2/24", gateway = "203.0.113.1"}, {link = "G", ip = "10.8.0.1/30"}]
        [[node]]
        name = "r2"
        role = "router"
        link = [{link = "G", ip = "10.8.0.2/30"}, {link = "F", ip = "10.9.0.2/30"}, {link = "H", ip = "10.0.0.1/24"}]
        [[node]]
        name = "s"
        role = "real-server"
        link = {link = "H", interface = "ens3", ip = "10.0.0.11/24", gateway = "10.0.0.1"}
        """
    )
    plans = setup(spec=spec)
    assert "ip -4 route replace 10.0.0.0/24 via 10.8.0.2 dev eth1" in commands(named(plans, "lb"))
    assert "ip -4 route replace 198.51.100.0/24 via 10.9.0.1 dev eth1" in commands(named(plans, "r2"))
    server = commands(named(plans, "s"))
    assert (
        "ip link add name dsr0 type ipip local 10.0.0.11 remote 10.8.0.1" in server
    )  # not the address towards the client
    assert "ip -4 route change 0.0.0.0/0 via 10.0.0.1 dev ens3 advmss 1440" in server


def test_names_of_interfaces_survive_completion() -> None:
    spec = Spec.parse(
        """
        service = {mode = "l2dsr", vip = "203.0.113.10", ports = "tcp/80"}
        [[node]]
        name = "lb1"
        role = "lb"
        link = {interface = "bond0", ip = "203.0.113.2/24"}
        """
    )
    assert "ip address replace 203.0.113.10/32 dev bond0" in commands(named(setup(spec=spec), "lb1"))


def test_every_port_ends_one_wire() -> None:
    for mode in MODES:
        network = site_of(mode, real_servers=3).network
        ends = [end for wire in network.wires() for end in (wire.near, wire.far) if end is not None]
        ports = [(node.name, port) for node in network.spec.nodes for port in network.ports(node.name)]
        assert sorted(ends) == sorted(ports)


def test_without_the_network_only_the_service_is_set_up() -> None:
    full, short = (named(setup("l2dsr", choices=Choices(network=wanted)), "web1") for wanted in (True, False))
    assert {"link", "route"} & {step.kind for step in full.steps}
    assert {step.kind for step in short.steps} == {"file", "save", "sysctl", "address"}


def test_a_spec_written_out_gives_the_same_scripts() -> None:
    site = site_of("l3dsr-tunnel", tunnel="gre")
    again = Spec.parse(dump(site.spec))
    assert [shell(plan) for plan in setup(spec=again)] == [shell(plan_of(site, node)) for node in site.spec.nodes]


def test_a_gateway_outside_the_subnet_is_reached_all_the_same() -> None:
    spec = Spec.parse(
        """
        service = {mode = "l3dsr-tunnel", vip = "203.0.113.10", ports = "tcp/80"}
        [[node]]
        name = "s"
        role = "real-server"
        link = {ip = "10.0.0.11/24", gateway = "10.1.0.1"}
        """
    )
    found = commands(named(setup(spec=spec), "s"))
    assert "ip -4 route replace 0.0.0.0/0 via 10.1.0.1 dev eth0 onlink" in found
    assert "ip -4 route change 0.0.0.0/0 via 10.1.0.1 dev eth0 onlink advmss 1440" in found


def test_only_direct_return_needs_loose_routers() -> None:
    loose = "sysctl -q -w net/ipv4/conf/all/rp_filter=2"
    found = {mode for mode in MODES if any(loose in commands(plan) for plan in setup(mode) if plan.role == "router")}
    assert found == {*DIRECT_RETURN, "garp", "health"}


def test_ipv6_has_no_setting_for_redirects() -> None:
    assert not any("ipv4" in line for line in commands(named(setup("l2dsr", ip="6"), "lb1")))


def test_forwarding_keeps_what_the_kernel_changes_with_it() -> None:
    save = next(step for step in named(setup("nat"), "lb1").steps if step.kind == "save")
    assert save.argv[2:] == ("net/ipv4/ip_forward", "net/ipv4/conf/all/accept_redirects")


def test_a_gue_port_is_added_once() -> None:
    script = shell(named(setup("l3dsr-tunnel", tunnel="gue"), "web1"))
    add = "ip fou show 2> /dev/null | grep -q -w -F -e 'port 6080 gue' || ip fou add port 6080 gue\n"
    assert add in script


def test_only_the_daemon_itself_is_ended() -> None:
    script = shell(named(setup("l7"), "lb1"), undo=True)
    assert "pkill -F /run/dsrkit/lb1/haproxy.pid -x haproxy\n" in script


def test_scripts_warn_of_addresses_of_their_own() -> None:
    for choices, warned in ((Choices(), True), (Choices(network=False), False)):
        plan = named(setup("l2dsr", choices=choices), "web1")
        for undo in (False, True):
            assert ("--no-network" in shell(plan, undo=undo)) is warned
    assert "# sysctls as they were before\nsysctl -q -e -p" in shell(plan, undo=True)


# --- quoting ----------------------------------------------------------------------------------------------------------

HOSTILE = "w'1\"; touch $(echo pwned) `id`\nrm -rf /tmp/x\n${IFS}\\ \x1b[31m"


def hostile(mode: str) -> Spec:
    site = site_of(mode)
    nodes = tuple(replace(node, name=f"{HOSTILE}{number}") for number, node in enumerate(site.spec.nodes))
    return replace(site.spec, nodes=nodes, path=replace(site.spec.path, request=(), reply=()))


@pytest.mark.parametrize("mode", MODES)
def test_names_of_nodes_are_harmless(mode: str, tmp_path: Path) -> None:
    """Run with programs that do nothing: whatever else a name would start is not found, and says so."""
    plans = setup(mode, spec=hostile(mode), choices=Choices(state=f"{tmp_path}/state"))
    programs = tmp_path / "programs"
    programs.mkdir()
    for plan in plans:
        for name in {step.argv[0] for step in (*plan.steps, *reversed_steps(plan))} - {"mkdir", "cat"} | {"pgrep"}:
            (programs / name).write_text("#!/bin/sh\n")
            (programs / name).chmod(0o755)
    for name in ("mkdir", "cat"):
        (programs / name).symlink_to(shutil.which(name) or name)
    for plan in plans:
        for script in (shell(plan), shell(plan, undo=True)):
            environment = {"PATH": str(programs)}
            run = subprocess.run(
                ["/bin/sh"], input=script, text=True, capture_output=True, check=False, env=environment
            )
            assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
            assert "\x1b" not in script
        for form in CONFIGS:
            for line in (plan.config(form) or "").splitlines():
                assert line.lstrip().startswith("#") or not set("$`'\\") & set(line)


@pytest.mark.parametrize(
    "name", ["lo", "eth0; reboot", "eth\n0", '"', "$(id)", "a/b", "-x", "", "a" * 16, "eth*", "eth:0"]
)
def test_names_of_interfaces_that_linux_has_not_are_refused(name: str) -> None:
    site = site_of("l2dsr")
    nodes = tuple(
        replace(node, links=tuple(replace(link, interface=name) for link in node.links)) if node.role == "lb" else node
        for node in site.spec.nodes
    )
    with pytest.raises(UsageError, match=r"cannot be the (name of an )?interface"):
        setup(spec=replace(site.spec, nodes=nodes))


@pytest.mark.parametrize("path", ["/x y", "/x\n}", '/"', "/{", "health", "/#", "/$x", "/`id`"])
@pytest.mark.parametrize("mode", ["health", "l7"])
def test_paths_of_checks_that_could_be_syntax_are_refused(mode: str, path: str) -> None:
    site = site_of("health")
    spec = replace(site_of(mode).spec, health=(replace(site.spec.health[0], path=path),))
    with pytest.raises(UsageError, match=r"is not a path|--path"):
        setup(mode, spec=spec)


@pytest.mark.parametrize("name", ["a,b", "a b", "a\nserver=1.2.3.4", "-x.example", "a..b", "x" * 64])
def test_names_of_services_that_are_no_host_names_are_refused(name: str) -> None:
    site = site_of("dns-rr")
    assert site.spec.dns is not None
    with pytest.raises(DsrkitError):
        setup("dns-rr", spec=replace(site.spec, dns=replace(site.spec.dns, name=name)))


def test_words_stay_words() -> None:
    assert words(["ip", "a b", "$(x)", "it's", ""]) == "ip 'a b' '$(x)' 'it'\"'\"'s' ''"


def test_comments_stay_one_line() -> None:
    assert comment("a\nb\r\x1b[0m\u2028é") == "a\\nb\\r\\x1b[0m\\u2028é"


def test_here_documents_end_where_they_should() -> None:
    assert delimiter("a\nDSRKIT_END\nDSRKIT_END_\n") == "DSRKIT_END__"


def test_slugs_are_plain_and_differ() -> None:
    assert slug("web-1_a") == "web-1_a"
    assert slug("../etc") != slug("..\\etc")
    assert set(slug("../../etc/passwd")) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "options", "choices", "message"),
    [
        ("nto", {}, Choices(), "did you mean"),
        ("l3dsr-dscp", {}, Choices(vip_on="dnat"), "connection tracking would give replies that address"),
        ("l3dsr-tunnel", {}, Choices(vip_on="dnat"), "belongs to l2dsr"),
        ("nat", {}, Choices(vip_on="dnat"), "no packet for the VIP reaches a server"),
        ("l3dsr-tunnel", {}, Choices(engine="nft"), "--engine nft is a choice of nat, fullnat"),
        ("health", {}, Choices(engine="nft"), "table of IPVS"),
        ("health", {"data_path": "l3dsr-dscp"}, Choices(), "done by nft"),
        ("l2dsr", {"loss": "1%"}, Choices(), "about packets"),
        ("l2dsr", {"dscp": "7"}, Choices(), "not an option of mode l2dsr"),
        ("l2dsr", {"vip": "2001:db8::1"}, Choices(), "not an IPv4 address"),
        ("l3dsr-tunnel", {"tunnel": "gue", "gue_variant": 1}, Choices(), "variant"),
        ("l2dsr", {}, Choices(engine="ipsv"), "did you mean 'ipvs'"),  # type: ignore[arg-type]
        ("l2dsr", {}, Choices(state="here"), "absolute"),
    ],
)
def test_mistakes_are_named(mode: str, options: dict[str, Any], choices: Choices, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        setup(mode, choices=choices, **options)


def planned(spec: Spec, role: str) -> list[Plan]:
    site = site_of(spec=spec)
    return [plan_of(site, node) for node in site.nodes(role)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'service = {mode = "l2dsr", vip = ["203.0.113.10", "2001:db8:b::a"], ports = "tcp/80"}',
            "'web1' needs an IPv6 address",
        ),
        (
            'service = {mode = "l2dsr", vip = "203.0.113.10", ports = "tcp/80"}\n'
            'node = [{name = "w", role = "real-server", ip = ["203.0.113.9", "203.0.113.10"]}]',
            "203.0.113.10 is the VIP",
        ),
        (
            'service = {mode = "nat", vip = "203.0.113.10", ports = "tcp/80"}\n'
            'node = [{name = "b", role = "lb", link = ['
            '{link = "B", interface = "ens3"}, {link = "C", interface = "ens3"}]}]',
            "ens3 cannot be the interface of a link of its own",
        ),
    ],
)
def test_specs_that_no_machine_can_be_are_refused(text: str, message: str) -> None:
    spec = Spec.parse(text)
    for role in ("lb", "real-server"):
        with pytest.raises(UsageError, match=message):
            planned(spec, role)


def test_an_ipv4_mapped_vip_is_an_ipv6_one() -> None:
    spec = Spec.parse('service = {mode = "l2dsr", vip = "::ffff:192.0.2.1", ports = "tcp/80"}')
    for plan in setup(spec=spec):
        assert all(ip_address(s.argv[3].partition("/")[0]).version == 6 for s in plan.steps if s.kind == "address")


def test_another_programs_habits_are_refused() -> None:
    spec = Spec.parse('service = {mode = "l3dsr-tunnel", vip = "203.0.113.10", ports = "tcp/80", profile = "katran"}')
    with pytest.raises(UsageError, match="profile katran"):
        setup(spec=spec)


def test_a_node_is_named_or_its_role() -> None:
    site = site_of("l2dsr", real_servers=3)
    assert [node.name for node in chosen_nodes(site, "real-server")] == ["web1", "web2", "web3"]
    assert [node.name for node in chosen_nodes(site, "web2")] == ["web2"]
    with pytest.raises(UsageError, match=r"did you mean 'web3'|did you mean 'web1'|did you mean 'web2'"):
        chosen_nodes(site, "web")


def test_formats_without_an_undo() -> None:
    plans = setup("l7")
    with pytest.raises(UsageError, match="--undo"):
        render(plans, "haproxy", undo=True)
    with pytest.raises(UsageError, match="not valid"):
        render(plans, "yaml")
    assert "delete table ip dsrkit_lb" in render(setup("l3dsr-dscp"), "nft", undo=True)
    assert set(FORMATS) == {"shell", "json", *CONFIGS}


def test_all_addresses_are_addresses() -> None:
    for plan in setup("l3dsr-tunnel", tunnel="6in4", ip="6"):
        for step in plan.steps:
            if step.kind == "address":
                assert ip_address(step.argv[3].partition("/")[0])

"""What setup prints, done in a network namespace of its own, and taken back: nothing may be left.

Needs root and namespaces; outside CI, what a kernel or a machine does not have is skipped, with the reason.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from needs import present, program

from dsrkit.setup.api import plan_of, setup, site_of
from dsrkit.setup.output import render, shell
from dsrkit.setup.plan import Plan
from dsrkit.setup.site import Choices

PROGRAMS = ("ip", "unshare", "sysctl", "nft")


@cache
def unavailable() -> str | None:
    """Why nothing can be applied here."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "needs root on Linux"
    probe = "mount -t tmpfs tmpfs /run && nft add table ip x && ip link add name eth0 type veth peer name eth1"
    tried = subprocess.run(["unshare", "-m", "-n", "sh", "-c", probe], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"no namespaces, veth or nft here: {tried.stderr.strip()[-100:]}"


pytestmark = present(unavailable())

STATE = r"""
state() {
    ip -j address | python3 -c 'import json, sys
for one in json.load(sys.stdin):
    held = [(a["local"], a["prefixlen"], a.get("deprecated")) for a in one["addr_info"] if a["scope"] != "link"]
    print(one["ifname"], one["mtu"], "UP" in one["flags"], one.get("master"), held)'
    ip -j route; ip -j -6 route; ip -j rule
    nft list ruleset
    sysctl -a 2>/dev/null | grep -E 'net.ipv[46].(ip_forward|conf|vs)' | grep -v stable_secret
    find /run -mindepth 1
}
"""

RUN = r"""
set -e
mount --make-rprivate /
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
ip link set lo up
sysctl -q -w net.ipv6.conf.default.addr_gen_mode=1  # no link-local addresses, which come when they like
for port in PORTS; do ip link add name "$port" type veth peer name "far-$port"; ip link set dev "far-$port" up; done
STATE
state > "$1/before"
sh "$1/do.sh" > "$1/do.out" 2>&1
state > "$1/between"
sh "$1/do.sh" > "$1/again.out" 2>&1
state > "$1/between-again"
sh "$1/undo.sh" > "$1/undo.out" 2>&1
state > "$1/after"
"""


def applied(folder: Path, plan: Plan, ports: tuple[str, ...]) -> dict[str, str]:
    """Apply a plan twice and undo it, in namespaces of its own; the state in between, and what was said."""
    (folder / "do.sh").write_text(shell(plan))
    (folder / "undo.sh").write_text(shell(plan, undo=True))
    script = RUN.replace("STATE", STATE).replace("PORTS", " ".join(ports) or "")
    run = subprocess.run(
        ["unshare", "-m", "-n", "sh", "-c", script, "sh", str(folder)], capture_output=True, text=True, check=False
    )
    found = {file.name: file.read_text() for file in folder.iterdir()}
    assert run.returncode == 0, (run.stderr, found.get("do.out"), found.get("again.out"))
    return found


ON_THIS_KERNEL: list[tuple[str, str, dict[str, Any], Choices]] = [
    ("l2dsr", "r1", {}, Choices()),
    ("l2dsr", "r1", {"ip": "6"}, Choices()),
    ("l2dsr", "web1", {}, Choices()),
    ("l2dsr", "web1", {"ip": "6"}, Choices()),
    ("l2dsr", "web1", {}, Choices(vip_on="dnat")),
    ("l2dsr", "lb1", {}, Choices(engine="nft")),
    ("l2dsr", "lb1", {"ip": "6"}, Choices(engine="nft")),
    ("l3dsr-dscp", "r1", {"vip": "192.0.2.77"}, Choices()),
    ("l3dsr-dscp", "web1", {}, Choices()),
    ("l3dsr-dscp", "lb1", {}, Choices()),
    ("l3dsr-dscp", "lb1", {"ip": "6"}, Choices()),
    ("nat", "lb1", {"server_port": 8080}, Choices(engine="nft")),
    ("nat", "r1", {"clients": 300}, Choices()),
    ("fullnat", "lb1", {}, Choices(engine="nft")),
    ("fullnat", "lb1", {"ip": "6"}, Choices(engine="nft")),
    ("garp", "sw1", {}, Choices()),
    ("nat", "client", {"mtu": 1400}, Choices()),
]


@pytest.mark.parametrize(("mode", "name", "options", "choices"), ON_THIS_KERNEL)
def test_a_second_run_changes_nothing_and_undo_leaves_nothing(
    tmp_path: Path, mode: str, name: str, options: dict[str, Any], choices: Choices
) -> None:
    site = site_of(mode, choices=choices, **options)
    node = site.spec.node(name)
    assert node is not None
    found = applied(tmp_path, plan_of(site, node), site.network.ports(name))
    assert found["between"] != found["before"]
    assert found["between-again"] == found["between"]
    assert found["after"] == found["before"]
    assert found["do.out"] == found["again.out"] == found["undo.out"] == ""


@pytest.mark.parametrize(
    ("node", "before", "between"),
    [
        ("web1", {"all/arp_ignore": 2, "all/arp_announce": 1}, ["1", "2"]),
        ("r1", {"all/forwarding": 0, "all/accept_redirects": 0, "all/rp_filter": 1}, ["1", "0", "2"]),
    ],
)
def test_what_was_set_before_comes_back(node: str, before: dict[str, int], between: list[str], tmp_path: Path) -> None:
    plan = next(plan for plan in setup("l2dsr", choices=Choices(network=False)) if plan.node == node)
    values = " ".join(f"net/ipv4/conf/{key}={value}" for key, value in before.items())
    keys = " ".join(f"net/ipv4/conf/{key}" for key in before)
    (tmp_path / "do.sh").write_text(shell(plan))
    (tmp_path / "undo.sh").write_text(shell(plan, undo=True))
    script = textwrap.dedent(
        f"""
        set -e
        mount --make-rprivate /; mount -t tmpfs tmpfs /run; ip link set lo up
        sysctl -q -w {values}
        sh do.sh; sysctl -n {keys}
        sh do.sh; sh undo.sh; sysctl -n {keys}
        """
    )
    run = subprocess.run(
        ["unshare", "-m", "-n", "sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (run.stdout.split(), run.stderr) == ([*between, *map(str, before.values())], "")


def checked(command: str, text: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """A configuration as its program reads it, where an eth0 and an eth1 are."""
    file = tmp_path / "configuration"
    file.write_text(text)
    ports = "ip link add name eth0 type veth peer name eth1"
    return subprocess.run(
        ["unshare", "-n", "sh", "-c", f"{ports}; {command} {file}"], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("ip", ["4", "6"])
@pytest.mark.parametrize(
    ("mode", "choices"),
    [
        ("l3dsr-dscp", Choices()),
        ("fullnat", Choices()),
        ("nat", Choices(engine="nft")),
        ("fullnat", Choices(engine="nft")),
        ("l2dsr", Choices(engine="nft", vip_on="dnat")),
        ("garp", Choices(engine="nft")),
        ("l3dsr-tunnel", Choices(mss="clamp")),
    ],
)
def test_nft_reads_the_rules(mode: str, choices: Choices, ip: str, tmp_path: Path) -> None:
    for plan in setup(mode, ip=ip, choices=choices):
        if plan.config("nft") is not None:
            run = checked("nft -c -f", render([plan], "nft"), tmp_path)
            assert (run.returncode, run.stderr) == (0, "")


@program("haproxy")
@pytest.mark.parametrize("options", [{}, {"ip": "6", "proxy": 2, "crc32c": True}, {"proxy": 1, "xff": True}], ids=str)
def test_haproxy_reads_its_configuration(options: dict[str, Any], tmp_path: Path) -> None:
    run = checked("haproxy -c -f", render(setup("l7", **options), "haproxy"), tmp_path)
    assert run.returncode == 0, run.stderr
    assert "WARNING" not in run.stderr


@program("keepalived")
@pytest.mark.parametrize(
    ("mode", "options", "choices"),
    [
        ("garp", {}, Choices()),
        ("garp", {"ip": "6", "vmac": True}, Choices(unicast=True)),
        *(("health", {"data_path": path, "ip": ip}, Choices()) for path in ("nat", "l2dsr") for ip in "46"),
        *(("health", {"data_path": "l3dsr-tunnel", "tunnel": kind}, Choices()) for kind in ("ipip", "gre", "gue")),
        *(("health", {"check": check}, Choices(scheduler="mh")) for check in ("ping", "tcp", "http")),
        ("health", {"interval": "100ms"}, Choices()),
    ],
)
def test_keepalived_reads_its_configuration(
    mode: str, options: dict[str, Any], choices: Choices, tmp_path: Path
) -> None:
    for plan in setup(mode, choices=choices, **options):
        if plan.role == "lb":
            run = checked("keepalived -t -f", render([plan], "keepalived"), tmp_path)
            assert (run.returncode, run.stderr) == (0, "")


@program("dnsmasq")
@pytest.mark.parametrize("ip", ["4", "6"])
def test_dnsmasq_reads_its_configuration(ip: str, tmp_path: Path) -> None:
    for plan in setup("dns-rr", ip=ip):
        if plan.role == "resolver":
            run = checked("dnsmasq --test -C", render([plan], "dnsmasq"), tmp_path)
            assert run.returncode == 0, run.stderr


def test_the_checks_here_can_fail(tmp_path: Path) -> None:
    assert checked("nft -c -f", "table ip x { chain y { ip daddr 1.2.3 drop", tmp_path).returncode != 0
    assert json.loads(render(setup("nat"), "json"))["nodes"]

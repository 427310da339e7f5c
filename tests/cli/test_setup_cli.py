"""`dsrkit setup`: the words around the library call, its streams and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner, Result

from dsrkit.cli.main import app
from dsrkit.craft.options import Options, flag
from dsrkit.setup.api import setup
from dsrkit.setup.output import shell
from dsrkit.setup.site import Choices
from dsrkit.setup.words import OPTIONS


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["setup", *words])


def test_a_script_and_nothing_else_on_stdout() -> None:
    result = run("l2dsr", "--for", "web1")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == shell(next(plan for plan in setup("l2dsr") if plan.node == "web1"))


def test_a_role_is_all_of_its_nodes() -> None:
    result = run("l3dsr-tunnel", "--for", "real-server", "--real-servers", "3")
    assert [f"# web{n}: real-server, l3dsr-tunnel" in result.stdout for n in (1, 2, 3)] == [True] * 3


def test_a_spec_says_the_mode(tmp_path: Path) -> None:
    file = tmp_path / "dsr.toml"
    file.write_text(
        'service = {mode = "l3dsr-dscp", vip = "203.0.113.10", ports = "tcp/443"}\ndscp = {9 = "203.0.113.10"}'
    )
    result = run("--spec", str(file), "--for", "lb", "--format", "nft")
    assert result.exit_code == 0
    assert "ip dscp set 9" in result.stdout
    assert "tcp dport 443" in result.stdout


def test_choices_and_options_reach_the_library() -> None:
    result = run(
        "fullnat", "--for", "lb1", "--firewall", "iptables", "--no-network", "--state", "/tmp/x", "--port", "81"
    )
    choices = Choices(firewall="iptables", network=False, state="/tmp/x")
    assert result.stdout == shell(
        next(plan for plan in setup("fullnat", choices=choices, port=81) if plan.node == "lb1")
    )


def test_undo_is_another_script() -> None:
    result = run("l2dsr", "--for", "web1", "--undo")
    assert "ip address del 203.0.113.10/32 dev lo" in result.stdout
    assert "set -e" not in result.stdout


def test_notes_do_not_disturb_a_configuration() -> None:
    result = run("garp", "--for", "lb2", "--format", "keepalived")
    assert result.stdout.startswith("# lb2: lb, garp\n")
    health = run("health", "--for", "lb", "--format", "keepalived")
    assert "note: keepalived checks the servers' own addresses" in health.stderr


def test_json_is_data() -> None:
    result = run("nat", "--for", "lb", "--format", "json")
    assert json.loads(result.stdout)["nodes"][0]["name"] == "lb1"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "say a MODE"),
        (("l2dsr",), "say whose commands"),
        (("l2dsr", "--for", "web9"), "no node or role 'web9'"),
        (("l2drs", "--for", "lb"), "did you mean 'l2dsr'"),
        (("l3dsr-dscp", "--for", "web1", "--vip-on", "dnat"), "--vip-on dnat belongs to l2dsr"),
        (("l3dsr-tunnel", "--for", "lb", "--engine", "nft"), "--engine nft is a choice of nat, fullnat, l2dsr, and"),
        (("l7", "--for", "lb", "--engine", "nft"), "and this is l7"),
        (("nat", "--for", "lb", "--unicast"), "--unicast is a choice of a takeover by VRRP"),
        (("l2dsr", "--for", "web1", "--mss", "clamp"), "--mss clamp is a choice of l3dsr-tunnel"),
        (("l3dsr-tunnel", "--for", "web1", "--mss", "clamp", "--pmtud"), "--mss clamp is a choice of l3dsr-tunnel"),
        (("l3dsr-dscp", "--for", "lb", "--firewall", "iptables"), "--firewall iptables is a choice of fullnat"),
        (("nat", "--for", "lb", "--engine", "nft", "--scheduler", "mh"), "--scheduler mh is a choice of --engine ipvs"),
        (("l2dsr", "--for", "lb", "--tunnel", "gre"), "--tunnel is not an option of mode l2dsr"),
        (("nat", "--for", "r1", "--format", "haproxy"), "--format haproxy: nothing for it at r1"),
        (("--spec", "missing.toml", "--for", "lb"), "missing.toml"),
    ],
)
def test_mistakes_are_one_line(words: tuple[str, ...], message: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_every_option_is_one_of_crafts() -> None:
    assert set(OPTIONS) <= set(Options.__dataclass_fields__)
    command = typer.main.get_command(app).commands["setup"]  # type: ignore[attr-defined]
    shown = {name for parameter in command.params for name in parameter.opts}
    assert {flag(name) for name in OPTIONS} <= shown


def test_every_choice_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/setup.md").read_text(encoding="utf-8")
    for name in ("engine", "vip_on", "mss", "firewall", "scheduler", "unicast", "no_network", "state", "undo", "spec"):
        assert f"`{flag(name)}" in page


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom dsrkit.cli.main import app\n"
        "try:\n    app(['setup', '--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'scapy', 'numpy', 'jinja2'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_setting_up_needs_no_scapy() -> None:
    code = (
        "import sys\nfrom dsrkit.model.names import MODES\nfrom dsrkit.setup.api import setup\n"
        "from dsrkit.setup.output import render\n"
        "for mode in MODES: render(setup(mode))\n"
        "assert 'scapy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

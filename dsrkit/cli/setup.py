"""`dsrkit setup`: the commands that make a machine what a spec says it is; nothing is run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from dsrkit.cli.common import complain, complete, one_of, user_errors, write
from dsrkit.cli.options import entries, mode_argument, sorted_out, with_options
from dsrkit.errors import UsageError
from dsrkit.model.names import ROLES
from dsrkit.setup.words import ENGINES, FIREWALLS, FORMATS, MSS, OPTIONS, SCHEDULERS, STATE, VIP_ON


@dataclass(frozen=True)
class _Common:
    """The options of every mode."""

    spec: Annotated[
        str | None, typer.Option("--spec", metavar="FILE", help="The set-up (dsr.toml), instead of a small one.")
    ] = None
    which: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="NODE|ROLE",
            autocompletion=complete(ROLES),
            help=f"A node of the spec, or all of a role: {', '.join(ROLES)}.",
        ),
    ] = None
    form: Annotated[str, one_of(FORMATS, "--format", "A script, one program's configuration, or all as data.")] = (
        "shell"
    )
    undo: Annotated[bool, typer.Option("--undo", help="Print what takes the set-up back.")] = False
    engine: Annotated[str, one_of(ENGINES, "--engine", "What balances; nft where the kernel has no IPVS.")] = "ipvs"
    vip_on: Annotated[str, one_of(VIP_ON, "--vip-on", "How servers take packets for the VIP; dnat for l2dsr.")] = "lo"
    mss: Annotated[str, one_of(MSS, "--mss", "How servers leave room for a tunnel: by route, or by rule.")] = "advmss"
    firewall: Annotated[str, one_of(FIREWALLS, "--firewall", "What writes the rules beside IPVS, or on servers.")] = (
        "nft"
    )
    scheduler: Annotated[
        str | None, one_of(SCHEDULERS, "--scheduler", "Scheduler of IPVS [default: rr; mh for a takeover pair].")
    ] = None
    unicast: Annotated[bool, typer.Option("--unicast", help="VRRP adverts from address to address.")] = False
    no_network: Annotated[
        bool, typer.Option("--no-network", help="The machines have their addresses and routes already.")
    ] = False
    state: Annotated[
        str, typer.Option("--state", metavar="DIR", help="Where a machine keeps files for --undo and daemons.")
    ] = STATE


_CHOICES: Final = ("engine", "vip_on", "mss", "firewall", "scheduler", "unicast", "state")


def _setup(**values: Any) -> None:
    mode = values.pop("mode")
    common, options = sorted_out(_Common, values)
    with user_errors():
        _run(mode, common, options)


_HELP: Final = """Print the commands that make a machine what the spec says, each with its reason.

    Nothing is run. Without --spec it is the usual set-up of MODE, which `dsrkit craft MODE --split DIR` writes as a
    dsr.toml to start from.
    """

command = with_options(_setup, _HELP, _Common, entries(OPTIONS), [mode_argument()])


def _run(mode: str | None, common: _Common, options: Mapping[str, Any]) -> None:
    if mode is None and common.spec is None:
        raise UsageError("say a MODE, or give a --spec whose [[service]] has one")
    if common.which is None:
        raise UsageError("say whose commands: --for lb, real-server, router or the name of a node")

    from dsrkit.setup.api import chosen_nodes, plan_of, site_of
    from dsrkit.setup.idle import refuse_idle
    from dsrkit.setup.output import render
    from dsrkit.setup.site import Choices

    choices: dict[str, Any] = {name: getattr(common, name) for name in _CHOICES}
    site = site_of(mode, common.spec, choices=Choices(**choices, network=not common.no_network), **options)
    refuse_idle(site)
    plans = [plan_of(site, node) for node in chosen_nodes(site, common.which)]
    text = render(plans, common.form, undo=common.undo)
    if common.form not in ("shell", "json") and not common.undo:
        for note in dict.fromkeys(note for plan in plans for note in plan.notes):
            complain(f"note: {note}")
    write(sys.stdout, text)

"""`dsrkit setup`: the commands that make a machine what a spec says it is; nothing is run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from inspect import Parameter, Signature
from typing import Annotated, Any, Final, get_type_hints

import typer

from dsrkit.cli.common import complain, complete, user_errors, word, write
from dsrkit.cli.options import annotation, parameter
from dsrkit.craft.options import Options
from dsrkit.errors import UsageError
from dsrkit.model.names import MODES, ROLES
from dsrkit.setup.words import ENGINES, FIREWALLS, FORMATS, MSS, OPTIONS, SCHEDULERS, STATE, VIP_ON


def _one_of(words: tuple[str, ...], flag: str, text: str) -> Any:
    return typer.Option(flag, metavar="|".join(words), callback=word(words), autocompletion=complete(words), help=text)


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
    form: Annotated[str, _one_of(FORMATS, "--format", "A script, one program's configuration, or all as data.")] = (
        "shell"
    )
    undo: Annotated[bool, typer.Option("--undo", help="Print what takes the set-up back.")] = False
    engine: Annotated[str, _one_of(ENGINES, "--engine", "What balances; nft where the kernel has no IPVS.")] = "ipvs"
    vip_on: Annotated[str, _one_of(VIP_ON, "--vip-on", "How servers take packets for the VIP; dnat for l2dsr.")] = "lo"
    mss: Annotated[str, _one_of(MSS, "--mss", "How servers leave room for a tunnel: by route, or by nft.")] = "advmss"
    firewall: Annotated[str, _one_of(FIREWALLS, "--firewall", "What writes the rules beside IPVS, or on servers.")] = (
        "nft"
    )
    scheduler: Annotated[
        str | None, _one_of(SCHEDULERS, "--scheduler", "Scheduler of IPVS [default: rr; mh for a takeover pair].")
    ] = None
    unicast: Annotated[bool, typer.Option("--unicast", help="VRRP adverts from address to address.")] = False
    no_network: Annotated[
        bool, typer.Option("--no-network", help="The machines have their addresses and routes already.")
    ] = False
    state: Annotated[
        str, typer.Option("--state", metavar="DIR", help="Where a machine keeps files for --undo and daemons.")
    ] = STATE


_CHOICES: Final = ("engine", "vip_on", "mss", "firewall", "scheduler", "unicast", "state")


def _command() -> Callable[..., None]:
    """The command; its signature, which typer reads, comes from both tables of options."""

    def run(**values: Any) -> None:
        mode = values.pop("mode")
        common = _Common(**{field.name: values.pop(field.name) for field in fields(_Common)})
        with user_errors():
            _run(mode, common, {name: value for name, value in values.items() if value not in (None, False, [])})

    hints = get_type_hints(_Common, include_extras=True)
    table = {field.name: (field.default, field.metadata) for field in fields(Options)}
    argument = typer.Argument(
        metavar="[MODE]",
        show_default=False,
        autocompletion=complete(MODES),
        help=f"The mode, unless the spec says it: {', '.join(MODES)}.",
    )
    parameters = [
        Parameter("mode", Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[str | None, argument]),
        *(parameter(field.name, hints[field.name], field.default) for field in fields(_Common)),
        *(parameter(name, annotation(name, *table[name]), None) for name in OPTIONS),
    ]
    run.__signature__ = Signature(parameters, return_annotation=None)  # type: ignore[attr-defined]  # PEP 362
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    run.__doc__ = """Print the commands that make a machine what the spec says, each with its reason.

    Nothing is run. Without --spec it is the usual set-up of MODE, which `dsrkit craft MODE --split DIR` writes as a
    dsr.toml to start from.
    """
    return run


command = _command()


def _run(mode: str | None, common: _Common, options: Mapping[str, Any]) -> None:
    if mode is None and common.spec is None:
        raise UsageError("say a MODE, or give a --spec whose [[service]] has one")
    if common.which is None:
        raise UsageError("say whose commands: --for lb, real-server, router or the name of a node")

    from dsrkit.setup.api import chosen_nodes, plan_of, site_of
    from dsrkit.setup.output import render
    from dsrkit.setup.site import Choices

    choices: dict[str, Any] = {name: getattr(common, name) for name in _CHOICES}
    site = site_of(mode, common.spec, choices=Choices(**choices, network=not common.no_network), **options)
    plans = [plan_of(site, node) for node in chosen_nodes(site, common.which)]
    text = render(plans, common.form, undo=common.undo)
    if common.form not in ("shell", "json") and not common.undo:
        for note in dict.fromkeys(note for plan in plans for note in plan.notes):
            complain(f"note: {note}")
    write(sys.stdout, text)

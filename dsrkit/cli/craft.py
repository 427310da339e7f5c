"""`dsrkit craft MODE`: a command per mode, so that each one's help shows the options that it takes and no others.

The commands are made from the table of options; what a value means is checked there, for the API as well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dsrkit.cli.common import CLOSED, complain, one_of, page, user_errors, write, write_all, writing
from dsrkit.cli.options import sorted_out, with_options
from dsrkit.cli.shown import NoColor
from dsrkit.craft.options import options_of
from dsrkit.errors import UsageError
from dsrkit.model.names import MODES, PROFILES, Mode

if TYPE_CHECKING:
    from dsrkit.craft.scenario import Scenario

KINDS: Final = ("hex", "scapy", "c", "json")
CRAFTED_PROFILES: Final = tuple(profile for profile in PROFILES if profile != "any")
SUMMARIES: Final[Mapping[Mode, str]] = {
    "dns-rr": "DNS round robin: rotating answers, then the connections.",
    "garp": "A takeover: the VIP is announced, and the traffic moves.",
    "health": "Health checks, through the data path of a mode or past it.",
    "nat": "NAT: new destination, replies through the load balancer.",
    "fullnat": "Full NAT: new source and destination, replies back again.",
    "l2dsr": "L2 DSR: new MAC addresses, replies past the load balancer.",
    "l3dsr-tunnel": "L3 DSR: a tunnel, replies past the load balancer.",
    "l3dsr-dscp": "L3 DSR: a DSCP tag, replies past the load balancer.",
    "l7": "A proxy: two connections, one on either side of it.",
}

app = typer.Typer(help="Build the exact frames of a mode at every hop.", rich_markup_mode=None, add_completion=False)


def _faults(incomplete: str) -> list[str]:
    from dsrkit.craft.faults import FAULTS

    return [code for code in FAULTS if code.startswith(incomplete)]


@dataclass(frozen=True)
class _Common:
    """The options of every mode; those of `_CALL` go to the library."""

    write: Annotated[
        str | None, typer.Option("--write", "-w", metavar="OUT", help="Write one pcapng; '-' is standard output.")
    ] = None
    split: Annotated[
        str | None, typer.Option("--split", metavar="DIR", help="Write one pcap per tap, and the dsr.toml for them.")
    ] = None
    kind: Annotated[
        str | None,
        one_of(KINDS, "--as", f"Print the frames for other tools: {', '.join(KINDS)}.", "KIND"),
    ] = None
    send: Annotated[
        str | None, typer.Option("--send", metavar="IFACE", help="Put the frames of a tap on the wire (needs root).")
    ] = None
    tap: Annotated[str | None, typer.Option("--tap", metavar="NAME", help="The tap for --as and --send.")] = None
    yes: Annotated[bool, typer.Option("--yes", help="Send without asking.")] = False
    fast: Annotated[bool, typer.Option("--fast", help="Send as fast as possible, whatever the times say.")] = False
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="Packets that the ladder shows.")] = (
        None
    )
    no_color: NoColor = False
    spec: Annotated[
        str | None,
        typer.Option("--spec", metavar="FILE", help="The set-up (dsr.toml), instead of a small one."),
    ] = None
    profile: Annotated[
        str | None,
        one_of(
            CRAFTED_PROFILES, "--profile", f"Whose header habits to follow: {', '.join(CRAFTED_PROFILES)}.", "PROFILE"
        ),
    ] = None
    fault: Annotated[
        str | None,
        typer.Option(
            "--fault", metavar="CODE", autocompletion=_faults, help="Break one thing (dsrkit craft --list-faults)."
        ),
    ] = None
    flows: Annotated[
        int | None,
        typer.Option(
            "--flows",
            metavar="N",
            min=1,
            help="Number of connections [default: 1]; 20000 at most with dns-rr, garp, health and some faults.",
        ),
    ] = None
    seed: Annotated[int | None, typer.Option("--seed", metavar="N", help="Same seed, same octets [default: 0].")] = None


_CALL: Final = ("profile", "fault", "flows", "seed")


@app.callback(invoke_without_command=True)
def craft(
    context: typer.Context,
    list_faults: Annotated[
        bool, typer.Option("--list-faults", help="List the faults that can be crafted, in all modes or one, and exit.")
    ] = False,
) -> None:
    """Build the exact frames of a mode at every hop.

    Without an output the frames are shown as a ladder: taps as columns, with what each hop changed.
    """
    if list_faults:
        with user_errors():
            write(sys.stdout, "".join(_fault_lines(context.invoked_subcommand)))
        raise typer.Exit
    if context.invoked_subcommand is None:
        write(sys.stdout, context.get_help() + "\n")
        raise typer.Exit(2)


def _fault_lines(mode: str | None) -> Iterator[str]:
    """The faults as a table: code, name, modes, and what each shows."""
    from dsrkit.craft.faults import FAULTS

    faults = [fault for fault in FAULTS.values() if mode in (None, *fault.modes)]
    rows = [(fault.code, fault.name, ", ".join(fault.modes), fault.shows) for fault in faults]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for *cells, shows in rows:
        yield "  ".join([*(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), shows]) + "\n"


def _command(mode: Mode) -> Callable[..., None]:
    """The command of a mode; its signature, which typer reads, comes from both tables of options."""

    def run(**values: Any) -> None:
        common, options = sorted_out(_Common, values)
        with user_errors():
            _run(mode, common, options)

    return with_options(run, SUMMARIES[mode], _Common, options_of(mode))


for _mode in MODES:
    app.command(_mode)(_command(_mode))


def _run(mode: Mode, common: _Common, options: Mapping[str, Any]) -> None:
    _check(common)

    from dsrkit.craft.api import craft
    from dsrkit.model.spec import Spec

    spec = None if common.spec is None else Spec.load(common.spec)
    call: dict[str, Any] = {name: getattr(common, name) for name in _CALL if getattr(common, name) is not None}
    scenario = craft(mode, spec, **call, **options)
    for silent in scenario.silent:
        complain(f"note: tap {silent} hears nothing")
    tap = _tap(common, scenario)
    _check_files(common, scenario)
    if not (common.write or common.split or common.kind or common.send):
        _show(common, scenario)
    if common.write:
        _write_pcapng(common.write, scenario)
    if common.split:
        files = scenario.write_split(common.split)
        complain(f"wrote {', '.join(map(str, files))}")
    if common.kind:
        from dsrkit.craft.output.formats import render

        write_all(sys.stdout, render(scenario, common.kind, tap))
    if common.send:
        _send(common, scenario, tap)


def _check(common: _Common) -> None:
    """Refuse what contradicts itself, or would silently do nothing, before the work."""
    outputs = [common.write, common.split, common.kind, common.send]
    named = {"--write": common.write, "--split": common.split, "--send": common.send, "--spec": common.spec}
    for name, value in named.items():
        if value == "":
            raise UsageError(f"{name}: must not be empty")
    if common.tap and not (common.kind or common.send):
        raise UsageError("--tap belongs to --as and --send")
    if (common.yes or common.fast) and not common.send:
        raise UsageError("--yes and --fast belong to --send")
    if common.limit is not None and any(outputs):
        raise UsageError("--limit is about the ladder, which is shown where no other output is asked for")
    if common.write == "-":
        if common.kind:
            raise UsageError("-w - and --as would both write to standard output")
        if sys.stdout is not None and sys.stdout.isatty():
            raise UsageError("-w - writes octets, not text: send standard output to a file or a pipe")
    if common.spec:
        written = [*filter(None, [common.write]), *([f"{common.split}/dsr.toml"] if common.split else [])]
        if any(os.path.realpath(file) == os.path.realpath(common.spec) for file in written):
            raise UsageError(f"this would overwrite {common.spec!r}")


def _check_files(common: _Common, scenario: Scenario) -> None:
    """Refuse a -w that --split would write over, or make its folder impossible."""
    if not (common.write and common.split):
        return
    from dsrkit.craft.output.files import split_names

    own = os.path.realpath(common.write)
    if own in (os.path.realpath(os.path.join(common.split, name)) for name in ("", *split_names(scenario.taps))):
        raise UsageError(f"-w {common.write!r} and --split {common.split!r} would write over each other")


def _tap(common: _Common, scenario: Scenario) -> str | None:
    taps = ", ".join(scenario.taps)
    if common.tap is not None and common.tap not in scenario.taps:
        raise UsageError(f"there is no tap {common.tap!r} (there are: {taps})")
    if common.send and common.tap is None and len(scenario.taps) > 1:
        raise UsageError(f"say whose frames to send: --tap, one of: {taps}")
    return common.tap


def _show(common: _Common, scenario: Scenario) -> None:
    from dsrkit.craft.output.ladder import LIMIT, ladder
    from dsrkit.report.ladder import render

    color, width = page(no_color=common.no_color)
    write(sys.stdout, render(ladder(scenario, common.limit or LIMIT), color=color, width=width))


def _write_pcapng(target: str, scenario: Scenario) -> None:
    if target != "-":
        frames = scenario.write(target)
        complain(f"wrote {target}: {frames} frames at the taps {', '.join(scenario.taps)}")
        return
    from dsrkit.craft.output.files import write_pcapng

    if sys.stdout is None:
        raise UsageError(CLOSED)
    with writing(sys.stdout.buffer):
        write_pcapng(sys.stdout.buffer, scenario)


def _send(common: _Common, scenario: Scenario, tap: str | None) -> None:
    from dsrkit.craft.output.send import plan, send

    interface, tap = common.send or "", tap or scenario.taps[0]
    for line in plan(scenario, interface, tap=tap, fast=common.fast).splitlines():
        complain(line)
    if not common.yes and not _agreed("Send them? [y/N] "):
        raise UsageError("nothing was sent (--yes sends without asking)")
    complain(f"sent {send(scenario, interface, tap=tap, fast=common.fast)} frames on {interface}")


def _agreed(question: str) -> bool:
    """Ask on stderr, since stdout may be a pipe; no answer is a no."""
    write(sys.stderr, question)
    answer = "" if sys.stdin is None else sys.stdin.readline()
    return answer.strip().lower() in ("y", "yes")

"""`dsrkit lab`: build a mode for real, on the running kernel or a virtual one, and verify what its taps saw."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from dsrkit.cli.common import complain, one_of, page, user_errors, write
from dsrkit.cli.options import entries, mode_argument, sorted_out, with_options
from dsrkit.cli.shown import NoColor, Quiet
from dsrkit.craft.options import Options
from dsrkit.errors import UsageError
from dsrkit.lab.words import ENGINES, FLOWS
from dsrkit.setup.words import MSS, OPTIONS, SCHEDULERS, VIP_ON

if TYPE_CHECKING:
    from types import FrameType

    from dsrkit.lab.plan import Lab, Wishes
    from dsrkit.lab.run import Outcome


@dataclass(frozen=True)
class _Common:
    """The options of every mode."""

    spec: Annotated[
        str | None, typer.Option("--spec", metavar="FILE", help="The set-up (dsr.toml), instead of a small one.")
    ] = None
    engine: Annotated[str, one_of(ENGINES, "--engine", "The running kernel, or user-mode Linux.")] = "auto"
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="DIR", help="Keep captures, dsr.toml and truth.json there.")
    ] = None
    flows: Annotated[int, typer.Option("--flows", min=1, max=1000, help="Requests of each client machine.")] = FLOWS
    fault: Annotated[
        str | None, typer.Option("--fault", metavar="CODE", help="Misconfigure it, as this fault (code or name) says.")
    ] = None
    loss: Annotated[str, typer.Option("--loss", metavar="SHARE", help="Share of frames lost at clients (1%).")] = "0"
    delay: Annotated[str, typer.Option("--delay", metavar="TIME", help="Delay at clients, each way (5ms).")] = "0"
    offloads: Annotated[bool, typer.Option("--offloads", help="Leave checksum and segment offloads on.")] = False
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Other addresses, MACs, names, ports and sizes; 0 is the usual set-up.")
    ] = 0
    shell: Annotated[
        str | None, typer.Option("--shell", metavar="NODE", help="A shell there, before all is taken down.")
    ] = None
    keep: Annotated[bool, typer.Option("--keep", help="Leave it standing until end of input (Ctrl-D).")] = False
    vip_on: Annotated[str, one_of(VIP_ON, "--vip-on", "How servers take packets for the VIP; dnat for l2dsr.")] = "lo"
    mss: Annotated[str, one_of(MSS, "--mss", "How servers leave room for a tunnel.")] = "advmss"
    scheduler: Annotated[
        str | None, one_of(SCHEDULERS, "--scheduler", "Scheduler of IPVS [default: rr; mh for a takeover pair].")
    ] = None
    unicast: Annotated[bool, typer.Option("--unicast", help="VRRP adverts from address to address.")] = False
    quiet: Quiet = False
    no_color: NoColor = False


_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CHOICES: Final = ("vip_on", "mss", "scheduler", "unicast")
_PARSE: Final = {field.name: field.metadata["parse"] for field in fields(Options)}


def _lab(**values: Any) -> None:
    mode = values.pop("mode")
    common, options = sorted_out(_Common, values)
    with user_errors():
        code = _run(mode, common, options)
    raise typer.Exit(code)


_HELP: Final = """Build a mode for real, let clients and servers talk, capture every cable, and verify.

    Client, router, load balancers and real servers are network namespaces, configured by exactly what `dsrkit setup`
    prints. They end with the command, however it ends. Needs root. Exit codes: 0 served and clean, 1 findings or
    requests that were not served, 2 could not run.
    """

command = with_options(_lab, _HELP, _Common, entries(OPTIONS), [mode_argument()])


def _run(mode: str | None, common: _Common, options: dict[str, Any]) -> int:
    if mode is None and common.spec is None:
        raise UsageError("say a MODE, or give a --spec whose [[service]] has one")
    if common.shell is not None and common.keep:
        raise UsageError("--shell and --keep contradict each other: the lab stands while the shell is open")

    from dsrkit.lab.plan import Wishes, lab
    from dsrkit.lab.run import prepared, run
    from dsrkit.setup.site import Choices

    wishes = Wishes(
        engine=common.engine,
        flows=common.flows,
        fault=common.fault,
        loss=_PARSE["loss"]("--loss", common.loss),
        delay=_delay(common.delay),
        offloads=common.offloads,
        seed=common.seed,
        shell=common.shell,
        keep=common.keep,
    )
    choices = Choices(**{name: getattr(common, name) for name in _CHOICES})
    for one in _ENDS:
        if signal.getsignal(one) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(one, _end)
    chosen = lab(mode, common.spec, wishes, choices=choices, **options)
    output = None if common.output is None else prepared(Path(common.output))
    if not common.quiet:
        complain(f"engine {chosen.engine.name}: {chosen.engine.what} ({chosen.why})")
    outcome = run(chosen, wishes, output)
    _print(chosen, wishes, outcome, common)
    return outcome.exit_code


def _delay(text: str) -> int:
    """Nanoseconds; a number alone would be seconds, which few mean.

    Raises: UsageError for one without a unit, and for what is no time.
    """
    nanoseconds: int = _PARSE["jitter"]("--delay", text)
    if nanoseconds and text.strip()[-1].isdigit():
        raise UsageError(f"--delay: {text!r} has no unit (write {text.strip()}ms or {text.strip()}s)")
    return nanoseconds


def _end(number: int, frame: FrameType | None) -> None:
    """Take the lab down as Ctrl-C does; a second signal must not keep it from clearing its folder."""
    for one in _ENDS:
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt


def _print(lab: Lab, wishes: Wishes, outcome: Outcome, common: _Common) -> None:
    from dsrkit.lab.faults import FAULTS
    from dsrkit.report.text import render

    color, width = page(no_color=common.no_color)
    lines = []
    if wishes.fault is not None:
        fault = FAULTS[wishes.fault]
        lines.append(f"fault {wishes.fault}: {fault.wrong}")
        lines.append(f"expect: clients: {fault.symptom}; captures: {fault.picture}")
    lines += [f"note: {line}" for line in outcome.notes]
    lines.append(f"served {outcome.served} of {outcome.asked} requests; {len(lab.job.taps)} taps")
    write(sys.stdout, "\n".join(lines) + "\n\n")
    report = replace(outcome.report, profile=None)  # whose headers others have like these is not the question here
    write(sys.stdout, render(report, color=color, width=width, quiet=common.quiet, exits=False))
    where = "captures not kept (-o DIR keeps them)" if common.output is None else f"recording in {common.output}"
    write(sys.stdout, f"\n{outcome.verdict}; {where}\n")

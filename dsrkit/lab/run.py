"""Build a lab, let it run, and judge what its taps saw."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from dsrkit.errors import UsageError
from dsrkit.lab.engine import LabError
from dsrkit.lab.engine_host import visit
from dsrkit.lab.faults import FAULTS
from dsrkit.lab.job import JOB_FILE, LOG_FILE, RESULT_FILE, Job
from dsrkit.lab.plan import Lab, Wishes
from dsrkit.lab.scratch import scratch
from dsrkit.model.frame import FrameRef
from dsrkit.model.names import REWRITES
from dsrkit.model.report import Report
from dsrkit.model.spec import Link, Spec, SpecNode, SpecTap
from dsrkit.model.toml import dump
from dsrkit.setup.network import letter_of
from dsrkit.setup.site import Site
from dsrkit.verification import verify

SPEC_FILE: Final = "dsr.toml"
TRUTH_FILE: Final = "truth.json"
PCAP_HEADER: Final = 24
NO_SPACE: Final = 1 << 16
"""Octets; with fewer a machine that ends early has ended for that."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a lab: requests served of those made, taps that saw nothing, and the reports.

    `report` is by the spec; `blind` without it, for the modes whose rewrites can be inferred. `fault` is the code of
    what was misconfigured.
    """

    served: int
    asked: int
    dropped: int
    silent: tuple[str, ...]
    steps: tuple[Mapping[str, Any], ...]
    report: Report
    blind: Report | None
    fault: str | None = None

    @property
    def exit_code(self) -> int:
        """0 if everything was served and the recording is clean, 1 if not."""
        codes = [one.exit_code for one in (self.report, self.blind) if one is not None]
        return 0 if self.served == self.asked and not any(codes) else 1

    @property
    def notes(self) -> tuple[str, ...]:
        """What the report does not say: what clients saw go wrong, lost frames, and what is found without the spec."""
        errors = [one["error"] for step in self.steps for one in step.get("requests", ()) if not one["served"]]
        found = [f"{errors.count(one)} of the clients' requests: {one}" for one in dict.fromkeys(errors)]
        found += [
            f"{step['label']}: {done['output'] or 'failed'}"
            for step in self.steps
            for done in (step.get("ping"), step.get("command"))
            if done is not None and done["status"]
        ]
        found += [f"no frame at {tap}" for tap in self.silent]
        if self.dropped:
            found.append(f"the kernel dropped {self.dropped} frames that taps should have seen")
        if self.blind is not None and self.blind.exit_code != self.report.exit_code:
            found.append(f"without the spec verify finds {_codes(self.blind)}")
        return (*self._unseen, *found)

    @property
    def _unseen(self) -> tuple[str, ...]:
        """That a misconfiguration did nothing: then the set-up is not one in which it matters."""
        if self.fault is None or self.served < self.asked or (FAULTS[self.fault].hidden and self.exit_code):
            return ()
        return (
            f"{self.fault} has no symptom here: every request was served. Traffic does not pass what is misconfigured, "
            "or does without it",
        )

    @property
    def verdict(self) -> str:
        """The whole in one line: what clients got, what verify found, and the exit code that comes of both."""
        clients = f"clients were served {self.served} of {self.asked} requests"
        without = "" if self.blind is None or self.blind.exit_code == self.report.exit_code else " by the spec"
        return f"lab: {clients}, and verify finds {_codes(self.report)}{without} (exit {self.exit_code})"


def prepared(output: Path) -> Path:
    """A folder to keep a recording in.

    Raises: UsageError if there is something else in its place, or no folder to make it in.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UsageError(f"-o {str(output)!r}: it is not an empty folder")
    if not output.parent.is_dir():
        raise UsageError(f"-o {str(output)!r}: the folder {str(output.parent)!r} does not exist")
    return output


def run(lab: Lab, wishes: Wishes, output: Path | None = None) -> Outcome:
    """Carry out a lab, write its recording, and verify it.

    Raises: LabError if it could not be built; UsageError if `output` cannot be written.
    """
    interactive = bool(wishes.shell or wishes.keep)
    if interactive and not lab.engine.interactive:
        raise UsageError(f"--shell and --keep need the engine host; this set-up runs in {lab.engine.name}")
    names = (*(tap.file for tap in lab.job.taps), SPEC_FILE)
    with _whole(output, (*names, TRUTH_FILE)), scratch() as folder:
        _write(folder / JOB_FILE, lab.job.dump())
        (visit if interactive else lab.engine.run)(folder)
        result = _result(folder)
        spec = recorded(lab.site, lab.job)
        _write(folder / SPEC_FILE, dump(spec))
        if output is not None:
            _keep(folder, output, names)
        outcome = _judged(lab, wishes, result, output or folder)
        if output is None:
            outcome = replace(outcome, report=_homeless(outcome.report))
        else:
            _write(output / TRUTH_FILE, json.dumps(_truth(lab, wishes, result, outcome), indent=1) + "\n")
    return outcome


def recorded(site: Site, job: Job) -> Spec:
    """The spec with the taps that recorded it, and the MAC addresses of every machine."""
    taps = tuple(
        SpecTap(Path(tap.file).stem, file=Path(tap.file), interface=None, node=tap.node, link=tap.link)
        for tap in job.taps
    )
    services = site.spec.services
    if site.choices.engine == "nft":
        services = tuple(replace(one, profile="any") for one in services)
    nodes = tuple(_with_macs(node, job) for node in site.spec.nodes)
    return replace(site.spec, services=services, nodes=nodes, taps=taps)


def _with_macs(node: SpecNode, job: Job) -> SpecNode:
    ends = [(cable.link, end) for cable in job.cables for end in (cable.near, cable.far) if end is not None]

    def of(link: Link) -> tuple[str, ...]:
        found = (end.mac for letter, end in ends if end.node == node.name and letter == letter_of(node, link))
        return link.mac or tuple(dict.fromkeys(mac for mac in found if mac is not None))

    return replace(node, links=tuple(replace(link, mac=of(link)) for link in node.links))


@contextmanager
def _whole(output: Path | None, names: tuple[str, ...]) -> Iterator[None]:
    """Nothing of a recording stays where the lab does not come to its end.

    Raises: UsageError if there cannot be such a folder, before the lab is built.
    """
    if output is None:
        yield
        return
    made = not output.exists()
    try:
        output.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {str(output)!r}: {error.strerror or error}") from None
    try:
        yield
    except BaseException:
        with suppress(OSError):  # somebody else's file may be there by now
            for name in names:
                (output / name).unlink(missing_ok=True)
            if made:
                output.rmdir()
        raise


def _result(folder: Path) -> dict[str, Any]:
    file = folder / RESULT_FILE
    try:
        result: dict[str, Any] = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        if shutil.disk_usage(folder).free < NO_SPACE:
            raise LabError(f"no space left in {str(folder.parent)!r} (TMPDIR) for the lab's captures") from None
        said = (folder / LOG_FILE).read_text(errors="replace").strip().splitlines()
        raise LabError(f"the lab's machine ended early: {' | '.join(said[-3:]) or 'it said nothing'}") from None
    if result["error"] is not None:
        raise LabError(f"the lab failed: {result['error']}")
    return result


def _judged(lab: Lab, wishes: Wishes, result: Mapping[str, Any], folder: Path) -> Outcome:
    requests = [one for step in result["steps"] for one in step.get("requests", ())]
    files = tuple(tap.file for tap in lab.job.taps)
    report = verify(None, spec=folder / SPEC_FILE)
    blind = verify([folder / file for file in files]) if lab.site.mode in (*REWRITES, "health") else None
    return Outcome(
        served=sum(one["served"] for one in requests),
        asked=len(requests),
        silent=tuple(file for file in files if (folder / file).stat().st_size <= PCAP_HEADER),
        dropped=sum(result["drops"].values()),
        steps=tuple(result["steps"]),
        report=report,
        blind=blind,
        fault=wishes.fault,
    )


def _homeless(report: Report) -> Report:
    """The report with the bare names of captures that are about to go."""
    return replace(
        report,
        taps=tuple(replace(one, file=Path(one.file).name) for one in report.taps),
        findings=tuple(
            replace(one, frames=tuple(FrameRef(Path(frame.file).name, frame.frame) for frame in one.frames))
            for one in report.findings
        ),
    )


def _codes(report: Report) -> str:
    if report.exit_code == 2:
        return "nothing to judge"
    return ", ".join(dict.fromkeys(one.code for one in report.findings)) or "nothing"


def _truth(lab: Lab, wishes: Wishes, result: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    """What is known of a recording without looking at its packets, and what `verify` said about it."""
    fault = FAULTS[wishes.fault] if wishes.fault is not None else None
    spec = lab.site.spec
    return {
        "mode": lab.site.mode,
        "healthy": fault is None,
        "fault": wishes.fault,
        "wrong": fault.wrong if fault else None,
        "symptom": fault.symptom if fault else None,
        "picture": fault.picture if fault else None,
        "engine": lab.engine.name,
        "kernel": result["kernel"],
        "balancer": lab.site.choices.engine,
        "options": dict(lab.options),
        "seed": wishes.seed,
        "loss": wishes.loss,
        "delay": wishes.delay / 1e9,
        "offloads": wishes.offloads,
        "vip": list(spec.vips),
        "services": [{"proto": one.proto, "vport": one.vport, "rport": one.rport} for one in spec.ports],
        "nodes": {
            node.name: {"role": node.role, "state": result["state"][node.name], "setup": lab.job.scripts[node.name]}
            for node in spec.nodes
        },
        "faults": {node: list(commands) for node, commands in lab.job.faults.items()},
        "taps": [
            {"file": tap.file, "node": tap.node, "interface": tap.interface, "segment": tap.link,
             "dropped": result["drops"][tap.file]}
            for tap in lab.job.taps
        ],
        "served": outcome.served,
        "asked": outcome.asked,
        "steps": result["steps"],
        "verified": {
            "spec": _findings(outcome.report),
            "blind": _findings(outcome.blind) if outcome.blind is not None else None,
        },
        "exit_code": outcome.exit_code,
    }  # fmt: skip


def _findings(report: Report) -> dict[str, Any]:
    keys = ("code", "severity", "candidates", "nodes", "count", "expected", "actual", "message")
    found = [{key: one.to_dict()[key] for key in keys} for one in report.findings]
    return {"exit_code": report.exit_code, "findings": found}


def _keep(folder: Path, output: Path, names: tuple[str, ...]) -> None:
    try:
        for name in names:
            shutil.copyfile(folder / name, output / name)
    except OSError as error:
        raise UsageError(f"cannot write {str(output)!r}: {error.strerror or error}") from None


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text)
    except OSError as error:
        raise UsageError(f"cannot write {str(file)!r}: {error.strerror or error}") from None

"""From a mode or a spec to what a lab does: which engine can, and the job for it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from itertools import chain
from random import Random
from typing import Any, Final

from dsrkit.errors import MissingDependency, UsageError
from dsrkit.lab.engine import Engine
from dsrkit.lab.engine_host import HOST
from dsrkit.lab.engine_uml import UML
from dsrkit.lab.faults import code_of, faulty
from dsrkit.lab.job import Job
from dsrkit.lab.parts import PACKAGE
from dsrkit.lab.topology import cables, machines, taps
from dsrkit.lab.traffic import servers, steps
from dsrkit.lab.vary import varied
from dsrkit.lab.words import FLOWS
from dsrkit.model.spec import Spec
from dsrkit.setup.api import plan_of, site_of
from dsrkit.setup.output import shell
from dsrkit.setup.plan import Plan
from dsrkit.setup.site import Choices, Site

ENGINES: Final[Mapping[str, Engine]] = {"host": HOST, "uml": UML}
CANNOT: Final = "the lab cannot run here: "
SAID_BY_SPEC: Final = frozenset({"vip", "port", "server_port", "clients", "real_servers", "resolvers"})
KEEPALIVED_SECONDS: Final = 6.0
"""Until a pair has settled who is master, or checks have found every server."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user wants of a lab, besides the set-up.

    `loss` is a share, `delay` a time in nanoseconds; `fault` is given by code or name.
    """

    engine: str = "auto"
    flows: int = FLOWS
    fault: str | None = None
    loss: float = 0.0
    delay: int = 0
    offloads: bool = False
    seed: int = 0
    shell: str | None = None
    keep: bool = False

    def __post_init__(self) -> None:
        if self.fault is not None:
            object.__setattr__(self, "fault", code_of(self.fault))


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that can be built here."""

    engine: Engine
    site: Site
    job: Job
    why: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Way:
    """A machine, and how load is balanced in it."""

    engine: str
    balancer: str
    firewall: str
    why: str


WAYS: Final = (
    _Way("host", "ipvs", "nft", "it has everything"),
    _Way("uml", "ipvs", "iptables-legacy", "the running kernel lacks a part, and this one has it"),
    _Way("host", "nft", "nft", "nft balances, since no IPVS is at hand"),
)
"""In the order of preference: real IPVS before an imitation, and no virtual machine where none is needed."""


def lab(
    mode: str | None,
    spec: Spec | str | os.PathLike[str] | None,
    wishes: Wishes,
    *,
    choices: Choices | None = None,
    **options: Any,
) -> Lab:
    """The lab for a mode's usual set-up or a spec, in the engine that suits.

    Raises: UsageError, SpecError as `setup`; MissingDependency naming what this computer lacks.
    """
    usable = {name for name, one in ENGINES.items() if one.interactive or not (wishes.shell or wishes.keep)}
    lacking: dict[str, list[str]] = {}
    refused: UsageError | None = None
    for way in WAYS:
        if way.engine not in (usable if wishes.engine == "auto" else {wishes.engine}):
            continue
        suited = replace(choices or Choices(), engine=way.balancer, firewall=way.firewall)  # type: ignore[arg-type]
        try:
            site = _site(mode, spec, wishes, suited, options)
            plans = [plan_of(site, node) for node in site.spec.nodes]
            job = job_of(site, plans, wishes)
        except UsageError as error:
            refused = refused or error
            continue
        modules, programs = _needs(plans, job)
        if wishes.loss or wishes.delay:
            modules.append("sch_netem")
        missing = ENGINES[way.engine].missing(modules, programs)
        if not missing:
            return Lab(ENGINES[way.engine], site, job, way.why, options)
        lacking[way.engine] = min(lacking.get(way.engine, missing), missing, key=len)  # the way that lacks least
    if refused is not None and not lacking:
        raise refused
    each = "; ".join(f"engine {name} needs {', '.join(missing)}" for name, missing in lacking.items())
    raise MissingDependency(CANNOT + each)


def _site(
    mode: str | None,
    spec: Spec | str | os.PathLike[str] | None,
    wishes: Wishes,
    choices: Choices,
    options: Mapping[str, Any],
) -> Site:
    """The set-up; with a seed it is varied, and the spec that comes of that says what the options said."""
    if mode == "health" and spec is None:
        options = {"through": "rip", **options}  # keepalived cannot send a check along the data path
    site = site_of(mode, spec, choices=choices, **options)
    if not wishes.seed:
        return site
    kept = {name: value for name, value in options.items() if name not in SAID_BY_SPEC}
    return site_of(site.mode, varied(site.spec, wishes.seed), choices=choices, **kept)


def _needs(plans: Sequence[Plan], job: Job) -> tuple[list[str], list[str]]:
    """The kernel modules and the programs of some plans, and of what happens besides."""
    modules: list[str] = []
    programs: list[str] = []
    for step in (step for plan in plans for step in plan.steps):
        if step.kind == "module":
            modules += step.argv[2:]
        programs += [argv[0] for argv in (step.argv, step.unless, *step.undo) if argv]
    besides = (*(step.command or "" for step in job.steps), *chain.from_iterable(job.faults.values()))
    programs += [word for text in besides for word in re.findall(r"[\w-]+", text) if word in PACKAGE]
    unneeded = {"modprobe", *(name for name in programs if name in _EVERYWHERE)}
    return list(dict.fromkeys(modules)), [name for name in dict.fromkeys(programs) if name not in unneeded]


_EVERYWHERE: Final = frozenset({"cat", "mkdir", "rm", "rmdir", "test"})


def job_of(site: Site, plans: Sequence[Plan], wishes: Wishes) -> Job:
    """What the engine carries out.

    Raises: UsageError for a fault that the mode does not have, and for a set-up that no machines can be made of.
    """
    if site.options.protocol == "icmp":
        raise UsageError("--protocol icmp: a lab's clients speak tcp or udp, and ping besides")
    names = machines(site)
    if wishes.shell is not None and wishes.shell not in names:
        raise UsageError(f"--shell: no node {wishes.shell!r} (nodes: {', '.join(names)})")
    laid = cables(site)
    clients = {node.name for node in site.nodes("client")}
    ends = (end for cable in laid for end in (cable.near, cable.far) if end is not None and end.node in clients)
    job = Job(
        nodes=names,
        cables=laid,
        scripts={plan.node: shell(plan) for plan in plans},
        servers=servers(site),
        steps=steps(site, wishes.flows, Random(wishes.seed)),
        taps=taps(site),
        ipv6=any(ip_address(ip).version == 6 for node in site.spec.nodes for ip in node.ips),
        offloads=wishes.offloads,
        loss=wishes.loss,
        delay=wishes.delay / 1e9,
        slow=tuple(ends) if wishes.loss or wishes.delay else (),
        settle=KEEPALIVED_SECONDS if site.vrrp or site.checks else 0.5,
        shell=wishes.shell,
        keep=wishes.keep,
    )
    return job if wishes.fault is None else faulty(wishes.fault, site, job)

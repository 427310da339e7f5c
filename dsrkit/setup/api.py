"""The one call of setup: a mode or a spec in, a plan per machine out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from ipaddress import ip_address
from typing import Any, Final

from dsrkit.craft.complete import completed, spec_options
from dsrkit.craft.options import Options, flag, known_word, one_of, parse_options
from dsrkit.craft.presets import PRESETS
from dsrkit.errors import UsageError
from dsrkit.model.names import MODES, REWRITES, ROLES, Mode, Role, did_you_mean
from dsrkit.model.spec import Spec, SpecNode
from dsrkit.setup.balancer import balancer
from dsrkit.setup.dnsmasq import name_server
from dsrkit.setup.idle import refuse_idle
from dsrkit.setup.network import Network, with_interfaces
from dsrkit.setup.notes import notes
from dsrkit.setup.plan import Plan, Step, arranged
from dsrkit.setup.real_server import SERVERS, check_vip_on
from dsrkit.setup.router import host, router
from dsrkit.setup.site import Choices, Site
from dsrkit.setup.words import ENGINES, FIREWALLS, MSS, OPTIONS, SCHEDULERS, VIP_ON

PROFILES: Final = ("any", "generic", "ipvs")
"""Header habits that this machinery has; the others are of other programs."""

WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "engine": ENGINES,
    "vip_on": VIP_ON,
    "mss": MSS,
    "firewall": FIREWALLS,
    "scheduler": SCHEDULERS,
}


def _real_server(site: Site, node: SpecNode) -> Iterator[Step]:
    for vip in site.spec.vips:
        site.backends(vip)  # what no load balancer could send to is no set-up for its servers either
    return SERVERS[site.path](site, node)


_BUILDERS: Final[Mapping[Role, Callable[[Site, SpecNode], Iterator[Step]]]] = {
    "client": host,
    "bridge": host,
    "router": router,
    "lb": balancer,
    "real-server": _real_server,
    "resolver": name_server,
}


def setup(
    mode: str | None = None,
    spec: Spec | str | os.PathLike[str] | None = None,
    *,
    choices: Choices | None = None,
    **options: Any,
) -> tuple[Plan, ...]:
    """What has to be done on every machine of a mode's usual set-up, or of a spec.

    `options` are those of `OPTIONS`; they go before what the spec says, and the spec before the usual set-up.

    Raises: UsageError for options that contradict each other, and for what the engine does not do; SpecError for a
    spec that cannot be completed.
    """
    site = site_of(mode, spec, choices=choices, **options)
    refuse_idle(site)
    return tuple(plan_of(site, node) for node in site.spec.nodes)


def site_of(
    mode: str | None = None,
    spec: Spec | str | os.PathLike[str] | None = None,
    *,
    choices: Choices | None = None,
    **options: Any,
) -> Site:
    """The whole set-up: the spec made complete, and its wires.

    Raises: as `setup`.
    """
    given = Spec() if spec is None else spec if isinstance(spec, Spec) else Spec.load(spec)
    known = _mode(mode, given)
    for service in given.services:
        if service.profile not in PROFILES:
            raise UsageError(f"profile {service.profile} is another program than setup sets up ({', '.join(PROFILES)})")
    for name in options:
        if name not in OPTIONS and name in {field.name for field in fields(Options)}:
            raise UsageError(f"{flag(name)} is about packets, and not about machines")
    own = {name: value for name, value in options.items() if value is not None}
    asked = {**spec_options(given, known, own), **own}
    chosen = parse_options(known, asked)
    if chosen.vip is not None and ip_address(chosen.vip).version != int(chosen.ip):
        raise UsageError(f"--vip: {chosen.vip} is not an IPv{chosen.ip} address")
    usual = PRESETS[known](known, "ipvs", chosen)
    whole = usual if given == Spec() else with_interfaces(completed(given, usual), given)
    found = Site(
        whole, known, _path(known, chosen), chosen, _checked(choices or Choices()), Network(whole, vlan=chosen.vlan)
    )
    check_vip_on(found)
    return found


def plan_of(site: Site, node: SpecNode) -> Plan:
    """What has to be done on one machine.

    Raises: UsageError for what the engine does not do, and for what the spec would have to say.
    """
    steps = arranged(_BUILDERS[node.role](site, node), site.state(node))
    return Plan(node.name, node.role, site.mode, steps, tuple(notes(site, node)))


def chosen_nodes(site: Site, which: str) -> tuple[SpecNode, ...]:
    """The nodes that a word stands for: the node of that name, else all of that role.

    Raises: UsageError if there is none.
    """
    named = site.spec.node(which)
    if named is not None:
        return (named,)
    found = tuple(node for node in site.spec.nodes if node.role == which)
    if found:
        return found
    names = [node.name for node in site.spec.nodes]
    roles = [role for role in ROLES if any(node.role == role for node in site.spec.nodes)]
    hint = did_you_mean(which, [*names, *roles])
    raise UsageError(f"--for: no node or role {which!r} ({hint}nodes: {', '.join(names)}; roles: {', '.join(roles)})")


def _mode(mode: str | None, spec: Spec) -> Mode:
    if mode is None:
        if spec.mode is not None:
            return spec.mode
        if not spec.services:
            raise UsageError("say a MODE, or give a --spec whose [[service]] has one")
        raise UsageError(f"the spec has services of several modes: say one of {', '.join(spec.modes)} as MODE")
    known = known_word(mode, MODES, "mode")
    if spec.mode not in (None, known) and known not in ("garp", "health"):
        raise UsageError(f"the spec is about mode {spec.mode}, not {mode}")
    return known


def _path(mode: Mode, options: Options) -> Mode:
    """The mode by which packets reach the servers."""
    if mode == "garp":
        return "l2dsr"
    if mode == "health":
        return next(one for one in REWRITES if one == options.data_path)
    return mode


def _checked(choices: Choices) -> Choices:
    for name, words in WORDS.items():
        value = getattr(choices, name)
        if value is not None:
            one_of(*words)(flag(name), value)
    if not choices.state.startswith("/"):
        raise UsageError(f"--state: {choices.state!r} is not an absolute path")
    return replace(choices, state=choices.state.rstrip("/") or "/")

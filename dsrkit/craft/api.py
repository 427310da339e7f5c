"""The two calls of craft: a whole scenario, and what one node makes of one frame."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import Any, TypeVar

from dsrkit.craft.complete import completed, spec_options
from dsrkit.craft.faults import Fault, fault_of
from dsrkit.craft.modes import DRIVERS
from dsrkit.craft.network import Network, Weather
from dsrkit.craft.options import CONNECTIONS, Options, parse_options
from dsrkit.craft.preset import encapsulation, families
from dsrkit.craft.profiles import PROFILES
from dsrkit.craft.scenario import Scenario
from dsrkit.craft.world import World, taps_of
from dsrkit.errors import UsageError
from dsrkit.model.names import MODES, Mode, Profile
from dsrkit.model.spec import Spec

W = TypeVar("W", bound=str)


def _word(word: str, words: tuple[W, ...], what: str) -> W:
    for one in words:
        if one == word:
            return one
    near = get_close_matches(str(word), words, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"{what} {word!r} is not known ({hint}one of: {', '.join(words)})")


def craft(
    mode: str,
    spec: Spec | str | os.PathLike[str] | None = None,
    *,
    profile: str | None = None,
    fault: str | None = None,
    flows: int = 1,
    seed: int = 0,
    **options: Any,
) -> Scenario:
    """Build the whole conversation of a mode at every hop.

    The same arguments give the same octets. `options` are the long flags of ``dsrkit craft MODE``, with _ for -; they
    go before what the spec says, and the spec before the mode's usual set-up. `profile` is the spec's if it names one,
    else ipvs.

    Raises: UsageError for an unknown mode, profile, fault or option and for options that contradict each other;
    SpecError for a spec that cannot be built.
    """
    known: Mode = _word(mode, MODES, "mode")
    given = _spec(spec, known)
    stated = next((one.profile for one in given.services if one.profile != "any"), "ipvs")
    habits: Profile = _word(profile or stated, tuple(PROFILES), "profile")  # type: ignore[arg-type]
    if flows < 1:
        raise UsageError(f"--flows: {flows} connections are none")
    broken = None if fault is None else fault_of(fault, known)
    if broken is not None:
        options = {**broken.options, **{name: value for name, value in options.items() if value is not None}}
        flows = max(flows, broken.flows)
    asked = {name: value for name, value in options.items() if value is not None}
    chosen = parse_options(known, {**spec_options(given, known), **asked})
    world = _world(known, habits, given, chosen, seed, broken)
    DRIVERS[known].drive(world, chosen, flows)
    if broken is not None:
        broken.strike(world, chosen)
    world.network.run()
    frames = sorted(world.network.frames, key=lambda frame: frame.ts_ns)
    if broken is not None and broken.capture is not None:
        frames = broken.capture(frames, chosen)
    return Scenario(
        mode=known,
        profile=habits,
        taps=tuple(tap.name for tap in world.network.taps),
        spec=world.spec,
        kept=tuple(frames),
        fault=None if broken is None else broken.code,
    )


def _spec(spec: Spec | str | os.PathLike[str] | None, mode: Mode) -> Spec:
    given = Spec() if spec is None else spec if isinstance(spec, Spec) else Spec.load(spec)
    if given.mode not in (None, mode) and mode in CONNECTIONS:
        raise UsageError(f"the spec is about mode {given.mode}, not {mode}")
    return given


def _world(
    mode: Mode,
    profile: Profile,
    spec: Spec,
    options: Options,
    seed: int,
    fault: Fault | None,
) -> World:
    usual = DRIVERS[mode].preset(mode, profile, options)
    complete = usual if spec == Spec() else completed(spec, usual)
    if fault is not None and fault.spec is not None:
        complete = fault.spec(complete, options)
    taps = taps_of(complete)
    network = Network(
        taps,
        seed=seed,
        weather=Weather(options.jitter, options.loss),
        snaplen=options.snaplen,
    )
    if options.skew:
        network.skew_ns = {tap.name: network.random.randrange(-options.skew, options.skew + 1) for tap in taps}
    pair = families(mode, profile, options)
    tunnel = encapsulation(profile, options, pair) if mode == "l3dsr-tunnel" else None
    return World(
        complete,
        network,
        mode=mode,
        profile=profile,
        encapsulation=tunnel,
        outer=pair[1],
        vlan=options.vlan,
        mtu=options.mtu,
    )

"""The two calls of craft: a whole scenario, and what one node makes of one frame."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any, Final

from dsrkit.craft.complete import completed, spec_options
from dsrkit.craft.faults import Fault, fault_of
from dsrkit.craft.frame import Batch
from dsrkit.craft.machines.network import Network, Weather
from dsrkit.craft.machines.world import World, taps_of
from dsrkit.craft.modes import DRIVERS, machines_of
from dsrkit.craft.options import CONNECTIONS, Options, flag, known_word, parse_options, unmet, whole
from dsrkit.craft.preset import encapsulation, families
from dsrkit.craft.profiles import PROFILES
from dsrkit.craft.profiles.base import IPIP_PAIRS
from dsrkit.craft.scenario import LINKTYPE_ETHERNET, Scenario
from dsrkit.craft.volume.copies import copies
from dsrkit.errors import UsageError
from dsrkit.model.names import MODES, REWRITES, Mode, Profile
from dsrkit.model.spec import Spec

SIMULATED: Final = 200
"""Up to here every connection is simulated; more are copies."""
SIMULATED_AT_MOST: Final = 20_000
"""The most connections of a scenario without copies: some 100 of them are simulated in a second."""
FLOWS: Final = 10_000_000
"""The most connections of a scenario: each costs some 100 octets of memory, and copies of it 3,000 of a file."""
SEEDS: Final = 2**64 - 1
FLOWS_PER_CLIENT: Final = 20000
"""A client has about this many ports (net.ipv4.ip_local_port_range)."""


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
    have to agree with what the spec says, and go before the mode's usual set-up. `profile` is the spec's if it names
    one, else ipvs (generic with the TOA option, which IPVS does not have).

    Raises: UsageError for an unknown mode, profile, fault or option and for options that contradict each other or the
    spec; SpecError for a spec that cannot be built.
    """
    known: Mode = known_word(mode, MODES, "mode")
    given = _spec(spec, known)
    stated = next((one.profile for one in given.services if one.profile != "any"), None)
    flows, seed = whole(1, FLOWS)("--flows", flows), whole(-SEEDS, SEEDS)("--seed", seed)
    broken = None if fault is None else fault_of(fault, known)
    if broken is not None:
        flows = max(flows, broken.flows)
    asked = _agreed(known, given, {name: value for name, value in options.items() if value is not None}, broken)
    asked.setdefault("clients", -(-flows // FLOWS_PER_CLIENT))
    chosen = parse_options(known, asked)
    for name in asked:
        missing = unmet(known, chosen, name)
        if missing is not None:
            whose = "" if broken is None or name in options else f"{broken.code} ({broken.name}): "
            raise UsageError(whose + missing)
    required = None if broken is None else broken.profile
    usual = required or _usual_profile(known, chosen)
    habits: Profile = known_word(profile or stated or usual, tuple(PROFILES), "profile")  # type: ignore[arg-type]
    if required is not None and broken is not None and habits != required:
        raise UsageError(f"{broken.code} ({broken.name}) is a fault of profile {required}, not of {habits}")
    _check(known, habits, chosen, asked)
    if chosen.toa and habits != "generic":
        raise UsageError(f"--toa: profile {habits} adds no TCP option (leave --profile out, or say generic)")
    return _Build(known, habits, given, chosen, flows, seed, broken).scenario()


def _agreed(mode: Mode, spec: Spec, given: Mapping[str, Any], fault: Fault | None) -> dict[str, Any]:
    """The options of a call, with those that its fault needs and those that the spec answers.

    Raises: UsageError for an option that is not what the spec says: the spec's machines would go on without it.
    """
    needed = {} if fault is None else fault.options
    chosen = {**needed, **given}
    wanted = parse_options(mode, chosen)
    stated = spec_options(spec, mode, {name: getattr(wanted, name) for name in chosen})
    says = parse_options(mode, stated)
    for name, value in chosen.items():
        asked, said = getattr(wanted, name), getattr(says, name)
        enough = name not in given and name in ("clients", "real_servers") and said > asked
        if name in stated and asked != said and not enough:
            needs = "" if fault is None or name in given else f"{fault.code} ({fault.name}) needs "
            shown = flag(name) if value is True else f"{flag(name)} {value}"
            raise UsageError(f"{needs}{shown}: the spec says {stated[name]}")
    return {**chosen, **stated}


def _usual_profile(mode: Mode, options: Options) -> str:
    """IPVS, or where it cannot do what was asked for the first profile that can."""
    if options.toa:
        return "generic"
    if mode == "l3dsr-tunnel":
        for name in PROFILES:
            with suppress(UsageError):
                encapsulation(name, options, families(mode, name, options))
                return name
    return "ipvs"


def _check(mode: Mode, profile: Profile, options: Options, asked: Mapping[str, object]) -> None:
    """Refuse what the profile does not do, and what would silently be of another IP version than was asked for."""
    known = PROFILES[profile]
    done = machines_of(mode, options)
    if done not in known.modes and (done in REWRITES or profile not in ("ipvs", "generic")):
        raise UsageError(f"profile {profile} does not do {done} (it does: {', '.join(sorted(known.modes))})")
    pair = IPIP_PAIRS.get(options.tunnel or "")
    if pair is not None and asked.get("ip") not in (None, str(pair[0]), pair[0]):
        raise UsageError(f"--tunnel {options.tunnel} carries IPv{pair[0]} packets, not --ip {options.ip}")
    if pair is not None and options.outer_ip not in (None, str(pair[1])):
        raise UsageError(f"--tunnel {options.tunnel} has an IPv{pair[1]} header, not --outer-ip {options.outer_ip}")
    versions = families(mode, profile, options)
    if 6 in versions and options.mtu < 1280:
        raise UsageError(f"--mtu: IPv6 needs links of at least 1280 octets, not {options.mtu} (RFC 8200 s5)")
    if options.vip is not None:
        version = versions[0]
        if ip_address(options.vip).version != version:
            raise UsageError(f"--vip: {options.vip} is not an IPv{version} address")


@dataclass(frozen=True)
class _Build:
    """Everything that a scenario is made of."""

    mode: Mode
    profile: Profile
    spec: Spec
    options: Options
    flows: int
    seed: int
    fault: Fault | None

    @property
    def acting(self) -> Mode:
        """The mode of the machines, which a fault may have made another one than the spec's."""
        return (self.fault.acts_as if self.fault is not None else None) or self.mode

    def scenario(self) -> Scenario:
        driver = DRIVERS[self.acting]
        captured = self.fault is not None and self.fault.capture is not None  # made of frames, one by one
        apart = driver.alone and (self.fault is None or self.fault.alone)
        volume = apart and self.flows > SIMULATED and not captured
        if not volume and self.flows > SIMULATED_AT_MOST:
            what = f"mode {self.mode}" if self.fault is None or not driver.alone else f"fault {self.fault.code}"
            raise UsageError(f"--flows: {self.flows} is more than the {SIMULATED_AT_MOST} that {what} can simulate")
        # every server once, with the ARP before it, and a second time with what is known by then
        world = self.run(2 * self.options.real_servers if volume else self.flows)
        frames = sorted(world.network.frames, key=lambda frame: frame.ts_ns)
        if self.fault is not None and self.fault.capture is not None:
            frames = self.fault.capture(frames, world, self.options)
        taps = tuple(tap.name for tap in world.network.taps)
        scenario = Scenario(
            mode=self.mode,
            profile=self.profile,
            taps=taps,
            spec=world.spec,
            kept=() if volume else tuple(frames),
            fault=None if self.fault is None else self.fault.code,
            link_type=LINKTYPE_ETHERNET if self.fault is None else self.fault.link_type,
        )
        if not volume:
            return scenario

        def batches() -> Iterator[Batch]:
            return copies(
                frames,
                self.one,
                self.options,
                flows=self.flows,
                seed=self.seed,
                taps=taps,
                skew_ns=world.network.skew_ns,
            )

        return replace(scenario, source=batches)

    def run(self, flows: int) -> World:
        world = self.world(Weather(self.options.jitter, self.options.loss), self.seed)
        DRIVERS[self.acting].drive(world, self.options, flows)
        if self.fault is not None:
            self.fault.strike(world, self.options)
        world.network.run()
        return world

    def one(self, server: int, variant: int) -> World:
        """A single connection to the n-th server, between machines that know each other."""
        world = self.world(Weather(loss=self.options.loss), self.seed + 1 + variant, known=True)
        distributor = world.distributor
        chosen = distributor.servers[server]
        distributor.choose = lambda key: chosen if chosen.alive else None
        DRIVERS[self.acting].drive(world, self.options, 1)
        if self.fault is not None:
            self.fault.strike(world, self.options)
        world.network.run()
        return world

    def world(self, weather: Weather, seed: int, *, known: bool = False) -> World:
        driver = DRIVERS[self.mode]
        usual = driver.preset(self.mode, self.profile, self.options)
        spec = usual if self.spec == Spec() else completed(self.spec, usual)
        if self.fault is not None and self.fault.spec is not None:
            spec = self.fault.spec(spec, self.options)
        others = {"client", "router"} | ({"real-server"} if self.mode in ("nat", "fullnat", "l7") else set())
        taken = next((n for n in spec.nodes if n.role in others and set(n.ips) & set(spec.vips)), None)
        if taken is not None:
            raise UsageError(f"the VIP is also an address of {taken.name}, which would keep its packets")
        taps = taps_of(spec)
        # a single connection is copied later, with the clocks and the snaplen of the whole
        network = Network(taps, seed=seed, weather=weather, snaplen=None if known else self.options.snaplen)
        if self.options.skew and not known:
            spread = range(-self.options.skew, self.options.skew + 1)
            network.skew_ns = {tap.name: network.random.choice(spread) for tap in taps}
        machines = machines_of(self.acting, self.options)
        pair = families(machines, self.profile, self.options)
        tunnel = encapsulation(self.profile, self.options, pair) if machines == "l3dsr-tunnel" else None
        world = World(
            spec,
            network,
            mode=machines,
            profile=self.profile,
            encapsulation=tunnel,
            outer=pair[1],
            vlan=self.options.vlan,
            mtu=self.options.mtu,
            neighbours=known,
        )
        if self.spec != Spec() and self.fault is None:
            world.check()
        return world


def _spec(spec: Spec | str | os.PathLike[str] | None, mode: Mode) -> Spec:
    given = Spec() if spec is None else spec if isinstance(spec, Spec) else Spec.load(spec)
    if given.mode not in (None, mode) and mode in CONNECTIONS:
        raise UsageError(f"the spec is about mode {given.mode}, not {mode}")
    return given

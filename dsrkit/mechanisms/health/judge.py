"""Judges the checks that were found: against a spec, against the data path, and against what clients got."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dsrkit.mechanisms.health.recognise import Check, server_text
from dsrkit.mechanisms.health.series import DOWN, UP
from dsrkit.mechanisms.health.traffic import Traffic
from dsrkit.model.names import DIRECT_RETURN, REWRITES
from dsrkit.model.spec import Health, Spec
from dsrkit.tables.checks.health import CHECKS
from dsrkit.verify.frames import REQUEST
from dsrkit.verify.scene import Party, Scene, TapInfo
from dsrkit.verify.verdicts import Frame, Verdict

_FAR_OFF: Final = 0.5
_LEAST_LOST: Final = 2
_LEAST_FAILED: Final = 3
"""Failures in a row before a load balancer must have noticed (HAProxy's `fall`, keepalived's usual `retry`)."""
_LATE_INTERVALS: Final = 3
_LATE_NS: Final = 10_000_000_000
_KINDS: Final = {"ping": ("ping",), "tcp": ("tcp", "tcp-half-open"), "http": ("http", "tls")}


class Judgement:
    """All verdicts on the checks of one capture set."""

    def __init__(
        self,
        scene: Scene,
        taps: list[TapInfo],
        spec: Spec | None,
        checks: Sequence[Check],
        traffic: Traffic,
        offsets: list[int],
    ) -> None:
        self.scene = scene
        self.taps = taps
        self.stated: tuple[Health, ...] = spec.health if spec is not None else ()
        self.checks = checks
        self.traffic = traffic
        self.offsets = offsets
        self.lost = traffic.failures()
        self.servers = {id(party): i for i, party in enumerate(scene.role("real-server"))}

    def verdicts(self) -> list[Verdict]:
        """One verdict for each rule that applies."""
        if not self.checks:
            return self._absent()
        found = [self._interval(), self._passes(), self._takes_reply()]
        if self.stated:
            found += [self._request(), self._stated_way()]
        if self.scene.mode in DIRECT_RETURN:
            found.append(self._through_vip())
        if self.scene.mode == "l3dsr-dscp":
            found.append(self._tag())
        if self.scene.mode in REWRITES:
            found += [self._tests_service(), self._leaves_rotation()]
        return found

    def _absent(self) -> list[Verdict]:
        """A spec speaks of checks of which no packet was recognised."""
        if not self.stated:
            return []
        verdict = self._verdict("health.lb.interval", [], 0)
        verdict.reason = "no series of three or more checks at any tap"
        return [verdict]

    def _verdict(self, cell: str, checks: Sequence[Check], checked: int) -> Verdict:
        places = dict.fromkeys(self.taps[c.tap].name for c in checks)
        return Verdict(cell, "", REQUEST, CHECKS[cell].severity, place=", ".join(places) or "all taps", checked=checked)

    def _fail(self, verdict: Verdict, bad: Sequence[Check], message: str, frames: Sequence[Frame] = ()) -> None:
        verdict.failed = verdict.failed or len(bad)
        verdict.message = message
        verdict.tap = bad[0].tap if bad else None
        shown = frames or [frame for c in bad for frame in self._frames(c, range(min(3, len(c.series.number))))]
        verdict.show(shown)

    def _frames(self, check: Check, probes: Sequence[int] | range) -> list[Frame]:
        return [(check.tap, check.series.number[i]) for i in probes]

    def _name(self, check: Check) -> str:
        return server_text(check, self.scene)

    def _names(self, checks: Sequence[Check]) -> str:
        return ", ".join(dict.fromkeys(self._name(c) for c in checks))

    def _checkers(self, checks: Sequence[Check]) -> list[str]:
        parties = [self.scene.party_of_ip(c.series.base.source) for c in checks]
        return list(dict.fromkeys(p.name for p in parties if p is not None))

    # --- against the spec ---------------------------------------------------------------------------------------------

    def _fits(self, check: Check) -> list[Health]:
        return [h for h in self.stated if check.kind in _KINDS.get(h.type, ())]

    def _interval(self) -> Verdict:
        verdict = self._verdict("health.lb.interval", self.checks, sum(c.interval.gaps for c in self.checks))
        bad = []
        for check in self.checks:
            stated = [h.interval for h in self._fits(check) if h.interval is not None]
            if stated and all(abs(check.interval.median_ms / 1e3 - s) > _FAR_OFF * s for s in stated):
                bad.append((check, stated))
        if bad:
            check, stated = bad[0]
            verdict.failed = sum(c.interval.gaps for c, _ in bad)
            verdict.blame(self._checkers([c for c, _ in bad]))
            verdict.expected = f"{stated[0]:g} s"
            verdict.actual = f"{check.interval.median_ms / 1e3:.3g} s"
            self._fail(
                verdict,
                [c for c, _ in bad],
                f"checks of {self._names([c for c, _ in bad])} come every {verdict.actual} (median of"
                f" {check.interval.gaps} gaps), and {verdict.expected} is stated",
            )
        return verdict

    def _request(self) -> Verdict:
        verdict = self._verdict("health.lb.request", self.checks, len(self.checks))
        own = [c for c in self.checks if c.kind != "tcp" or UP in c.series.result]
        wrong = [c for c in own if not self._asked_as_stated(c)]
        # A machine may be checked in several ways; only a stated one that nobody carries out is wrong.
        missing = [h for h in self.stated if not any(self._carries_out(c, h) for c in self.checks)]
        if wrong and missing:
            health, check = missing[0], wrong[0]
            verdict.expected = health.type + (f" {health.path}" if health.path else "")
            verdict.actual = check.kind + (f" {check.series.ask.text}" if check.series.ask.text else "")
            verdict.blame(self._checkers(wrong))
            self._fail(
                verdict,
                wrong,
                f"{self._names(wrong)} is checked by {verdict.actual}, and {verdict.expected} is stated",
            )
        return verdict

    def _carries_out(self, check: Check, health: Health) -> bool:
        if check.kind not in _KINDS.get(health.type, ()):
            # Refused before it could ask: any check over TCP looks so.
            return check.kind == "tcp" and UP not in check.series.result and health.type == "http"
        text = check.series.ask.text
        return health.path is None or check.kind != "http" or text is None or text.split(" ")[-1] == health.path

    def _asked_as_stated(self, check: Check) -> bool:
        return any(self._carries_out(check, h) for h in self.stated)

    def _stated_way(self) -> Verdict:
        verdict = self._verdict("health.lb.stated-way", self.checks, 0)
        if self.scene.mode not in DIRECT_RETURN:
            verdict.reason = "the server's own address is the data path of this mode"
            return verdict
        judged = [(c, h) for c in self.checks for h in self._fits(c) if h.through is not None]
        verdict.checked = len(judged)
        if not judged:
            verdict.reason = "no way is stated for such checks"
        bad = [c for c, h in judged if all(o.through not in (None, c.through) for o in self._fits(c))]
        if bad:
            verdict.failed = len(bad)
            verdict.blame(self._checkers(bad))
            what = "the servers' own addresses" if bad[0].through == "rip" else "the VIP"
            self._fail(verdict, bad, f"checks of {self._names(bad)} go to {what}, and the other way is stated")
        return verdict

    # --- against the servers and the clients --------------------------------------------------------------------------

    def _passes(self) -> Verdict:
        told = [r for c in self.checks for r in c.series.result if r in (UP, DOWN)]
        verdict = self._verdict("health.real-server.passes", self.checks, len(told))
        # What a checker does not take says nothing of the server.
        bad = [c for c in self.checks if DOWN in c.series.result and not c.series.untaken]
        if not told:
            verdict.reason = "no check came to an end at a tap"
        if bad:
            verdict.failed = sum(r == DOWN for c in bad for r in c.series.result)
            verdict.blame(self._name(c) for c in bad)
            down = [c for c in bad if self._failed_last(c) >= _LEAST_FAILED]
            hard = [c for c in down if not self._reason(c).startswith("HTTP")]
            if hard:
                verdict.severity = "warning"
            lead = (hard or down or bad)[0]
            frames = [f for c in bad for f in self._frames(c, [i for i, r in enumerate(c.series.result) if r == DOWN])]
            count = sum(r == DOWN for r in lead.series.result)
            state = "and is up again" if self._up(lead) else "and is down at the end"
            self._fail(
                verdict,
                bad,
                f"{self._name(lead)} failed {count} of {len(lead.series.result)} checks ({lead.kind}:"
                f" {self._reason(lead)}) {state}"
                + (f"; {self._names([c for c in bad if c is not lead])} failed some too" if len(bad) > 1 else ""),
                frames,
            )
        return verdict

    def _failed_last(self, check: Check) -> int:
        count = 0
        for result in reversed(check.series.result):
            if result == UP:
                break
            count += result == DOWN
        return count

    def _up(self, check: Check) -> bool:
        return next((r == UP for r in reversed(check.series.result) if r in (UP, DOWN)), False)

    def _reason(self, check: Check) -> str:
        """Why the last failed one failed."""
        series = check.series
        last = max(i for i, r in enumerate(series.result) if r == DOWN)
        return series.reasons[series.why[last]]

    def _takes_reply(self) -> Verdict:
        """HCK702, HCK703: an answer is there and the checker goes on asking, or refuses it."""
        answers = sum(len(c.series.answer_ns) for c in self.checks)
        verdict = self._verdict("health.lb.takes-reply", self.checks, answers)
        if not answers:
            verdict.reason = "no answer to a check at any tap"
        elsewhere = next((c for c in self.checks if c.series.from_other), None)
        if elsewhere is not None:
            verdict.expected = self.scene.address(elsewhere.series.base.target)
            verdict.actual = self.scene.address(elsewhere.series.other_source)
        bad = [c for c in self.checks if _LEAST_LOST <= len(c.series.untaken) > len(c.series.answer_ns) // 2]
        if bad:
            verdict.failed = sum(len(c.series.untaken) for c in bad)
            verdict.blame(self._checkers(bad))
            check = bad[0]
            target, other = self.scene.address(check.series.base.target), check.series.other_source
            source = self.scene.address(other) if other else target
            why = (
                f"it waits for one from {target}"
                if other
                else "it drops packets from an address of its own (rp_filter, accept_local)"
                if check.through == "vip"
                else "they are lost on the last step or dropped by it"
            )
            self._fail(
                verdict,
                bad,
                f"answers from {source} to the checks of {self._names(bad)} reach the load balancer, which goes on as"
                f" if there were none ({verdict.failed} of {answers} answers): {why}",
                [(c.tap, n) for c in bad for n in c.series.untaken],
            )
        return verdict

    def _failing(self) -> dict[int, tuple[Party, int, int]]:
        """Servers that most new connections of clients reach in vain: with how many, and how many there were."""
        out = {}
        for party in self.scene.role("real-server"):
            server = self.servers[id(party)]
            lost, total = self.lost[server], self.traffic.total[server]
            if lost >= _LEAST_LOST and 2 * lost > total:
                out[id(party)] = (party, lost, total)
        return out

    def _misled(self, checks: Sequence[Check]) -> list[Check]:
        """Checks that pass to the end on servers that clients reach in vain."""
        failing = self._failing()
        return [c for c in checks if c.party is not None and id(c.party) in failing and self._up(c)]

    def _blind(self, verdict: Verdict, bad: Sequence[Check], what: str) -> None:
        failing = self._failing()
        verdict.failed = len(bad)
        verdict.blame(c.party.name for c in bad if c.party is not None)
        verdict.blame(self._checkers(bad))
        party = bad[0].party
        assert party is not None
        _, lost, total = failing[id(party)]
        more = f" (and {self._names(bad[1:])})" if len(bad) > 1 else ""
        frames = [f for c in bad for f in self.traffic.examples[self.servers[id(c.party)]]]
        self._fail(verdict, bad, f"{what}: {party.name}{more} passes, while {lost} of {total} connections fail", frames)

    def _through_vip(self) -> Verdict:
        way = [c for c in self.checks if c.through == "vip"]
        verdict = self._verdict("health.lb.through-vip", self.checks, len(way))
        bad = self._past_the_path()
        if bad:
            verdict.checked = len(self.checks)
            self._blind(verdict, bad, "checks go to the servers' own addresses, past what the clients' packets need")
        elif not way:
            verdict.reason = (
                "checks go to the servers' own addresses: they cannot notice a server without the VIP, the tunnel or"
                " the tag, and no server here shows such a fault"
            )
        return verdict

    def _past_the_path(self) -> list[Check]:
        """Checks that pass because they go past the data path; a service that refuses is none of its faults."""
        if self.scene.mode not in DIRECT_RETURN:
            return []
        passing = {id(c.party) for c in self.checks if c.through == "vip" and c.party is not None}
        return [
            c
            for c in self._misled([c for c in self.checks if c.through == "rip"])
            if id(c.party) not in passing and (c.kind != "ping" or not self.traffic.refused[self.servers[id(c.party)]])
        ]

    def _tests_service(self) -> Verdict:
        by_service = {id(c.party) for c in self.checks if c.kind != "ping" and c.party is not None}
        only = [c for c in self.checks if c.kind == "ping" and id(c.party) not in by_service]
        verdict = self._verdict("health.lb.tests-service", self.checks, len(by_service))
        past = self._past_the_path()
        bad = [c for c in self._misled(only) if c not in past]
        if bad:
            verdict.checked = len(self.checks)
            self._blind(verdict, bad, "checks are pings alone, which the kernel answers whatever the service does")
        elif not by_service:
            verdict.reason = "checks are pings alone: they cannot notice a service that is down, and none is here"
        return verdict

    def _tag(self) -> Verdict:
        """HCK704: other checks than TCP's go without the tag."""
        pings = [c for c in self.checks if c.kind in ("ping", "udp")]
        tagged = [c for c in self.checks if c.carried.startswith("dscp")]
        verdict = self._verdict("health.lb.tag", self.checks, len(tagged))
        bad = [c for c in pings if c.through == "rip"]
        if bad:
            verdict.checked, verdict.failed = len(tagged) + len(bad), len(bad)
            verdict.severity = "warning" if self._misled(bad) else "info"
            verdict.blame(self._checkers(bad))
            verdict.expected, verdict.actual = "the tag of the VIP", f"DSCP {bad[0].series.base.dscp}"
            self._fail(
                verdict,
                bad,
                f"{bad[0].kind} checks of {self._names(bad)} carry DSCP {bad[0].series.base.dscp}, not the tag of the"
                " VIP: they do not test what the clients' packets meet",
            )
        elif not tagged:
            verdict.reason = "checks go to the servers' own addresses without a tag"
        return verdict

    def _leaves_rotation(self) -> Verdict:
        """New connections to a server that has failed its checks for long, while others pass theirs."""
        verdict = self._verdict("health.lb.leaves-rotation", self.checks, 0)
        bad: list[tuple[Check, int]] = []
        for check in self.checks:
            window = self._down_for_long(check)
            if window is None or check.party is None:
                continue
            others = [c for c in self.checks if c.party is not None and c.party is not check.party]
            if not any(self._up(c) for c in others) or any(
                self._up(c) for c in self.checks if c.party is check.party and c is not check
            ):
                continue
            times, taps = (kept[self.servers[id(check.party)]] for kept in (self.traffic.times, self.traffic.tap_of))
            late = [at for at, tap in zip(times, taps, strict=True) if window[0] <= at + self.offsets[tap] < window[1]]
            elsewhere = sum(self.traffic.total.values()) - self.traffic.total[self.servers[id(check.party)]]
            if not elsewhere:
                continue
            verdict.checked += 1
            if len(late) >= _LEAST_LOST:
                bad.append((check, len(late)))
        if not verdict.checked:
            verdict.reason = "no server fails its checks for long while others pass and get connections"
        if bad:
            check, count = bad[0]
            verdict.failed = len(bad)
            verdict.blame(self._checkers([c for c, _ in bad]))
            self._fail(
                verdict,
                [c for c, _ in bad],
                f"{self._name(check)} fails its checks ({self._reason(check)}), yet gets {count} new connections later"
                f" than {self._grace(check) / 1e9:.3g} s after the first failure",
            )
        return verdict

    def _grace(self, check: Check) -> int:
        return int(max(_LATE_NS, _LATE_INTERVALS * check.interval.median_ms * 1e6))

    def _down_for_long(self, check: Check) -> tuple[int, int] | None:
        """The longest row of failures without the time to notice; by the first tap's clock."""
        series, offset = check.series, self.offsets[check.tap]
        best: tuple[int, int] | None = None
        first, count = 0, 0
        for at, result in zip(series.at, series.result, strict=True):
            if result == DOWN and not series.untaken:
                first = first if count else at
                count += 1
                found = (first + self._grace(check) + offset, at + offset)
                if count >= _LEAST_FAILED and found[1] > found[0]:
                    best = found if best is None or found[1] - found[0] > best[1] - best[0] else best
            elif result == UP:
                count = 0
        return best

"""`assert_frames`: frames against frames, told field by field."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from dsrkit.compare.compare import MOST_TAKEN_APART, compare
from dsrkit.compare.fields import Wanted
from dsrkit.errors import UsageError
from dsrkit.model.comparison import Comparison
from dsrkit.report.by_frame import by_frame
from dsrkit.testing.packets import Packet, Packets, Source, as_capture, packets_of
from dsrkit.wire.dissect.frame import dissect

How = Literal["copy", "rerun"]

OUTER_CHOICE: Final = ("outer.ip.id", "outer.ipv6.flow", "outer.ipv6.fraghdr.ident", "outer.udp.srcport")
"""What a device chooses in headers that it puts around a packet. Source: RFC 6864 s4, RFC 6438 s3, RFC 8086 s3.1."""


def assert_frames(
    seen: Source,
    expected: Source,
    *,
    ignore: Collection[str] = (),
    only: Collection[str] = (),
    what: str = "",
) -> None:
    """Fail unless every frame is there that is expected, and no other, whatever their order and times.

    Fields are compared on decoded packets. What a device may choose in headers that it puts around a packet
    (`OUTER_CHOICE`) does not count, unless `only` names the fields that do (``["*"]``: all). `what` names the frames in
    the message.

    Raises: AssertionError with what differs; DsrkitError for what cannot be compared.
    """
    __tracebackhide__ = True
    left_out = ignored(ignore, only, OUTER_CHOICE)
    wants, came = packets_of(expected), packets_of(seen)
    if not len(wants) and not len(came):
        raise AssertionError(f"{what or 'frames'}: none is expected and none was seen, so there is nothing to compare")
    found = Compared.of(wants, came, "copy", None, left_out, only)
    if not found.equal:
        title = f"{what}: " if what else ""
        lines = [f"{title}{found.short} (expected → seen)", *found.lines()]
        raise AssertionError("\n".join(lines))


def ignored(ignore: Collection[str], only: Collection[str], usual: Collection[str]) -> tuple[str, ...]:
    """What does not count: what is named, and, where nothing says what does count, the usual."""
    for option, words in (("ignore", ignore), ("only", only)):
        if isinstance(words, str) or not isinstance(words, Collection):
            raise UsageError(f"{option}={words!r}: a list of names of fields is wanted, ['ip.ttl'] say")
    return (*ignore, *(() if only else usual))


@dataclass(frozen=True, slots=True)
class Compared:
    """Two sets of packets, compared tap by tap."""

    expected: Packets
    seen: Packets
    taps: tuple[tuple[str, str], ...]
    results: tuple[Comparison, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]

    @classmethod
    def of(
        cls,
        expected: Packets,
        seen: Packets,
        how: How,
        mode: str | None,
        ignore: Collection[str],
        only: Collection[str],
    ) -> Compared:
        """Compare the packets of taps of the same name; where each side has a single tap, their names mean nothing.

        Raises: UsageError for more packets than can be compared, and for names of fields that none of them has.
        """
        for side in (expected, seen):
            if len(side) > MOST_TAKEN_APART:
                raise UsageError(
                    f"{len(side)} frames are more than can be compared field by field ({MOST_TAKEN_APART})"
                )
        wanted = Wanted(tuple(ignore), tuple(only))
        frames = (one for side in (expected, seen) for one in side.packets)
        if len(expected) and not any(wanted.meets(dissect(f.octets, f.linktype, wirelen=f.wirelen)) for f in frames):
            raise UsageError(f"no frame has a field that counts (only={list(only)}, ignore={list(ignore)})")
        taps = [(tap, tap) for tap in expected.taps if tap in seen.taps]
        if len(expected.taps) == len(seen.taps) == 1:
            taps = [(expected.taps[0], seen.taps[0])]
        results = [
            compare(as_capture(expected.at(a)), as_capture(seen.at(b)), how=how, mode=mode, ignore=ignore, only=only)
            for a, b in taps
        ]
        paired = {name for pair in taps for name in pair}
        return cls(
            expected,
            seen,
            tuple(taps),
            tuple(results),
            tuple(tap for tap in expected.taps if tap not in paired and expected.at(tap)),
            tuple(tap for tap in seen.taps if tap not in paired and seen.at(tap)),
        )

    @property
    def equal(self) -> bool:
        return all(one.equal for one in self.results) and not self.missing and not self.added

    @property
    def short(self) -> str:
        """What differs in a few words."""
        fields = {found.field for one in self.results for found in one.unexpected}
        missing = sum(one.only_a.packets for one in self.results) + sum(len(self.expected.at(t)) for t in self.missing)
        added = sum(one.only_b.packets for one in self.results) + sum(len(self.seen.at(t)) for t in self.added)
        words = [f"{_count(len(fields), 'field')} differ{'s' if len(fields) == 1 else ''}"] if fields else []
        words += [f"{_count(missing, 'frame')} missing"] if missing else []
        words += [f"{_count(added, 'frame')} too many"] if added else []
        return ", ".join(words)

    def lines(self) -> Iterator[str]:
        """What differs, frame by frame."""
        for (a, b), one in zip(self.taps, self.results, strict=True):
            if not one.equal:
                yield "" if len(self.taps) == 1 else f"\ntap {a}"
                numbers = (_numbers(self.expected.at(a)), _numbers(self.seen.at(b)))
                yield from by_frame(one, (numbers[0].__getitem__, numbers[1].__getitem__))
        for word, packets, taps in (("missing", self.expected, self.missing), ("too many", self.seen, self.added)):
            for tap in taps:
                yield f"\ntap {tap}: {_count(len(packets.at(tap)), 'frame')} {word}"


def _numbers(packets: list[Packet]) -> dict[int, int]:
    return {i: packet.number for i, packet in enumerate(packets, 1)}


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' if number != 1 else ''}"

"""Which codes are right answers to a fault: its own, those that packets cannot tell from it, those that go with it.

`same_picture` of the catalogue is what packets can never tell apart. The tables here hold the rest: what evidence tells
apart that a missing tap takes away, and what one cause shows as besides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import chain
from typing import Final

from dsrkit.diagnose.registry import ENTRIES

ALIKE: Final[tuple[tuple[str, ...], ...]] = (
    ("DSC501", "DSC505", "DSC509", "DSC510"),  # a rule that does not act: what is wrong with it is on the server
    ("NAT204", "DSC516"),  # one fault, in two modes
    ("ARP101", "ARP102", "ARP114", "ARP119"),  # where the VIP is, and which sysctl is missing
    ("TUN404", "TUN405"),  # the event and its static cause
    ("TUN413", "TUN422"),  # no device takes the tunnel's packets
    ("DSR303", "DSR307"),  # a closed port, and the right one at another number
    ("HCK703", "DSR312"),  # rp_filter at the load balancer
    ("DSC511", "DSR323", "NAT213"),
    ("DSR301", "TUN402", "TUN403"),  # a missing VIP, in a tunnel
    ("DSR301", "DSC511"),  # and in DSCP mode
)
"""The same packets at every tap."""

ALIKE_WITH_FEW_TAPS: Final[tuple[tuple[str, ...], ...]] = (
    # the answer comes from the server's own address
    (
        *("NAT201", "NAT202", "DSC501", "DSC502", "DSC503", "DSC504", "DSC505", "DSC509", "DSC510", "DSC515"),
        *("DSC517", "DSR321", "TUN414", "TUN417", "PRX802"),
    ),
    # silence
    (
        *("NAT204", "NAT213", "NAT214", "DSR301", "DSR302", "DSR311", "DSR316", "DSR322", "DSR323"),
        *("TUN402", "TUN403", "TUN409", "TUN415", "TUN418", "TUN420", "TUN421", "DSC505", "DSC511", "DSC516"),
    ),
    # RST from the VIP, and from the server's own address
    ("DSR303", "DSR307", "DSR319", "HCK706", "DSR318", "TUN414"),
    # a pool that is empty, and why it is: checks that only a tap behind the load balancer shows
    ("HCK702", "HCK703", "HCK706"),
    ("DSC502", "DSC503", "DSC517", "NAT212"),
    # ICMP errors by type and code
    ("TUN413", "TUN422", "HCK706", "DSR303", "DSR321"),
    ("TUN404", "TUN405", "TUN406", "TUN408", "TUN423"),
    ("DSR302", "DSR320", "TUN412"),
    # connections that end up at another server
    ("DSR314", "DSR318", "TUN414"),
    # the same request twice
    ("CAP903", "CAP909", "DSR302"),
    # the VIP with two MACs
    (
        *("ARP101", "ARP102", "ARP103", "ARP104", "ARP108", "ARP109", "ARP114", "ARP115", "ARP116", "ARP117"),
        *("ARP118", "ARP119"),
    ),
)
"""What the decision tables of the catalogue tell apart by a hop that may not have been recorded."""

BESIDES: Final[Mapping[str, tuple[str, ...]]] = {
    "ARP104": ("ARP118",),
    "ARP118": ("ARP104",),
    "ARP103": ("ARP101",),
    "ARP105": ("ARP104",),
    "TUN405": ("TUN404", "TUN407", "TUN423"),
    "TUN404": ("TUN405", "TUN423"),
    "TUN407": ("TUN405",),
    "TUN423": ("TUN404", "TUN405"),
    # what the check does not see, by the way that clients' requests take: two things are broken
    "HCK701": ("DSR301", "DSR303", "TUN401", "TUN402", "TUN403", "DSC510", "DSC511"),
}
"""What the same cause can be found as, beside its own code."""


NAMED_BY_MODE: Final[Mapping[str, tuple[str, ...]]] = {"DSR301": ("TUN403", "DSC511")}
"""One misconfiguration that has a code of its own in some modes, which stands for it among candidates."""


@cache
def right_for(code: str, *, every_tap: bool) -> frozenset[str]:
    """The codes that name a fault, or the packet picture that it has."""
    groups = chain(ALIKE, () if every_tap else ALIKE_WITH_FEW_TAPS, _catalogued())
    return frozenset(chain([code], *(group for group in groups if code in group)))


def goes_with(code: str) -> frozenset[str]:
    """The codes that may stand beside the one of a fault."""
    return frozenset(BESIDES.get(code, ()))


def _catalogued() -> Iterator[tuple[str, str]]:
    """What the catalogue says packets cannot tell apart, in pairs."""
    return ((entry.code, other) for entry in ENTRIES.values() for other in entry.same_picture)

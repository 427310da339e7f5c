"""DNS round robin: what name servers, resolvers and clients make of the addresses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dsrkit.diagnose.case import Case
from dsrkit.diagnose.diagnosis import Diagnosis
from dsrkit.diagnose.pictures.told import from_check

_CODES: Final[dict[str, tuple[tuple[str, ...], str]]] = {
    "dns-rr.real-server.alive": (
        ("DNS603",),
        "is the server down for good? Then its record has to go; ping and ss -ltn there, dig NAME at the name server",
    ),
    "dns-rr.resolver.shares": (("DNS601",), "the cache's rrset-order (BIND) or rrset-roundrobin (Unbound)"),
    "dns-rr.resolver.uncut": (("DNS606",), "dig +noedns NAME and dig +tcp NAME at the resolver"),
    "dns-rr.resolver.complete": (("DNS606",), "dig NAME at each authoritative name server: do all have the same zone?"),
    "dns-rr.resolver.ttl": (
        ("DNS602",),
        "dig NAME at the authoritative name server: is the stated TTL there? cache-min-ttl (Unbound), min-cache-ttl"
        " (dnsmasq) of the cache",
    ),
    "dns-rr.client.fresh": (
        ("DNS602",),
        "how long the client's program or library keeps addresses (networkaddress.cache.ttl of Java, say)",
    ),
    "dns-rr.client.address": (("DNS602",), "addresses in the client's configuration, hosts file or own cache"),
    "dns-rr.resolver.rotates": (("DNS605",), "rrset-order (BIND), rrset-roundrobin (Unbound) at the name server"),
    "dns-rr.client.order": (("DNS604",), "the client's address selection (RFC 6724), gai.conf, or its connection pool"),
}
"""By check, causes before what follows from them: the code, and what settles it."""
_SPREAD: Final = "dns-rr.client.spread"
_UNEVEN: Final = ("DNS601", "DNS604", "DNS605")


def name_servers(case: Case) -> Iterator[Diagnosis]:
    """One diagnosis per check and name; an uneven spread is what the others lead to."""
    failed = [v for v in case.failed() if v.cell.startswith("dns-rr.")]
    spread = [v for v in failed if v.cell == _SPREAD]
    for check, (codes, settle) in _CODES.items():
        for v in failed:
            if v.cell != check:
                continue
            mine = [s for s in spread if codes[0] in _UNEVEN and v.place.startswith(s.place)]
            diagnosis = from_check(codes, v, mine, settle=settle)
            diagnosis.message += "".join(f". {s.message[0].upper()}{s.message[1:]}" for s in mine)
            spread = [s for s in spread if s not in mine]
            yield diagnosis
    for v in spread:
        yield from_check(
            _UNEVEN,
            v,
            settle="a tap at the resolvers shows in which order each of them answers, and to how many clients",
        )

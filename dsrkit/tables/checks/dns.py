"""What is checked of DNS round robin, by the ids that a report carries."""

from __future__ import annotations

from typing import Final

from dsrkit.tables.checks.check import Check

CHECKS: Final[dict[str, Check]] = {
    "dns-rr.resolver.rotates": Check(
        "not all answers of a server have the same order", "warning", "RFC 1794 s3", ("DNS605", "DNS601")
    ),
    "dns-rr.resolver.shares": Check(
        "a resolver with several clients does not give all of them the order that it got once, while others rotate",
        "warning",
        "RFC 1794 s2",
        ("DNS601",),
    ),
    "dns-rr.resolver.complete": Check(
        "answers hold the stated records, all of them and no others", "warning", "RFC 2181 s5.1", ("DNS606",)
    ),
    "dns-rr.resolver.uncut": Check(
        "nobody connects to an address of an answer that was cut (TC)", "warning", "RFC 2181 s9", ("DNS606",)
    ),
    "dns-rr.resolver.ttl": Check(
        "no answer has a longer TTL than the records", "warning", "RFC 1035 s3.2.1", ("DNS602",)
    ),
    "dns-rr.client.fresh": Check(
        "a connection begins within the TTL of the last answer that holds its address", "warning", "RFC 1035 s3.2.1",
        ("DNS602",),
    ),
    "dns-rr.client.order": Check(
        "a client does not always take the same address while another one comes first", "info", "RFC 6724 s6",
        ("DNS604",),
    ),
    "dns-rr.client.address": Check(
        "a client that asks for the name connects to addresses that it was given", "info", "RFC 1034 s5.3.3",
        ("DNS602",),
    ),
    "dns-rr.client.spread": Check(
        "the first connections after answers are spread evenly over the addresses", "info", "Pearson 1900",
        ("DNS601", "DNS604", "DNS605"),
    ),
    "dns-rr.real-server.alive": Check(
        "no address is answered to clients while nobody answers there", "error", "RFC 1794 s2", ("DNS603",)
    ),
}  # fmt: skip

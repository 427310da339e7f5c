"""Entries of the area NAT."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="NAT201",
        name="reply-bypasses-load-balancer",
        severity="error",
        summary="Reply bypasses the LB",
        signature="",
        cause="",
    ),
    Entry(
        code="NAT202",
        name="client-in-server-subnet",
        severity="error",
        summary="Client in the real's subnet (one-arm NAT) / hairpin",
        signature="",
        cause="",
    ),
    Entry(
        code="NAT203",
        name="source-rewritten-instead-of-destination",
        severity="error",
        summary="Source rewritten instead of destination",
        signature="",
        cause="",
    ),
    Entry(
        code="NAT204",
        name="transport-checksum-not-updated",
        severity="error",
        summary="L4 checksum not updated",
        signature="",
        cause="",
    ),
    Entry(
        code="NAT205",
        name="source-ports-exhausted",
        severity="error",
        summary="SNAT source-port exhaustion or collision",
        signature="",
        cause="",
    ),
    Entry(
        code="NAT206",
        name="port-reuse-delayed",
        severity="error",
        summary="Port reuse hits a closing entry: 1 s delay",
        signature="",
        cause="",
    ),
    Entry(
        code="NAT207",
        name="idle-connection-forgotten",
        severity="warning",
        summary="Idle timeout at LB",
        signature="",
        cause="",
    ),
    Entry(
        code="NAT208",
        name="destination-gone-silently",
        severity="error",
        summary="Destination gone, silently dropped",
        signature="",
        cause="",
    ),
    Entry(
        code="NAT209",
        name="icmp-error-not-translated",
        severity="error",
        summary="ICMP error not translated or not matched",
        signature="",
        cause="",
    ),
    Entry(
        code="NAT210",
        name="client-address-lost",
        severity="info",
        summary="Full-NAT loses client IP (TOA absent)",
        signature="",
        cause="",
    ),
    Entry(
        code="NAT211",
        name="only-first-fragment-steered",
        severity="error",
        summary="Fragments: only the first is steered",
        signature="",
        cause="",
    ),
    Entry(
        code="NAT212",
        name="wrong-server-port",
        severity="error",
        summary="DNAT'd to wrong port / port map missing",
        signature="",
        cause="",
    ),
    Entry(
        code="NAT213",
        name="no-route-back",
        severity="error",
        summary="Real server has no route back",
        signature="",
        cause="",
    ),
    Entry(
        code="NAT214",
        name="replies-not-forwarded",
        severity="error",
        summary="LB does not forward replies",
        signature="",
        cause="",
    ),
)

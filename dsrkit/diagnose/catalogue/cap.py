"""Entries of the area CAP."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="CAP901",
        name="checksums-left-to-the-nic",
        severity="info",
        summary="Checksum offload",
        signature="",
        cause="",
    ),
    Entry(
        code="CAP902",
        name="segments-joined-by-offload",
        severity="info",
        summary="GRO/TSO super-packets",
        signature="",
        cause="",
    ),
    Entry(
        code="CAP903",
        name="hairpin-copies-shown-as-retransmission-dup-ack",
        severity="info",
        summary="Hairpin copies shown as retransmission/dup-ack",
        signature="",
        cause="",
    ),
    Entry(
        code="CAP904",
        name="filter-misses-outer-headers",
        severity="info",
        summary="Filter missed the encapsulated leg",
        signature="",
        cause="",
    ),
    Entry(
        code="CAP905",
        name="vlan-tag-stripped-by-mirror",
        severity="info",
        summary="VLAN tag missing or doubled",
        signature="",
        cause="",
    ),
    Entry(
        code="CAP906",
        name="packets-hidden-by-xdp",
        severity="info",
        summary="XDP/DPDK hides packets from tcpdump on the LB",
        signature="",
        cause="",
    ),
    Entry(
        code="CAP907",
        name="cooked-without-destination-mac",
        severity="info",
        summary="Cooked capture (`-i any`, SLL/SLL2) has no destination MAC",
        signature="",
        cause="",
    ),
    Entry(code="CAP908", name="cut-by-snaplen", severity="info", summary="snaplen truncated", signature="", cause=""),
    Entry(
        code="CAP909",
        name="mirrored-twice",
        severity="info",
        summary="Duplicate mirror (both directions of a SPAN)",
        signature="",
        cause="",
    ),
    Entry(
        code="CAP910", name="clocks-apart", severity="info", summary="Clock skew between files", signature="", cause=""
    ),
    Entry(
        code="CAP911",
        name="replies-not-captured",
        severity="info",
        summary="Return leg not captured",
        signature="",
        cause="",
    ),
    Entry(
        code="CAP912",
        name="dscp-rewrite-is-invisible-on-d",
        severity="info",
        summary="DSCP rewrite is invisible on D",
        signature="",
        cause="",
    ),
)

"""Entries of the area TUN."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="TUN401",
        name="no-decapsulation-device",
        severity="error",
        summary="No decap device",
        signature="",
        cause="",
    ),
    Entry(
        code="TUN402",
        name="inner-packet-dropped-by-rp-filter",
        severity="error",
        summary="Tunnel present, rp_filter drops inner",
        signature="",
        cause="",
    ),
    Entry(
        code="TUN403",
        name="vip-missing-behind-tunnel",
        severity="error",
        summary="VIP missing after decap",
        signature="",
        cause="",
    ),
    Entry(
        code="TUN404",
        name="large-requests-do-not-fit-tunnel",
        severity="warning",
        summary="MTU: large requests hang",
        signature="",
        cause="",
    ),
    Entry(
        code="TUN405",
        name="mss-ignores-tunnel",
        severity="warning",
        summary="SYN-ACK MSS not reduced",
        signature="",
        cause="",
    ),
    Entry(
        code="TUN406",
        name="too-big-reaches-wrong-server",
        severity="error",
        summary='ICMP "too big" reaches the wrong real',
        signature="",
        cause="",
    ),
    Entry(
        code="TUN407",
        name="outer-packets-fragmented",
        severity="warning",
        summary="Outer fragmented",
        signature="",
        cause="",
    ),
    Entry(
        code="TUN408",
        name="receive-offload-on-load-balancer",
        severity="error",
        summary="GRO/LRO on the director",
        signature="",
        cause="",
    ),
    Entry(
        code="TUN409",
        name="tunnel-filtered-on-the-way",
        severity="error",
        summary="Protocol 4 / 6081 / GUE port filtered",
        signature="",
        cause="",
    ),
    Entry(
        code="TUN410",
        name="reply-in-tunnel",
        severity="error",
        summary="Reply comes back encapsulated or via the tunnel",
        signature="",
        cause="",
    ),
    Entry(
        code="TUN411", name="outer-mark-lost", severity="error", summary="Outer TOS/ECN lost", signature="", cause=""
    ),
    Entry(
        code="TUN412", name="outer-ttl-too-low", severity="error", summary="Outer TTL too low", signature="", cause=""
    ),
    Entry(
        code="TUN413",
        name="tunnel-mismatch",
        severity="error",
        summary="Encapsulation port/variant mismatch",
        signature="",
        cause="",
    ),
    Entry(
        code="TUN414",
        name="server-was-not-told-the-vip",
        severity="error",
        summary="DSR info only on SYN; mid-flow packet to a new backend",
        signature="",
        cause="",
    ),
    Entry(
        code="TUN415",
        name="ip-options-dropped-on-the-way",
        severity="error",
        summary="IP options dropped in the core",
        signature="",
        cause="",
    ),
    Entry(
        code="TUN416",
        name="option-exceeds-mtu",
        severity="error",
        summary="UDP + 8-byte option exceeds MTU",
        signature="",
        cause="",
    ),
    Entry(
        code="TUN417",
        name="reply-from-another-vip",
        severity="error",
        summary="Reply from another VIP",
        signature="",
        cause="",
    ),
    Entry(
        code="TUN418", name="wrong-next-hop-mac", severity="error", summary="Wrong next-hop MAC", signature="", cause=""
    ),
    Entry(
        code="TUN419",
        name="gwlb-geneve-appliance-does-not-return-the-cookie-tlvs-or-lacks-68-bytes",
        severity="error",
        summary="GWLB/Geneve appliance does not return the cookie/TLVs or lacks 68 bytes",
        signature="",
        cause="",
    ),
    Entry(
        code="TUN420",
        name="gre-checksum-refused",
        severity="error",
        summary="GRE checksum the decapsulator does not accept",
        signature="",
        cause="",
    ),
    Entry(
        code="TUN421",
        name="vip-as-outer-source",
        severity="error",
        summary="Outer source is the VIP",
        signature="",
        cause="",
    ),
    Entry(
        code="TUN422",
        name="decapsulation-device-down",
        severity="error",
        summary="Decapsulation device down",
        signature="",
        cause="",
    ),
    Entry(
        code="TUN423",
        name="too-big-filtered",
        severity="error",
        summary='"Too big" filtered between LB and client',
        signature="",
        cause="",
    ),
)

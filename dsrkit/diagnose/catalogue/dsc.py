"""Entries of the area DSC."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.entry import Entry

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="DSC501",
        name="stateful-dnat-on-server",
        severity="error",
        summary="Stateful DNAT used for RIP→VIP",
        signature="",
        cause="",
    ),
    Entry(code="DSC502", name="dscp-bleached", severity="error", summary="DSCP bleached", signature="", cause=""),
    Entry(code="DSC503", name="dscp-remarked", severity="warning", summary="DSCP re-marked", signature="", cause=""),
    Entry(
        code="DSC504",
        name="tag-written-as-tos",
        severity="error",
        summary="DSCP/TOS unit mistake",
        signature="",
        cause="",
    ),
    Entry(
        code="DSC505",
        name="tag-maps-disagree",
        severity="error",
        summary="LB and server maps disagree",
        signature="",
        cause="",
    ),
    Entry(
        code="DSC506",
        name="tag-collides-with-marking",
        severity="info",
        summary="Collision with real QoS markings",
        signature="",
        cause="",
    ),
    Entry(
        code="DSC507",
        name="client-dscp-not-cleared",
        severity="error",
        summary="LB does not clear the client's DSCP",
        signature="",
        cause="",
    ),
    Entry(
        code="DSC508",
        name="ecn-overwritten",
        severity="warning",
        summary="ECN bits clobbered by setting the whole TOS byte",
        signature="",
        cause="",
    ),
    Entry(
        code="DSC509",
        name="rule-in-a-chain-that-does-not-exist-or-is-too-late",
        severity="error",
        summary="Rule in a chain that does not exist or is too late",
        signature="",
        cause="",
    ),
    Entry(
        code="DSC510", name="tag-rule-missing", severity="error", summary="Module/rule missing", signature="", cause=""
    ),
    Entry(
        code="DSC511",
        name="vip-missing-after-rewrite",
        severity="error",
        summary="VIP missing on lo after the rewrite",
        signature="",
        cause="",
    ),
    Entry(
        code="DSC512",
        name="checksum-left-by-rewrite",
        severity="error",
        summary="Server's capture shows bad L4 checksum after rewrite",
        signature="",
        cause="",
    ),
    Entry(code="DSC513", name="tag-in-replies", severity="info", summary="Reply leaks the tag", signature="", cause=""),
    Entry(
        code="DSC514",
        name="fragments-spoiled-by-rewrite",
        severity="error",
        summary="Fragments corrupted by stateless rewrite",
        signature="",
        cause="",
    ),
    Entry(
        code="DSC515", name="tag-zero", severity="info", summary="Tag 0 or out of range (>63)", signature="", cause=""
    ),
    Entry(
        code="DSC516",
        name="checksum-not-updated",
        severity="error",
        summary="LB did not update L4 checksum for VIP→RIP",
        signature="",
        cause="",
    ),
    Entry(
        code="DSC517",
        name="rewritten-but-not-marked",
        severity="error",
        summary="LB rewrites but does not mark",
        signature="",
        cause="",
    ),
)

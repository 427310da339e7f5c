"""Packets in one line each, as tcpdump and tshark would say it."""

from __future__ import annotations

from dsrkit.verify.frames import Frames


def packet_text(f: Frames, i: int, *, inner: bool = False) -> str:
    """Addresses, ports and flags of a frame; `inner` leaves outer headers out."""
    if not f.has_ip[i]:
        return "frame"
    return f"{f.book.text(int(f.src[i]))} → {f.book.text(int(f.dst[i]))}"


def defect_text(f: Frames, i: int) -> str:
    """Why a frame could not be read to its end."""
    return "truncated" if f.rec["defect"][i] else ""

"""Neighbour discovery against frames that kernels sent."""

from __future__ import annotations

import doctest
from typing import Any

import pytest

from dsrkit.craft.packets import nd
from dsrkit.errors import UsageError

ROUTER, LB = "02:aa:00:00:00:0b", "02:1b:00:00:01:0b"

# ipvs-tun-6in6, tap B_lb: the router asks for the VIP, the load balancer answers; then the other way round
VIP_ASKED = (
    "3333ff00010002aa0000000b86dd6000000000203afffe8000000000000000aa00fffe00000bff0200000000000000000001ff000100"
    "870048f00000000020010db8000b00000000000000000100010102aa0000000b"
)
VIP_TOLD = (
    "02aa0000000b021b0000010b86dd6000000000203aff20010db8000b00000000000000000100fe8000000000000000aa00fffe00000b"
    "880036bfe000000020010db8000b000000000000000001000201021b0000010b"
)
ROUTER_ASKED = (
    "3333ff000001021b0000010b86dd6000000000203aff20010db8000b00000000000000000010ff0200000000000000000001ff000001"
    "87001adf0000000020010db8000b000000000000000000010101021b0000010b"
)


def test_solicitation_is_the_recorded_frame() -> None:
    assert nd.solicitation("2001:db8:b::100", "fe80::aa:ff:fe00:b", ROUTER).hex() == VIP_ASKED
    assert nd.solicitation("2001:db8:b::1", "2001:db8:b::10", LB).hex() == ROUTER_ASKED


def test_advertisement_is_the_recorded_frame() -> None:
    told = nd.advertisement("2001:db8:b::100", LB, dst="fe80::aa:ff:fe00:b", dst_mac=ROUTER, router=True)
    assert told.hex() == VIP_TOLD


def test_link_local_address_is_the_recorded_one() -> None:
    assert nd.link_local(ROUTER) == "fe80::aa:ff:fe00:b"


def test_unicast_solicitation() -> None:
    frame = nd.solicitation("2001:db8:b::1", "2001:db8:b::10", LB, dst="2001:db8:b::1", dst_mac=ROUTER)
    recorded = bytes.fromhex(ROUTER_ASKED)
    assert frame[:6].hex(":") == ROUTER
    assert frame[38:54].hex() == "20010db8000b00000000000000000001"
    assert frame[58:] == recorded[58:]
    assert frame[56:58] != recorded[56:58]  # the checksum covers the destination


def test_unsolicited_advertisement_goes_to_all_nodes() -> None:
    frame = nd.unsolicited("2001:db8:b::100", LB, router=True)
    assert frame[:14].hex() == "333300000001021b0000010b86dd"
    assert frame[22:54].hex() == "20010db8000b00000000000000000100" + "ff020000000000000000000000000001"
    assert frame[58:62].hex() == "a0000000"
    assert frame[62:] == bytes.fromhex(VIP_TOLD)[62:]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, "60000000"),
        ({"router": True}, "e0000000"),
        ({"solicited": False}, "20000000"),
        ({"override": False}, "40000000"),
    ],
)
def test_flags(flags: dict[str, Any], expected: str) -> None:
    assert nd.advertisement("2001:db8::1", LB, **flags)[58:62].hex() == expected


def test_duplicate_detection_has_no_source() -> None:
    frame = nd.duplicate_detection("2001:db8:b::100", LB)
    assert frame[:6].hex() == "3333ff000100"
    assert frame[22:38] == bytes(16)
    assert frame[38:54].hex() == "ff0200000000000000000001ff000100"
    assert len(frame) == 78
    with_nonce = nd.duplicate_detection("2001:db8:b::100", LB, nonce=b"\1\2\3\4\5\6")
    assert with_nonce[78:].hex() == "0e01010203040506"


def test_vlan_tag_stands_after_the_addresses() -> None:
    plain = nd.unsolicited("2001:db8::1", LB)
    assert nd.unsolicited("2001:db8::1", LB, vlan=7) == plain[:12] + bytes.fromhex("81000007") + plain[12:]


def test_mistakes() -> None:
    with pytest.raises(UsageError, match=r"192\.0\.2\.1 is an IPv4 address, and IPv6 is needed here"):
        nd.unsolicited("192.0.2.1", LB)
    with pytest.raises(UsageError, match="2001:db8::2 is no multicast address, so its MAC address has to be given"):
        nd.advertisement("2001:db8::1", LB, dst="2001:db8::2")
    with pytest.raises(UsageError, match="a nonce has 6 octets"):
        nd.duplicate_detection("2001:db8::1", LB, nonce=b"12345")


def test_examples() -> None:
    outcome = doctest.testmod(nd)
    assert outcome.attempted
    assert not outcome.failed

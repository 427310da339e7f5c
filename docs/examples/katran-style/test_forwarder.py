"""A packet in, a packet out, a verdict: the fixtures of a data plane, judged by what katran would have made of them."""

from pathlib import Path

import pytest
from forwarder import process

from dsrkit import Spec
from dsrkit.testing import assert_forwarded

SPECS = {version: Spec.load(Path(__file__).with_name(f"ipv{version}.toml")) for version in (4, 6)}

TO_LB = "020000000002 020000000001"
FROM_LB = "020000000001 020000000002"
UDP = "45000021000100003d111786c6336407cb00710a 7a690035000ddb1d 68656c6c6f"
TCP = "458c0028000240003d06d6fcc6336407cb00710a 7a6a01bb000000010000000050022000ad760000"
SHORT = "4500001e000300003d111787c6336407cb00710a 7a6b0035000ab68a 6869"
TCP6 = (
    "68c123450014063d 20010db8005100000000000000000007 20010db8011300000000000000000010"
    "7a6901bb000000010000000050022000b6d00000"
)

FIXTURES = {
    "UDP to the VIP": (
        f"{TO_LB} 0800 {UDP}",
        "TX",
        f"{FROM_LB} 0800 45000035000000004004b72cac100d7d0a01000b {UDP}",
    ),
    "TCP to the VIP, with a TOS and DF": (
        f"{TO_LB} 0800 {TCP}",
        "TX",
        f"{FROM_LB} 0800 458c003c000000004004b599ac100e7d0a01000b {TCP}",
    ),
    "padding is not part of the packet": (
        f"{TO_LB} 0800 {SHORT} {'00' * 16}",
        "TX",
        f"{FROM_LB} 0800 45000032000000004004b52fac100f7d0a01000b {SHORT}",
    ),
    "TCP over IPv6, with a traffic class": (
        f"{TO_LB} 86dd {TCP6}",
        "TX",
        f"{FROM_LB} 86dd 68c00000003c2940 0100000000000000000000007a690007 fd010000000000000000000000000011 {TCP6}",
    ),
    "a port without a service": (
        f"{TO_LB} 0800 45000021000400003d111783c6336407cb00710a 7a690036000ddb1c 68656c6c6f",
        "PASS",
        None,
    ),
    "not to the VIP": (
        f"{TO_LB} 0800 45000021000500003d111781c6336407cb00710b 7a690035000ddb1c 68656c6c6f",
        "PASS",
        None,
    ),
    "ARP": (f"{TO_LB} 0806 0001080006040001020000000001 0a000001 000000000000 0a000002", "PASS", None),
    "a fragment": (f"{TO_LB} 0800 4500001c000600b93d0016dec6336407cb00710a 7468652072657374", "DROP", None),
    "IP options": (
        f"{TO_LB} 0800 47000029000700003d110a71c6336407cb00710a 0707040000000000 7a690035000ddb1d 68656c6c6f",
        "DROP",
        None,
    ),
}
SENT = {name: (given, sent) for name, (given, verdict, sent) in FIXTURES.items() if verdict == "TX"}


def spec_of(frame):
    return SPECS[6 if frame[12:14] == b"\x86\xdd" else 4]


@pytest.mark.parametrize(("given", "verdict", "sent"), FIXTURES.values(), ids=FIXTURES)
def test_packet(given, verdict, sent):
    frame = bytes.fromhex(given)
    got, out = process(frame)
    assert got == verdict
    if verdict == "TX":
        assert_forwarded(frame, [out], "lb", spec_of(frame), profile="katran")
        assert out == bytes.fromhex(sent)  # typed octets, so that program and judge cannot be wrong together
    elif verdict == "PASS":
        assert out == frame


@pytest.mark.parametrize(("given", "sent"), SENT.values(), ids=SENT)
@pytest.mark.parametrize(
    ("octet", "field"), [(5, "eth.dst"), (15, "dsfield|tclass"), (-1, "payload|urgent_pointer")], ids=str
)
def test_a_wrong_octet_is_named(given, sent, octet, field):
    frame, out = bytes.fromhex(given), bytearray.fromhex(sent)
    out[octet] ^= 0x10
    with pytest.raises(AssertionError, match=field):
        assert_forwarded(frame, [bytes(out)], "lb", spec_of(frame), profile="katran")


def test_a_header_that_is_missing_is_named():
    frame = bytes.fromhex(f"{TO_LB} 0800 {UDP}")
    plain = bytes.fromhex(f"{FROM_LB} 0800 {UDP}")
    with pytest.raises(AssertionError, match=r"-ip +expected ip 172\.16\.13\.125 → 10\.1\.0\.11, got absent"):
        assert_forwarded(frame, [plain], "lb", SPECS[4], profile="katran")

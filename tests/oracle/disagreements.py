"""Frames that we read in another way than tshark 4.0 on purpose, and why ours is right.

The list only shrinks: a test fails when a frame that is listed agrees after all.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Disagreement:
    """In the `frames` (file:number, below the vectors) what is named `field` differs, because of `why`."""

    field: str
    why: str
    source: str
    frames: tuple[str, ...]


def _of(file: str, *numbers: int) -> tuple[str, ...]:
    return tuple(f"{file}:{number}" for number in numbers)


DISAGREEMENTS = (
    Disagreement(
        "udp.checksum.state#1",
        "zero means no checksum in the outer header of a UDP tunnel over IPv6 (tshark, without GUE, sees no tunnel)",
        "RFC 6935 s5",
        (
            *_of("katran/KatranGueOptionalTestFixtures.gueOptionalTestFixtures.output.pcap", 4, 5, 7, 8, 9, 10, 11, 12),
            *_of("katran/KatranHCTestFixtures.hcGueTestFixtures.output.pcap", 4),
            *_of("katran/KatranLpmSrcLookupTestFixtures.lpmSrcLookupTestFixtures.output.pcap", 2, 3, 5, 6, 7, 8),
        ),
    ),
    Disagreement(
        "udp.checksum.state#1",
        "the checksum covers as much as the UDP length says; that is all there, though the frame is cut behind it",
        "RFC 768 (Checksum, Length)",
        _of("tcpdump/captures/lisp_invalid_length.pcap", 1),
    ),
    Disagreement(
        "quoted tcp.checksum.state#1",
        "an error quotes as much of a packet as fits: the sum over the whole segment can be neither good nor bad",
        "RFC 4443 s3.2; RFC 9293 s3.1 (Checksum)",
        (
            *_of("katran/KatranGueOptionalTestFixtures.gueOptionalTestFixtures.output.pcap", 2),
            *_of("katran/KatranIcmpTooBigTestFixtures.icmpTooBigTestFixtures.output.pcap", 2),
            *_of("katran/KatranIcmpTooBigTestFixtures.originGueIcmpTooBigTestFixtures.output.pcap", 2),
            *_of("katran/KatranOptionalTestFixtures.optionalTestFixtures.output.pcap", 2),
        ),
    ),
    Disagreement(
        "quoted icmpv6.checksum.state#1",
        "the checksum covers the whole ICMPv6 message and a pseudo-header; both are quoted to their last octet",
        "RFC 4443 s2.3",
        _of("zeek/captures/ipv6_zero_len_ah.pcap", 6),
    ),
    Disagreement(
        "icmp.checksum.state#1",
        "the checksum covers the message to the end of the total length, which lies beyond the frame's end",
        "RFC 792 (Checksum); RFC 791 s3.1 (Total Length)",
        (*_of("tcpdump/captures/icmp-cksum-oobr-1.pcap", 1), *_of("tcpdump/captures/icmp-cksum-oobr-3.pcapng", 1)),
    ),
    Disagreement(
        "ip.len#1",
        "the field's 16 bits are 0 on the wire (a frame before segmentation): tshark shows the frame's length",
        "RFC 791 s3.1 (Total Length)",
        (
            *_of("tcpdump/captures/icmp-length-zero.pcapng", 1),
            *_of("tcpdump/captures/bigtcp-ipv4.pcap", 1),
            *_of("tcpdump/captures/bigtcp-ipv4-geneve-ipv4.pcap", 1),
            *_of("zeek/captures/ldap__missing_krbtgt_ldap_request.pcapng", 8),
        ),
    ),
    Disagreement(
        "layers",
        "a UDP length of 0 in a packet of more than 65535 octets means: to the packet's end",
        "RFC 2675 s4",
        _of("tcpdump/captures/bigtcp-ipv4-geneve-ipv4.pcap", 1),
    ),
    Disagreement(
        "layers",
        "a payload length of 0: a packet longer than 16 bits can say; what the next header names is there",
        "RFC 2675 s3; RFC 8200 s3 (Next Header)",
        (
            *_of("tcpdump/captures/bigtcp-ipv6.pcap", 1),
            *_of("tcpdump/captures/bigtcp-ipv6-vxlan-ipv4.pcap", 1),
        ),
    ),
    Disagreement(
        "layers",
        "IPv6 has a type and a link type of its own: where IPv4 is announced, another version is an error",
        "RFC 791 s3.1 (Version); RFC 2464 s3",
        (
            *_of("tcpdump/captures/bad-ipv4-version-pgm-heapoverflow.pcap", 1),
            *_of("tcpdump/captures/kday1.pcap", 1),
            *_of("tcpdump/captures/kday3.pcap", 2),
            *_of("tcpdump/captures/LINKTYPE_IPV4_invalid.pcap", 1),
        ),
    ),
    Disagreement(
        "ip.dst#1",
        "on a source route the header's destination is the next stop; the last one stands in the option",
        "RFC 791 s3.1 (Loose Source and Record Route)",
        _of("scapy/scapy-inline.linktype101.pcap", 4),
    ),
    Disagreement(
        "ip.opt.type#1",
        "an option begins with its type octet, and that one is there within the header, whatever its length says",
        "RFC 791 s3.1 (Options)",
        _of("tcpdump/captures/ip_ts_opts_asan.pcap", 1),
    ),
)

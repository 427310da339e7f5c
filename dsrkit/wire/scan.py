# cython: language_level=3, boundscheck=True, wraparound=False, initializedcheck=False, cdivision=True
# cython: show_performance_hints=False
# mypy: ignore-errors
"""The one scan: capture records in, `layout.RECORD` rows out, one pass per packet while its cache lines are hot.

Written in Cython's pure Python mode and compiled; the same source runs interpreted (slowly). Its dialect: no Python
objects or structs inside; 64-bit products and sums are masked where both ways of running have to give the same numbers;
input is a `memoryview` in both. What runs only compiled (a load of several octets at once, the loop of the sums) or
only interpreted stands behind `cython.compiled`.

Bounds: the walk of any packet checks every index, so a length that lies can at most raise IndexError. Unchecked are
the sums' loops, the packets of the usual shape and the records' own headers, whose first and last octet were checked
before, at once (`touch`); tests/property/test_scan_bounds.py runs them where every index is checked.

Positions (``at``) are indices of the window's buffer. Two bounds travel with the decoder: `limit`, where the headers
read so far say that the packet ends, and `cap`, where the octets that may be read end (captured, and within the
limits of the outer headers). Whatever is read was asked for with `room` or compared with `cap` before.

Source: RFC 791, 8200, 9293, 768, 792, 4443, 826, 4861, 2784, 2890, 4302, 7348, 8926, draft-ietf-intarea-gue,
draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng, www.tcpdump.org/linktypes.html.
"""

import collections
import functools
import struct

import cython

from dsrkit.wire import layout

WEYL = cython.declare(cython.ulonglong, 0x9E3779B97F4A7C15)
MIX = cython.declare(cython.ulonglong, 0xD6E8FEB86659FD93)
V4_MAPPED = cython.declare(cython.ulonglong, 0xFFFF00000000)

# what one load is when compiled, and the zeros of a row, for the interpreted scan
_BE16 = struct.Struct(">H").unpack_from
_BE32 = struct.Struct(">I").unpack_from
_LE32 = struct.Struct("<I").unpack_from
_ALL = (1 << 64) - 1
_EMPTY_ROW = memoryview(bytes(layout.RECORD.itemsize)).cast("Q")


def _sum_at_once(octets):
    """The folded sum of little-endian words, as `Scanner.fold` gives it before the octets are swapped back."""
    total = int.from_bytes(octets, "little")
    total = (total - 1) % 0xFFFF + 1 if total else 0
    return (total & 255) << 8 | total >> 8


def _weigh_at_once(octets):
    """The fingerprint of `Scanner.weigh_words`, word by word."""
    lanes = collections.deque((0, WEYL, WEYL << 1 & _ALL, WEYL << 2 & _ALL))
    for word in struct.unpack(f"<{-(-len(octets) // 8)}Q", octets.ljust(-(-len(octets) // 8) * 8, b"\0")):
        lanes.append(_stirred(lanes.popleft(), word))
    last = functools.reduce(_stirred, (*lanes, len(octets)))
    return last ^ last >> 32 or 1


def _stirred(lane, word):
    """`Scanner.stir`."""
    lane ^= word
    return (lane ^ lane >> 32) * MIX & _ALL


# places in a row; L0, L1.. follow at +1 for fields of LEVELS elements
ROW = cython.declare(cython.Py_ssize_t, layout.RECORD.itemsize)
LEVELS = cython.declare(cython.longlong, layout.LEVELS)
# 8 octets wide
TS_NS = cython.declare(cython.Py_ssize_t, layout.place("ts_ns"))
OFFSET = cython.declare(cython.Py_ssize_t, layout.place("offset"))
ETH_SRC = cython.declare(cython.Py_ssize_t, layout.place("eth_src"))
ETH_DST = cython.declare(cython.Py_ssize_t, layout.place("eth_dst"))
FP = cython.declare(cython.Py_ssize_t, layout.place("fp"))
OPT_FP = cython.declare(cython.Py_ssize_t, layout.place("opt_fp"))
RES_SHA = cython.declare(cython.Py_ssize_t, layout.place("res_sha"))
RES_THA = cython.declare(cython.Py_ssize_t, layout.place("res_tha"))
RES_SPA_HI = cython.declare(cython.Py_ssize_t, layout.place("res_spa_hi"))
RES_TPA_HI = cython.declare(cython.Py_ssize_t, layout.place("res_tpa_hi"))
Q_SRC_HI = cython.declare(cython.Py_ssize_t, layout.place("q_src_hi"))
Q_DST_HI = cython.declare(cython.Py_ssize_t, layout.place("q_dst_hi"))
QI_SRC_HI = cython.declare(cython.Py_ssize_t, layout.place("qi_src_hi"))
QI_DST_HI = cython.declare(cython.Py_ssize_t, layout.place("qi_dst_hi"))
SRC_HI = cython.declare(cython.Py_ssize_t, layout.place("src_hi"))
SRC_LO = cython.declare(cython.Py_ssize_t, layout.place("src_lo"))
DST_HI = cython.declare(cython.Py_ssize_t, layout.place("dst_hi"))
DST_LO = cython.declare(cython.Py_ssize_t, layout.place("dst_lo"))
# 4 octets wide
CAPLEN = cython.declare(cython.Py_ssize_t, layout.place("caplen"))
WIRELEN = cython.declare(cython.Py_ssize_t, layout.place("wirelen"))
IFACE = cython.declare(cython.Py_ssize_t, layout.place("iface"))
IFINDEX = cython.declare(cython.Py_ssize_t, layout.place("ifindex"))
SEQ = cython.declare(cython.Py_ssize_t, layout.place("seq"))
ACK = cython.declare(cython.Py_ssize_t, layout.place("ack"))
PAYLOAD_LEN = cython.declare(cython.Py_ssize_t, layout.place("payload_len"))
TUN_WORD = cython.declare(cython.Py_ssize_t, layout.place("tun_word"))
TUN_KEY = cython.declare(cython.Py_ssize_t, layout.place("tun_key"))
Q_SEQ = cython.declare(cython.Py_ssize_t, layout.place("q_seq"))
DEFECT_NEED = cython.declare(cython.Py_ssize_t, layout.place("defect_need"))
DEFECT_HAVE = cython.declare(cython.Py_ssize_t, layout.place("defect_have"))
TSVAL = cython.declare(cython.Py_ssize_t, layout.place("tsval"))
TSECR = cython.declare(cython.Py_ssize_t, layout.place("tsecr"))
IP_ID = cython.declare(cython.Py_ssize_t, layout.place("ip_id"))
IP_LEN = cython.declare(cython.Py_ssize_t, layout.place("ip_len"))
FLOW = cython.declare(cython.Py_ssize_t, layout.place("flow"))
# 2 octets wide
LINKTYPE = cython.declare(cython.Py_ssize_t, layout.place("linktype"))
ETH_TYPE = cython.declare(cython.Py_ssize_t, layout.place("eth_type"))
ETHERTYPE = cython.declare(cython.Py_ssize_t, layout.place("ethertype"))
VLAN0 = cython.declare(cython.Py_ssize_t, layout.place("vlan0"))
VLAN1 = cython.declare(cython.Py_ssize_t, layout.place("vlan1"))
L3_AT = cython.declare(cython.Py_ssize_t, layout.place("l3_at"))
IN_AT = cython.declare(cython.Py_ssize_t, layout.place("in_at"))
L4_AT = cython.declare(cython.Py_ssize_t, layout.place("l4_at"))
PAYLOAD_AT = cython.declare(cython.Py_ssize_t, layout.place("payload_at"))
SPORT = cython.declare(cython.Py_ssize_t, layout.place("sport"))
DPORT = cython.declare(cython.Py_ssize_t, layout.place("dport"))
TCP_FLAGS = cython.declare(cython.Py_ssize_t, layout.place("tcp_flags"))
WINDOW = cython.declare(cython.Py_ssize_t, layout.place("window"))
URGENT = cython.declare(cython.Py_ssize_t, layout.place("urgent"))
MSS = cython.declare(cython.Py_ssize_t, layout.place("mss"))
L4_SUM = cython.declare(cython.Py_ssize_t, layout.place("l4_sum"))
UDP_LEN = cython.declare(cython.Py_ssize_t, layout.place("udp_len"))
TUN_SPORT = cython.declare(cython.Py_ssize_t, layout.place("tun_sport"))
TUN_DPORT = cython.declare(cython.Py_ssize_t, layout.place("tun_dport"))
TUN_SUM = cython.declare(cython.Py_ssize_t, layout.place("tun_sum"))
Q_ID = cython.declare(cython.Py_ssize_t, layout.place("q_id"))
Q_LEN = cython.declare(cython.Py_ssize_t, layout.place("q_len"))
QI_ID = cython.declare(cython.Py_ssize_t, layout.place("qi_id"))
QI_LEN = cython.declare(cython.Py_ssize_t, layout.place("qi_len"))
Q_SPORT = cython.declare(cython.Py_ssize_t, layout.place("q_sport"))
Q_DPORT = cython.declare(cython.Py_ssize_t, layout.place("q_dport"))
FRAG = cython.declare(cython.Py_ssize_t, layout.place("frag"))
IP_SUM = cython.declare(cython.Py_ssize_t, layout.place("ip_sum"))
HDR_LEN = cython.declare(cython.Py_ssize_t, layout.place("hdr_len"))
# 1 octet wide
HAS = cython.declare(cython.Py_ssize_t, layout.place("has"))
PKTTYPE = cython.declare(cython.Py_ssize_t, layout.place("pkttype"))
NVLAN = cython.declare(cython.Py_ssize_t, layout.place("nvlan"))
NSTAG = cython.declare(cython.Py_ssize_t, layout.place("nstag"))
DEPTH = cython.declare(cython.Py_ssize_t, layout.place("depth"))
PROTO = cython.declare(cython.Py_ssize_t, layout.place("proto"))
L4_STATE = cython.declare(cython.Py_ssize_t, layout.place("l4_state"))
TUN_STATE = cython.declare(cython.Py_ssize_t, layout.place("tun_state"))
TUN_HLEN = cython.declare(cython.Py_ssize_t, layout.place("tun_hlen"))
WSCALE = cython.declare(cython.Py_ssize_t, layout.place("wscale"))
ICMP_TYPE = cython.declare(cython.Py_ssize_t, layout.place("icmp_type"))
ICMP_CODE = cython.declare(cython.Py_ssize_t, layout.place("icmp_code"))
RES_OP = cython.declare(cython.Py_ssize_t, layout.place("res_op"))
RES_FLAGS = cython.declare(cython.Py_ssize_t, layout.place("res_flags"))
Q_VER = cython.declare(cython.Py_ssize_t, layout.place("q_ver"))
QI_VER = cython.declare(cython.Py_ssize_t, layout.place("qi_ver"))
DEFECT = cython.declare(cython.Py_ssize_t, layout.place("defect"))
DEFECT_LAYER = cython.declare(cython.Py_ssize_t, layout.place("defect_layer"))
DEFECT_BY = cython.declare(cython.Py_ssize_t, layout.place("defect_by"))
VER = cython.declare(cython.Py_ssize_t, layout.place("ver"))
TOS = cython.declare(cython.Py_ssize_t, layout.place("tos"))
TTL = cython.declare(cython.Py_ssize_t, layout.place("ttl"))
NXT = cython.declare(cython.Py_ssize_t, layout.place("nxt"))
NH = cython.declare(cython.Py_ssize_t, layout.place("nh"))
SUM_STATE = cython.declare(cython.Py_ssize_t, layout.place("sum_state"))
ENCAP = cython.declare(cython.Py_ssize_t, layout.place("encap"))
COMMENTED = cython.declare(cython.Py_ssize_t, layout.place("commented"))

# values of layout.py, typed
HAS_ETH_SRC = cython.declare(cython.longlong, layout.HAS_ETH_SRC)
HAS_ETH_DST = cython.declare(cython.longlong, layout.HAS_ETH_DST)
HAS_IP = cython.declare(cython.longlong, layout.HAS_IP)
HAS_L4 = cython.declare(cython.longlong, layout.HAS_L4)
HAS_RES = cython.declare(cython.longlong, layout.HAS_RES)
HAS_QUOTE = cython.declare(cython.longlong, layout.HAS_QUOTE)
HAS_ALL_PAYLOAD = cython.declare(cython.longlong, layout.HAS_ALL_PAYLOAD)
HAS_QUOTE_INNER = cython.declare(cython.longlong, layout.HAS_QUOTE_INNER)
DEFECT_TRUNCATED = cython.declare(cython.longlong, layout.DEFECT_TRUNCATED)
DEFECT_LENGTH = cython.declare(cython.longlong, layout.DEFECT_LENGTH)
DEFECT_VERSION = cython.declare(cython.longlong, layout.DEFECT_VERSION)
DEFECT_TOO_DEEP = cython.declare(cython.longlong, layout.DEFECT_TOO_DEEP)
DEFECT_LINKTYPE = cython.declare(cython.longlong, layout.DEFECT_LINKTYPE)
DEFECT_RECORD = cython.declare(cython.longlong, layout.DEFECT_RECORD)
LAYER_FRAME = cython.declare(cython.longlong, layout.LAYER_FRAME)
LAYER_LINK = cython.declare(cython.longlong, layout.LAYER_LINK)
LAYER_ARP = cython.declare(cython.longlong, layout.LAYER_ARP)
LAYER_IP = cython.declare(cython.longlong, layout.LAYER_IP)
LAYER_IPV6_EXT = cython.declare(cython.longlong, layout.LAYER_IPV6_EXT)
LAYER_TCP = cython.declare(cython.longlong, layout.LAYER_TCP)
LAYER_UDP = cython.declare(cython.longlong, layout.LAYER_UDP)
LAYER_ICMP = cython.declare(cython.longlong, layout.LAYER_ICMP)
LAYER_GRE = cython.declare(cython.longlong, layout.LAYER_GRE)
LAYER_GUE = cython.declare(cython.longlong, layout.LAYER_GUE)
BY_CAPTURE = cython.declare(cython.longlong, layout.BY_CAPTURE)
BY_IP_LEN = cython.declare(cython.longlong, layout.BY_IP_LEN)
BY_UDP_LEN = cython.declare(cython.longlong, layout.BY_UDP_LEN)
BY_HEADER = cython.declare(cython.longlong, layout.BY_HEADER)
SUM_NONE = cython.declare(cython.longlong, layout.SUM_NONE)
SUM_VALID = cython.declare(cython.longlong, layout.SUM_VALID)
SUM_PARTIAL = cython.declare(cython.longlong, layout.SUM_PARTIAL)
SUM_ZERO = cython.declare(cython.longlong, layout.SUM_ZERO)
SUM_ABSENT = cython.declare(cython.longlong, layout.SUM_ABSENT)
SUM_INVALID = cython.declare(cython.longlong, layout.SUM_INVALID)
SUM_UNVERIFIABLE = cython.declare(cython.longlong, layout.SUM_UNVERIFIABLE)
ENCAP_IPIP = cython.declare(cython.longlong, layout.ENCAP_IPIP)
ENCAP_GRE = cython.declare(cython.longlong, layout.ENCAP_GRE)
ENCAP_GUE = cython.declare(cython.longlong, layout.ENCAP_GUE)
ENCAP_GUE1 = cython.declare(cython.longlong, layout.ENCAP_GUE1)
ENCAP_VXLAN = cython.declare(cython.longlong, layout.ENCAP_VXLAN)
ENCAP_GENEVE = cython.declare(cython.longlong, layout.ENCAP_GENEVE)

# kinds of what may stand at a position: an IP header of either version, by its nibble
ANY_IP = cython.declare(cython.longlong, 46)
MAX_CAPLEN = cython.declare(cython.longlong, 262144)
"""Most octets a record may claim to hold, as libpcap and Wireshark have it: beyond, the file is damaged."""
HOLE = cython.declare(cython.longlong, 4096)
"""Octets of zeros, where a record should be, that are a hole."""
MAX_BLOCK_OCTETS = 16777216
MAX_BLOCK = cython.declare(cython.longlong, MAX_BLOCK_OCTETS)

# why a walk stopped
NEED_MORE, ROWS_FULL, CONTROL, DAMAGED = 0, 1, 2, 3
_NEED_MORE = cython.declare(cython.longlong, NEED_MORE)
_ROWS_FULL = cython.declare(cython.longlong, ROWS_FULL)
_CONTROL = cython.declare(cython.longlong, CONTROL)
_DAMAGED = cython.declare(cython.longlong, DAMAGED)

IF_COLUMNS = 6
"""Numbers per pcapng interface in the table `Scanner.pcapng` reads: link type, multiplier, divisor and binary shift
of its timestamps, offset in nanoseconds, snap length."""
_IF_COLUMNS = cython.declare(cython.longlong, IF_COLUMNS)


@cython.final
@cython.cclass
class Scanner:
    """Decodes records of one window into rows; holds views of both memories and the state of one packet."""

    buf: cython.uchar[::1]
    o8: cython.uchar[::1]
    o16: cython.ushort[::1]
    o32: cython.uint[::1]
    o64: cython.ulonglong[::1]
    gue: cython.uchar[::1]
    interfaces: cython.longlong[::1]
    rows: cython.longlong
    # the row that is written, in units of each width
    r8: cython.longlong
    r16: cython.longlong
    r32: cython.longlong
    r64: cython.longlong
    # the packet that is read
    start: cython.longlong
    cap: cython.longlong
    cap_by: cython.longlong
    limit: cython.longlong
    limit_by: cython.longlong
    level: cython.longlong
    fragmented: cython.longlong
    quoting: cython.longlong
    own_fragment: cython.longlong
    ip_at: cython.longlong
    psrc_at: cython.longlong
    pdst_at: cython.longlong
    inner_at: cython.longlong
    encap: cython.longlong
    hash: cython.ulonglong
    # where a walk stands
    stop_at: cython.longlong
    need: cython.longlong

    def attach(self, octets, rows, gue_ports):
        """Take the window's buffer and the rows' memory.

        `octets` and `rows` are writable contiguous memoryviews of octets, `octets` at least 8 longer than what is ever
        scanned of it and `rows` a whole number of rows long; `gue_ports` is 65536 octets, 1 at each GUE port.
        """
        self.buf = octets
        self.o8 = rows
        self.o16 = rows.cast("H")
        self.o32 = rows.cast("I")
        self.o64 = rows.cast("Q")
        if len(gue_ports) < 65536:
            raise IndexError("gue_ports has no place for every port")
        self.gue = gue_ports
        self.rows = len(rows) // layout.RECORD.itemsize

    def pcap(
        self,
        at: cython.longlong,
        end: cython.longlong,
        row: cython.longlong,
        base: cython.longlong,
        swapped: cython.longlong,
        subsecond: cython.longlong,
        header: cython.longlong,
        linktype: cython.longlong,
        last: cython.longlong,
    ):
        """Walk classic pcap records of ``buf[at:end]``, from row `row` on.

        `base` is the file offset of ``buf[0]``, `subsecond` the nanoseconds per unit (1000 or 1), `header` the
        record header's length (16; 24 in the modified format); `last`: nothing follows ``buf[:end]``. Returns (rows
        written in all, position reached, status, octets needed from there or claimed).
        """
        status: cython.longlong
        self.stop_at = at
        self.touch(at, end + 7)
        with cython.nogil:
            status = self.walk_pcap(end, row, base, swapped, subsecond, header, linktype, last)
        return self.need_row, self.stop_at, status, self.need

    def pcapng(
        self,
        at: cython.longlong,
        end: cython.longlong,
        row: cython.longlong,
        base: cython.longlong,
        swapped: cython.longlong,
        first: cython.longlong,
        count: cython.longlong,
        interfaces,
    ):
        """Walk pcapng blocks of ``buf[at:end]`` up to a section header or interface description (status CONTROL).

        `interfaces` holds IF_COLUMNS numbers per interface of the whole file; this section's are `first` to
        ``first + count - 1``. Returns as `pcap`.
        """
        status: cython.longlong
        self.stop_at = at
        self.interfaces = interfaces
        self.touch(at, end + 7)
        with cython.nogil:
            status = self.walk_pcapng(end, row, base, swapped, first, count)
        return self.need_row, self.stop_at, status, self.need

    def packet(
        self,
        at: cython.longlong,
        caplen: cython.longlong,
        wirelen: cython.longlong,
        row: cython.longlong,
        linktype: cython.longlong,
    ):
        """Decode one packet of ``buf[at:at + caplen]`` into row `row`."""
        with cython.nogil:
            self.open_row(row)
            self.decode(at, caplen, wirelen, linktype)

    need_row: cython.longlong

    # --- the walk over records ------------------------------------------------------------------------------------

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def walk_pcap(
        self,
        end: cython.longlong,
        row: cython.longlong,
        base: cython.longlong,
        swapped: cython.longlong,
        subsecond: cython.longlong,
        header: cython.longlong,
        linktype: cython.longlong,
        last: cython.longlong,
    ) -> cython.longlong:
        """Records of draft-ietf-opsawg-pcap s5 until the buffer or the rows end, or a length cannot be.

        Many headers of zeros are no records but a hole: part of a file that was allocated and never written.
        """
        at: cython.longlong = self.stop_at
        caplen: cython.longlong = 0
        wirelen: cython.longlong = 0
        seconds: cython.ulonglong = 0
        units: cython.ulonglong = 0
        status: cython.longlong = _NEED_MORE
        self.need = header
        while at + header <= end:
            if row >= self.rows:
                status = _ROWS_FULL
                break
            caplen = self.n32(at + 8, swapped)
            wirelen = self.n32(at + 12, swapped)
            if caplen == 0 and wirelen == 0 and self.n32(at, 0) == 0 and self.n32(at + 4, 0) == 0:
                if at + HOLE > end and last == 0:
                    self.need = HOLE
                    break
                if at + HOLE <= end and self.zeros(at, HOLE) != 0:
                    status = _DAMAGED
                    self.need = 0
                    break
            if caplen > MAX_CAPLEN:
                status = _DAMAGED
                self.need = caplen
                self.open_row(row)
                self.o64[self.r64 + OFFSET] = base + at + header
                self.o16[self.r16 + LINKTYPE] = linktype & 0xFFFF
                self.damaged(caplen, MAX_CAPLEN)
                row += 1
                break
            if at + header + caplen > end:
                self.need = header + caplen
                break
            self.open_row(row)
            seconds = self.n32(at, swapped)
            units = self.n32(at + 4, swapped)
            self.o64[self.r64 + TS_NS] = seconds * 1000000000 + units * subsecond
            self.o64[self.r64 + OFFSET] = base + at + header
            self.decode(at + header, caplen, wirelen, linktype)
            at += header + caplen
            row += 1
            self.need = header
        self.stop_at = at
        self.need_row = row
        return status

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def walk_pcapng(
        self,
        end: cython.longlong,
        row: cython.longlong,
        base: cython.longlong,
        swapped: cython.longlong,
        first: cython.longlong,
        count: cython.longlong,
    ) -> cython.longlong:
        """Blocks of draft-ietf-opsawg-pcapng s3.1, their length at both ends; what is no packet is skipped."""
        at: cython.longlong = self.stop_at
        kind: cython.longlong = 0
        size: cython.longlong = 0
        status: cython.longlong = _NEED_MORE
        self.need = 12
        while at + 12 <= end:
            kind = self.n32(at, swapped)
            if kind == 0x0A0D0D0A or kind == 1:
                status = _CONTROL
                break
            size = self.n32(at + 4, swapped)
            self.need = size
            if size < 12 or size % 4 != 0 or size > MAX_BLOCK:
                if row >= self.rows:
                    status = _ROWS_FULL
                    break
                status = _DAMAGED
                self.open_row(row)
                self.o64[self.r64 + OFFSET] = base + at
                self.damaged(size, MAX_BLOCK)
                row += 1
                break
            if at + size > end:
                break
            if self.n32(at + size - 4, swapped) != size:
                if row >= self.rows:
                    status = _ROWS_FULL
                    break
                status = _DAMAGED
                self.open_row(row)
                self.o64[self.r64 + OFFSET] = base + at
                self.damaged(size, self.n32(at + size - 4, swapped))
                row += 1
                break
            if kind == 6 or kind == 3 or kind == 2:
                if row >= self.rows:
                    status = _ROWS_FULL
                    break
                self.open_row(row)
                self.packet_block(at, kind, size, base, swapped, first, count)
                row += 1
            at += size
            self.need = 12
        self.stop_at = at
        self.need_row = row
        return status

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def packet_block(
        self,
        at: cython.longlong,
        kind: cython.longlong,
        size: cython.longlong,
        base: cython.longlong,
        swapped: cython.longlong,
        first: cython.longlong,
        count: cython.longlong,
    ) -> cython.longlong:
        """Enhanced (6), simple (3) and obsolete (2) packet blocks, s4.3, s4.4 and appendix A."""
        head: cython.longlong = 28
        number: cython.longlong = 0
        caplen: cython.longlong = 0
        wirelen: cython.longlong = 0
        place: cython.longlong = 0
        snaplen: cython.longlong = 0
        if kind == 3:
            head = 12
        if size < head + 4:
            return self.damaged(head + 4, size)
        if kind == 6:
            number = self.n32(at + 8, swapped)
        elif kind == 2:
            number = self.n16(at + 8, swapped)
        if number >= count:
            return self.damaged(number + 1, count)
        place = (first + number) * _IF_COLUMNS
        snaplen = self.interfaces[place + 5]
        if kind == 3:
            wirelen = self.n32(at + 8, swapped)
            caplen = size - 16
            if wirelen < caplen:
                caplen = wirelen
            if snaplen != 0 and snaplen < caplen:
                caplen = snaplen
        else:
            caplen = self.n32(at + 20, swapped)
            wirelen = self.n32(at + 24, swapped)
            self.o64[self.r64 + TS_NS] = self.stamp(self.n32(at + 12, swapped), self.n32(at + 16, swapped), place)
        self.o32[self.r32 + IFACE] = first + number
        self.o64[self.r64 + OFFSET] = base + at + head
        if caplen > size - head - 4:
            self.o16[self.r16 + LINKTYPE] = self.interfaces[place] & 0xFFFF
            return self.damaged(caplen, size - head - 4)
        self.decode(at + head, caplen, wirelen, self.interfaces[place])
        if kind != 3:
            self.comments(at + head + caplen + (-caplen & 3), at + size - 4, swapped)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def comments(self, at: cython.longlong, end: cython.longlong, swapped: cython.longlong) -> cython.longlong:
        """Count a packet block's comments among its options. Source: draft-ietf-opsawg-pcapng s3.5."""
        code: cython.longlong = 0
        size: cython.longlong = 0
        count: cython.longlong = 0
        while at + 4 <= end:
            code = self.n16(at, swapped)
            size = self.n16(at + 2, swapped)
            if code == 0 or at + 4 + size > end:
                break
            if code == 1 and count < 255:
                count += 1
            at += 4 + size + (-size & 3)
        self.o8[self.r8 + COMMENTED] = count
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def zeros(self, at: cython.longlong, size: cython.longlong) -> cython.longlong:
        """Whether these octets are all 0."""
        end: cython.longlong = at + size
        while at < end:
            if self.buf[at] != 0:
                return 0
            at += 1
        return 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def damaged(self, need: cython.longlong, have: cython.longlong) -> cython.longlong:
        """A row for a record of the file that cannot be."""
        self.defect(DEFECT_RECORD, LAYER_FRAME, need, have, BY_HEADER)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(0, check=True)
    def stamp(self, high: cython.ulonglong, low: cython.ulonglong, place: cython.longlong) -> cython.ulonglong:
        """Nanoseconds since the epoch, modulo 2**64, of a pcapng timestamp; resolutions as in s4.2 (if_tsresol)."""
        m32: cython.ulonglong = 0x7FFFFFFF
        m64: cython.ulonglong = 0
        ticks: cython.ulonglong = 0
        shift: cython.ulonglong = self.interfaces[place + 3]
        part: cython.ulonglong = 0
        times: cython.ulonglong = self.interfaces[place + 1]
        by: cython.ulonglong = self.interfaces[place + 2]
        offset: cython.longlong = self.interfaces[place + 4]
        m32 = m32 * 2 + 1
        m64 = (m32 << 32) | m32
        ticks = (high << 32) | low
        if shift == 0:
            ticks = ((ticks * times) & m64) // by
        else:
            if shift >= 64:
                part = 0
                if shift - 34 < 64:
                    part = ticks >> (shift - 34)
                ticks = (part * 1000000000) >> 34
            else:
                part = ticks & (m64 >> (64 - shift))
                ticks = ticks >> shift
                if shift > 34:
                    part = part >> (shift - 34)
                    shift = 34
                ticks = (ticks * 1000000000 + ((part * 1000000000) >> shift)) & m64
        return (ticks + offset) & m64

    # --- reading and writing --------------------------------------------------------------------------------------

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def b16(self, at: cython.longlong) -> cython.longlong:
        """Two octets in network order."""
        if cython.compiled:  # interpreted, the reader checks
            self.touch(at, at + 1)
        return self.u16(at)

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def b32(self, at: cython.longlong) -> cython.longlong:
        """Four octets in network order."""
        if cython.compiled:  # interpreted, the reader checks
            self.touch(at, at + 3)
        return self.u32(at)

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def b48(self, at: cython.longlong) -> cython.longlong:
        """Six octets in network order."""
        return (self.b32(at) << 16) | self.b16(at + 4)

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(0, check=True)
    def b64(self, at: cython.longlong) -> cython.ulonglong:
        """Eight octets in network order."""
        if cython.compiled:  # interpreted, the reader checks
            self.touch(at, at + 7)
        return self.u64(at)

    # The readers below have no bounds check when compiled: their octets lie at one address with constant distances, of
    # which a compiler makes a single load. Whoever calls them has compared the last octet with an end that was checked.

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def u16(self, at: cython.longlong) -> cython.longlong:
        """`b16`, unchecked."""
        if not cython.compiled:
            return _BE16(self.buf, at)[0]
        p: cython.p_uchar = cython.address(self.buf[at])
        high: cython.longlong = p[0]
        return (high << 8) | p[1]

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def u32(self, at: cython.longlong) -> cython.longlong:
        """`b32`, unchecked."""
        if not cython.compiled:
            return _BE32(self.buf, at)[0]
        p: cython.p_uchar = cython.address(self.buf[at])
        a: cython.uint = p[0]
        b: cython.uint = p[1]
        c: cython.uint = p[2]
        return (a << 24) | (b << 16) | (c << 8) | p[3]

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def u64(self, at: cython.longlong) -> cython.ulonglong:
        """`b64`, unchecked."""
        high: cython.ulonglong = self.u32(at)
        low: cython.ulonglong = self.u32(at + 4)
        return (high << 32) | low

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def n16(self, at: cython.longlong, swapped: cython.longlong) -> cython.longlong:
        """Two octets of the file's own order: little endian, or big where `swapped`; unchecked."""
        value: cython.longlong = self.u16(at)
        if swapped != 0:
            return value
        return (value >> 8) | ((value & 255) << 8)

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def n32(self, at: cython.longlong, swapped: cython.longlong) -> cython.longlong:
        """Four octets of the file's own order, unchecked."""
        if swapped != 0:
            return self.u32(at)
        if not cython.compiled:
            return _LE32(self.buf, at)[0]
        p: cython.p_uchar = cython.address(self.buf[at])
        b: cython.uint = p[1]
        c: cython.uint = p[2]
        d: cython.uint = p[3]
        return (d << 24) | (c << 16) | (b << 8) | p[0]

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def word(self, at: cython.longlong) -> cython.ulonglong:
        """Eight octets, little endian, unchecked; for compiled loops only."""
        p: cython.p_uchar = cython.address(self.buf[at])
        b: cython.ulonglong = p[1]
        c: cython.ulonglong = p[2]
        d: cython.ulonglong = p[3]
        e: cython.ulonglong = p[4]
        f: cython.ulonglong = p[5]
        g: cython.ulonglong = p[6]
        h: cython.ulonglong = p[7]
        return p[0] | (b << 8) | (c << 16) | (d << 24) | (e << 32) | (f << 40) | (g << 48) | (h << 56)

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def rel(self, at: cython.longlong) -> cython.longlong:
        """A position as octets from the frame's start, as far as 16 bits go."""
        if at - self.start > 65535:
            return 65535
        return at - self.start

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def open_row(self, row: cython.longlong) -> cython.longlong:
        """Make `row` the row that is written, all zero."""
        self.r8 = row * ROW
        self.r16 = self.r8 // 2
        self.r32 = self.r8 // 4
        self.r64 = self.r8 // 8
        self.quoting = 0
        self.o8[self.r8] = 0  # checked: what is written unchecked lies between the first octet
        self.o8[self.r8 + ROW - 1] = 0  # and the last
        self.clear(self.r64, self.r64 + ROW // 8)
        return 0

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def clear(self, at: cython.longlong, end: cython.longlong) -> cython.void:
        """Zeros into ``o64[at:end]``."""
        place: cython.longlong = 0
        if not cython.compiled:
            self.o64[at:end] = _EMPTY_ROW
            return
        for place in range(at, end):
            self.o64[place] = 0

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def mark(self, bits: cython.longlong) -> cython.longlong:
        """Set bits of `has`."""
        self.o8[self.r8 + HAS] = self.o8[self.r8 + HAS] | (bits & 255)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def defect(
        self,
        kind: cython.longlong,
        layer: cython.longlong,
        need: cython.longlong,
        have: cython.longlong,
        by: cython.longlong,
    ) -> cython.longlong:
        """Note why decoding stopped, or what lied; the first defect of a packet stays, a quoted one has none."""
        m32: cython.longlong = 0x7FFFFFFF
        m32 = m32 * 2 + 1
        if self.o8[self.r8 + DEFECT] != 0 or self.quoting != 0:
            return 0
        if have < 0:
            have = 0
        self.o8[self.r8 + DEFECT] = kind
        self.o8[self.r8 + DEFECT_LAYER] = layer
        self.o8[self.r8 + DEFECT_BY] = by
        self.o32[self.r32 + DEFECT_NEED] = need & m32
        self.o32[self.r32 + DEFECT_HAVE] = have & m32
        return 0

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def room(self, at: cython.longlong, size: cython.longlong, layer: cython.longlong) -> cython.longlong:
        """1 if `size` octets may be read at `at`; else a defect that says who claimed less, and 0."""
        if at + size <= self.cap:
            return 1
        return self.no_room(at, size, layer)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def no_room(self, at: cython.longlong, size: cython.longlong, layer: cython.longlong) -> cython.longlong:
        """The defect of `room`: LENGTH where a length field says so, else TRUNCATED."""
        if at + size > self.limit and self.limit_by != BY_CAPTURE:
            self.defect(DEFECT_LENGTH, layer, size, self.limit - at, self.limit_by)
        elif self.cap_by != BY_CAPTURE and self.fragmented == 0:
            self.defect(DEFECT_LENGTH, layer, size, self.cap - at, self.cap_by)
        else:
            self.defect(DEFECT_TRUNCATED, layer, size, self.cap - at, self.cap_by)
        return 0

    # --- sums -----------------------------------------------------------------------------------------------------

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def fold(self, total: cython.ulonglong) -> cython.longlong:
        """A sum of little-endian words as the 16-bit ones' complement sum in network order. Source: RFC 1071 s2."""
        m32: cython.ulonglong = 0x7FFFFFFF
        m32 = m32 * 2 + 1
        total = (total & m32) + (total >> 32)
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        return ((total & 255) << 8) | (total >> 8)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def add(self, at: cython.longlong, size: cython.longlong) -> cython.longlong:
        """Ones' complement sum of ``buf[at:at + size]``, zero padded: 0 to 0xffff."""
        if size <= 0:
            return 0
        self.touch(at, at + size + 7)
        return self.sum_words(at, size)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def digest(self, at: cython.longlong, size: cython.longlong) -> cython.longlong:
        """As `add`; also a 64-bit fingerprint of the octets and their number in `hash` (0 for none)."""
        self.hash = 0
        if size <= 0:
            return 0
        self.touch(at, at + size + 7)
        return self.weigh_words(at, size)

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def touch(self, first: cython.longlong, last: cython.longlong) -> cython.longlong:
        """Check that these two octets, and so all between them, are in the buffer: the sums' loops do not check."""
        return self.buf[first] & self.buf[last]

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def sum_words(self, at: cython.longlong, size: cython.longlong) -> cython.longlong:
        """`add` of 1 octet at least, unchecked; up to 7 octets behind the last are read and count as 0."""
        m32: cython.ulonglong = 0x7FFFFFFF
        word: cython.ulonglong = 0
        total: cython.ulonglong = 0
        m32 = m32 * 2 + 1
        if not cython.compiled:
            return _sum_at_once(self.buf[at : at + size])
        while size >= 8:
            word = self.word(at)
            total = total + ((word & m32) + (word >> 32))
            at += 8
            size -= 8
        if size > 0:
            word = self.word(at) & (((m32 << 32) | m32) >> (64 - 8 * size))
            total = total + ((word & m32) + (word >> 32))
        return self.fold(total)

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def weigh_words(self, at: cython.longlong, size: cython.longlong) -> cython.longlong:
        """`digest` of 1 octet at least, unchecked as `sum_words`.

        The fingerprint: little-endian words go into four lanes in turn, which do not wait for one another; what a lane
        becomes is different for any two words, and for any two states before it.
        """
        m32: cython.ulonglong = 0x7FFFFFFF
        left: cython.longlong = size
        word: cython.ulonglong = 0
        total: cython.ulonglong = 0
        carried: cython.ulonglong = 0
        a: cython.ulonglong = 0
        b: cython.ulonglong = WEYL
        c: cython.ulonglong = WEYL << 1
        d: cython.ulonglong = WEYL << 2
        if not cython.compiled:
            self.hash = _weigh_at_once(bytes(self.buf[at : at + size]))
            return _sum_at_once(self.buf[at : at + size])
        m32 = m32 * 2 + 1
        while left >= 32:
            word = self.word(at)
            total = total + word
            carried = carried + (total < word)
            a = self.stir(a, word)
            word = self.word(at + 8)
            total = total + word
            carried = carried + (total < word)
            b = self.stir(b, word)
            word = self.word(at + 16)
            total = total + word
            carried = carried + (total < word)
            c = self.stir(c, word)
            word = self.word(at + 24)
            total = total + word
            carried = carried + (total < word)
            d = self.stir(d, word)
            at += 32
            left -= 32
        while left > 0:
            word = self.word(at)
            if left < 8:
                word = word & (((m32 << 32) | m32) >> (64 - 8 * left))
            total = total + word
            carried = carried + (total < word)
            word = self.stir(a, word)
            a = b
            b = c
            c = d
            d = word
            at += 8
            left -= 8
        a = self.stir(self.stir(self.stir(self.stir(a, b), c), d), size)
        self.hash = a ^ (a >> 32)
        if self.hash == 0:
            self.hash = 1
        return self.fold((total & m32) + (total >> 32) + carried)  # 2**64 is 1 modulo 0xffff

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def stir(self, lane: cython.ulonglong, word: cython.ulonglong) -> cython.ulonglong:
        """A lane of the fingerprint behind one more word; for compiled loops only."""
        lane = lane ^ word
        return (lane ^ (lane >> 32)) * MIX

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def pseudo(self, proto: cython.longlong, size: cython.longlong) -> cython.longlong:
        """Folded pseudo-header sum of the innermost packet. Source: RFC 9293 s3.1, 768, 8200 s8.1."""
        total: cython.longlong = proto + (size & 0xFFFF) + (size >> 16)
        if self.o8[self.r8 + VER + self.level] == 4:
            total += self.add(self.psrc_at, 4) + self.add(self.pdst_at, 4)
        else:
            total += self.add(self.psrc_at, 16) + self.add(self.pdst_at, 16)
        total = (total & 0xFFFF) + (total >> 16)
        return (total & 0xFFFF) + (total >> 16)

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def judge(self, field: cython.longlong, total: cython.longlong, pseudo: cython.longlong) -> cython.longlong:
        """State of a checksum: `field` as on the wire, `total` the sum over all, `pseudo` 0 where there is none."""
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        if total == 0xFFFF:
            return SUM_VALID
        if field == 0:
            return SUM_ZERO
        if pseudo != 0 and field == pseudo:
            return SUM_PARTIAL
        return SUM_INVALID

    # --- packets of the usual shape -------------------------------------------------------------------------------

    # Ethernet or cooked, at most one tag, one or two IP headers (IP in IP, GRE, GUE), TCP or UDP; whole, unfragmented,
    # without IP options or extension headers, with lengths that fit. Such a packet is looked at first and then written
    # in one go, without a bounds check; any other is left to the walk below, which gives the same rows (a test
    # compares).

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=False)
    def usual(self, at: cython.longlong, end: cython.longlong, linktype: cython.longlong) -> cython.longlong:
        """Decode the packet ``buf[at:end]``, all of it captured, if it is of the usual shape: 1, else 0."""
        ethertype: cython.longlong = 0
        kind: cython.longlong = 0
        first: cython.longlong = 0
        outer: cython.longlong = 0
        tag: cython.longlong = 0
        ip: cython.longlong = 0
        next_: cython.longlong = 0
        size: cython.longlong = 0
        encap: cython.longlong = 0
        proto: cython.longlong = 0
        if end - at < 42:
            return 0
        if linktype == 1:
            ethertype = self.u16(at + 12)
            outer = at + 14
        elif linktype == 113:
            ethertype = self.u16(at + 14)
            outer = at + 16
        elif linktype == 276:
            ethertype = self.u16(at)
            outer = at + 20
        else:
            return 0
        if ethertype == 0x8100:
            tag = outer
            ethertype = self.u16(outer + 2)
            outer += 4
        first = self.ip_kind(ethertype)
        kind = first
        ip = outer
        while True:
            proto = self.usual_ip(ip, end, kind)
            if proto < 0:
                return 0
            if kind == 4:
                next_ = ip + 20
                end = ip + self.u16(ip + 2)
            else:
                next_ = ip + 40
                end = next_ + self.u16(ip + 4)
            if proto == 6:
                if next_ + 20 > end:
                    return 0
                size = (self.buf[next_ + 12] >> 4) * 4
                if size < 20 or next_ + size > end:
                    return 0
                break
            if proto == 17 and self.usual_udp(next_, end) != 0:
                break
            if encap != 0:
                return 0
            if proto == 4 or proto == 41:
                encap = ENCAP_IPIP
                ip = next_
                kind = 4
                if proto == 41:
                    kind = 6
            elif proto == 47 and next_ + 4 <= end:
                encap = ENCAP_GRE
                kind = self.ip_kind(self.u16(next_ + 2))
                size = self.u16(next_)
                if (size & 0xCFFF) != 0:
                    return 0
                ip = next_ + 4 + 4 * (size >> 13) + 4 * ((size >> 12) & 1)
            elif proto == 17 and next_ + 12 <= end and self.gue[self.u16(next_ + 2)] != 0:
                size = self.u16(next_ + 4)
                if size < 12 or next_ + size > end:
                    return 0
                end = next_ + size
                size = self.buf[next_ + 8]
                if (size >> 6) == 1:
                    encap = ENCAP_GUE1
                    ip = next_ + 8
                    kind = size >> 4
                elif (size >> 5) == 0:
                    encap = ENCAP_GUE
                    ip = next_ + 12 + 4 * (size & 31)
                    kind = self.buf[next_ + 9]
                    if kind == 41:
                        kind = 6
                    elif kind != 4:
                        return 0
                else:
                    return 0
            else:
                return 0
        self.write_link(at, linktype)
        self.o16[self.r16 + ETHERTYPE] = ethertype
        if tag != 0:
            self.o16[self.r16 + VLAN0] = self.u16(tag)
            self.o8[self.r8 + NVLAN] = 1
        self.o16[self.r16 + L3_AT] = outer - at
        self.o16[self.r16 + IN_AT] = ip - at
        self.o16[self.r16 + L4_AT] = next_ - at
        self.o8[self.r8 + DEPTH] = 1
        self.o8[self.r8 + PROTO] = proto
        self.write_ip(outer, 0, first)
        if encap != 0:
            self.o8[self.r8 + DEPTH] = 2
            self.write_ip(ip, 1, kind)
            self.o8[self.r8 + ENCAP + 1] = encap
            if encap != ENCAP_IPIP:
                self.write_tunnel(outer, first, ip, encap)
        if proto == 6:
            return self.write_tcp(next_, end, at, ip, kind)
        return self.write_udp(next_, at, ip, kind)

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def ip_kind(self, ethertype: cython.longlong) -> cython.longlong:
        """The version of IP that an EtherType announces, 0 for another protocol."""
        if ethertype == 0x0800:
            return 4
        if ethertype == 0x86DD:
            return 6
        return 0

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def usual_ip(self, at: cython.longlong, end: cython.longlong, kind: cython.longlong) -> cython.longlong:
        """The protocol behind the IP header at `at`, if the header is of the usual kind and all is there; else -1."""
        if kind == 4:
            if at + 20 > end or self.buf[at] != 0x45 or (self.u16(at + 6) & 0x3FFF) != 0:
                return -1
            if self.u16(at + 2) < 20 or at + self.u16(at + 2) > end:
                return -1
            return self.buf[at + 9]
        if (
            kind != 6
            or at + 40 > end
            or (self.buf[at] >> 4) != 6
            or self.u16(at + 4) == 0
            or at + 40 + self.u16(at + 4) > end
        ):
            return -1
        return self.buf[at + 6]

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def usual_udp(self, at: cython.longlong, end: cython.longlong) -> cython.longlong:
        """Whether a UDP header is at `at`, its datagram all there, and surely no tunnel in it."""
        size: cython.longlong = 0
        port: cython.longlong = 0
        first: cython.longlong = 0
        if at + 8 > end:
            return 0
        port = self.u16(at + 2)
        size = self.u16(at + 4)
        if size < 8 or at + size > end or self.gue[port] != 0 or port == 4789 or port == 6081:
            return 0
        if size < 32:
            return 1
        first = self.buf[at + 8]
        if (first >> 5) == 0 and (self.buf[at + 9] == 4 or self.buf[at + 9] == 41):
            return 0
        if (first >> 4) == 4 and self.u16(at + 10) == size - 8:
            return 0
        return 1

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def write_ip(self, at: cython.longlong, level: cython.longlong, kind: cython.longlong) -> cython.void:
        """The row's fields of the IP header at `at`."""
        total: cython.longlong = 0
        field: cython.longlong = 0
        sums: cython.ulonglong = 0
        low: cython.ulonglong = 0
        high: cython.ulonglong = 0
        if kind == 4:
            low = self.u32(at + 12)
            high = self.u32(at + 16)
            self.o64[self.r64 + SRC_LO + level] = V4_MAPPED | low
            self.o64[self.r64 + DST_LO + level] = V4_MAPPED | high
            sums = low + high + self.u32(at) + self.u32(at + 4) + self.u32(at + 8)
            sums = (sums & 0xFFFF) + ((sums >> 16) & 0xFFFF) + (sums >> 32)
            total = sums
            field = self.u16(at + 10)
            self.o32[self.r32 + IP_LEN + level] = self.u16(at + 2)
            self.o32[self.r32 + IP_ID + level] = self.u16(at + 4)
            self.o16[self.r16 + FRAG + level] = self.u16(at + 6)
            self.o16[self.r16 + IP_SUM + level] = field
            self.o16[self.r16 + HDR_LEN + level] = 20
            self.o8[self.r8 + TOS + level] = self.buf[at + 1]
            self.o8[self.r8 + TTL + level] = self.buf[at + 8]
            self.o8[self.r8 + NXT + level] = self.buf[at + 9]
            self.o8[self.r8 + NH + level] = self.buf[at + 9]
            self.o8[self.r8 + VER + level] = 4
            self.o8[self.r8 + SUM_STATE + level] = self.judge(field, total, 0)
        else:
            self.o64[self.r64 + SRC_HI + level] = self.u64(at + 8)
            self.o64[self.r64 + SRC_LO + level] = self.u64(at + 16)
            self.o64[self.r64 + DST_HI + level] = self.u64(at + 24)
            self.o64[self.r64 + DST_LO + level] = self.u64(at + 32)
            field = self.u32(at)
            self.o32[self.r32 + FLOW + level] = field & 0xFFFFF
            self.o32[self.r32 + IP_LEN + level] = self.u16(at + 4)
            self.o16[self.r16 + HDR_LEN + level] = 40
            self.o8[self.r8 + TOS + level] = (field >> 20) & 255
            self.o8[self.r8 + TTL + level] = self.buf[at + 7]
            self.o8[self.r8 + NXT + level] = self.buf[at + 6]
            self.o8[self.r8 + NH + level] = self.buf[at + 6]
            self.o8[self.r8 + VER + level] = 6

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def write_link(self, at: cython.longlong, linktype: cython.longlong) -> cython.void:
        """The row's fields of the link layer, as `link`."""
        has: cython.longlong = HAS_IP | HAS_L4 | HAS_ALL_PAYLOAD
        if linktype == 1:
            has |= HAS_ETH_SRC | HAS_ETH_DST
            self.o64[self.r64 + ETH_DST] = self.u64(at) >> 16
            self.o64[self.r64 + ETH_SRC] = self.u64(at + 6) >> 16
            self.o16[self.r16 + ETH_TYPE] = self.u16(at + 12)
        elif linktype == 113:
            self.o8[self.r8 + PKTTYPE] = self.buf[at + 1]
            if self.u16(at + 4) == 6:
                has |= HAS_ETH_SRC
                self.o64[self.r64 + ETH_SRC] = self.u64(at + 6) >> 16
        else:
            self.o32[self.r32 + IFINDEX] = self.u32(at + 4)
            self.o8[self.r8 + PKTTYPE] = self.buf[at + 10]
            if self.buf[at + 11] == 6:
                has |= HAS_ETH_SRC
                self.o64[self.r64 + ETH_SRC] = self.u64(at + 12) >> 16
        self.o8[self.r8 + HAS] = has

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def write_tunnel(
        self, outer: cython.longlong, kind: cython.longlong, inner: cython.longlong, encap: cython.longlong
    ) -> cython.void:
        """The row's fields of the GRE header, without a checksum, or the UDP and GUE headers between two IP headers."""
        at: cython.longlong = outer + 20
        size: cython.longlong = 0
        sums: cython.longlong = 0
        field: cython.longlong = 0
        pseudo: cython.longlong = 0
        if kind == 6:
            at = outer + 40
        if encap == ENCAP_GRE:
            self.o32[self.r32 + TUN_WORD] = self.u32(at)
            self.o8[self.r8 + TUN_HLEN] = inner - at
            if (self.u16(at) & 0x2000) != 0:
                self.o32[self.r32 + TUN_KEY] = self.u32(at + 4)
            return
        size = self.u16(at + 4)
        field = self.u16(at + 6)
        self.o16[self.r16 + TUN_SPORT] = self.u16(at)
        self.o16[self.r16 + TUN_DPORT] = self.u16(at + 2)
        self.o16[self.r16 + TUN_SUM] = field
        self.o8[self.r8 + TUN_HLEN] = inner - at - 8
        if encap == ENCAP_GUE:
            self.o32[self.r32 + TUN_WORD] = self.u32(at + 8)
        if field == 0:
            self.o8[self.r8 + TUN_STATE] = SUM_ABSENT
        else:
            pseudo = self.pseudo_sum(outer, kind, 17, size)
            sums = self.sum_words(at, size) + pseudo
            self.o8[self.r8 + TUN_STATE] = self.judge(field, sums, pseudo)

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def pseudo_sum(
        self, ip: cython.longlong, kind: cython.longlong, proto: cython.longlong, size: cython.longlong
    ) -> cython.longlong:
        """`pseudo` of the IP header at `ip`, unchecked."""
        sums: cython.ulonglong = proto + (size & 0xFFFF) + (size >> 16)
        if kind == 4:
            sums = sums + self.u32(ip + 12) + self.u32(ip + 16)
        else:
            sums = sums + self.u32(ip + 8) + self.u32(ip + 12) + self.u32(ip + 16) + self.u32(ip + 20)
            sums = sums + self.u32(ip + 24) + self.u32(ip + 28) + self.u32(ip + 32) + self.u32(ip + 36)
        sums = (sums & 0xFFFF) + ((sums >> 16) & 0xFFFF) + (sums >> 32)
        sums = (sums & 0xFFFF) + (sums >> 16)
        return (sums & 0xFFFF) + (sums >> 16)

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(check=False)
    def write_payload(self, at: cython.longlong, end: cython.longlong, start: cython.longlong) -> cython.longlong:
        """`payload` of a whole packet that started at `start`: all of ``buf[at:end]``; its sum."""
        total: cython.longlong = 0
        self.o16[self.r16 + PAYLOAD_AT] = at - start
        if end > at:
            self.o32[self.r32 + PAYLOAD_LEN] = end - at
            total = self.weigh_words(at, end - at)
            self.o64[self.r64 + FP] = self.hash
        return total

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=False)
    def write_tcp(
        self,
        at: cython.longlong,
        end: cython.longlong,
        start: cython.longlong,
        ip: cython.longlong,
        kind: cython.longlong,
    ) -> cython.longlong:
        """The row's fields of the TCP segment ``buf[at:end]``, its header all there."""
        word: cython.longlong = self.u32(at + 12)
        last: cython.longlong = self.u32(at + 16)
        seq: cython.longlong = self.u32(at + 4)
        ack: cython.longlong = self.u32(at + 8)
        ports: cython.longlong = self.u32(at)
        sums: cython.longlong = ports + seq + ack + word + last
        header: cython.longlong = (word >> 28) * 4
        pseudo: cython.longlong = self.pseudo_sum(ip, kind, 6, end - at)
        self.o32[self.r32 + SEQ] = seq
        self.o32[self.r32 + ACK] = ack
        self.o16[self.r16 + SPORT] = ports >> 16
        self.o16[self.r16 + DPORT] = ports & 0xFFFF
        self.o16[self.r16 + TCP_FLAGS] = (word >> 16) & 0xFFF
        self.o16[self.r16 + WINDOW] = word & 0xFFFF
        self.o16[self.r16 + L4_SUM] = last >> 16
        self.o16[self.r16 + URGENT] = last & 0xFFFF
        if header == 32 and self.u32(at + 20) == 0x0101080A:  # as most hosts write timestamps
            sums += self.weigh_words(at + 20, 12)
            self.o64[self.r64 + OPT_FP] = self.hash
            self.o32[self.r32 + TSVAL] = self.u32(at + 24)
            self.o32[self.r32 + TSECR] = self.u32(at + 28)
        elif header > 20:
            sums += self.options(at + 20, at + header)
        sums += self.write_payload(at + header, end, start)
        sums = (sums & 0xFFFF) + (sums >> 16) + pseudo
        self.o8[self.r8 + L4_STATE] = self.judge(last >> 16, (sums & 0xFFFF) + (sums >> 16), pseudo)
        return 1

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=False)
    def write_udp(
        self, at: cython.longlong, start: cython.longlong, ip: cython.longlong, kind: cython.longlong
    ) -> cython.longlong:
        """The row's fields of the UDP datagram at `at`, all of it there."""
        ports: cython.longlong = self.u32(at)
        last: cython.longlong = self.u32(at + 4)
        size: cython.longlong = last >> 16
        field: cython.longlong = last & 0xFFFF
        sums: cython.longlong = ports + last
        pseudo: cython.longlong = 0
        self.o16[self.r16 + SPORT] = ports >> 16
        self.o16[self.r16 + DPORT] = ports & 0xFFFF
        self.o16[self.r16 + UDP_LEN] = size
        self.o16[self.r16 + L4_SUM] = field
        sums += self.write_payload(at + 8, at + size, start)
        if field != 0:
            pseudo = self.pseudo_sum(ip, kind, 17, size)
            sums = (sums & 0xFFFF) + (sums >> 16) + pseudo
            self.o8[self.r8 + L4_STATE] = self.judge(field, (sums & 0xFFFF) + (sums >> 16), pseudo)
        elif kind == 4:
            self.o8[self.r8 + L4_STATE] = SUM_ABSENT
        else:
            self.o8[self.r8 + L4_STATE] = SUM_ZERO
        return 1

    # --- one packet -----------------------------------------------------------------------------------------------

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def decode(
        self, at: cython.longlong, caplen: cython.longlong, wirelen: cython.longlong, linktype: cython.longlong
    ) -> cython.longlong:
        """Decode the packet at `at` into the open row."""
        kind: cython.longlong = 0
        self.touch(at, at + caplen + 7)
        self.o32[self.r32 + CAPLEN] = caplen
        self.o32[self.r32 + WIRELEN] = wirelen
        self.o16[self.r16 + LINKTYPE] = linktype & 0xFFFF
        if wirelen <= caplen and self.usual(at, at + caplen, linktype) == 1:
            return 0
        self.start = at
        self.cap = at + caplen
        self.limit = self.cap
        if wirelen > caplen:
            self.limit = at + wirelen
        self.cap_by = BY_CAPTURE
        self.limit_by = BY_CAPTURE
        self.level = -1
        self.fragmented = 0
        self.quoting = 0
        self.own_fragment = 0
        self.encap = 0
        kind = self.link(at, linktype)
        if kind != 0:
            self.network(kind)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def link(self, at: cython.longlong, linktype: cython.longlong) -> cython.longlong:
        """The link layer: 4, 6 or ANY_IP where a network header follows, at `inner_at`; else 0."""
        family: cython.longlong = 0
        if linktype == 1:
            if self.room(at, 14, LAYER_LINK) == 0:
                return 0
            self.o64[self.r64 + ETH_DST] = self.b48(at)
            self.o64[self.r64 + ETH_SRC] = self.b48(at + 6)
            self.o16[self.r16 + ETH_TYPE] = self.b16(at + 12)
            self.mark(HAS_ETH_SRC | HAS_ETH_DST)
            return self.ethertype(at + 14, self.b16(at + 12))
        if linktype == 113:
            if self.room(at, 16, LAYER_LINK) == 0:
                return 0
            self.o8[self.r8 + PKTTYPE] = self.b16(at) & 255
            if self.b16(at + 4) == 6:
                self.o64[self.r64 + ETH_SRC] = self.b48(at + 6)
                self.mark(HAS_ETH_SRC)
            return self.ethertype(at + 16, self.b16(at + 14))
        if linktype == 276:
            if self.room(at, 20, LAYER_LINK) == 0:
                return 0
            self.o32[self.r32 + IFINDEX] = self.b32(at + 4)
            self.o8[self.r8 + PKTTYPE] = self.buf[at + 10]
            if self.buf[at + 11] == 6:
                self.o64[self.r64 + ETH_SRC] = self.b48(at + 12)
                self.mark(HAS_ETH_SRC)
            return self.ethertype(at + 20, self.b16(at))
        self.inner_at = at
        if linktype == 101 or linktype == 12 or linktype == 14:
            return ANY_IP
        if linktype == 228:
            return 4
        if linktype == 229:
            return 6
        if linktype == 0 or linktype == 108:
            if self.room(at, 4, LAYER_LINK) == 0:
                return 0
            family = self.b32(at)
            if family > 0xFFFF:  # the other machine's order: families are small numbers
                family = self.n32(at, 0)
            self.inner_at = at + 4
            if family == 2:
                return 4
            if family == 10 or family == 24 or family == 28 or family == 30:
                return 6
            return 0
        self.defect(DEFECT_LINKTYPE, LAYER_LINK, 0, 0, BY_CAPTURE)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def ethertype(self, at: cython.longlong, kind: cython.longlong) -> cython.longlong:
        """Tags and what follows them; as `link`. Source: IEEE 802.1Q-2018 s9."""
        tags: cython.longlong = 0
        while kind == 0x8100 or kind == 0x88A8 or kind == 0x9100 or kind == 0x9200:
            if self.room(at, 4, LAYER_LINK) == 0:
                self.o16[self.r16 + ETHERTYPE] = kind
                return 0
            if tags == 0:
                self.o16[self.r16 + VLAN0] = self.b16(at)
            elif tags == 1:
                self.o16[self.r16 + VLAN1] = self.b16(at)
            if kind == 0x88A8 and tags == self.o8[self.r8 + NSTAG] and tags < 255:
                self.o8[self.r8 + NSTAG] = tags + 1
            if tags < 255:
                tags += 1
            kind = self.b16(at + 2)
            at += 4
            self.o8[self.r8 + NVLAN] = tags
        self.o16[self.r16 + ETHERTYPE] = kind
        self.inner_at = at
        if kind == 0x0800:
            return 4
        if kind == 0x86DD:
            return 6
        if kind == 0x0806:
            self.arp(at)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def arp(self, at: cython.longlong) -> cython.longlong:
        """ARP for IPv4 over 6-octet addresses. Source: RFC 826."""
        if self.room(at, 8, LAYER_ARP) == 0:
            return 0
        if self.b16(at + 2) != 0x0800 or self.buf[at + 4] != 6 or self.buf[at + 5] != 4 or self.b16(at + 6) > 255:
            return 0
        if self.room(at, 28, LAYER_ARP) == 0:
            return 0
        self.o8[self.r8 + RES_OP] = self.b16(at + 6)
        self.o64[self.r64 + RES_SHA] = self.b48(at + 8)
        self.o64[self.r64 + RES_THA] = self.b48(at + 18)
        self.address(RES_SPA_HI, 1, 4, at + 14)
        self.address(RES_TPA_HI, 1, 4, at + 24)
        self.mark(HAS_RES)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def address(
        self, place: cython.longlong, apart: cython.longlong, version: cython.longlong, at: cython.longlong
    ) -> cython.longlong:
        """Write an address's halves, the low one `apart` fields behind the high one."""
        low: cython.ulonglong = 0
        if version == 4:
            low = self.b32(at)
            self.o64[self.r64 + place] = 0
            self.o64[self.r64 + place + apart] = V4_MAPPED | low
        else:
            self.o64[self.r64 + place] = self.b64(at)
            self.o64[self.r64 + place + apart] = self.b64(at + 8)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def network(self, kind: cython.longlong) -> cython.longlong:
        """IP headers from `inner_at` on, one level per header, then the innermost transport."""
        at: cython.longlong = 0
        go_on: cython.longlong = 0
        proto: cython.longlong = 0
        while kind != 0:
            if self.level + 1 == LEVELS:
                self.defect(DEFECT_TOO_DEEP, LAYER_IP, LEVELS + 1, LEVELS, BY_HEADER)
                self.encap = 0
                break
            go_on = self.ip(self.inner_at, kind)
            if go_on == 0:
                if self.level < 0:
                    return 0
                break
            if go_on == 2:
                return 0
            at = self.inner_at
            proto = self.o8[self.r8 + NXT + self.level]
            if self.own_fragment >= 8:  # a later fragment: no header of the next layer
                return self.opaque(at)
            kind = self.tunnel(proto, at)
        self.transport(proto, at)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def ip(self, at: cython.longlong, kind: cython.longlong) -> cython.longlong:
        """One IP header into the next level: 0 unreadable, 1 read (the next is at `inner_at`), 2 read, stop."""
        version: cython.longlong = 0
        if self.room(at, 1, LAYER_IP) == 0:
            return 0
        version = self.buf[at] >> 4
        if (version != 4 and version != 6) or (kind != ANY_IP and kind != version):
            self.defect(DEFECT_VERSION, LAYER_IP, kind, version, BY_HEADER)
            return 0
        if version == 4:
            if self.room(at, 20, LAYER_IP) == 0:
                return 0
            if (self.buf[at] & 15) < 5:
                self.defect(DEFECT_VERSION, LAYER_IP, 20, (self.buf[at] & 15) * 4, BY_HEADER)
                return 0
            self.next_level(at, 4)
            return self.ip4(at)
        if self.room(at, 40, LAYER_IP) == 0:
            return 0
        self.next_level(at, 6)
        return self.ip6(at)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def next_level(self, at: cython.longlong, version: cython.longlong) -> cython.longlong:
        """Open the level of the header at `at`."""
        self.level += 1
        self.ip_at = at
        self.own_fragment = 0
        self.o8[self.r8 + DEPTH] = self.level + 1
        self.o8[self.r8 + VER + self.level] = version
        self.o8[self.r8 + ENCAP + self.level] = self.encap
        if self.level == 0:
            self.o16[self.r16 + L3_AT] = self.rel(at)
            self.mark(HAS_IP)
        self.o16[self.r16 + IN_AT] = self.rel(at)
        if version == 4:
            self.psrc_at = at + 12
            self.pdst_at = at + 16
            self.address(SRC_HI + self.level, LEVELS, 4, at + 12)
            self.address(DST_HI + self.level, LEVELS, 4, at + 16)
        else:
            self.psrc_at = at + 8
            self.pdst_at = at + 24
            self.address(SRC_HI + self.level, LEVELS, 6, at + 8)
            self.address(DST_HI + self.level, LEVELS, 6, at + 24)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def claim(
        self,
        end: cython.longlong,
        need: cython.longlong,
        at: cython.longlong,
        by: cython.longlong,
        layer: cython.longlong,
    ) -> cython.longlong:
        """A length field says that the packet ends at `end`: a defect where more is claimed than there is."""
        if end > self.limit and self.fragmented == 0:
            self.defect(DEFECT_LENGTH, layer, need, self.limit - at, by)
        if self.limit < self.cap:
            self.cap = self.limit
            self.cap_by = self.limit_by
        self.limit = end
        self.limit_by = by
        if end < self.cap:
            self.cap = end
            self.cap_by = by
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def ip4(self, at: cython.longlong) -> cython.longlong:
        """The IPv4 header at `at`, of which 20 octets are there. Source: RFC 791 s3.1."""
        header: cython.longlong = (self.buf[at] & 15) * 4
        total: cython.longlong = self.b16(at + 2)
        fragment: cython.longlong = self.b16(at + 6)
        level: cython.longlong = self.level
        state: cython.longlong = SUM_UNVERIFIABLE
        self.o8[self.r8 + TOS + level] = self.buf[at + 1]
        self.o32[self.r32 + IP_LEN + level] = total
        self.o32[self.r32 + IP_ID + level] = self.b16(at + 4)
        self.o16[self.r16 + FRAG + level] = fragment
        self.o8[self.r8 + TTL + level] = self.buf[at + 8]
        self.o8[self.r8 + NXT + level] = self.buf[at + 9]
        self.o8[self.r8 + NH + level] = self.buf[at + 9]
        self.o8[self.r8 + PROTO] = self.buf[at + 9]
        self.o16[self.r16 + IP_SUM + level] = self.b16(at + 10)
        self.o16[self.r16 + HDR_LEN + level] = header
        if at + header <= self.cap:
            state = self.judge(self.b16(at + 10), self.add(at, header), 0)
        self.o8[self.r8 + SUM_STATE + level] = state
        if total != 0:  # 0: longer than 16 bits can say (TSO, BIG TCP), the frame's end is the packet's
            if total < header:
                self.defect(DEFECT_LENGTH, LAYER_IP, header, total, BY_IP_LEN)
                return 2
            self.claim(at + total, total, at, BY_IP_LEN, LAYER_IP)
        if self.room(at, header, LAYER_IP) == 0:
            return 2
        if header > 20:
            self.source_route(at + 20, at + header)
        self.fragment(fragment & 0x1FFF, fragment & 0x2000)
        self.inner_at = at + header
        return 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def source_route(self, at: cython.longlong, end: cython.longlong) -> cython.longlong:
        """A source route not yet at its end: the pseudo-header has its last address. Source: RFC 1122 s3.2.1.8."""
        size: cython.longlong = 0
        kind: cython.longlong = 0
        while at + 1 < end:
            kind = self.buf[at]
            if kind == 0:
                return 0
            if kind == 1:
                at += 1
                continue
            size = self.buf[at + 1]
            if size < 2 or at + size > end:
                return 0
            if (kind == 131 or kind == 137) and size >= 7 and self.buf[at + 2] < size:
                self.pdst_at = at + size - 4
            at += size
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def fragment(self, offset: cython.longlong, more: cython.longlong) -> cython.longlong:
        """Note whether this level is a fragment: `own_fragment` 0 no, 1 the first, 8 and above a later one."""
        if offset != 0:
            self.own_fragment = 8
        elif more != 0:
            self.own_fragment = 1
        if self.own_fragment != 0:
            self.fragmented = 1
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def ip6(self, at: cython.longlong) -> cython.longlong:
        """The IPv6 header at `at`, of which 40 octets are there, and its extension headers. Source: RFC 8200 s3, s4."""
        plen: cython.longlong = self.b16(at + 4)
        level: cython.longlong = self.level
        word: cython.longlong = self.b32(at)
        proto: cython.longlong = self.buf[at + 6]
        self.o8[self.r8 + TOS + level] = (word >> 20) & 255
        self.o32[self.r32 + FLOW + level] = word & 0xFFFFF
        self.o32[self.r32 + IP_LEN + level] = plen
        self.o8[self.r8 + TTL + level] = self.buf[at + 7]
        self.o8[self.r8 + NXT + level] = proto
        self.o8[self.r8 + NH + level] = proto
        self.o8[self.r8 + PROTO] = proto
        self.o16[self.r16 + HDR_LEN + level] = 40
        if plen != 0 or proto == 59:  # 0 otherwise: a jumbogram (RFC 2675) or BIG TCP, the frame's end is the packet's
            self.claim(at + 40 + plen, 40 + plen, at, BY_IP_LEN, LAYER_IP)
        return self.extensions(at + 40, proto)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def extensions(self, at: cython.longlong, proto: cython.longlong) -> cython.longlong:
        """Walk extension headers up to the transport or a later fragment's data; as `ip`."""
        size: cython.longlong = 0
        word: cython.longlong = 0
        level: cython.longlong = self.level
        while proto == 0 or proto == 43 or proto == 60 or proto == 44 or proto == 51:
            if self.room(at, 8, LAYER_IPV6_EXT) == 0:
                return 2
            size = (self.buf[at + 1] + 1) * 8
            if proto == 44:
                size = 8
                word = self.b16(at + 2)
                self.o32[self.r32 + IP_ID + level] = self.b32(at + 4)
                self.o16[self.r16 + FRAG + level] = (word >> 3) | ((word & 1) << 13)
                self.fragment(word >> 3, word & 1)
            elif proto == 51:
                size = (self.buf[at + 1] + 2) * 4
            if at + size > self.limit:
                self.defect(DEFECT_LENGTH, LAYER_IPV6_EXT, size, self.limit - at, BY_HEADER)
                return 2
            if self.room(at, size, LAYER_IPV6_EXT) == 0:
                return 2
            if proto == 43:
                self.routing(at, size)
            elif proto == 60:
                self.home_address(at + 2, at + size)
            proto = self.buf[at]
            at += size
            self.o8[self.r8 + NXT + level] = proto
            self.o8[self.r8 + PROTO] = proto
            self.o16[self.r16 + HDR_LEN + level] = (at - self.ip_at) & 0xFFFF
            if self.own_fragment >= 8:
                break
        self.inner_at = at
        return 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def routing(self, at: cython.longlong, size: cython.longlong) -> cython.longlong:
        """A routing header with segments left: the pseudo-header has its final address. Source: RFC 8200 s8.1, 8754."""
        if size < 24 or self.buf[at + 3] == 0:
            return 0
        if self.buf[at + 2] == 0:
            self.pdst_at = at + 8 + 16 * ((size - 8) // 16 - 1)
        elif self.buf[at + 2] == 2 or self.buf[at + 2] == 4:
            self.pdst_at = at + 8
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def home_address(self, at: cython.longlong, end: cython.longlong) -> cython.longlong:
        """A home address option: the pseudo-header has it as its source. Source: RFC 6275 s6.3, s11.3.1."""
        while at + 2 <= end:
            if self.buf[at] == 0:
                at += 1
                continue
            if self.buf[at] == 201 and self.buf[at + 1] == 16 and at + 18 <= end:
                self.psrc_at = at + 2
            at += 2 + self.buf[at + 1]
        return 0

    # --- tunnels --------------------------------------------------------------------------------------------------

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def tunnel(self, proto: cython.longlong, at: cython.longlong) -> cython.longlong:
        """If what follows the level at `at` carries an IP packet: its version (or ANY_IP), at `inner_at`; else 0."""
        kind: cython.longlong = 0
        if proto == 4 or proto == 41:
            self.encap = ENCAP_IPIP
            self.inner_at = at
            kind = 4
            if proto == 41:
                kind = 6
            if self.legible(at, kind):
                self.forget_tunnel()
            return kind
        if proto == 47:
            kind = self.gre(at, self.limit, self.cap)
            if kind != 0 and self.legible(self.inner_at, kind):
                self.forget_tunnel()
                self.keep_gre(at)
            return kind
        if proto == 17 and at + 8 <= self.cap:
            kind = self.udp_tunnel(at, self.limit, self.cap)
            if kind != 0 and self.legible(self.inner_at, kind):
                self.forget_tunnel()
                self.keep_udp_tunnel(at)
            return kind
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def legible(self, at: cython.longlong, kind: cython.longlong) -> cython.bint:
        """Whether the IP header at `at` will be the next level: else what is kept is still the tunnel before it."""
        version: cython.longlong = 0
        if self.level + 1 == LEVELS or at + 20 > self.cap:
            return False
        version = self.buf[at] >> 4
        if kind != ANY_IP and version != kind:
            return False
        if version == 4:
            return (self.buf[at] & 15) >= 5
        return version == 6 and at + 40 <= self.cap

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def forget_tunnel(self) -> cython.longlong:
        """Clear what an outer tunnel left: only the one next to the innermost packet is kept."""
        self.o32[self.r32 + TUN_WORD] = 0
        self.o32[self.r32 + TUN_KEY] = 0
        self.o16[self.r16 + TUN_SPORT] = 0
        self.o16[self.r16 + TUN_DPORT] = 0
        self.o16[self.r16 + TUN_SUM] = 0
        self.o8[self.r8 + TUN_STATE] = 0
        self.o8[self.r8 + TUN_HLEN] = 0
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def gre(self, at: cython.longlong, limit: cython.longlong, cap: cython.longlong) -> cython.longlong:
        """A version 0 GRE header that carries IP, directly or in Ethernet; as `tunnel`. Source: RFC 2784, 2890."""
        flags: cython.longlong = 0
        kind: cython.longlong = 0
        size: cython.longlong = 4
        if at + 4 > cap:
            return self.cut(at, 4, limit, cap, LAYER_GRE)
        flags = self.b16(at)
        kind = self.b16(at + 2)
        if (flags & 0x4007) != 0:  # routing (RFC 1701) or version 1 (PPTP)
            return 0
        if (flags & 0x8000) != 0:
            size += 4
        if (flags & 0x2000) != 0:
            size += 4
        if (flags & 0x1000) != 0:
            size += 4
        if at + size > cap:
            return self.cut(at, size, limit, cap, LAYER_GRE)
        self.encap = ENCAP_GRE
        self.inner_at = at + size
        if kind == 0x0800:
            return 4
        if kind == 0x86DD:
            return 6
        if kind == 0x6558:
            return self.inner_ethernet(at + size, limit, cap)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def cut(
        self,
        at: cython.longlong,
        size: cython.longlong,
        limit: cython.longlong,
        cap: cython.longlong,
        layer: cython.longlong,
    ) -> cython.longlong:
        """A tunnel's header is not all there: a defect where the snap length cut it, none where it is another thing."""
        if at + size <= limit and self.fragmented == 0:
            self.defect(DEFECT_TRUNCATED, layer, size, cap - at, self.cap_by)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def inner_ethernet(self, at: cython.longlong, limit: cython.longlong, cap: cython.longlong) -> cython.longlong:
        """An Ethernet frame in a tunnel that carries a plausible IP packet; as `tunnel`."""
        kind: cython.longlong = 0
        if at + 14 > cap:
            return self.cut(at, 14, limit, cap, LAYER_LINK)
        kind = self.b16(at + 12)
        at += 14
        while kind == 0x8100 or kind == 0x88A8 or kind == 0x9100:
            if at + 4 > cap:
                return self.cut(at, 4, limit, cap, LAYER_LINK)
            kind = self.b16(at + 2)
            at += 4
        self.inner_at = at
        if kind == 0x0800 and self.plausible(at, limit, cap) == 4:
            return 4
        if kind == 0x86DD and self.plausible(at, limit, cap) == 6:
            return 6
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def keep_gre(self, at: cython.longlong) -> cython.longlong:
        """Keep the GRE header's fields and judge its checksum, over header and payload."""
        flags: cython.longlong = self.b16(at)
        key_at: cython.longlong = at + 4
        self.o32[self.r32 + TUN_WORD] = self.b32(at)
        self.o8[self.r8 + TUN_HLEN] = (self.inner_at - at) & 255
        if (flags & 0x8000) != 0:
            key_at = at + 8
            self.o16[self.r16 + TUN_SUM] = self.b16(at + 4)
            if self.limit > self.cap or self.fragmented != 0:
                self.o8[self.r8 + TUN_STATE] = SUM_UNVERIFIABLE
            else:
                self.o8[self.r8 + TUN_STATE] = self.judge(self.b16(at + 4), self.add(at, self.limit - at), 0)
        if (flags & 0x2000) != 0:
            self.o32[self.r32 + TUN_KEY] = self.b32(key_at)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def udp_tunnel(self, at: cython.longlong, limit: cython.longlong, cap: cython.longlong) -> cython.longlong:
        """A UDP datagram to a tunnel's port that carries a plausible IP packet; as `tunnel`."""
        port: cython.longlong = self.b16(at + 2)
        size: cython.longlong = self.b16(at + 4)
        kind: cython.longlong = 0
        if size < 8:
            return 0
        if at + size < limit or self.fragmented != 0:
            limit = at + size
        if limit < cap:
            cap = limit
        if self.gue[port] != 0:
            return self.gue_payload(at + 8, limit, cap)
        if port != 4789 and port != 6081:
            return self.gue_anywhere(at, limit, cap)
        if at + 16 > cap:
            return self.cut(at + 8, 8, limit, cap, LAYER_GUE)
        if port == 4789:  # RFC 7348 s5: flag I
            if (self.buf[at + 8] & 0x08) == 0:
                return 0
            kind = self.inner_ethernet(at + 16, limit, cap)
            self.encap = ENCAP_VXLAN
            return kind
        if (self.buf[at + 8] & 0xC0) != 0:  # RFC 8926 s3.4: version 0
            return 0
        size = 8 + (self.buf[at + 8] & 0x3F) * 4
        kind = self.b16(at + 10)
        self.inner_at = at + 8 + size
        if kind == 0x6558:
            kind = self.inner_ethernet(self.inner_at, limit, cap)
        elif kind == 0x0800 or kind == 0x86DD:
            kind = self.plausible(self.inner_at, limit, cap)
        else:
            kind = 0
        self.encap = ENCAP_GENEVE
        return kind

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def gue_anywhere(self, at: cython.longlong, limit: cython.longlong, cap: cython.longlong) -> cython.longlong:
        """GUE on a port that nobody named: only what cannot be chance; as `tunnel`.

        The datagram must be filled to its last octet by an IP packet whose own header checksum is valid (IPv4) or whose
        next header is a transport's (IPv6). IPv6 without a GUE header is left alone: that is Teredo (RFC 4380 s2.7).
        """
        bare: cython.bint = False
        first: cython.longlong = 0
        inner: cython.longlong = at + 8
        total: cython.longlong = 0
        header: cython.longlong = 0
        if inner + 24 > cap:
            return 0
        first = self.buf[inner]
        if (first >> 5) == 0:
            if self.buf[inner + 1] != 4 and self.buf[inner + 1] != 41:
                return 0
            inner = inner + 4 + 4 * (first & 31)
        elif (first >> 6) == 1:
            bare = True
        else:
            return 0
        if inner + 20 > cap:
            return 0
        first = self.buf[inner] >> 4
        if first == 4:
            header = (self.buf[inner] & 15) * 4
            total = self.b16(inner + 2)
            if header < 20 or inner + header > cap or self.add(inner, header) != 0xFFFF:
                return 0
        elif first == 6 and not bare and inner + 40 <= cap:
            total = 40 + self.b16(inner + 4)
            header = self.buf[inner + 6]
            if header != 6 and header != 17 and header != 58:
                return 0
        else:
            return 0
        if inner + total != limit and (self.fragmented == 0 or inner + total < limit):
            return 0
        return self.gue_payload(at + 8, inner + total, cap)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def gue_payload(self, at: cython.longlong, limit: cython.longlong, cap: cython.longlong) -> cython.longlong:
        """GUE at `at`, variant 0 or 1; as `tunnel`. Source: draft-ietf-intarea-gue s3, s4."""
        first: cython.longlong = 0
        proto: cython.longlong = 0
        version: cython.longlong = 0
        if at + 4 > cap:
            return self.cut(at, 4, limit, cap, LAYER_GUE)
        first = self.buf[at]
        if (first >> 6) == 1:
            self.encap = ENCAP_GUE1
            self.inner_at = at
            return self.plausible(at, limit, cap)
        if (first >> 5) != 0:  # another version, or a control message
            return 0
        proto = self.buf[at + 1]
        if proto != 4 and proto != 41:
            return 0
        self.encap = ENCAP_GUE
        self.inner_at = at + 4 + 4 * (first & 31)
        version = self.plausible(self.inner_at, limit, cap)
        if (proto == 4 and version == 4) or (proto == 41 and version == 6):
            return version
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def plausible(self, at: cython.longlong, limit: cython.longlong, cap: cython.longlong) -> cython.longlong:
        """The version of an IP header at `at` whose lengths fit before `limit`; else 0."""
        version: cython.longlong = 0
        total: cython.longlong = 0
        if at + 20 > cap:
            return self.cut(at, 20, limit, cap, LAYER_IP)
        version = self.buf[at] >> 4
        if version == 4:
            total = self.b16(at + 2)
            if (self.buf[at] & 15) < 5 or total < (self.buf[at] & 15) * 4:
                return 0
        elif version == 6:
            if at + 40 > cap:
                return self.cut(at, 40, limit, cap, LAYER_IP)
            total = 40 + self.b16(at + 4)
        else:
            return 0
        if at + total > limit:
            return 0
        return version

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def keep_udp_tunnel(self, at: cython.longlong) -> cython.longlong:
        """Keep a UDP tunnel's fields and judge its checksum; 0 is allowed over IPv6 as well (RFC 6935 s5)."""
        size: cython.longlong = self.b16(at + 4)
        field: cython.longlong = self.b16(at + 6)
        key: cython.longlong = 0
        self.o16[self.r16 + TUN_SPORT] = self.b16(at)
        self.o16[self.r16 + TUN_DPORT] = self.b16(at + 2)
        self.o16[self.r16 + TUN_SUM] = field
        self.o8[self.r8 + TUN_HLEN] = (self.inner_at - at - 8) & 255
        if self.encap == ENCAP_GUE:
            self.o32[self.r32 + TUN_WORD] = self.b32(at + 8)
        elif self.encap != ENCAP_GUE1:
            key = self.b32(at + 12) >> 8
            self.o32[self.r32 + TUN_KEY] = key
        self.o8[self.r8 + TUN_STATE] = self.udp_state(at, size, field)
        if self.o8[self.r8 + TUN_STATE] == SUM_ZERO:
            self.o8[self.r8 + TUN_STATE] = SUM_ABSENT
        self.claim_udp(at, size)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def claim_udp(self, at: cython.longlong, size: cython.longlong) -> cython.longlong:
        """Let the UDP length bound what follows; in a fragment it speaks of the whole datagram, not of this part."""
        if self.own_fragment == 0:
            self.claim(at + size, size, at, BY_UDP_LEN, LAYER_UDP)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def udp_state(self, at: cython.longlong, size: cython.longlong, field: cython.longlong) -> cython.longlong:
        """State of the checksum of the UDP datagram at `at` with length field `size`, all in one pass."""
        pseudo: cython.longlong = 0
        if field == 0 and self.o8[self.r8 + VER + self.level] == 4:
            return SUM_ABSENT
        if field == 0:
            return SUM_ZERO
        if self.fragmented != 0 or size < 8 or at + size > self.cap:
            return SUM_UNVERIFIABLE
        pseudo = self.pseudo(17, size)
        return self.judge(field, self.add(at, size) + pseudo, pseudo)

    # --- transports -----------------------------------------------------------------------------------------------

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def transport(self, proto: cython.longlong, at: cython.longlong) -> cython.longlong:
        """The innermost packet's transport."""
        self.o16[self.r16 + L4_AT] = self.rel(at)
        if proto == 6:
            return self.tcp(at)
        if proto == 17:
            return self.udp(at)
        if proto == 1 and self.o8[self.r8 + VER + self.level] == 4:
            return self.icmp(at, 4)
        if proto == 58 and self.o8[self.r8 + VER + self.level] == 6:
            return self.icmp(at, 6)
        return self.opaque(at)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def opaque(self, at: cython.longlong) -> cython.longlong:
        """A payload without a header that is decoded: a later fragment's data, another protocol."""
        self.o16[self.r16 + L4_AT] = self.rel(at)
        self.payload(at)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def payload(self, at: cython.longlong) -> cython.longlong:
        """Keep place, length and fingerprint of the payload at `at`; its ones' complement sum."""
        total: cython.longlong = 0
        end: cython.longlong = self.limit
        self.o16[self.r16 + PAYLOAD_AT] = self.rel(at)
        if self.limit > at:
            self.o32[self.r32 + PAYLOAD_LEN] = self.limit - at
        if self.limit <= self.cap and at <= self.limit:
            self.mark(HAS_ALL_PAYLOAD)
        if self.cap < end:
            end = self.cap
        if end > at:
            total = self.digest(at, end - at)
            self.o64[self.r64 + FP] = self.hash
        return total

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def tcp(self, at: cython.longlong) -> cython.longlong:
        """TCP. Source: RFC 9293 s3.1."""
        header: cython.longlong = 0
        sums: cython.longlong = 0
        pseudo: cython.longlong = 0
        end: cython.longlong = 0
        if self.room(at, 20, LAYER_TCP) == 0:
            return 0
        self.mark(HAS_L4)
        self.o16[self.r16 + SPORT] = self.b16(at)
        self.o16[self.r16 + DPORT] = self.b16(at + 2)
        self.o32[self.r32 + SEQ] = self.b32(at + 4)
        self.o32[self.r32 + ACK] = self.b32(at + 8)
        header = (self.buf[at + 12] >> 4) * 4
        self.o16[self.r16 + TCP_FLAGS] = self.b16(at + 12) & 0xFFF
        self.o16[self.r16 + WINDOW] = self.b16(at + 14)
        self.o16[self.r16 + L4_SUM] = self.b16(at + 16)
        self.o16[self.r16 + URGENT] = self.b16(at + 18)
        self.o8[self.r8 + L4_STATE] = SUM_UNVERIFIABLE
        if header < 20:
            self.defect(DEFECT_LENGTH, LAYER_TCP, 20, header, BY_HEADER)
            return 0
        if at + header > self.limit:
            self.defect(DEFECT_LENGTH, LAYER_TCP, header, self.limit - at, BY_HEADER)
            return 0
        end = at + header
        if self.room(at, header, LAYER_TCP) == 0:
            end = self.cap
        sums = self.add(at, 20)
        if end > at + 20:
            sums += self.options(at + 20, end)
        sums += self.payload(at + header)
        if self.limit <= self.cap and self.fragmented == 0:
            pseudo = self.pseudo(6, self.limit - at)
            self.o8[self.r8 + L4_STATE] = self.judge(self.b16(at + 16), sums + pseudo, pseudo)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def options(self, at: cython.longlong, end: cython.longlong) -> cython.longlong:
        """TCP options: MSS, window scale, timestamps, a fingerprint of all; their sum. Source: RFC 9293 s3.2, 7323."""
        kind: cython.longlong = 0
        size: cython.longlong = 0
        total: cython.longlong = self.digest(at, end - at)
        self.o64[self.r64 + OPT_FP] = self.hash
        while at < end:
            kind = self.buf[at]
            if kind == 0:
                break
            if kind == 1:
                at += 1
                continue
            if at + 2 > end:
                break
            size = self.buf[at + 1]
            if size < 2 or at + size > end:
                break
            if kind == 2 and size == 4:
                self.o16[self.r16 + MSS] = self.b16(at + 2)
            elif kind == 3 and size == 3:
                self.o8[self.r8 + WSCALE] = (self.buf[at + 2] & 127) + 1
            elif kind == 8 and size == 10:
                self.o32[self.r32 + TSVAL] = self.b32(at + 2)
                self.o32[self.r32 + TSECR] = self.b32(at + 6)
            at += size
        return total

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def udp(self, at: cython.longlong) -> cython.longlong:
        """UDP. Source: RFC 768."""
        size: cython.longlong = 0
        sums: cython.longlong = 0
        pseudo: cython.longlong = 0
        field: cython.longlong = 0
        if self.room(at, 8, LAYER_UDP) == 0:
            return 0
        self.mark(HAS_L4)
        size = self.b16(at + 4)
        field = self.b16(at + 6)
        self.o16[self.r16 + SPORT] = self.b16(at)
        self.o16[self.r16 + DPORT] = self.b16(at + 2)
        self.o16[self.r16 + UDP_LEN] = size
        self.o16[self.r16 + L4_SUM] = field
        if size == 0 and self.limit - at > 65535:  # RFC 2675 s4
            size = self.limit - at
        if size < 8:
            self.defect(DEFECT_LENGTH, LAYER_UDP, 8, size, BY_UDP_LEN)
            self.o8[self.r8 + L4_STATE] = SUM_UNVERIFIABLE
            self.payload(at + 8)
            return 0
        self.claim_udp(at, size)
        sums = self.add(at, 8) + self.payload(at + 8)
        if field == 0 and self.o8[self.r8 + VER + self.level] == 4:
            self.o8[self.r8 + L4_STATE] = SUM_ABSENT
        elif field == 0:
            self.o8[self.r8 + L4_STATE] = SUM_ZERO
        elif self.fragmented != 0 or self.limit > self.cap:
            self.o8[self.r8 + L4_STATE] = SUM_UNVERIFIABLE
        else:
            pseudo = self.pseudo(17, size)
            self.o8[self.r8 + L4_STATE] = self.judge(field, sums + pseudo, pseudo)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def icmp(self, at: cython.longlong, version: cython.longlong) -> cython.longlong:
        """ICMP and ICMPv6, with the packet that an error quotes. Source: RFC 792, 4443."""
        sums: cython.longlong = 0
        pseudo: cython.longlong = 0
        kind: cython.longlong = 0
        if self.room(at, 8, LAYER_ICMP) == 0:
            return 0
        self.mark(HAS_L4)
        kind = self.buf[at]
        self.o8[self.r8 + ICMP_TYPE] = kind
        self.o8[self.r8 + ICMP_CODE] = self.buf[at + 1]
        self.o16[self.r16 + L4_SUM] = self.b16(at + 2)
        self.o32[self.r32 + SEQ] = self.b32(at + 4)
        sums = self.add(at, 8) + self.payload(at + 8)
        if self.fragmented != 0 or self.limit > self.cap:
            self.o8[self.r8 + L4_STATE] = SUM_UNVERIFIABLE
        else:
            if version == 6:
                pseudo = self.pseudo(58, self.limit - at)
            self.o8[self.r8 + L4_STATE] = self.judge(self.b16(at + 2), sums + pseudo, pseudo)
        if version == 4:
            if kind == 3 or kind == 4 or kind == 5 or kind == 11 or kind == 12:
                self.quoted(at + 8)
        elif kind >= 1 and kind <= 4:
            self.quoted(at + 8)
        elif kind >= 133 and kind <= 137:
            self.neighbour(at, kind)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def neighbour(self, at: cython.longlong, kind: cython.longlong) -> cython.longlong:
        """Neighbour discovery in the shape of ARP. Source: RFC 4861 s4."""
        options: cython.longlong = at + 8
        wanted: cython.longlong = 1
        if kind == 134:
            options = at + 16
        elif kind == 135:
            options = at + 24
        elif kind == 136:
            options = at + 24
            wanted = 2
        elif kind == 137:
            options = at + 40
            wanted = 2
        if self.room(at, options - at, LAYER_ICMP) == 0:
            return 0
        self.o8[self.r8 + RES_OP] = kind
        self.mark(HAS_RES)
        self.address(RES_SPA_HI, 1, 6, self.ip_at + 8)
        self.address(RES_TPA_HI, 1, 6, self.ip_at + 24)
        if kind == 135:
            self.address(RES_TPA_HI, 1, 6, at + 8)
        elif kind == 136:
            self.o8[self.r8 + RES_FLAGS] = self.buf[at + 4] >> 5
            self.address(RES_SPA_HI, 1, 6, at + 8)
        elif kind == 137:
            self.address(RES_SPA_HI, 1, 6, at + 8)
            self.address(RES_TPA_HI, 1, 6, at + 24)
        while options + 8 <= self.cap and self.buf[options + 1] != 0:
            if self.buf[options] == wanted:
                self.o64[self.r64 + RES_SHA] = self.b48(options + 2)
                break
            options += self.buf[options + 1] * 8
        return 0

    # --- the packet that an ICMP error quotes ---------------------------------------------------------------------

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def quoted(self, at: cython.longlong) -> cython.longlong:
        """The quoted packet, and the inner one where it is a tunnel packet; what is not there is no defect."""
        limit: cython.longlong = 0
        proto: cython.longlong = 0
        kind: cython.longlong = 0
        limit = self.quoted_ip(at, Q_VER, Q_SRC_HI, Q_ID)
        if limit == 0:
            return 0
        self.mark(HAS_QUOTE)
        self.quoting = 1
        at = self.inner_at
        if self.own_fragment >= 8:
            return 0
        proto = self.o8[self.r8 + Q_VER + 3]
        if proto == 4 or proto == 41:
            self.inner_at = at
            kind = ANY_IP
        elif proto == 47:
            kind = self.gre(at, limit, self.cap)
        elif proto == 17 and at + 8 <= self.cap:
            kind = self.udp_tunnel(at, limit, self.cap)
        if kind != 0 and self.quoted_ip(self.inner_at, QI_VER, QI_SRC_HI, QI_ID) != 0:
            self.mark(HAS_QUOTE_INNER)
            at = self.inner_at
            if self.own_fragment >= 8:
                return 0
            proto = self.o8[self.r8 + QI_VER + 3]
        return self.quoted_transport(at, proto)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def quoted_ip(
        self, at: cython.longlong, ver: cython.longlong, src: cython.longlong, id_: cython.longlong
    ) -> cython.longlong:
        """One quoted IP header into the fields from `ver`, `src`, `id_` on: the end that it claims, 0 if unreadable."""
        version: cython.longlong = 0
        header: cython.longlong = 0
        end: cython.longlong = 0
        word: cython.longlong = 0
        if at + 20 > self.cap:
            return 0
        version = self.buf[at] >> 4
        self.own_fragment = 0
        if version == 4 and (self.buf[at] & 15) >= 5:
            header = (self.buf[at] & 15) * 4
            word = self.b16(at + 6)
            self.o8[self.r8 + ver + 1] = self.buf[at + 1]
            self.o8[self.r8 + ver + 2] = self.buf[at + 8]
            self.o8[self.r8 + ver + 3] = self.buf[at + 9]
            self.o16[self.r16 + id_] = self.b16(at + 4)
            self.o16[self.r16 + id_ + 1] = self.b16(at + 2)
            self.address(src, 1, 4, at + 12)
            self.address(src + 2, 1, 4, at + 16)
            self.inner_at = at + header
            if (word & 0x1FFF) != 0:
                self.own_fragment = 8
            end = at + self.b16(at + 2)
        elif version == 6 and at + 40 <= self.cap:
            self.o8[self.r8 + ver + 1] = (self.b16(at) >> 4) & 255
            self.o8[self.r8 + ver + 2] = self.buf[at + 7]
            self.o16[self.r16 + id_ + 1] = self.b16(at + 4)
            self.address(src, 1, 6, at + 8)
            self.address(src + 2, 1, 6, at + 24)
            self.o8[self.r8 + ver + 3] = self.quoted_extensions(at + 40, self.buf[at + 6])
            end = at + 40 + self.b16(at + 4)
        else:
            return 0
        self.o8[self.r8 + ver] = version
        return end

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def quoted_extensions(self, at: cython.longlong, proto: cython.longlong) -> cython.longlong:
        """The protocol behind a quoted packet's extension headers, at `inner_at`."""
        while (proto == 0 or proto == 43 or proto == 60 or proto == 44 or proto == 51) and at + 8 <= self.cap:
            self.inner_at = at + (self.buf[at + 1] + 1) * 8
            if proto == 44:
                self.inner_at = at + 8
                if (self.b16(at + 2) >> 3) != 0:
                    self.own_fragment = 8
            elif proto == 51:
                self.inner_at = at + (self.buf[at + 1] + 2) * 4
            proto = self.buf[at]
            at = self.inner_at
            if self.own_fragment >= 8:
                break
        self.inner_at = at
        return proto

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def quoted_transport(self, at: cython.longlong, proto: cython.longlong) -> cython.longlong:
        """Ports and sequence number as far as they are quoted: 8 octets of transport at least (RFC 792)."""
        if proto == 6 or proto == 17:
            if at + 4 <= self.cap:
                self.o16[self.r16 + Q_SPORT] = self.b16(at)
                self.o16[self.r16 + Q_DPORT] = self.b16(at + 2)
            if proto == 6 and at + 8 <= self.cap:
                self.o32[self.r32 + Q_SEQ] = self.b32(at + 4)
        elif (proto == 1 or proto == 58) and at + 8 <= self.cap:
            self.o32[self.r32 + Q_SEQ] = self.b32(at + 4)
        return 0

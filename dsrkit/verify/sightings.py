# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: show_performance_hints=False
# mypy: ignore-errors
"""Sightings: what the compiled join has to know of a row, in eight words, made while the row is in the caches.

`Sighter.see` reads each row (`layout.RECORD`) once and boils it down (`looks.SIGHTING`): the *key*, a hash of every
field that no node of a rewriting path changes; the *place*, a hash of every field that depends on where the packet was
seen and not on which packet it is; the client's endpoint, which is its flow; its time. It needs nothing that other rows
say, so each file's rows are read by the thread that scans them.

Written in Cython's pure Python mode, in the dialect of `dsrkit.wire.scan`; it knows no mode, no role and no rule. No
index comes from a packet: rows are counted, and places in tables are masked to their size. So bounds are not checked
when compiled; interpreted they are, and tests compare the two.
"""

import cython

from dsrkit.verify import looks
from dsrkit.wire import layout

ROW = cython.declare(cython.Py_ssize_t, layout.RECORD.itemsize)
TS_NS = cython.declare(cython.Py_ssize_t, layout.place("ts_ns"))
FP = cython.declare(cython.Py_ssize_t, layout.place("fp"))
OPT_FP = cython.declare(cython.Py_ssize_t, layout.place("opt_fp"))
SRC_HI = cython.declare(cython.Py_ssize_t, layout.place("src_hi"))
SRC_LO = cython.declare(cython.Py_ssize_t, layout.place("src_lo"))
DST_HI = cython.declare(cython.Py_ssize_t, layout.place("dst_hi"))
DST_LO = cython.declare(cython.Py_ssize_t, layout.place("dst_lo"))
CAPLEN = cython.declare(cython.Py_ssize_t, layout.place("caplen"))
WIRELEN = cython.declare(cython.Py_ssize_t, layout.place("wirelen"))
SEQ = cython.declare(cython.Py_ssize_t, layout.place("seq"))
ACK = cython.declare(cython.Py_ssize_t, layout.place("ack"))
PAYLOAD_LEN = cython.declare(cython.Py_ssize_t, layout.place("payload_len"))
IP_ID = cython.declare(cython.Py_ssize_t, layout.place("ip_id"))
IP_LEN = cython.declare(cython.Py_ssize_t, layout.place("ip_len"))
FLOW_LABEL = cython.declare(cython.Py_ssize_t, layout.place("flow"))
PAYLOAD_AT = cython.declare(cython.Py_ssize_t, layout.place("payload_at"))
WINDOW = cython.declare(cython.Py_ssize_t, layout.place("window"))
URGENT = cython.declare(cython.Py_ssize_t, layout.place("urgent"))
SPORT = cython.declare(cython.Py_ssize_t, layout.place("sport"))
DPORT = cython.declare(cython.Py_ssize_t, layout.place("dport"))
TCP_FLAGS = cython.declare(cython.Py_ssize_t, layout.place("tcp_flags"))
TUN_SPORT = cython.declare(cython.Py_ssize_t, layout.place("tun_sport"))
L4_SUM = cython.declare(cython.Py_ssize_t, layout.place("l4_sum"))
FRAG = cython.declare(cython.Py_ssize_t, layout.place("frag"))
HAS = cython.declare(cython.Py_ssize_t, layout.place("has"))
DEPTH = cython.declare(cython.Py_ssize_t, layout.place("depth"))
PROTO = cython.declare(cython.Py_ssize_t, layout.place("proto"))
L4_STATE = cython.declare(cython.Py_ssize_t, layout.place("l4_state"))
DEFECT = cython.declare(cython.Py_ssize_t, layout.place("defect"))
VER = cython.declare(cython.Py_ssize_t, layout.place("ver"))

NEEDED = cython.declare(cython.longlong, layout.HAS_IP | layout.HAS_L4)
ASKED = cython.declare(cython.longlong, layout.HAS_IP | layout.HAS_L4 | layout.HAS_RES | layout.HAS_QUOTE)
HAS_QUOTE = cython.declare(cython.longlong, layout.HAS_QUOTE)
HAS_ALL_PAYLOAD = cython.declare(cython.longlong, layout.HAS_ALL_PAYLOAD)
SUM_UNVERIFIABLE = cython.declare(cython.longlong, layout.SUM_UNVERIFIABLE)

M64 = cython.declare(cython.ulonglong, 0xFFFFFFFFFFFFFFFF)
C1 = cython.declare(cython.ulonglong, 0x9E3779B97F4A7C15)
C2 = cython.declare(cython.ulonglong, 0xD6E8FEB86659FD93)
C3 = cython.declare(cython.ulonglong, 0xA0761D6478BD642F)
C4 = cython.declare(cython.ulonglong, 0xE7037ED1A0B428DB)
C5 = cython.declare(cython.ulonglong, 0x8EBC6AF09C88C6E3)

# words of a sighting
KEY = cython.declare(cython.Py_ssize_t, layout.place("key", looks.SIGHTING))
PLACE = cython.declare(cython.Py_ssize_t, layout.place("place", looks.SIGHTING))
FLOW = cython.declare(cython.Py_ssize_t, layout.place("flow", looks.SIGHTING))
TS = cython.declare(cython.Py_ssize_t, layout.place("ts", looks.SIGHTING))
NUMBERS = cython.declare(cython.Py_ssize_t, layout.place("numbers", looks.SIGHTING))
OUTER = cython.declare(cython.Py_ssize_t, layout.place("outer", looks.SIGHTING))
WHAT = cython.declare(cython.Py_ssize_t, layout.place("what", looks.SIGHTING))
SIZE = cython.declare(cython.Py_ssize_t, layout.place("ref", looks.SIGHTING))

_OFF = cython.declare(cython.ulonglong, looks.OFF)
_ALARM = cython.declare(cython.ulonglong, looks.ALARM)


@cython.final
@cython.cclass
class Sighter:
    """Boils rows down to sightings; each thread has one of its own."""

    # what is read of a row for its place: for each variant, where its words begin (in pairs); word and mask of each
    place_from: cython.longlong[::1]
    place_word: cython.longlong[::1]
    place_mask: cython.ulonglong[::1]
    # endpoints that serve: an open table of hashes
    serving: cython.ulonglong[::1]
    # rows that are read, and sightings that are written
    o8: cython.uchar[::1]
    o16: cython.ushort[::1]
    o32: cython.uint[::1]
    o64: cython.ulonglong[::1]
    out: cython.ulonglong[:, ::1]

    def attach(self, memory):
        """Take all tables, those of the endpoints that serve together with other sighters: a mapping of the names
        above to memoryviews of 64-bit numbers."""
        self.place_from, self.place_word = memory["place_from"], memory["place_word"]
        self.place_mask, self.serving = memory["place_mask"], memory["serving"]

    def see(self, rows, count: cython.longlong, file: cython.longlong, sightings):
        """Boil the first `count` rows of `rows` (octets) down to `sightings` (64-bit words, shape (m, 8)); `file`: the
        number of the file that they are of."""
        self.o8 = rows
        self.o16 = rows.cast("H")
        self.o32 = rows.cast("I")
        self.o64 = rows.cast("Q")
        self.out = sightings
        with cython.nogil:
            self.see_all(count, file)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def see_all(self, count: cython.longlong, file: cython.longlong) -> cython.longlong:
        """`see` without Python."""
        i: cython.longlong = 0
        if count * ROW > self.o8.shape[0]:
            count = self.o8.shape[0] // ROW
        if count > self.out.shape[0]:
            count = self.out.shape[0]
        for i in range(count):
            self.out[i, KEY] = 0
            self.out[i, PLACE] = 0
            self.out[i, FLOW] = 0
            self.out[i, NUMBERS] = 0
            self.out[i, OUTER] = 0
            self.out[i, WHAT] = 0
            self.out[i, TS] = self.o64[i * (ROW // 8) + TS_NS]
            self.out[i, SIZE] = self.o32[i * (ROW // 4) + WIRELEN]
            self.sight(i, file)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def sight(self, n: cython.longlong, file: cython.longlong) -> cython.longlong:
        """Row `n` into sighting `n`; its flow stays 0 where it belongs to no conversation of a known service."""
        at8: cython.longlong = n * ROW
        at16: cython.longlong = at8 // 2
        at32: cython.longlong = at8 // 4
        at64: cython.longlong = at8 // 8
        has: cython.longlong = self.o8[at8 + HAS]
        depth: cython.longlong = self.o8[at8 + DEPTH]
        proto: cython.longlong = self.o8[at8 + PROTO]
        level: cython.longlong = depth - 1
        flags: cython.longlong = self.o16[at16 + TCP_FLAGS]
        sport: cython.longlong = self.o16[at16 + SPORT]
        dport: cython.longlong = self.o16[at16 + DPORT]
        variant: cython.longlong = 0
        k: cython.longlong = 0
        end: cython.longlong = 0
        hi: cython.longlong = 0
        lo: cython.longlong = 0
        one: cython.ulonglong = 0
        other: cython.ulonglong = 0
        value: cython.ulonglong = 0
        to: cython.ulonglong = 0
        by: cython.ulonglong = 0
        extra: cython.ulonglong = 0
        window: cython.ulonglong = 0
        to_server: cython.longlong = 0
        to_client: cython.longlong = 0
        what: cython.ulonglong = 0
        length: cython.longlong = 0
        inner: cython.longlong = 0
        if (has & HAS_QUOTE) != 0:
            self.out[n, WHAT] = _ALARM
        if (has & ASKED) != NEEDED or depth < 1 or depth > 2 or (proto != 6 and proto != 17):
            return 0
        if self.o8[at8 + DEFECT] != 0 or (self.o16[at16 + FRAG + level] & 0x3FFF) != 0:
            return 0
        if depth == 2 and (self.o16[at16 + FRAG] & 0x3FFF) != 0:
            return 0
        if sport == 53 or dport == 53:  # names are looked at one by one
            return 0
        to = self.endpoint(self.o64[at64 + DST_HI + level], self.o64[at64 + DST_LO + level], dport, proto)
        by = self.endpoint(self.o64[at64 + SRC_HI + level], self.o64[at64 + SRC_LO + level], sport, proto)
        to_server = self.serves(to)
        to_client = self.serves(by)
        if to_server == to_client:
            return 0
        # the key: what no node on the way changes; two hashes go on side by side, of which none waits for the other
        hi = SRC_HI
        lo = SRC_LO
        value = sport
        if to_client != 0:
            hi = DST_HI
            lo = DST_LO
            value = dport
        one = self.mix(0, self.o64[at64 + hi + level])
        other = self.mix(C1, self.o64[at64 + lo + level])
        window = self.o16[at16 + WINDOW]
        one = self.mix(one, (value << 32) | (window << 16) | self.o16[at16 + URGENT])
        value = self.o32[at32 + IP_ID + level]
        other = self.mix(other, (value << 32) | self.o32[at32 + IP_LEN + level])
        value = self.o32[at32 + FLOW_LABEL + level]
        one = self.mix(one, (value << 32) | self.o32[at32 + PAYLOAD_LEN])
        value = self.o32[at32 + SEQ]
        value = (value << 32) | self.o32[at32 + ACK]
        self.out[n, NUMBERS] = value
        other = self.mix(other, value)
        if (has & HAS_ALL_PAYLOAD) != 0:
            one = self.mix(one, self.o64[at64 + FP])
        if self.o16[at16 + PAYLOAD_AT] <= self.o32[at32 + CAPLEN]:
            other = self.mix(other, self.o64[at64 + OPT_FP])
            extra = 1
        value = 0
        if self.o8[at8 + L4_STATE] == SUM_UNVERIFIABLE:
            value = self.o16[at16 + L4_SUM]
            value = value + 1
        self.out[n, KEY] = self.stir(self.mix(self.mix(one, value), other))
        # the place: what depends on where
        self.out[n, OUTER] = M64
        if depth == 2:
            # what stays between two places behind the load balancer
            value = self.o16[at16 + TUN_SPORT]
            self.out[n, OUTER] = (value << 32) | self.o32[at32 + IP_ID]
            length = self.o32[at32 + IP_LEN]
            inner = self.o32[at32 + IP_LEN + 1]
            extra += 2
            extra += (length - inner + 65536) << 8
            if self.o32[at32 + IP_ID] == 0:
                extra += 8
            elif self.o32[at32 + IP_ID] == self.o32[at32 + IP_ID + 1]:
                extra += 16
        variant = level * 2 + to_client
        one = file * 4 + variant
        other = extra & M64
        k = self.place_from[variant]
        end = self.place_from[variant + 1]
        while k < end:
            one = self.mix(one, self.o64[at64 + self.place_word[k]] & self.place_mask[k])
            other = self.mix(other, self.o64[at64 + self.place_word[k + 1]] & self.place_mask[k + 1])
            k += 2
        self.out[n, PLACE] = self.stir(self.mix(one, other))
        # the flow: the client's endpoint
        value = by
        if to_client != 0:
            value = to
        self.out[n, FLOW] = value
        what = flags & 0x1FF
        if proto == 17:
            what = 0x10
        elif (flags & 0x26) != 0 and (flags & 0x26) != 2:  # RST or URG
            what |= _OFF
            if (flags & 4) != 0:
                what |= _ALARM
        elif (flags & 0x12) == 0 or ((flags & 2) != 0 and self.o32[at32 + PAYLOAD_LEN] != 0):
            what |= _OFF
        # flags, direction, protocol, length of the packet
        length = self.o32[at32 + IP_LEN + level]
        if self.o8[at8 + VER + level] == 6:
            length += 40
        value = ((length & 0xFFFFFF) << 12) | proto
        self.out[n, WHAT] |= what | (to_client << 16) | (value << 20)
        return 0

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def wrapped(self, value: cython.ulonglong) -> cython.ulonglong:
        """A product or a sum modulo 2**64, which it is already when compiled."""
        if not cython.compiled:
            return value & M64
        return value

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(0, check=True)
    def stir(self, value: cython.ulonglong) -> cython.ulonglong:
        """Spread a sum over all 64 bits; never 0."""
        value = self.wrapped((value ^ (value >> 32)) * C2)
        value = self.wrapped((value ^ (value >> 29)) * C3)
        value = value ^ (value >> 32)
        if value == 0:
            return 1
        return value

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(check=False)
    def mix(self, state: cython.ulonglong, word: cython.ulonglong) -> cython.ulonglong:
        """A hash that goes on with one more word: different for any two words, and for any two states."""
        state = state ^ word
        return self.wrapped((state ^ (state >> 32)) * C2)

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(0, check=True)
    def endpoint(
        self, hi: cython.ulonglong, lo: cython.ulonglong, port: cython.ulonglong, proto: cython.ulonglong
    ) -> cython.ulonglong:
        """Hash of an address, a port and a protocol."""
        return self.stir(self.wrapped(hi * C1 + lo * C4 + ((port << 8) | proto) * C5))

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def serves(self, endpoint: cython.ulonglong) -> cython.longlong:
        """1 for an endpoint that serves."""
        size: cython.longlong = self.serving.shape[0]
        at: cython.longlong = endpoint & (size - 1)
        while self.serving[at] != 0:
            if self.serving[at] == endpoint:
                return 1
            at = (at + 1) & (size - 1)
        return 0

    def serve(self, hi: cython.ulonglong, lo: cython.ulonglong, port: cython.longlong, proto: cython.longlong):
        """Add an endpoint that serves; whoever gave the table saw to it that there is room."""
        size: cython.longlong = self.serving.shape[0]
        key: cython.ulonglong = self.endpoint(hi, lo, port, proto)
        at: cython.longlong = key & (size - 1)
        while self.serving[at] != 0 and self.serving[at] != key:
            at = (at + 1) & (size - 1)
        self.serving[at] = key

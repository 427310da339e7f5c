# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: show_performance_hints=False
# mypy: ignore-errors
"""The compiled join: sightings of one packet are put together, and what is plainly right is counted here.

`Join.add` reads each row (`layout.RECORD`) once and boils it down to four numbers: the *key*, a hash of every field
that no node of a rewriting path changes; the *place*, a hash of every field that depends on where the packet was seen
and not on which packet it is; its flow; and its time. `Join.group` puts equal keys together into journeys. The sum of a
journey's places is its *chain*: two journeys with one chain look the same at every point, field by field, so whatever
the tables say of one is true of the other. Which chains are right is not decided here: `fastpath` asks the judge once
for each. A flow with any other journey leaves the fast path with all its packets.

Written in Cython's pure Python mode, in the dialect of `dsrkit.wire.scan`; it knows no mode, no role and no rule. No
index comes from a packet: rows are counted, places in tables are masked to their size, and `fastpath` makes room
before. So bounds are not checked when compiled; interpreted they are, and tests compare the two.
"""

import cython

from dsrkit.wire import layout


def _place(name):
    """Index of a record field in units of its own width."""
    dtype, offset = layout.RECORD.fields[name][:2]
    return offset // dtype.base.itemsize


ROW = cython.declare(cython.Py_ssize_t, layout.RECORD.itemsize)
TS_NS = cython.declare(cython.Py_ssize_t, _place("ts_ns"))
FP = cython.declare(cython.Py_ssize_t, _place("fp"))
OPT_FP = cython.declare(cython.Py_ssize_t, _place("opt_fp"))
SRC_HI = cython.declare(cython.Py_ssize_t, _place("src_hi"))
SRC_LO = cython.declare(cython.Py_ssize_t, _place("src_lo"))
DST_HI = cython.declare(cython.Py_ssize_t, _place("dst_hi"))
DST_LO = cython.declare(cython.Py_ssize_t, _place("dst_lo"))
CAPLEN = cython.declare(cython.Py_ssize_t, _place("caplen"))
WIRELEN = cython.declare(cython.Py_ssize_t, _place("wirelen"))
SEQ = cython.declare(cython.Py_ssize_t, _place("seq"))
ACK = cython.declare(cython.Py_ssize_t, _place("ack"))
PAYLOAD_LEN = cython.declare(cython.Py_ssize_t, _place("payload_len"))
IP_ID = cython.declare(cython.Py_ssize_t, _place("ip_id"))
IP_LEN = cython.declare(cython.Py_ssize_t, _place("ip_len"))
PAYLOAD_AT = cython.declare(cython.Py_ssize_t, _place("payload_at"))
SPORT = cython.declare(cython.Py_ssize_t, _place("sport"))
DPORT = cython.declare(cython.Py_ssize_t, _place("dport"))
TCP_FLAGS = cython.declare(cython.Py_ssize_t, _place("tcp_flags"))
TUN_SPORT = cython.declare(cython.Py_ssize_t, _place("tun_sport"))
L4_SUM = cython.declare(cython.Py_ssize_t, _place("l4_sum"))
FRAG = cython.declare(cython.Py_ssize_t, _place("frag"))
HAS = cython.declare(cython.Py_ssize_t, _place("has"))
DEPTH = cython.declare(cython.Py_ssize_t, _place("depth"))
PROTO = cython.declare(cython.Py_ssize_t, _place("proto"))
L4_STATE = cython.declare(cython.Py_ssize_t, _place("l4_state"))
DEFECT = cython.declare(cython.Py_ssize_t, _place("defect"))
VER = cython.declare(cython.Py_ssize_t, _place("ver"))

NEEDED = cython.declare(cython.longlong, layout.HAS_IP | layout.HAS_L4)
ASKED = cython.declare(cython.longlong, layout.HAS_IP | layout.HAS_L4 | layout.HAS_RES | layout.HAS_QUOTE)
HAS_QUOTE = cython.declare(cython.longlong, layout.HAS_QUOTE)
HAS_ALL_PAYLOAD = cython.declare(cython.longlong, layout.HAS_ALL_PAYLOAD)
SUM_UNVERIFIABLE = cython.declare(cython.longlong, layout.SUM_UNVERIFIABLE)

C1 = cython.declare(cython.ulonglong, 0x9E3779B97F4A7C15)
C2 = cython.declare(cython.ulonglong, 0xD6E8FEB86659FD93)
C3 = cython.declare(cython.ulonglong, 0xA0761D6478BD642F)
C4 = cython.declare(cython.ulonglong, 0xE7037ED1A0B428DB)
C5 = cython.declare(cython.ulonglong, 0x8EBC6AF09C88C6E3)

# what is remembered of a flow, as bits
SLOW, ANSWERED, BEGUN, COUNTED, CLOSED, HEARD = 1, 2, 4, 8, 16, 32
_SLOW = cython.declare(cython.longlong, SLOW)
_ANSWERED = cython.declare(cython.longlong, ANSWERED)
_BEGUN = cython.declare(cython.longlong, BEGUN)
_COUNTED = cython.declare(cython.longlong, COUNTED)
_CLOSED = cython.declare(cython.longlong, CLOSED)
_HEARD = cython.declare(cython.longlong, HEARD)

# states of a class of journeys
UNKNOWN, RIGHT, WRONG = 0, 1, 2
_RIGHT = cython.declare(cython.longlong, RIGHT)
_WRONG = cython.declare(cython.longlong, WRONG)

# what becomes of a journey in one settlement
_DONE = cython.declare(cython.longlong, 1)
_WAITS = cython.declare(cython.longlong, 2)


@cython.final
@cython.cclass
class Join:
    """Entries of the rows that have come, and tables of endpoints, flows, chains and classes of journeys.

    All memory is given by `fastpath`; nothing grows here.
    """

    # how rows are read: for each variant, where its words begin, and word, shift, mask and factor of each
    key_from: cython.longlong[::1]
    key_word: cython.longlong[::1]
    key_shift: cython.longlong[::1]
    key_mask: cython.ulonglong[::1]
    key_factor: cython.ulonglong[::1]
    place_from: cython.longlong[::1]
    place_word: cython.longlong[::1]
    place_mask: cython.ulonglong[::1]
    place_factor: cython.ulonglong[::1]
    # rows that are read
    o8: cython.uchar[::1]
    o16: cython.ushort[::1]
    o32: cython.uint[::1]
    o64: cython.ulonglong[::1]
    i64: cython.longlong[::1]
    # endpoints that serve: an open table of hashes
    serving: cython.ulonglong[::1]
    # entries
    count: cython.longlong
    e_key: cython.ulonglong[::1]
    e_place: cython.ulonglong[::1]
    e_flow: cython.longlong[::1]
    e_ts: cython.longlong[::1]
    e_ref: cython.longlong[::1]
    e_word: cython.ulonglong[::1]
    e_outer: cython.longlong[::1]
    e_what: cython.longlong[::1]
    e_journey: cython.longlong[::1]
    # packets and octets by tap
    t_packets: cython.longlong[::1]
    t_octets: cython.longlong[::1]
    t_shift: cython.longlong[::1]
    # journeys of one settlement
    j_table: cython.longlong[::1]
    j_key: cython.ulonglong[::1]
    j_chain: cython.ulonglong[::1]
    j_outer: cython.longlong[::1]
    j_last: cython.longlong[::1]
    j_entry: cython.longlong[::1]
    j_class: cython.longlong[::1]
    j_fate: cython.longlong[::1]
    # flows
    flows: cython.longlong
    f_table: cython.longlong[::1]
    f_key: cython.ulonglong[::1]
    f_last: cython.longlong[::1]
    f_bits: cython.int[::1]
    f_server: cython.int[::1]
    f_acked: cython.longlong[::1]
    f_begin: cython.longlong[::1]
    f_open: cython.int[::1]
    f_held: cython.int[::1]
    f_hits: cython.longlong[::1]
    f_syn: cython.int[::1]
    f_answer: cython.int[::1]
    f_round: cython.int[::1]
    # chains and classes: open tables of hashes, and what is known of each
    h_key: cython.ulonglong[::1]
    h_server: cython.longlong[::1]
    c_table: cython.longlong[::1]
    c_key: cython.ulonglong[::1]
    c_state: cython.longlong[::1]
    c_count: cython.longlong[::1]
    c_octets: cython.longlong[::1]
    c_fresh: cython.longlong[::1]
    c_begun: cython.longlong[::1]
    c_round: cython.longlong[::1]
    classes: cython.longlong
    chains: cython.longlong
    served: cython.longlong
    # results
    r_slow: cython.longlong[::1]
    r_wait: cython.longlong[::1]
    r_open: cython.longlong[::1]
    r_new: cython.longlong[::1]
    slow: cython.longlong
    wait: cython.longlong
    opened: cython.longlong
    fresh: cython.longlong
    round: cython.longlong
    alarms: cython.longlong
    samples: cython.longlong

    def begin(self, samples: cython.longlong):
        """Know nothing; `samples`: so many of the flows to come go to the judge, as examples of what is right."""
        self.samples = samples
        self.count = self.flows = self.classes = self.chains = self.served = self.round = self.alarms = 0
        self.slow = self.wait = self.opened = self.fresh = self.made = 0

    def attach(self, memory):
        """Take all tables: a mapping of the names above to memoryviews of 64-bit numbers."""
        self.key_from, self.key_word, self.key_shift = memory["key_from"], memory["key_word"], memory["key_shift"]
        self.key_mask, self.key_factor = memory["key_mask"], memory["key_factor"]
        self.place_from, self.place_word = memory["place_from"], memory["place_word"]
        self.place_mask, self.place_factor = memory["place_mask"], memory["place_factor"]
        self.serving = memory["serving"]
        self.e_key, self.e_place, self.e_flow = memory["e_key"], memory["e_place"], memory["e_flow"]
        self.e_ts, self.e_ref, self.e_word = memory["e_ts"], memory["e_ref"], memory["e_word"]
        self.e_what, self.e_journey = memory["e_what"], memory["e_journey"]
        self.e_outer = memory["e_outer"]
        self.t_packets, self.t_octets, self.t_shift = memory["t_packets"], memory["t_octets"], memory["t_shift"]
        self.j_table, self.j_key, self.j_chain = memory["j_table"], memory["j_key"], memory["j_chain"]
        self.j_last, self.j_entry = memory["j_last"], memory["j_entry"]
        self.j_class, self.j_fate = memory["j_class"], memory["j_fate"]
        self.j_outer = memory["j_outer"]
        self.f_table, self.f_key, self.f_last = memory["f_table"], memory["f_key"], memory["f_last"]
        self.f_bits, self.f_server, self.f_acked = memory["f_bits"], memory["f_server"], memory["f_acked"]
        self.f_begin = memory["f_begin"]
        self.f_hits, self.f_syn, self.f_answer = memory["f_hits"], memory["f_syn"], memory["f_answer"]
        self.f_round, self.f_open, self.f_held = memory["f_round"], memory["f_open"], memory["f_held"]
        self.h_key, self.h_server = memory["h_key"], memory["h_server"]
        self.c_table, self.c_key, self.c_state = memory["c_table"], memory["c_key"], memory["c_state"]
        self.c_count, self.c_octets = memory["c_count"], memory["c_octets"]
        self.c_fresh, self.c_begun = memory["c_fresh"], memory["c_begun"]
        self.r_slow, self.r_wait, self.r_open = memory["r_slow"], memory["r_wait"], memory["r_open"]
        self.r_new, self.c_round = memory["r_new"], memory["c_round"]

    def reset(self):
        """Forget the entries, not what is known."""
        self.count = self.alarms = 0

    # --- reading rows ---------------------------------------------------------------------------------------------

    def add(self, rows, count: cython.longlong, taps, piece: cython.longlong, fresh: cython.longlong):
        """Enter the first `count` rows of `rows` (octets); `taps` are those of its rows, `piece` its number.

        `fresh`: rows that were not entered before are counted for their taps.
        """
        self.o8 = rows
        self.o16 = rows.cast("H")
        self.o32 = rows.cast("I")
        self.o64 = rows.cast("Q")
        self.i64 = rows.cast("q")
        tap_of: cython.longlong[::1] = taps
        with cython.nogil:
            self.enter(count, tap_of, piece, fresh)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def enter(
        self,
        count: cython.longlong,
        taps: cython.longlong[::1],
        piece: cython.longlong,
        fresh: cython.longlong,
    ) -> cython.longlong:
        """`add` without Python."""
        i: cython.longlong = 0
        n: cython.longlong = self.count
        room: cython.longlong = self.e_key.shape[0]
        tap: cython.longlong = 0
        while i < count and n < room:
            tap = taps[i]
            if fresh != 0:
                self.t_packets[tap] += 1
                self.t_octets[tap] += self.o32[i * (ROW // 4) + WIRELEN]
            self.e_ref[n] = (piece << 32) | i
            self.e_ts[n] = self.i64[i * (ROW // 8) + TS_NS] + self.t_shift[tap]
            self.e_flow[n] = -1
            self.e_what[n] = 0
            self.sight(i, tap, n)
            n += 1
            i += 1
        self.count = n
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def sight(self, row: cython.longlong, tap: cython.longlong, n: cython.longlong) -> cython.longlong:
        """One row into entry `n`; its flow stays -1 where it belongs to no conversation of a known service."""
        at8: cython.longlong = row * ROW
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
        m64: cython.ulonglong = 0x7FFFFFFF
        key: cython.ulonglong = 0
        place: cython.ulonglong = 0
        value: cython.ulonglong = 0
        to: cython.ulonglong = 0
        by: cython.ulonglong = 0
        extra: cython.ulonglong = 0
        to_server: cython.longlong = 0
        to_client: cython.longlong = 0
        length: cython.longlong = 0
        inner: cython.longlong = 0
        m64 = m64 * 2 + 1
        m64 = (m64 << 32) | m64
        if (has & HAS_QUOTE) != 0:
            self.alarms += 1
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
        variant = level * 2 + to_client
        # the key: what stays
        k = self.key_from[variant]
        end = self.key_from[variant + 1]
        while k < end:
            value = (self.o64[at64 + self.key_word[k]] >> self.key_shift[k]) & self.key_mask[k]
            key = (key + ((value ^ (value >> 32)) * self.key_factor[k] & m64)) & m64
            k += 1
        if (has & HAS_ALL_PAYLOAD) != 0:
            key = (key + (self.o64[at64 + FP] * C4 & m64)) & m64
        if self.o8[at8 + L4_STATE] == SUM_UNVERIFIABLE:
            value = self.o16[at16 + L4_SUM]
            key = (key + ((value + 1) * C5 & m64)) & m64
        if self.o16[at16 + PAYLOAD_AT] <= self.o32[at32 + CAPLEN]:
            key = (key + (self.o64[at64 + OPT_FP] * C3 & m64)) & m64
            extra = 1
        # the place: what depends on where
        self.e_outer[n] = -1
        if depth == 2:
            # what stays between two places behind the load balancer
            length = self.o16[at16 + TUN_SPORT]
            inner = self.o32[at32 + IP_ID]
            self.e_outer[n] = (length << 32) | inner
            length = self.o32[at32 + IP_LEN]
            inner = self.o32[at32 + IP_LEN + 1]
            extra += 2
            extra += (length - inner + 65536) << 8
            if self.o32[at32 + IP_ID] == 0:
                extra += 8
            elif self.o32[at32 + IP_ID] == self.o32[at32 + IP_ID + 1]:
                extra += 16
        k = self.place_from[variant]
        end = self.place_from[variant + 1]
        value = tap * 4 + variant + 1
        place = (value * C1 + (extra * C2 & m64)) & m64
        while k < end:
            value = self.o64[at64 + self.place_word[k]] & self.place_mask[k]
            place = (place + ((value ^ (value >> 32)) * self.place_factor[k] & m64)) & m64
            k += 1
        self.e_key[n] = self.stir(key)
        self.e_place[n] = self.stir(place)
        # the flow: the client's endpoint
        value = by
        if to_client != 0:
            value = to
        self.e_flow[n] = self.flow_of(value)
        value = self.o32[at32 + SEQ]
        self.e_word[n] = (value << 32) | self.o32[at32 + ACK]
        k = flags & 0x1FF
        if proto == 17:
            k = 0x10
        elif (flags & 0x26) != 0 and (flags & 0x26) != 2:  # RST or URG
            self.e_flow[n] = -2 - self.e_flow[n]
            if (flags & 4) != 0:
                self.alarms += 1
        elif (flags & 0x12) == 0 or ((flags & 2) != 0 and self.o32[at32 + PAYLOAD_LEN] != 0):
            self.e_flow[n] = -2 - self.e_flow[n]
        # flags, direction, protocol, length of the packet
        length = self.o32[at32 + IP_LEN + level]
        if self.o8[at8 + VER + level] == 6:
            length += 40
        length = length & 0xFFFFFF
        self.e_what[n] = k | (to_client << 16) | (proto << 20) | (length << 32)
        return 0

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(0, check=True)
    def stir(self, value: cython.ulonglong) -> cython.ulonglong:
        """Spread a sum over all 64 bits; never 0."""
        m64: cython.ulonglong = 0x7FFFFFFF
        m64 = m64 * 2 + 1
        m64 = (m64 << 32) | m64
        value = ((value ^ (value >> 32)) * C2) & m64
        value = ((value ^ (value >> 29)) * C3) & m64
        value = value ^ (value >> 32)
        if value == 0:
            return 1
        return value

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(0, check=True)
    def endpoint(
        self, hi: cython.ulonglong, lo: cython.ulonglong, port: cython.ulonglong, proto: cython.ulonglong
    ) -> cython.ulonglong:
        """Hash of an address, a port and a protocol."""
        m64: cython.ulonglong = 0x7FFFFFFF
        total: cython.ulonglong = 0
        m64 = m64 * 2 + 1
        m64 = (m64 << 32) | m64
        total = (hi * C1 & m64) + (lo * C4 & m64) + (((port << 8) | proto) * C5 & m64)
        return self.stir(total & m64)

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

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def flow_of(self, key: cython.ulonglong) -> cython.longlong:
        """A flow's number, a new one if it is new; -1 where there is no room for more."""
        size: cython.longlong = self.f_table.shape[0]
        at: cython.longlong = (key >> 7) & (size - 1)
        flow: cython.longlong = 0
        while self.f_table[at] != 0:
            flow = self.f_table[at] - 1
            if self.f_key[flow] == key:
                return flow
            at = (at + 1) & (size - 1)
        flow = self.flows
        if flow >= self.f_key.shape[0]:
            return -1
        self.flows += 1
        self.f_table[at] = flow + 1
        self.f_key[flow] = key
        self.f_last[flow] = 0
        self.f_bits[flow] = 0
        if self.samples > 0 and ((key >> 20) & 15) == 0:
            self.samples -= 1
            self.f_bits[flow] = _SLOW
        self.f_server[flow] = -1
        self.f_acked[flow] = -1
        self.f_begin[flow] = -1
        self.f_hits[flow] = 0
        self.f_round[flow] = -1
        self.f_held[flow] = -1
        return flow

    def rebuild(self, count: cython.longlong):
        """Put the flows that are left, after the older ones were dropped, into an empty table."""
        size: cython.longlong = self.f_table.shape[0]
        flow: cython.longlong
        at: cython.longlong
        self.flows = count
        for flow in range(count):
            at = (self.f_key[flow] >> 7) & (size - 1)
            while self.f_table[at] != 0:
                at = (at + 1) & (size - 1)
            self.f_table[at] = flow + 1

    # --- what is known --------------------------------------------------------------------------------------------

    def serve(self, hi: cython.ulonglong, lo: cython.ulonglong, port: cython.longlong, proto: cython.longlong):
        """Add an endpoint that serves, if there is room."""
        size: cython.longlong = self.serving.shape[0]
        key: cython.ulonglong = self.endpoint(hi, lo, port, proto)
        at: cython.longlong = key & (size - 1)
        if self.served * 2 >= size:
            return
        while self.serving[at] != 0 and self.serving[at] != key:
            at = (at + 1) & (size - 1)
        if self.serving[at] == 0:
            self.served += 1
        self.serving[at] = key

    def learn(self, chain: cython.ulonglong, own: cython.longlong):
        """Learn a chain, if there is room; `own`: the server that its journeys' own addresses name, -1 where only
        other packets do."""
        size: cython.longlong = self.h_key.shape[0]
        at: cython.longlong = chain & (size - 1)
        if self.chains * 2 >= size:
            return
        while self.h_key[at] != 0 and self.h_key[at] != chain:
            at = (at + 1) & (size - 1)
        if self.h_key[at] == 0:
            self.chains += 1
        self.h_key[at] = chain
        self.h_server[at] = own

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(0, check=True)
    def class_key(self, chain: cython.ulonglong, server: cython.longlong) -> cython.ulonglong:
        m64: cython.ulonglong = 0x7FFFFFFF
        value: cython.ulonglong = server + 2
        m64 = m64 * 2 + 1
        m64 = (m64 << 32) | m64
        return self.stir((chain + (value * C5 & m64)) & m64)

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def chain_at(self, chain: cython.ulonglong) -> cython.longlong:
        """Where a chain stands, 0 and above, or below 0 if it is not known."""
        size: cython.longlong = self.h_key.shape[0]
        at: cython.longlong = chain & (size - 1)
        while self.h_key[at] != 0:
            if self.h_key[at] == chain:
                return at
            at = (at + 1) & (size - 1)
        return -2

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def class_at(self, chain: cython.ulonglong, server: cython.longlong) -> cython.longlong:
        """The class of journeys with this chain and server, a new one if it is new; -2 where there are too many."""
        key: cython.ulonglong = self.class_key(chain, server)
        size: cython.longlong = self.c_table.shape[0]
        at: cython.longlong = key & (size - 1)
        while self.c_table[at] != 0:
            if self.c_key[self.c_table[at] - 1] == key:
                return self.c_table[at] - 1
            at = (at + 1) & (size - 1)
        if self.classes * 4 >= size:
            return -2
        self.c_key[self.classes] = key
        self.classes += 1
        self.c_table[at] = self.classes
        return self.classes - 1

    # --- settling -------------------------------------------------------------------------------------------------

    def group(self):
        """Put entries together into journeys; how many of them, in `r_new`, have a chain that is not known.

        Each such chain is there once, by its first journey.
        """
        with cython.nogil:
            self.gather()
            self.unknown_chains()
        return self.fresh

    def classify(self):
        """Find each journey's flow, server and class; how many, in `r_new`, are of a class that nobody has judged.

        Each such class is there once: journey, class.
        """
        with cython.nogil:
            self.assign()
        return self.fresh

    def settle(
        self,
        edge: cython.longlong,
        horizon: cython.longlong,
        release: cython.longlong,
    ):
        """Decide about all journeys, and empty the entries: counted, to be entered again (`r_wait`), or for the judge
        (`r_slow`).

        Journeys newer than `edge` wait for copies of their packets; those newer than `horizon`, if they are unknown,
        for sightings that are missing, and, if they begin a conversation, for its answer. `release`: nothing waits for
        an answer, for something speaks of such a conversation. Times are ns.
        """
        with cython.nogil:
            self.decide(edge, horizon, release)
            self.hand_out()
        self.count = 0
        self.alarms = 0
        return self.slow, self.wait, self.opened

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def unknown_chains(self) -> cython.longlong:
        """List journeys whose chain is not known, one for each chain as far as neighbours tell."""
        j: cython.longlong = 0
        k: cython.longlong = 0
        new: cython.longlong = 0
        self.fresh = 0
        for j in range(self.made):
            if self.chain_at(self.j_chain[j]) >= 0:
                continue
            new = 1
            k = self.fresh - 64
            if k < 0:
                k = 0
            while k < self.fresh:
                if self.j_chain[self.r_new[k]] == self.j_chain[j]:
                    new = 0
                    break
                k += 1
            if new != 0 and self.fresh < 128:
                self.r_new[self.fresh] = j
                self.fresh += 1
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def assign(self) -> cython.longlong:
        """Flows' servers and first packets, and classes."""
        j: cython.longlong = 0
        n: cython.longlong = 0
        at: cython.longlong = 0
        own: cython.longlong = 0
        flow: cython.longlong = 0
        what: cython.longlong = 0
        kind: cython.longlong = 0
        for j in range(self.made):
            n = self.j_entry[j]
            flow = self.e_flow[n]
            what = self.e_what[n]
            at = self.chain_at(self.j_chain[j])
            self.j_class[j] = at
            if at >= 0:
                own = self.h_server[at]
                if own >= 0:
                    if self.f_server[flow] < 0:
                        self.f_server[flow] = own
                    elif self.f_server[flow] != own:
                        self.f_bits[flow] |= _SLOW
            if self.f_round[flow] != self.round:
                self.f_round[flow] = self.round
                self.f_syn[flow] = -1
                self.f_answer[flow] = -1
                self.f_open[flow] = 0
            if (what & 2) != 0:
                if (what & 0x10) == 0:
                    # one that is sent again begins nothing
                    if (what >> 16) & 1 != 0 or self.f_syn[flow] >= 0 or self.f_begin[flow] == self.half(n, 32):
                        self.f_bits[flow] |= _SLOW
                    self.f_syn[flow] = j
                elif (what >> 16) & 1 != 0:
                    self.f_answer[flow] = j
                else:
                    self.f_bits[flow] |= _SLOW
        self.fresh = 0
        for j in range(self.made):
            at = self.j_class[j]
            kind = -2
            if at >= 0:
                own = self.h_server[at]
                if own < 0:
                    own = self.f_server[self.e_flow[self.j_entry[j]]]
                kind = self.class_at(self.j_chain[j], own)
                if kind >= 0 and self.c_state[kind] == 0 and self.c_round[kind] != self.round and self.fresh < 128:
                    self.c_round[kind] = self.round
                    self.r_new[self.fresh * 2] = j
                    self.r_new[self.fresh * 2 + 1] = kind
                    self.fresh += 1
            self.j_class[j] = kind
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def gather(self) -> cython.longlong:
        """Entries into journeys, by their keys."""
        size: cython.longlong = self.j_table.shape[0]
        n: cython.longlong = 0
        j: cython.longlong = 0
        at: cython.longlong = 0
        made: cython.longlong = 0
        flow: cython.longlong = 0
        key: cython.ulonglong = 0
        m64: cython.ulonglong = 0x7FFFFFFF
        m64 = m64 * 2 + 1
        m64 = (m64 << 32) | m64
        self.round += 1
        for at in range(size):
            self.j_table[at] = 0
        for n in range(self.count):
            flow = self.e_flow[n]
            self.e_journey[n] = -1
            if flow < -1:
                self.f_bits[-2 - flow] |= _SLOW
            if flow < 0:
                continue
            key = self.e_key[n]
            at = (key >> 9) & (size - 1)
            j = -1
            while self.j_table[at] != 0:
                j = self.j_table[at] - 1
                if self.j_key[j] == key:
                    break
                j = -1
                at = (at + 1) & (size - 1)
            if j < 0:
                j = made
                made += 1
                self.j_table[at] = made
                self.j_key[j] = key
                self.j_chain[j] = 0
                self.j_last[j] = self.e_ts[n]
                self.j_entry[j] = n
                self.j_fate[j] = 0
                self.j_outer[j] = self.e_outer[n]
            self.e_journey[n] = j
            if self.e_outer[n] >= 0:
                if self.j_outer[j] >= 0 and self.j_outer[j] != self.e_outer[n]:
                    self.f_bits[flow] |= _SLOW
                self.j_outer[j] = self.e_outer[n]
            self.j_chain[j] = (self.j_chain[j] + self.e_place[n]) & m64
            if self.e_ts[n] > self.j_last[j]:
                self.j_last[j] = self.e_ts[n]
            if flow != self.e_flow[self.j_entry[j]]:
                self.f_bits[flow] |= _SLOW
                self.f_bits[self.e_flow[self.j_entry[j]]] |= _SLOW
        self.made = made
        return 0

    made: cython.longlong

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def decide(self, edge: cython.longlong, horizon: cython.longlong, release: cython.longlong) -> cython.longlong:
        """What becomes of each journey, and which flows leave the fast path."""
        j: cython.longlong = 0
        n: cython.longlong = 0
        flow: cython.longlong = 0
        what: cython.longlong = 0
        for j in range(self.made):
            self.judge(j, edge, horizon)
        # a flow is counted in the order of its packets: what comes behind one that waits, waits
        for j in range(self.made):
            if self.j_fate[j] == _DONE and self.f_held[self.e_flow[self.j_entry[j]]] == self.round:
                self.j_fate[j] = _WAITS
        # first packets that were answered, or whose client goes on, as only who was answered does
        for j in range(self.made):
            n = self.j_entry[j]
            flow = self.e_flow[n]
            if (self.f_bits[flow] & _SLOW) == 0:
                self.converse(j, n, flow)
        for j in range(self.made):
            n = self.j_entry[j]
            flow = self.e_flow[n]
            what = self.e_what[n]
            if (self.f_bits[flow] & _SLOW) != 0 or self.j_fate[j] != _DONE:
                continue
            if (self.f_syn[flow] == j and self.f_open[flow] == 0) or (
                (what >> 20) & 0xFF == 17 and (self.f_bits[flow] & _ANSWERED) == 0
            ):
                # not answered yet
                if release == 0 and self.j_last[j] > horizon:
                    self.j_fate[j] = _WAITS
                else:
                    self.f_bits[flow] |= _SLOW
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def judge(self, j: cython.longlong, edge: cython.longlong, horizon: cython.longlong) -> cython.longlong:
        """Whether a journey is done, waits, or takes its flow off the fast path."""
        flow: cython.longlong = self.e_flow[self.j_entry[j]]
        kind: cython.longlong = self.j_class[j]
        if kind >= 0 and self.c_state[kind] == _RIGHT:
            self.j_fate[j] = _DONE
            if self.j_last[j] > edge:
                self.j_fate[j] = _WAITS
        elif self.j_last[j] > horizon and (kind < 0 or self.c_state[kind] != _WRONG):
            self.j_fate[j] = _WAITS
            self.f_held[flow] = self.round
        else:
            self.f_bits[flow] |= _SLOW
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def converse(self, j: cython.longlong, n: cython.longlong, flow: cython.longlong) -> cython.longlong:
        """Whether the conversation's first packet is answered (`f_open`), as far as this journey tells."""
        what: cython.longlong = self.e_what[n]
        syn: cython.longlong = self.f_syn[flow]
        next_: cython.longlong = 0
        m32: cython.longlong = 0x7FFFFFFF
        m32 = m32 * 2 + 1
        if (what >> 20) & 0xFF == 17:
            if (what >> 16) & 1 != 0 and self.j_fate[j] == _DONE:
                self.f_bits[flow] |= _ANSWERED
            return 0
        if syn < 0:
            return 0
        next_ = (self.half(self.j_entry[syn], 32) + 1) & m32
        if syn == j:
            if self.f_acked[flow] == next_:
                self.f_open[flow] = 1
        elif self.acknowledges(n, what) == next_:
            self.f_open[flow] = 1
        return 0

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def half(self, n: cython.longlong, shift: cython.longlong) -> cython.longlong:
        """An entry's sequence number (shift 32) or acknowledgement (shift 0)."""
        word: cython.ulonglong = self.e_word[n]
        m32: cython.ulonglong = 0x7FFFFFFF
        m32 = m32 * 2 + 1
        word = (word >> shift) & m32
        return word

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def acknowledges(self, n: cython.longlong, what: cython.longlong) -> cython.longlong:
        """The number behind the SYN that a packet shows to have been answered: what a SYN-ACK acknowledges, or what
        the client goes on with; -2 for others."""
        if (what >> 16) & 1 != 0:
            if (what & 2) != 0:
                return self.half(n, 0)
            return -2
        return self.half(n, 32)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def hand_out(self) -> cython.longlong:
        """Count what is done; list what waits, and what the judge has to look at."""
        n: cython.longlong = 0
        j: cython.longlong = 0
        flow: cython.longlong = 0
        self.slow = self.wait = self.opened = 0
        for n in range(self.count):
            flow = self.e_flow[n]
            j = self.e_journey[n]
            if flow < 0 or (self.f_bits[flow] & _SLOW) != 0:
                self.r_slow[self.slow] = n
                self.slow += 1
            elif self.j_fate[j] == _WAITS:
                self.r_wait[self.wait] = n
                self.wait += 1
            elif self.j_entry[j] == n:
                self.tally(j, n, flow)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def tally(self, j: cython.longlong, n: cython.longlong, flow: cython.longlong) -> cython.longlong:
        """Count a journey that is right."""
        kind: cython.longlong = self.j_class[j]
        what: cython.longlong = self.e_what[n]
        self.c_count[kind] += 1
        self.c_octets[kind] += what >> 32
        self.f_hits[flow] += 1
        if self.j_last[j] > self.f_last[flow]:
            self.f_last[flow] = self.j_last[j]
        if self.f_syn[flow] == j:
            # a connection's beginning: class, class of its answer or -1, entry
            self.r_open[self.opened * 3] = kind
            self.r_open[self.opened * 3 + 1] = -1
            if self.f_answer[flow] >= 0:
                self.r_open[self.opened * 3 + 1] = self.j_class[self.f_answer[flow]]
            self.r_open[self.opened * 3 + 2] = n
            self.opened += 1
            self.f_begin[flow] = self.half(n, 32)
            self.f_bits[flow] = (self.f_bits[flow] | _COUNTED) & ~(_BEGUN | _CLOSED)
            self.c_fresh[kind] += 1
        elif (self.f_bits[flow] & _COUNTED) == 0 and self.f_syn[flow] < 0:
            self.f_bits[flow] |= _COUNTED
            self.c_fresh[kind] += 1
        if (what & 0x12) == 0x12 or ((what & 2) == 0 and (what >> 16) & 1 == 0 and (self.f_bits[flow] & _BEGUN) == 0):
            self.f_acked[flow] = self.acknowledges(n, what)
        if (what >> 16) & 1 == 0 and (what & 2) == 0 and (self.f_bits[flow] & _BEGUN) == 0:
            self.f_bits[flow] |= _BEGUN
            self.c_begun[kind] += 1
        elif (what >> 20) & 0xFF == 17 and (what >> 16) & 1 != 0 and (self.f_bits[flow] & _HEARD) == 0:
            self.f_bits[flow] |= _HEARD
            self.c_begun[kind] += 1
        if (what & 1) != 0:
            self.f_bits[flow] |= _CLOSED
        return 0

    # --- for fastpath ---------------------------------------------------------------------------------------------

    def numbers(self):
        """Entries, flows, and rows that speak of others (ICMP errors, resets) since the last settlement."""
        return self.count, self.flows, self.alarms

# cython: language_level=3, boundscheck=True, wraparound=False, initializedcheck=False, cdivision=True
# cython: show_performance_hints=False
# mypy: ignore-errors
"""Packets added up to conversations, row by row: which conversation each is of, and what it adds to it.

In the dialect of `dsrkit.wire.scan`: the same source runs interpreted, hashes are masked to 64 bits. All memory is
given, and never grows here. What is done for every packet is compiled without bounds checks: its places lie in tables
that are a power of two long, or in rows and scratch memory that `look` measures. Interpreted every index is checked.
What packets of one *way* have in common (between the same kinds of machine, by the same tap, in the same tunnel) is not
decided here: new ways are handed out as rows, for the columns of `dsrkit.inspect.ways` to judge, and their answer is
looked up.

A packet that several places saw was sent as often as the place saw it that saw it most often.
"""

import cython

from dsrkit.inspect import marks
from dsrkit.wire import layout

M64 = cython.declare(cython.ulonglong, 0xFFFFFFFFFFFFFFFF)
M32 = cython.declare(cython.ulonglong, 0xFFFFFFFF)
GOLDEN = cython.declare(cython.ulonglong, 0x9E3779B97F4A7C15)
FACTOR = cython.declare(cython.ulonglong, 0xBF58476D1CE4E5B9)

ROW = cython.declare(cython.longlong, layout.RECORD.itemsize)
LEVELS = cython.declare(cython.longlong, layout.LEVELS)
TS_NS = cython.declare(cython.longlong, layout.place("ts_ns"))
ETH_SRC = cython.declare(cython.longlong, layout.place("eth_src"))
ETH_DST = cython.declare(cython.longlong, layout.place("eth_dst"))
FP = cython.declare(cython.longlong, layout.place("fp"))
OPT_FP = cython.declare(cython.longlong, layout.place("opt_fp"))
SRC_HI = cython.declare(cython.longlong, layout.place("src_hi"))
SRC_LO = cython.declare(cython.longlong, layout.place("src_lo"))
DST_HI = cython.declare(cython.longlong, layout.place("dst_hi"))
DST_LO = cython.declare(cython.longlong, layout.place("dst_lo"))
CAPLEN = cython.declare(cython.longlong, layout.place("caplen"))
WIRELEN = cython.declare(cython.longlong, layout.place("wirelen"))
IFACE = cython.declare(cython.longlong, layout.place("iface"))
IFINDEX = cython.declare(cython.longlong, layout.place("ifindex"))
SEQ = cython.declare(cython.longlong, layout.place("seq"))
ACK_NO = cython.declare(cython.longlong, layout.place("ack"))
PAYLOAD_LEN = cython.declare(cython.longlong, layout.place("payload_len"))
TSVAL = cython.declare(cython.longlong, layout.place("tsval"))
TSECR = cython.declare(cython.longlong, layout.place("tsecr"))
IP_ID = cython.declare(cython.longlong, layout.place("ip_id"))
IP_LEN = cython.declare(cython.longlong, layout.place("ip_len"))
IN_AT = cython.declare(cython.longlong, layout.place("in_at"))
PAYLOAD_AT = cython.declare(cython.longlong, layout.place("payload_at"))
SPORT = cython.declare(cython.longlong, layout.place("sport"))
DPORT = cython.declare(cython.longlong, layout.place("dport"))
TCP_FLAGS = cython.declare(cython.longlong, layout.place("tcp_flags"))
FRAG = cython.declare(cython.longlong, layout.place("frag"))
HAS = cython.declare(cython.longlong, layout.place("has"))
PKTTYPE = cython.declare(cython.longlong, layout.place("pkttype"))
DEPTH = cython.declare(cython.longlong, layout.place("depth"))
PROTO = cython.declare(cython.longlong, layout.place("proto"))
ICMP_TYPE = cython.declare(cython.longlong, layout.place("icmp_type"))
VER = cython.declare(cython.longlong, layout.place("ver"))
TTL = cython.declare(cython.longlong, layout.place("ttl"))
ENCAP = cython.declare(cython.longlong, layout.place("encap"))

HAS_ETH_DST = cython.declare(cython.longlong, layout.HAS_ETH_DST)
HAS_IP = cython.declare(cython.longlong, layout.HAS_IP)
HAS_L4 = cython.declare(cython.longlong, layout.HAS_L4)
HAS_QUOTE = cython.declare(cython.longlong, layout.HAS_QUOTE)
HAS_ALL_PAYLOAD = cython.declare(cython.longlong, layout.HAS_ALL_PAYLOAD)
ENCAP_IPIP = cython.declare(cython.longlong, layout.ENCAP_IPIP)
ENCAP_GRE = cython.declare(cython.longlong, layout.ENCAP_GRE)
ENCAP_GUE = cython.declare(cython.longlong, layout.ENCAP_GUE)
ENCAP_GUE1 = cython.declare(cython.longlong, layout.ENCAP_GUE1)

_CHUNK = cython.declare(cython.longlong, 32)
"""Rows that are added up together: all of them stay in the nearest cache."""
NEAR_WORDS = 2 * 1024
"""Words of the table of ways that are found without asking which machines they are between."""

# kinds of packets
OTHER_KIND, TCP_KIND, UDP_KIND, ECHO_KIND, FRAGMENT_KIND = 0, 1, 2, 3, 4
_OTHER = cython.declare(cython.longlong, OTHER_KIND)
_TCP = cython.declare(cython.longlong, TCP_KIND)
_UDP = cython.declare(cython.longlong, UDP_KIND)
_ECHO = cython.declare(cython.longlong, ECHO_KIND)
_FRAGMENT = cython.declare(cython.longlong, FRAGMENT_KIND)

# words of a conversation, two cache lines, as `dsrkit.inspect.sums.LEG` has them: both addresses first
LEG_WORDS = 16
_LEG = cython.declare(cython.longlong, LEG_WORDS)
_PORTS = cython.declare(cython.longlong, 4)
_CLASSES = cython.declare(cython.longlong, 5)
_LOW = cython.declare(cython.longlong, 12)  # in half words, as what follows it
_HIGH = cython.declare(cython.longlong, 13)
_ALIAS = cython.declare(cython.longlong, 7)
_PACKETS = cython.declare(cython.longlong, 8)  # octets behind them, then both of the other direction
_FIRST = cython.declare(cython.longlong, 12)
_LAST = cython.declare(cython.longlong, 13)
_REPEATS = cython.declare(cython.longlong, 14)
_MARKS = cython.declare(cython.longlong, 15)

# words of a packet that is remembered, a cache line: its identity (or that at one place, once it is needed);
# form << 56 | bits << 40 | conversation + 1; times sent anew << 32 | times sent; when a place saw it last << 32 |
# how many times; then for each of the first places its name << 32 | when it saw the packet. Times in microseconds.
# They lie in the order in which they came, found by slots of half a word: bits of the identity << 16 | number + 1;
# those of the packets before them lie beside them
PACKET_WORDS = 8
_STATE = cython.declare(cython.longlong, 1)
_SENT = cython.declare(cython.longlong, 2)
_SEEN = cython.declare(cython.longlong, 3)
_PLACES = cython.declare(cython.longlong, 4)
# words of four segments that are remembered, a cache line, the one last seen in front: for each the upper bits of its
# hash << 16 | its IP id; its place << 32 | when it was sent
SEGMENT_SET_WORDS = 8
_SET = cython.declare(cython.longlong, SEGMENT_SET_WORDS)

# what a way is: marks of the conversation below, bits and the form above, server + 1 in the upper half
WAY_SERVED, WAY_REPLY, WAY_TO_LB, WAY_TOUCHED, WAY_OWN, WAY_SENT, WAY_ADDRESSLESS = (1 << bit for bit in range(16, 23))
WAY_FORM = 24
_SERVED = cython.declare(cython.ulonglong, WAY_SERVED)
_REPLY = cython.declare(cython.ulonglong, WAY_REPLY)
_TO_LB = cython.declare(cython.ulonglong, WAY_TO_LB)
_TOUCHED = cython.declare(cython.ulonglong, WAY_TOUCHED)
_OWN = cython.declare(cython.ulonglong, WAY_OWN)
_PAST = cython.declare(cython.ulonglong, WAY_SENT)
_ADDRESSLESS = cython.declare(cython.ulonglong, WAY_ADDRESSLESS)
# bits of a packet's state: seen on its way to the load balancer, handled by it, sent past it
_BIT_TO_LB = cython.declare(cython.ulonglong, 1 << 40)
_BIT_TOUCHED = cython.declare(cython.ulonglong, 2 << 40)
_BIT_PAST = cython.declare(cython.ulonglong, 4 << 40)
_BIT_SERVED = cython.declare(cython.ulonglong, 8 << 40)
_FORM = cython.declare(cython.longlong, 56)

# marks of `dsrkit.inspect.marks`, which packets show by themselves
_SYN_THERE = cython.declare(cython.longlong, marks.SYN_THERE)
_SYN_BACK = cython.declare(cython.longlong, marks.SYN_BACK)
_ANSWERED = cython.declare(cython.longlong, marks.ANSWERED)
_DATA = cython.declare(cython.longlong, marks.DATA)
_FIN_THERE = cython.declare(cython.longlong, marks.FIN_THERE)
_FIN_BACK = cython.declare(cython.longlong, marks.FIN_BACK)
_RST_THERE = cython.declare(cython.longlong, marks.RST_THERE)
_RST_BACK = cython.declare(cython.longlong, marks.RST_BACK)
_VIA = cython.declare(cython.longlong, marks.REPLY_VIA)
_PAST_LB = cython.declare(cython.longlong, marks.REPLY_PAST)

_COPY_US = cython.declare(cython.ulonglong, marks.COPY_NS // 1000)
_TWIN_US = cython.declare(cython.ulonglong, marks.TWIN_NS // 1000)


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(-1, check=True)
def blend(state: cython.ulonglong, value: cython.ulonglong) -> cython.ulonglong:
    """One step of a hash."""
    state = (((state ^ value) + GOLDEN) * FACTOR) & M64
    return state ^ (state >> 32)


@cython.final
@cython.cclass
class Tally:
    """Conversations, and what is remembered of packets to count each once."""

    # the rows that are looked at
    o8: cython.uchar[::1]
    o16: cython.ushort[::1]
    o32: cython.uint[::1]
    o64: cython.ulonglong[::1]
    times: cython.longlong[::1]
    rows: cython.longlong
    # what is found out of each
    way_of: cython.longlong[::1]
    leg_of: cython.longlong[::1]
    place_of: cython.ulonglong[::1]
    client_of: cython.ulonglong[::1]
    key_of: cython.ulonglong[::1]
    ports_of: cython.ulonglong[::1]
    segment_of: cython.ulonglong[::1]
    direction: cython.uchar[::1]
    kind: cython.uchar[::1]
    given: cython.ulonglong[::1]
    todo: cython.longlong[::1]
    fresh: cython.longlong[::1]
    waiting: cython.longlong[::1]
    # what stays
    ends: cython.ulonglong[::1]
    special: cython.ulonglong[::1]
    ways: cython.ulonglong[::1]
    near: cython.ulonglong[::1]
    legs: cython.ulonglong[::1]
    sums: cython.longlong[::1]
    servers: cython.int[::1]
    leg_slots: cython.ulonglong[::1]
    packets: cython.ulonglong[::1]
    packets_before: cython.ulonglong[::1]
    packet_slots: cython.uint[::1]
    half: cython.longlong
    segments: cython.ulonglong[::1]
    taps: cython.longlong[::1]
    # how far they are filled
    ends_count: cython.longlong
    ways_count: cython.longlong
    legs_count: cython.longlong
    packets_count: cython.longlong
    sets_mask: cython.longlong
    legs_most: cython.longlong
    todo_count: cython.longlong
    fresh_count: cython.longlong
    waiting_count: cython.longlong
    fragments: cython.longlong
    added: cython.longlong
    touched: cython.ulonglong
    # results besides the conversations
    errors: cython.longlong
    rest: cython.longlong
    rest_octets: cython.longlong
    # how packets are told from one another
    fullnat: cython.longlong
    aliasing: cython.longlong
    cut_headers: cython.longlong
    cut_bodies: cython.longlong
    known: cython.longlong

    def __init__(self, fullnat: cython.longlong, aliasing: cython.longlong):
        self.fullnat = fullnat
        self.aliasing = aliasing
        self.ends_count = self.ways_count = self.legs_count = self.packets_count = 0
        self.legs_most = 0
        self.todo_count = self.fresh_count = self.waiting_count = self.fragments = self.rows = 0
        self.errors = self.rest = self.rest_octets = 0
        self.cut_headers = self.cut_bodies = self.known = 0
        self.added = 0

    # --- memory: writable contiguous memoryviews of octets, tables a power of two of entries long, at first zero ------

    def scratch(self, numbers, hashes, octets):
        """Room for what is found out of each row: six numbers, five hashes and two octets each."""
        count = len(octets) // 2
        numbers, hashes = numbers.cast("q"), hashes.cast("Q")
        self.way_of, self.leg_of = numbers[:count], numbers[count : 2 * count]
        self.todo, self.fresh = numbers[2 * count : 3 * count], numbers[3 * count : 4 * count]
        self.waiting = numbers[4 * count :]
        self.place_of, self.client_of = hashes[:count], hashes[count : 2 * count]
        self.key_of, self.ports_of = hashes[2 * count : 3 * count], hashes[3 * count : 4 * count]
        self.segment_of = hashes[4 * count :]
        self.direction, self.kind = octets[:count], octets[count:]

    def keep_ends(self, table):
        """The endpoints that serve; those so far are kept."""
        before = self.ends if self.ends_count else None
        self.ends = table.cast("Q")
        self.ends_count = 0
        for key in before or ():
            if key:
                self.note_end(key)

    def keep_special(self, table):
        """Hashes of addresses and MACs that machines of the set-up have."""
        self.special = table.cast("Q")

    def keep_ways(self, table, near):
        """Ways, all forgotten, and what of links leads to them."""
        self.ways = table.cast("Q")
        self.near = near.cast("Q")
        self.ways_count = 0

    def keep_legs(self, table, slots, most):
        """Conversations, of which those that were there are found again."""
        at: cython.longlong
        self.legs = table.cast("Q")
        self.sums = table.cast("q")
        self.servers = table.cast("i")
        self.leg_slots = slots.cast("Q")
        self.legs_most = most
        with cython.nogil:
            for at in range(self.legs_count):
                self.enter(at)

    def keep_packets(self, table, before, slots, half: cython.longlong):
        """Packets that were seen of late, and those before them; in which half of the slots the former are found."""
        self.packets, self.packets_before = table.cast("Q"), before.cast("Q")
        self.packet_slots = slots.cast("I")
        self.half = half
        self.packets_count = 0

    def keep_segments(self, table):
        """Segments that were seen of late."""
        self.segments = table.cast("Q")
        self.sets_mask = len(self.segments) // _SET - 1

    def see_taps(self, table):
        """The tap of each interface."""
        self.taps = table.cast("q")

    # --- what was found -----------------------------------------------------------------------------------------------

    @property
    def counted(self):
        """(conversations, ways, packets, endpoints) that are there."""
        return self.legs_count, self.ways_count, self.packets_count, self.ends_count

    @property
    def left(self):
        """(packets of other conversations, their octets, ICMP errors)."""
        return self.rest, self.rest_octets, self.errors

    # --- addresses ----------------------------------------------------------------------------------------------------

    def address(self, hi: cython.ulonglong, lo: cython.ulonglong):
        """The hash of an address."""
        return blend(blend(GOLDEN, hi), lo)

    def mac(self, value: cython.ulonglong):
        """The hash of a MAC."""
        return blend(FACTOR, value)

    def note_special(self, key: cython.ulonglong, number: cython.longlong):
        """Let an address or a MAC be a class of its own; the table has room."""
        mask: cython.longlong = len(self.special) // 2 - 1
        slot: cython.longlong = key & mask
        while self.special[2 * slot] != 0 and self.special[2 * slot] != key:
            slot = (slot + 1) & mask
        self.special[2 * slot] = key
        self.special[2 * slot + 1] = number

    def serve(self, hi: cython.ulonglong, lo: cython.ulonglong, port: cython.ulonglong, proto: cython.ulonglong):
        """Note that an endpoint serves."""
        self.note_end(blend(self.address(hi, lo), port << 8 | proto))

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def class_of(self, key: cython.ulonglong) -> cython.longlong:
        """The class of an address or a MAC, 0 where it is nobody's."""
        mask: cython.longlong = len(self.special) // 2 - 1
        slot: cython.longlong = key & mask
        while self.special[2 * slot] != 0:
            if self.special[2 * slot] == key:
                return self.special[2 * slot + 1]
            slot = (slot + 1) & mask
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=False)
    def serves(self, key: cython.ulonglong) -> cython.longlong:
        mask: cython.longlong = len(self.ends) - 1
        slot: cython.longlong = key & mask
        while self.ends[slot] != 0:
            if self.ends[slot] == key:
                return 1
            slot = (slot + 1) & mask
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def note_end(self, key: cython.ulonglong) -> cython.longlong:
        """Note an endpoint that serves, as long as there is room."""
        mask: cython.longlong = len(self.ends) - 1
        slot: cython.longlong = key & mask
        while self.ends[slot] != 0:
            if self.ends[slot] == key:
                return 0
            slot = (slot + 1) & mask
        if self.ends_count < len(self.ends) // 2:
            self.ends[slot] = key
            self.ends_count += 1
        return 0

    # --- the first look: direction, conversation and way of each row --------------------------------------------------

    def look(self, octets, rows: cython.longlong):
        """Look at `rows` rows; returns (rows left to `decide`, among them fragments, rows whose ways are new).

        Rows are added up at once as long as none is left and no way is new; `add` adds the others.
        """
        first: cython.longlong = 0
        last: cython.longlong
        self.o8 = octets
        self.o16 = octets.cast("H")
        self.o32 = octets.cast("I")
        self.o64 = octets.cast("Q")
        self.times = octets.cast("q")
        self.rows = rows
        if rows < 0 or rows * ROW > len(octets) or rows > len(self.way_of):
            raise IndexError(rows)
        self.todo_count = self.fresh_count = self.waiting_count = self.fragments = 0
        with cython.nogil:
            while first < rows and not self.todo_count and not self.fresh_count:
                last = min(first + _CHUNK, rows)
                self.sight_all(first, last)
                if not self.todo_count and not self.fresh_count:
                    self.take_all(first, last, 0)
                    first = last
            self.added = first
            while first < rows:
                first += _CHUNK
                self.sight_all(min(first, rows), min(first + _CHUNK, rows))
        return self.todo_count, self.fragments, self.fresh_count

    def again(self):
        """Look again at what was left, now that all of the rows have shown who serves."""
        i: cython.longlong
        k: cython.longlong
        count: cython.longlong = self.todo_count
        self.todo_count = self.fragments = 0
        with cython.nogil:
            for k in range(count):
                i = self.todo[k]
                self.turn(i, 0, 0)
                if self.direction[i]:
                    self.place(i)
        return self.todo_count, self.fragments, self.fresh_count

    def decide(self, i: cython.longlong, direction: cython.longlong, ports: cython.longlong, serves: cython.longlong):
        """Give a row its direction, and a fragment the ports ``client << 16 | service``; returns rows of new ways."""
        if i < 0 or i >= self.rows:
            raise IndexError(i)
        with cython.nogil:
            self.turn(i, direction, ports)
            self.place(i)
            if serves:
                self.note_server(i)
        return self.fresh_count

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def note_server(self, i: cython.longlong) -> cython.longlong:
        there: cython.longlong = self.direction[i] == 1
        first: cython.longlong = i * (ROW // 8) + self.innermost(i)
        port: cython.ulonglong = self.o16[i * (ROW // 2) + (DPORT if there else SPORT)]
        end: cython.ulonglong = blend(GOLDEN, self.o64[first + (DST_HI if there else SRC_HI)])
        end = blend(end, self.o64[first + (DST_LO if there else SRC_LO)])
        return self.note_end(blend(end, port << 8 | self.o8[i * ROW + PROTO]))

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=False)
    def sight_all(self, first: cython.longlong, last: cython.longlong) -> cython.longlong:
        """Look at some rows. Their conversations are far off, so they are asked for together, not one after another."""
        i: cython.longlong
        word: cython.ulonglong
        mask: cython.longlong = len(self.leg_slots) - 1
        touched: cython.ulonglong = 0
        for i in range(first, last):
            self.turn(i, 0, 0)
        for i in range(first, last):
            touched |= self.leg_slots[self.key_of[i] & mask]
        for i in range(first, last):
            word = self.leg_slots[self.key_of[i] & mask] & M32
            if word:
                touched |= self.legs[(word - 1) * _LEG] | self.legs[(word - 1) * _LEG + _PACKETS]
        self.touched = touched
        for i in range(first, last):
            if self.direction[i]:
                self.place(i)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.inline
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=False)
    def innermost(self, i: cython.longlong) -> cython.longlong:
        """The level of a row's innermost IP header, 0 also where there is none."""
        depth: cython.longlong = min(self.o8[i * ROW + DEPTH], LEVELS)
        return depth - 1 if depth > 0 else 0

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=False)
    def turn(self, i: cython.longlong, given: cython.longlong, ports: cython.longlong) -> cython.longlong:
        """Direction and endpoints of one row, or a place among those that are left."""
        r8: cython.longlong = i * ROW
        r16: cython.longlong = i * (ROW // 2)
        r32: cython.longlong = i * (ROW // 4)
        r64: cython.longlong = i * (ROW // 8)
        has: cython.longlong = self.o8[r8 + HAS]
        level: cython.longlong = self.innermost(i)
        proto: cython.longlong = self.o8[r8 + PROTO]
        kind: cython.longlong = _OTHER
        direction: cython.longlong = given
        flags: cython.longlong
        number: cython.longlong
        source: cython.ulonglong
        target: cython.ulonglong
        from_end: cython.ulonglong
        to_end: cython.ulonglong
        sport: cython.ulonglong = 0
        dport: cython.ulonglong = 0
        self.way_of[i] = -1
        self.direction[i] = 0
        self.kind[i] = 0
        self.key_of[i] = 0
        if not has & HAS_IP or not self.o8[r8 + DEPTH]:
            return 0
        if self.o16[r16 + FRAG + level] & 0x3FFF:
            kind = _FRAGMENT
        elif has & HAS_L4:
            if proto == 6:
                kind = _TCP
            elif proto == 17:
                kind = _UDP
            else:
                number = self.o8[r8 + ICMP_TYPE]
                if (proto == 1 and (number == 8 or number == 0)) or (proto == 58 and (number == 128 or number == 129)):
                    kind = _ECHO
        self.kind[i] = kind
        source = blend(blend(GOLDEN, self.o64[r64 + SRC_HI + level]), self.o64[r64 + SRC_LO + level])
        target = blend(blend(GOLDEN, self.o64[r64 + DST_HI + level]), self.o64[r64 + DST_LO + level])
        if kind in (_TCP, _UDP):
            sport = self.o16[r16 + SPORT]
            dport = self.o16[r16 + DPORT]
        from_end = blend(source, sport << 8 | proto)
        to_end = blend(target, dport << 8 | proto)
        flags = self.o16[r16 + TCP_FLAGS]
        if kind == _TCP and self.o16[r16 + PAYLOAD_AT] > self.o32[r32 + CAPLEN]:
            self.cut_headers = 1
        if kind == _UDP and self.o32[r32 + IP_ID + level] == 0 and not has & HAS_ALL_PAYLOAD:
            self.cut_bodies = 1
        if direction == 0:
            if kind in (_TCP, _UDP):
                if kind == _TCP and flags & 2:
                    self.note_end(from_end if flags & 16 else to_end)
                number = self.serves(to_end) - self.serves(from_end)
                if number == 0:
                    self.todo[self.todo_count] = i
                    self.todo_count += 1
                    return 0
                direction = 1 if number > 0 else 2
            elif kind == _ECHO:
                number = self.o8[r8 + ICMP_TYPE]
                direction = 1 if number == 8 or number == 128 else 2
            elif kind == _FRAGMENT:
                self.todo[self.todo_count] = i
                self.todo_count += 1
                self.fragments += 1
                return 0
            elif has & HAS_QUOTE:
                self.errors += 1
                return 0
            elif self.o64[r64 + SRC_HI + level] == self.o64[r64 + DST_HI + level]:
                direction = 1 if self.o64[r64 + SRC_LO + level] <= self.o64[r64 + DST_LO + level] else 2
            else:
                direction = 1 if self.o64[r64 + SRC_HI + level] < self.o64[r64 + DST_HI + level] else 2
        self.direction[i] = direction
        if kind == _FRAGMENT:
            if direction == 1:
                sport, dport = ports >> 16, ports & 0xFFFF
            else:
                dport, sport = ports >> 16, ports & 0xFFFF
            from_end = blend(source, sport << 8 | proto)
            to_end = blend(target, dport << 8 | proto)
        if direction == 1:
            self.client_of[i] = from_end
            self.key_of[i] = blend((from_end * 3) & M64, to_end)
            self.ports_of[i] = sport << 32 | dport << 16 | proto
        else:
            self.client_of[i] = to_end
            self.key_of[i] = blend((to_end * 3) & M64, from_end)
            self.ports_of[i] = dport << 32 | sport << 16 | proto
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=False)
    def place(self, i: cython.longlong) -> cython.longlong:
        """Conversation, place and way of one row: where it was seen, its links and its tunnel."""
        r8: cython.longlong = i * ROW
        r32: cython.longlong = i * (ROW // 4)
        r64: cython.longlong = i * (ROW // 8)
        level: cython.longlong = self.innermost(i)
        tunnel: cython.ulonglong = 0
        outer: cython.ulonglong = 0
        ttl: cython.ulonglong = self.o8[r8 + TTL + level]
        initial: cython.ulonglong = 1 if ttl == 64 or ttl == 128 or ttl == 255 else 0
        encap: cython.longlong
        classes: cython.ulonglong
        way: cython.ulonglong
        link: cython.ulonglong = self.o32[r32 + IFACE]
        word: cython.ulonglong
        at: cython.longlong
        self.leg_of[i] = self.leg(i)
        link = blend(GOLDEN, link << 32 | self.o32[r32 + IFINDEX])
        if level >= 1:
            encap = self.o8[r8 + ENCAP + level]
            if encap == ENCAP_IPIP:
                tunnel = 1 + 2 * (self.o8[r8 + VER + level - 1] == 6) + (self.o8[r8 + VER + level] == 6)
            elif encap in (ENCAP_GRE, ENCAP_GUE, ENCAP_GUE1):
                tunnel = 4 + encap
            if tunnel:
                ttl = self.o8[r8 + TTL + level - 1]
                outer = blend(blend(GOLDEN, self.o64[r64 + DST_HI + level - 1]), self.o64[r64 + DST_LO + level - 1])
                link = blend(link, outer)
        word = self.o64[r64 + ETH_SRC]
        link = blend(link, ((word + word) & M64) | tunnel << 49 | ttl << 54)
        word = self.o8[r8 + PKTTYPE]
        link = blend(link, self.o64[r64 + ETH_DST] | word << 48 | initial << 56)
        self.place_of[i] = blend(self.key_of[i], link)
        classes = self.classes_of(i)
        word = (
            self.o8[r8 + PROTO] | self.kind[i] << 8 | self.direction[i] << 12 | (self.o8[r8 + HAS] & HAS_ETH_DST) << 16
        )
        if classes & M32:
            word |= (self.ports_of[i] >> 16 & 0xFFFF) << 32
        way = blend(blend(link, classes), word)
        at = way & (len(self.near) - 2)
        if way == self.near[at] and way:
            self.way_of[i] = self.near[at + 1]
            return 0
        self.find_way(i, self.way_key(i, classes, outer, word | tunnel << 20 | initial << 28))
        if self.way_of[i] >= 0:
            self.near[at] = way
            self.near[at + 1] = self.way_of[i]
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=True)
    def way_key(
        self, i: cython.longlong, classes: cython.ulonglong, outer: cython.ulonglong, word: cython.ulonglong
    ) -> cython.ulonglong:
        """What a row's way is known by: which machines it is between, not by which addresses and MACs."""
        r64: cython.longlong = i * (ROW // 8)
        eth_src: cython.ulonglong = self.o64[r64 + ETH_SRC]
        eth_dst: cython.ulonglong = self.o64[r64 + ETH_DST]
        key: cython.ulonglong = blend(classes, self.taps[self.o32[i * (ROW // 4) + IFACE]])
        links: cython.ulonglong = self.class_of(blend(FACTOR, eth_src)) if eth_src else 0
        if outer:
            key = blend(key, self.class_of(outer))
        key = blend(key, links << 32 | (self.class_of(blend(FACTOR, eth_dst)) if eth_dst else 0))
        key = blend(key, word)
        return key if key else 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def find_way(self, i: cython.longlong, key: cython.ulonglong) -> cython.longlong:
        """The place of a row's way; where it is new, the row stands for it."""
        mask: cython.longlong = len(self.ways) // 2 - 1
        slot: cython.longlong = key & mask
        while self.ways[2 * slot] != 0:
            if self.ways[2 * slot] == key:
                self.way_of[i] = slot
                return 0
            slot = (slot + 1) & mask
        if 8 * self.ways_count >= 7 * mask:
            return 0  # more than anybody has: it is not counted
        self.ways[2 * slot] = key
        self.ways[2 * slot + 1] = 0
        self.ways_count += 1
        self.way_of[i] = slot
        self.fresh[self.fresh_count] = i
        self.fresh_count += 1
        return 0

    def answer(self, i: cython.longlong, word: cython.ulonglong):
        """What the way is that a row stands for."""
        self.ways[2 * self.way_of[i] + 1] = word

    # --- conversations ------------------------------------------------------------------------------------------------

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def enter(self, leg: cython.longlong) -> cython.longlong:
        """Make a conversation of the table be found."""
        at: cython.longlong = leg * _LEG
        ports: cython.ulonglong = self.legs[at + _PORTS]
        proto: cython.ulonglong = ports & 255
        client: cython.ulonglong = blend(blend(GOLDEN, self.legs[at]), self.legs[at + 1])
        service: cython.ulonglong = blend(blend(GOLDEN, self.legs[at + 2]), self.legs[at + 3])
        key: cython.ulonglong
        mask: cython.longlong = len(self.leg_slots) - 1
        slot: cython.longlong
        client = blend(client, (ports >> 32) << 8 | proto)
        service = blend(service, ((ports >> 16) & 0xFFFF) << 8 | proto)
        key = blend((client * 3) & M64, service)
        slot = key & mask
        while self.leg_slots[slot] != 0:
            slot = (slot + 1) & mask
        self.leg_slots[slot] = (key >> 32) << 32 | (leg + 1)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=False)
    def leg(self, i: cython.longlong) -> cython.longlong:
        """The conversation of a row, made where it is new; -2 where there is no room for it."""
        key: cython.ulonglong = self.key_of[i]
        ports: cython.ulonglong = self.ports_of[i]
        there: cython.longlong = self.direction[i] == 1
        first: cython.longlong = i * (ROW // 8) + self.innermost(i)
        client_hi: cython.ulonglong = self.o64[first + (SRC_HI if there else DST_HI)]
        client_lo: cython.ulonglong = self.o64[first + (SRC_LO if there else DST_LO)]
        service_hi: cython.ulonglong = self.o64[first + (DST_HI if there else SRC_HI)]
        service_lo: cython.ulonglong = self.o64[first + (DST_LO if there else SRC_LO)]
        mask: cython.longlong = len(self.leg_slots) - 1
        slot: cython.longlong = key & mask
        word: cython.ulonglong
        leg: cython.longlong
        at: cython.longlong
        while self.leg_slots[slot] != 0:
            word = self.leg_slots[slot]
            if (word ^ key) >> 32 == 0:
                leg = (word & M32) - 1
                at = leg * _LEG
                if (
                    self.legs[at + 1] == client_lo
                    and self.legs[at + 3] == service_lo
                    and self.legs[at + _PORTS] == ports
                    and self.legs[at] == client_hi
                    and self.legs[at + 2] == service_hi
                ):
                    return leg
            slot = (slot + 1) & mask
        if self.legs_count >= self.legs_most:
            return -2
        leg = self.legs_count
        self.legs_count += 1
        self.leg_slots[slot] = (key >> 32) << 32 | (leg + 1)
        at = leg * _LEG
        self.legs[at] = client_hi
        self.legs[at + 1] = client_lo
        self.legs[at + 2] = service_hi
        self.legs[at + 3] = service_lo
        self.legs[at + _PORTS] = ports
        self.sums[at + _FIRST] = 0x7FFFFFFFFFFFFFFF
        self.sums[at + _LAST] = -0x7FFFFFFFFFFFFFFF
        self.servers[2 * at + _LOW] = 0x7FFFFFFF
        self.servers[2 * at + _HIGH] = -1
        self.legs[at + _CLASSES] = self.classes(client_hi, client_lo, service_hi, service_lo)
        return leg

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def classes(
        self,
        client_hi: cython.ulonglong,
        client_lo: cython.ulonglong,
        service_hi: cython.ulonglong,
        service_lo: cython.ulonglong,
    ) -> cython.ulonglong:
        """The classes of two addresses, the client's in the upper half."""
        client: cython.ulonglong = self.class_of(blend(blend(GOLDEN, client_hi), client_lo))
        return client << 32 | self.class_of(blend(blend(GOLDEN, service_hi), service_lo))

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=False)
    def classes_of(self, i: cython.longlong) -> cython.ulonglong:
        """The classes of a row's client and service."""
        leg: cython.longlong = self.leg_of[i]
        there: cython.longlong = self.direction[i] == 1
        first: cython.longlong = i * (ROW // 8) + self.innermost(i)
        if leg >= 0:
            return self.legs[leg * _LEG + _CLASSES]
        return self.classes(
            self.o64[first + (SRC_HI if there else DST_HI)],
            self.o64[first + (SRC_LO if there else DST_LO)],
            self.o64[first + (DST_HI if there else SRC_HI)],
            self.o64[first + (DST_LO if there else SRC_LO)],
        )

    # --- the second look: what each row adds --------------------------------------------------------------------------

    def add(self, identities):
        """Add the other rows up; `identities` are those of fragments, 0 for other rows, or None."""
        first: cython.longlong = self.added
        with_given: cython.longlong = identities is not None
        if identities is not None:
            self.given = identities.cast("Q")
            if len(self.given) < self.rows:
                raise IndexError(self.rows)
        with cython.nogil:
            while first < self.rows:
                self.take_all(first, min(first + _CHUNK, self.rows), with_given)
                first += _CHUNK
            self.settle()

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=False)
    def take_all(self, first: cython.longlong, last: cython.longlong, with_given: cython.longlong) -> cython.longlong:
        """Add some rows up. What is remembered of their packets is far off, so it is asked for at once, not in turn."""
        i: cython.longlong
        key: cython.ulonglong
        mask: cython.longlong = len(self.packet_slots) - 2
        next_packet: cython.longlong = self.packets_count * 8
        touched: cython.ulonglong = 0
        for i in range(first, last):
            if self.way_of[i] >= 0:
                key = self.given[i] if with_given else 0
                if key:
                    key = key if self.fullnat else blend(key, self.client_of[i])
                else:
                    key = self.identity(i)
                self.key_of[i] = key if key else 1
                self.segment_of[i] = self.segment(i)
        for i in range(first, last):
            if self.way_of[i] >= 0:
                touched |= self.packet_slots[(2 * self.key_of[i]) & mask]
                if next_packet < len(self.packets):
                    touched |= self.packets[next_packet]
                    next_packet += 8
                if self.segment_of[i]:
                    touched |= self.segments[self.set_of(self.segment_of[i])]
        self.touched = touched
        for i in range(first, last):
            if self.way_of[i] >= 0:
                self.take(i)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=True)
    def segment(self, i: cython.longlong) -> cython.ulonglong:
        """What is the same of a TCP segment and of its retransmissions, 0 for what is not sent anew."""
        flags: cython.ulonglong = self.o16[i * (ROW // 2) + TCP_FLAGS]
        payload: cython.ulonglong = self.o32[i * (ROW // 4) + PAYLOAD_LEN]
        number: cython.ulonglong = self.o32[i * (ROW // 4) + SEQ]
        back: cython.ulonglong = self.direction[i] - 1
        key: cython.ulonglong
        if self.kind[i] != _TCP or flags & 4 or (payload <= 1 and not flags & 3):  # one octet may be a keep-alive
            return 0
        key = blend(blend(self.client_of[i], number << 32 | payload), (flags & 3) << 2 | back)
        return key if key else 1

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=True)
    def identity(self, i: cython.longlong) -> cython.ulonglong:
        """What stays the same of a packet from its sender to its receiver; as `dsrkit.verify.flows.identities`."""
        r8: cython.longlong = i * ROW
        r16: cython.longlong = i * (ROW // 2)
        r32: cython.longlong = i * (ROW // 4)
        r64: cython.longlong = i * (ROW // 8)
        level: cython.longlong = self.o8[r8 + DEPTH] - 1
        kind: cython.longlong = self.kind[i]
        way: cython.ulonglong = self.ways[2 * self.way_of[i] + 1]
        word: cython.ulonglong = self.direction[i]
        part: cython.ulonglong
        key: cython.ulonglong
        size: cython.ulonglong = self.o32[r32 + PAYLOAD_LEN]
        ident: cython.ulonglong
        flags: cython.ulonglong = self.o16[r16 + TCP_FLAGS]
        number: cython.ulonglong = self.o32[r32 + SEQ]
        if level >= LEVELS:
            level = LEVELS - 1
        ident = self.o32[r32 + IP_ID + level]
        if kind == _TCP:
            key = blend(FACTOR, number << 32 | self.o32[r32 + ACK_NO])
            key = blend(key, size << 32 | flags << 8 | word)
            key = blend(key, ident)
            if not self.cut_headers:
                number = self.o32[r32 + TSVAL]
                key = blend(key, number << 32 | self.o32[r32 + TSECR])
                if ident == 0 and size == 0 and flags == 16:
                    key = blend(key, self.o64[r64 + OPT_FP])
            return key if self.fullnat else blend(key, self.client_of[i])
        if kind == _UDP:
            key = blend(GOLDEN, size << 32 | ident)
            key = blend(key, word)
            if ident == 0 and not self.cut_bodies:
                key = blend(key, self.o64[r64 + FP])
            return key if self.fullnat and way & _ADDRESSLESS else blend(key, self.client_of[i])
        if kind == _ECHO:
            key = blend(1, size << 32 | ident)
            key = blend(key, number << 8 | word)
            return key if self.fullnat and way & _ADDRESSLESS else blend(key, self.client_of[i])
        key = blend(2, self.client_of[i])
        part = self.o16[r16 + FRAG + level]
        word = word << 40 | part << 24 | self.o8[r8 + PROTO] << 16 | self.o32[r32 + IP_LEN + level] & 0xFFFF
        key = blend(blend(key, self.o64[r64 + SRC_LO + level]), self.o64[r64 + DST_LO + level])
        key = blend(blend(key, self.o64[r64 + SRC_HI + level]), self.o64[r64 + DST_HI + level])
        key = blend(blend(key, word), number << 32 | ident)
        return blend(key, self.o64[r64 + FP])

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=False)
    def recall(self, key: cython.ulonglong) -> cython.longlong:
        """Where a packet is remembered, or is from now on (`known` tells); -2 where there is no room."""
        mask: cython.longlong = len(self.packet_slots) - 2
        slot: cython.longlong = (2 * key) & mask | self.half
        tag: cython.ulonglong = key >> 48
        word: cython.ulonglong
        at: cython.longlong
        before: cython.longlong
        k: cython.longlong
        self.known = 1
        while self.packet_slots[slot] != 0:
            word = self.packet_slots[slot]
            if word >> 16 == tag:
                at = ((word & 0xFFFF) - 1) * 8
                if self.packets[at] == key:
                    return at
            slot = (slot + 2) & mask | self.half
        self.known = 0
        at = self.packets_count * 8
        if at >= len(self.packets):
            return -2
        self.packets_count += 1
        self.packet_slots[slot] = tag << 16 | self.packets_count
        self.packets[at] = key
        slot = (2 * key) & mask | 1 - self.half
        while self.packet_slots[slot] != 0:
            word = self.packet_slots[slot]
            if word >> 16 == tag:
                before = ((word & 0xFFFF) - 1) * 8
                if self.packets_before[before] == key:
                    for k in range(1, 8):
                        self.packets[at + k] = self.packets_before[before + k]
                    self.known = 1
                    break
            slot = (slot + 2) & mask | 1 - self.half
        return at

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=False)
    def repeats(
        self, key: cython.ulonglong, place: cython.ulonglong, now: cython.ulonglong, ident: cython.ulonglong
    ) -> cython.longlong:
        """Whether a segment is sent anew, as this place saw, and no copy of what it sent; it is remembered."""
        first: cython.longlong = self.set_of(key)
        last: cython.longlong = first + _SET - 2
        at: cython.longlong = first
        word: cython.ulonglong
        anew: cython.longlong = 0
        key = (key >> 16) << 16 | ident & 0xFFFF
        while at < last and (self.segments[at] ^ key) >> 16 != 0:
            at += 2
        if (self.segments[at] ^ key) >> 16 == 0:
            word = self.segments[at + 1]
            if (word ^ place) >> 32 == 0:
                anew = not (self.segments[at] == key and self.is_copy(now, word & M32, ident))
        while at > first:  # what was not seen for longest is last, and the first to be forgotten
            self.segments[at] = self.segments[at - 2]
            self.segments[at + 1] = self.segments[at - 1]
            at -= 2
        self.segments[first] = key
        self.segments[first + 1] = (place >> 32) << 32 | now
        return anew

    @cython.cfunc
    @cython.nogil
    @cython.inline
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=False)
    def set_of(self, key: cython.ulonglong) -> cython.longlong:
        """Where the four segments are remembered of which one may be that of a hash."""
        return (key & self.sets_mask) * _SET

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def is_copy(self, now: cython.ulonglong, before: cython.ulonglong, ident: cython.ulonglong) -> cython.longlong:
        """Whether a packet comes too soon behind its like to have been sent again; as `dsrkit.inspect.repeats`."""
        gap: cython.ulonglong = (now - before) & M32
        if gap >> 31:
            gap = M32 + 1 - gap
        return 1 if gap < (_COPY_US if ident != 0 else _TWIN_US) else 0

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=False)
    def take(self, i: cython.longlong) -> cython.longlong:
        """Add one row up."""
        r8: cython.longlong = i * ROW
        r16: cython.longlong = i * (ROW // 2)
        r32: cython.longlong = i * (ROW // 4)
        level: cython.longlong = self.o8[r8 + DEPTH] - 1
        kind: cython.longlong = self.kind[i]
        back: cython.longlong = self.direction[i] - 1
        way: cython.ulonglong = self.ways[2 * self.way_of[i] + 1]
        leg: cython.longlong = self.leg_of[i]
        at: cython.longlong = leg * _LEG
        ts: cython.longlong = self.times[i * (ROW // 8) + TS_NS]
        flags: cython.longlong = self.o16[r16 + TCP_FLAGS]
        payload: cython.ulonglong = self.o32[r32 + PAYLOAD_LEN]
        ident: cython.ulonglong
        size: cython.longlong
        marks_: cython.longlong = way & 0xFFFF
        server: cython.longlong = (way >> 32) - 1
        key: cython.ulonglong
        place: cython.ulonglong = self.place_of[i]
        k: cython.longlong
        other: cython.longlong
        times: cython.longlong
        segment: cython.ulonglong = self.segment_of[i]
        now: cython.ulonglong
        state: cython.ulonglong
        word: cython.ulonglong
        form: cython.ulonglong = (way >> 24) & 3
        if level >= LEVELS:
            level = LEVELS - 1
        ident = self.o32[r32 + IP_ID + level]
        size = self.o32[r32 + IP_LEN + level]
        if self.o8[r8 + VER + level] == 6:
            size += 40
        elif size == 0:
            size = self.o32[r32 + WIRELEN]
            size -= self.o16[r16 + IN_AT]
        if kind == _TCP:
            if flags & 2:
                if not back and not flags & 16:
                    marks_ |= _SYN_THERE
                if back and flags & 16:
                    marks_ |= _SYN_BACK
            elif not back and flags & 16 and not flags & 4:
                marks_ |= _ANSWERED
            if payload:
                marks_ |= _DATA
            if flags & 1:
                marks_ |= _FIN_BACK if back else _FIN_THERE
            if flags & 4:
                marks_ |= _RST_BACK if back else _RST_THERE
        if leg >= 0:
            if ts < self.sums[at + _FIRST]:
                self.sums[at + _FIRST] = ts
            if ts > self.sums[at + _LAST]:
                self.sums[at + _LAST] = ts
            self.sums[at + _MARKS] |= marks_
            if server >= 0:
                if server < self.servers[2 * at + _LOW]:
                    self.servers[2 * at + _LOW] = server
                if server > self.servers[2 * at + _HIGH]:
                    self.servers[2 * at + _HIGH] = server
        key = self.key_of[i]
        at = self.recall(key)
        if at < 0:
            return self.count(leg, back, 1, size)
        times = 1
        now = (ts // 1000) & M32
        if not self.known:
            state = form << _FORM
            state |= leg + 1 if leg >= 0 else 0
            if way & _SERVED:
                state |= _BIT_SERVED
            self.packets[at + _PLACES] = (place >> 32) << 32 | now
            for k in range(1, 4):
                self.packets[at + _PLACES + k] = 0
            word = 0
        else:
            state = self.packets[at + _STATE]
            word = self.packets[at + _SENT]
            times = self.sighted(at, key, place, now, ident, kind)
            other = state & M32
            if leg >= 0 and leg + 1 != other and form != state >> _FORM:
                # it is counted for the conversation in front of the load balancer, where it was seen
                if self.aliasing and other > 0 and way & _SERVED and state & _BIT_SERVED:
                    self.alias(leg, other - 1, form, state >> _FORM)
                if form == 0:
                    self.move(other - 1, leg, back, word, size)
                    state = ((state >> 40) & 0xFF) << 40 | (leg + 1)
                    if way & _SERVED:
                        state |= _BIT_SERVED
        if times > (word & M32):
            word += 1
            other = (state & M32) - 1
            self.count(other, back, 1, size)
            if segment and self.repeats(segment, place, now, ident) and other >= 0:
                self.sums[other * _LEG + _REPEATS] += 1
                word = ((word >> 32) + 1) << 32 | (word & M32)
        self.packets[at + _SENT] = word
        if way & _REPLY:
            state = self.reply(i, at, state, way)
        self.packets[at + _STATE] = state
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def sighted(
        self,
        at: cython.longlong,
        key: cython.ulonglong,
        place: cython.ulonglong,
        now: cython.ulonglong,
        ident: cython.ulonglong,
        kind: cython.longlong,
    ) -> cython.longlong:
        """How many times the place of a sighting has seen its packet, this one with it."""
        k: cython.longlong
        word: cython.ulonglong
        before: cython.ulonglong = 0
        here: cython.longlong = -1
        for k in range(4):
            word = self.packets[at + _PLACES + k]
            if word == 0:
                self.packets[at + _PLACES + k] = (place >> 32) << 32 | now
                return 1
            if (word ^ place) >> 32 == 0:
                before = word & M32
                here = at + _PLACES + k
                break
        # what a place has seen more than once, or none of the first places has, is remembered by itself
        at = self.recall(blend(key, place) | 1)
        if at < 0:
            return 1
        word = self.packets[at + _SEEN]
        if not self.known:
            word = 0
            if here >= 0:
                word = before << 32 | 1
        if word == 0 or not ((ident != 0 or kind == _TCP) and self.is_copy(now, word >> 32, ident)):
            word += 1
        word = now << 32 | (word & M32)
        self.packets[at + _SEEN] = word
        return word & M32

    @cython.cfunc
    @cython.nogil
    @cython.boundscheck(False)
    @cython.exceptval(-1, check=False)
    def count(
        self, leg: cython.longlong, back: cython.longlong, times: cython.longlong, size: cython.longlong
    ) -> cython.longlong:
        """Add packets to a conversation, or to the rest."""
        at: cython.longlong = leg * _LEG + _PACKETS + 2 * back
        if leg >= 0:
            self.sums[at] += times
            self.sums[at + 1] += times * size
        else:
            self.rest += times
            self.rest_octets += times * size
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def move(
        self,
        old: cython.longlong,
        leg: cython.longlong,
        back: cython.longlong,
        sent: cython.ulonglong,
        size: cython.longlong,
    ) -> cython.longlong:
        """Count a packet for another conversation than so far."""
        times: cython.longlong = sent & M32
        anew: cython.longlong = sent >> 32
        self.count(old, back, -times, size)
        self.count(leg, back, times, size)
        if old >= 0:
            self.sums[old * _LEG + _REPEATS] -= anew
        self.sums[leg * _LEG + _REPEATS] += anew
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def alias(
        self,
        leg: cython.longlong,
        other: cython.longlong,
        form: cython.ulonglong,
        other_form: cython.ulonglong,
    ) -> cython.longlong:
        """Note which conversation in front of the load balancer one behind it is."""
        if form == 1 and other_form == 0:
            if self.legs[leg * _LEG + _ALIAS] == 0:
                self.legs[leg * _LEG + _ALIAS] = other + 1
        elif form == 0 and other_form == 1 and self.legs[other * _LEG + _ALIAS] == 0:
            self.legs[other * _LEG + _ALIAS] = leg + 1
        return 0

    # --- replies: by the load balancer or past it, as any of their sightings shows ------------------------------------

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=True)
    def reply(
        self, i: cython.longlong, slot: cython.longlong, state: cython.ulonglong, way: cython.ulonglong
    ) -> cython.ulonglong:
        """What a sighting shows of its reply; what it is itself is told when all rows have been seen."""
        if way & _TO_LB:
            state |= _BIT_TO_LB
        if way & _TOUCHED:
            state |= _BIT_TOUCHED
        if way & _PAST:
            state |= _BIT_PAST
        if self.leg_of[i] >= 0:
            self.waiting[2 * self.waiting_count] = i
            self.waiting[2 * self.waiting_count + 1] = slot
            self.waiting_count += 1
        return state

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def settle(self) -> cython.longlong:
        k: cython.longlong
        i: cython.longlong
        slot: cython.longlong
        state: cython.ulonglong
        way: cython.ulonglong
        for k in range(self.waiting_count):
            slot = self.waiting[2 * k + 1]
            way = self.ways[2 * self.way_of[self.waiting[2 * k]] + 1]
            if way & _OWN and self.packets[slot + _STATE] & _BIT_TO_LB:  # passed on, not its own
                self.packets[slot + _STATE] |= _BIT_TOUCHED
        for k in range(self.waiting_count):
            i = self.waiting[2 * k]
            state = self.packets[self.waiting[2 * k + 1] + _STATE]
            if state & _BIT_TOUCHED:
                self.sums[self.leg_of[i] * _LEG + _MARKS] |= _VIA
            elif state & _BIT_PAST:
                self.sums[self.leg_of[i] * _LEG + _MARKS] |= _PAST_LB
        return 0

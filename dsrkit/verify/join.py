# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
# cython: show_performance_hints=False
# mypy: ignore-errors
"""The compiled join: sightings of one packet are put together, and what is plainly right is counted here.

It takes sightings (`dsrkit.verify.sightings`). `Join.group` puts those of equal key together into journeys. The sum of
the places of a journey is its *chain*: two journeys with one chain look the same at every point, field by field, so
whatever the tables say of one is true of the other. Which chains are right is not decided here: `fastpath` asks the
judge once for each. A flow with any other journey leaves the fast path with all its packets.

Written in Cython's pure Python mode, in the dialect of `dsrkit.wire.scan`; it knows no mode, no role and no rule. No
index comes from a packet: rows are counted, places in tables are masked to their size, and `fastpath` makes room
before. So bounds are not checked when compiled; interpreted they are, and tests compare the two.
"""

import cython

from dsrkit.verify import looks
from dsrkit.wire import layout

# words of an entry: a sighting, whose flow has become a number here, and its size a reference to its row
KEY = cython.declare(cython.Py_ssize_t, layout.place("key", looks.SIGHTING))
PLACE = cython.declare(cython.Py_ssize_t, layout.place("place", looks.SIGHTING))
FLOW = cython.declare(cython.Py_ssize_t, layout.place("flow", looks.SIGHTING))
TS = cython.declare(cython.Py_ssize_t, layout.place("ts", looks.SIGHTING))
NUMBERS = cython.declare(cython.Py_ssize_t, layout.place("numbers", looks.SIGHTING))
OUTER = cython.declare(cython.Py_ssize_t, layout.place("outer", looks.SIGHTING))
WHAT = cython.declare(cython.Py_ssize_t, layout.place("what", looks.SIGHTING))
REF = cython.declare(cython.Py_ssize_t, layout.place("ref", looks.SIGHTING))

_OFF = cython.declare(cython.ulonglong, looks.OFF)
_ALARM = cython.declare(cython.ulonglong, looks.ALARM)

C5 = cython.declare(cython.ulonglong, 0x8EBC6AF09C88C6E3)

# words of a journey
J_KEY = cython.declare(cython.Py_ssize_t, layout.place("key", looks.JOURNEY))
J_CHAIN = cython.declare(cython.Py_ssize_t, layout.place("chain", looks.JOURNEY))
J_OUTER = cython.declare(cython.Py_ssize_t, layout.place("outer", looks.JOURNEY))
J_LAST = cython.declare(cython.Py_ssize_t, layout.place("last", looks.JOURNEY))
J_ENTRY = cython.declare(cython.Py_ssize_t, layout.place("entry", looks.JOURNEY))
J_CLASS = cython.declare(cython.Py_ssize_t, layout.place("class", looks.JOURNEY))
J_FATE = cython.declare(cython.Py_ssize_t, layout.place("fate", looks.JOURNEY))

# words of a flow, and halves of them
F_KEY = cython.declare(cython.Py_ssize_t, layout.place("key", looks.FLOW))
F_LAST = cython.declare(cython.Py_ssize_t, layout.place("last", looks.FLOW))
F_ACKED = cython.declare(cython.Py_ssize_t, layout.place("acked", looks.FLOW))
F_BEGIN = cython.declare(cython.Py_ssize_t, layout.place("begin", looks.FLOW))
F_HITS = cython.declare(cython.Py_ssize_t, layout.place("hits", looks.FLOW))
F_BITS = cython.declare(cython.Py_ssize_t, layout.place("bits", looks.FLOW))
F_SERVER = cython.declare(cython.Py_ssize_t, layout.place("server", looks.FLOW))
F_SYN = cython.declare(cython.Py_ssize_t, layout.place("syn", looks.FLOW))
F_ANSWER = cython.declare(cython.Py_ssize_t, layout.place("answer", looks.FLOW))
F_HELD = cython.declare(cython.Py_ssize_t, layout.place("held", looks.FLOW))
F_ROUND = cython.declare(cython.Py_ssize_t, layout.place("round", looks.FLOW))

# what is remembered of a flow, as bits
SLOW, ANSWERED, BEGUN, COUNTED, CLOSED, HEARD, OPEN = 1, 2, 4, 8, 16, 32, 64
_SLOW = cython.declare(cython.longlong, SLOW)
_ANSWERED = cython.declare(cython.longlong, ANSWERED)
_BEGUN = cython.declare(cython.longlong, BEGUN)
_COUNTED = cython.declare(cython.longlong, COUNTED)
_CLOSED = cython.declare(cython.longlong, CLOSED)
_HEARD = cython.declare(cython.longlong, HEARD)
_OPEN = cython.declare(cython.longlong, OPEN)

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

    # entries: one view of their words as they are, one as signed numbers
    count: cython.longlong
    e: cython.ulonglong[:, ::1]
    ei: cython.longlong[:, ::1]
    e_journey: cython.longlong[::1]
    # packets and octets by tap
    t_packets: cython.longlong[::1]
    t_octets: cython.longlong[::1]
    t_shift: cython.longlong[::1]
    # journeys of one settlement
    made: cython.longlong
    j_table: cython.longlong[::1]
    j: cython.ulonglong[:, ::1]
    ji: cython.longlong[:, ::1]
    # flows: their words, as they are, as signed numbers, and in halves
    flows: cython.longlong
    f_table: cython.longlong[::1]
    f: cython.ulonglong[:, ::1]
    fi: cython.longlong[:, ::1]
    fs: cython.int[:, ::1]
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
        self.count = self.flows = self.classes = self.chains = self.round = self.alarms = 0
        self.slow = self.wait = self.opened = self.fresh = self.made = 0

    def attach(self, memory):
        """Take all tables: a mapping of the names above to memoryviews."""
        self.e, self.ei, self.e_journey = memory["e"], memory["ei"], memory["e_journey"]
        self.t_packets, self.t_octets, self.t_shift = memory["t_packets"], memory["t_octets"], memory["t_shift"]
        self.j_table, self.j, self.ji = memory["j_table"], memory["j"], memory["ji"]
        self.f_table, self.f, self.fi, self.fs = memory["f_table"], memory["f"], memory["fi"], memory["fs"]
        self.h_key, self.h_server = memory["h_key"], memory["h_server"]
        self.c_table, self.c_key, self.c_state = memory["c_table"], memory["c_key"], memory["c_state"]
        self.c_count, self.c_octets = memory["c_count"], memory["c_octets"]
        self.c_fresh, self.c_begun = memory["c_fresh"], memory["c_begun"]
        self.r_slow, self.r_wait, self.r_open = memory["r_slow"], memory["r_wait"], memory["r_open"]
        self.r_new, self.c_round = memory["r_new"], memory["c_round"]

    # --- taking in ------------------------------------------------------------------------------------------------

    def add(self, sightings, count: cython.longlong, taps, piece: cython.longlong, fresh: cython.longlong):
        """Enter the first `count` of `sightings` (64-bit words, shape (n, 8)).

        `taps` are those of their rows, `piece` is its number. `fresh`: packets that were not entered before are counted
        for their taps.
        """
        words: cython.ulonglong[:, ::1] = sightings
        tap_of: cython.longlong[::1] = taps
        with cython.nogil:
            self.enter(words, count, tap_of, piece, fresh)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def enter(
        self,
        words: cython.ulonglong[:, ::1],
        count: cython.longlong,
        taps: cython.longlong[::1],
        piece: cython.longlong,
        fresh: cython.longlong,
    ) -> cython.longlong:
        """`add` without Python."""
        i: cython.longlong = 0
        n: cython.longlong = self.count
        flow: cython.longlong = 0
        tap: cython.longlong = 0
        room: cython.longlong = self.e.shape[0]
        while i < count and n < room:
            tap = taps[i]
            if fresh != 0:
                self.t_packets[tap] += 1
                self.t_octets[tap] += words[i, REF]
            if (words[i, WHAT] & _ALARM) != 0:
                self.alarms += 1
            flow = -1
            if words[i, FLOW] != 0:
                flow = self.flow_of(words[i, FLOW])
                if (words[i, WHAT] & _OFF) != 0:
                    flow = -2 - flow
            self.e[n, KEY] = words[i, KEY]
            self.e[n, PLACE] = words[i, PLACE]
            self.ei[n, FLOW] = flow
            self.e[n, TS] = words[i, TS]
            self.ei[n, TS] += self.t_shift[tap]
            self.e[n, NUMBERS] = words[i, NUMBERS]
            self.e[n, OUTER] = words[i, OUTER]
            self.e[n, WHAT] = words[i, WHAT]
            self.ei[n, REF] = (piece << 40) | (tap << 32) | i
            n += 1
            i += 1
        self.count = n
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def flow_of(self, key: cython.ulonglong) -> cython.longlong:
        """A flow's number, a new one if it is new; -1 where there is no room for more."""
        size: cython.longlong = self.f_table.shape[0]
        at: cython.longlong = (key >> 7) & (size - 1)
        flow: cython.longlong = 0
        while self.f_table[at] != 0:
            flow = self.f_table[at] - 1
            if self.f[flow, F_KEY] == key:
                return flow
            at = (at + 1) & (size - 1)
        flow = self.flows
        if flow >= self.f.shape[0]:
            return -1
        self.flows += 1
        self.f_table[at] = flow + 1
        self.f[flow, F_KEY] = key
        self.fi[flow, F_LAST] = 0
        self.fs[flow, F_BITS] = 0
        if self.samples > 0 and ((key >> 20) & 15) == 0:
            self.samples -= 1
            self.fs[flow, F_BITS] = _SLOW
        self.fs[flow, F_SERVER] = -1
        self.fi[flow, F_ACKED] = -1
        self.fi[flow, F_BEGIN] = -1
        self.fi[flow, F_HITS] = 0
        self.fs[flow, F_ROUND] = -1
        self.fs[flow, F_HELD] = -1
        return flow

    def rebuild(self, count: cython.longlong):
        """Put the flows that are left, after the older ones were dropped, into an empty table."""
        size: cython.longlong = self.f_table.shape[0]
        flow: cython.longlong
        at: cython.longlong
        self.flows = count
        for flow in range(count):
            at = (self.f[flow, F_KEY] >> 7) & (size - 1)
            while self.f_table[at] != 0:
                at = (at + 1) & (size - 1)
            self.f_table[at] = flow + 1

    # --- what is known --------------------------------------------------------------------------------------------

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
    @cython.exceptval(check=False)
    def class_key(self, chain: cython.ulonglong, server: cython.longlong) -> cython.ulonglong:
        """Key of a chain, which is spread over all bits already, and a server."""
        m64: cython.ulonglong = 0x7FFFFFFF
        value: cython.ulonglong = server + 2
        m64 = m64 * 2 + 1
        m64 = (m64 << 32) | m64
        return (chain + (value * C5 & m64)) & m64

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
            if self.chain_at(self.j[j, J_CHAIN]) >= 0:
                continue
            new = 1
            k = self.fresh - 64
            if k < 0:
                k = 0
            while k < self.fresh:
                if self.j[self.r_new[k], J_CHAIN] == self.j[j, J_CHAIN]:
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
            n = self.ji[j, J_ENTRY]
            flow = self.ei[n, FLOW]
            what = self.ei[n, WHAT]
            at = self.chain_at(self.j[j, J_CHAIN])
            self.ji[j, J_CLASS] = at
            if at >= 0:
                own = self.h_server[at]
                if own >= 0:
                    if self.fs[flow, F_SERVER] < 0:
                        self.fs[flow, F_SERVER] = own
                    elif self.fs[flow, F_SERVER] != own:
                        self.fs[flow, F_BITS] |= _SLOW
            if self.fs[flow, F_ROUND] != self.round:
                self.fs[flow, F_ROUND] = self.round
                self.fs[flow, F_SYN] = -1
                self.fs[flow, F_ANSWER] = -1
                self.fs[flow, F_BITS] &= ~_OPEN
            if (what & 2) != 0:
                if (what & 0x10) == 0:
                    # one that is sent again begins nothing
                    if (what >> 16) & 1 != 0 or self.fs[flow, F_SYN] >= 0 or self.fi[flow, F_BEGIN] == self.half(n, 32):
                        self.fs[flow, F_BITS] |= _SLOW
                    self.fs[flow, F_SYN] = j
                elif (what >> 16) & 1 != 0:
                    self.fs[flow, F_ANSWER] = j
                else:
                    self.fs[flow, F_BITS] |= _SLOW
        self.fresh = 0
        for j in range(self.made):
            at = self.ji[j, J_CLASS]
            kind = -2
            if at >= 0:
                own = self.h_server[at]
                if own < 0:
                    own = self.fs[self.ei[self.ji[j, J_ENTRY], FLOW], F_SERVER]
                kind = self.class_at(self.j[j, J_CHAIN], own)
                if kind >= 0 and self.c_state[kind] == 0 and self.c_round[kind] != self.round and self.fresh < 128:
                    self.c_round[kind] = self.round
                    self.r_new[self.fresh * 2] = j
                    self.r_new[self.fresh * 2 + 1] = kind
                    self.fresh += 1
            self.ji[j, J_CLASS] = kind
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
            flow = self.ei[n, FLOW]
            self.e_journey[n] = -1
            if flow < -1:
                self.fs[-2 - flow, F_BITS] |= _SLOW
            if flow < 0:
                continue
            key = self.e[n, KEY]
            at = (key >> 9) & (size - 1)
            j = -1
            while self.j_table[at] != 0:
                j = self.j_table[at] - 1
                if self.j[j, J_KEY] == key:
                    break
                j = -1
                at = (at + 1) & (size - 1)
            if j < 0:
                j = made
                made += 1
                self.j_table[at] = made
                self.j[j, J_KEY] = key
                self.j[j, J_CHAIN] = 0
                self.ji[j, J_LAST] = self.ei[n, TS]
                self.ji[j, J_ENTRY] = n
                self.ji[j, J_FATE] = 0
                self.ji[j, J_OUTER] = self.ei[n, OUTER]
            self.e_journey[n] = j
            if self.ei[n, OUTER] >= 0:
                if self.ji[j, J_OUTER] >= 0 and self.ji[j, J_OUTER] != self.ei[n, OUTER]:
                    self.fs[flow, F_BITS] |= _SLOW
                self.ji[j, J_OUTER] = self.ei[n, OUTER]
            self.j[j, J_CHAIN] = (self.j[j, J_CHAIN] + self.e[n, PLACE]) & m64
            if self.ei[n, TS] > self.ji[j, J_LAST]:
                self.ji[j, J_LAST] = self.ei[n, TS]
            if flow != self.ei[self.ji[j, J_ENTRY], FLOW]:
                self.fs[flow, F_BITS] |= _SLOW
                self.fs[self.ei[self.ji[j, J_ENTRY], FLOW], F_BITS] |= _SLOW
        self.made = made
        return 0

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
            if self.ji[j, J_FATE] == _DONE and self.fs[self.ei[self.ji[j, J_ENTRY], FLOW], F_HELD] == self.round:
                self.ji[j, J_FATE] = _WAITS
        # first packets that were answered, or whose client goes on, as only who was answered does
        for j in range(self.made):
            n = self.ji[j, J_ENTRY]
            flow = self.ei[n, FLOW]
            if (self.fs[flow, F_BITS] & _SLOW) == 0:
                self.converse(j, n, flow)
        for j in range(self.made):
            n = self.ji[j, J_ENTRY]
            flow = self.ei[n, FLOW]
            what = self.ei[n, WHAT]
            if (self.fs[flow, F_BITS] & _SLOW) != 0 or self.ji[j, J_FATE] != _DONE:
                continue
            if (self.fs[flow, F_SYN] == j and (self.fs[flow, F_BITS] & _OPEN) == 0) or (
                (what >> 20) & 0xFF == 17 and (self.fs[flow, F_BITS] & _ANSWERED) == 0
            ):
                # not answered yet
                if release == 0 and self.ji[j, J_LAST] > horizon:
                    self.ji[j, J_FATE] = _WAITS
                else:
                    self.fs[flow, F_BITS] |= _SLOW
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def judge(self, j: cython.longlong, edge: cython.longlong, horizon: cython.longlong) -> cython.longlong:
        """Whether a journey is done, waits, or takes its flow off the fast path."""
        flow: cython.longlong = self.ei[self.ji[j, J_ENTRY], FLOW]
        kind: cython.longlong = self.ji[j, J_CLASS]
        if kind >= 0 and self.c_state[kind] == _RIGHT:
            self.ji[j, J_FATE] = _DONE
            if self.ji[j, J_LAST] > edge:
                self.ji[j, J_FATE] = _WAITS
        elif self.ji[j, J_LAST] > horizon and (kind < 0 or self.c_state[kind] != _WRONG):
            self.ji[j, J_FATE] = _WAITS
            self.fs[flow, F_HELD] = self.round
        else:
            self.fs[flow, F_BITS] |= _SLOW
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def converse(self, j: cython.longlong, n: cython.longlong, flow: cython.longlong) -> cython.longlong:
        """Whether the conversation's first packet is answered (`OPEN`), as far as this journey tells."""
        what: cython.longlong = self.ei[n, WHAT]
        syn: cython.longlong = self.fs[flow, F_SYN]
        next_: cython.longlong = 0
        m32: cython.longlong = 0x7FFFFFFF
        m32 = m32 * 2 + 1
        if (what >> 20) & 0xFF == 17:
            if (what >> 16) & 1 != 0 and self.ji[j, J_FATE] == _DONE:
                self.fs[flow, F_BITS] |= _ANSWERED
            return 0
        if syn < 0:
            return 0
        next_ = (self.half(self.ji[syn, J_ENTRY], 32) + 1) & m32
        if syn == j:
            if self.fi[flow, F_ACKED] == next_:
                self.fs[flow, F_BITS] |= _OPEN
        elif self.acknowledges(n, what) == next_:
            self.fs[flow, F_BITS] |= _OPEN
        return 0

    @cython.cfunc
    @cython.inline
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def half(self, n: cython.longlong, shift: cython.longlong) -> cython.longlong:
        """An entry's sequence number (shift 32) or acknowledgement (shift 0)."""
        word: cython.ulonglong = self.e[n, NUMBERS]
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
            flow = self.ei[n, FLOW]
            j = self.e_journey[n]
            if flow < 0 or (self.fs[flow, F_BITS] & _SLOW) != 0:
                self.r_slow[self.slow] = n
                self.slow += 1
            elif self.ji[j, J_FATE] == _WAITS:
                self.r_wait[self.wait] = n
                self.wait += 1
            elif self.ji[j, J_ENTRY] == n:
                self.tally(j, n, flow)
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1, check=False)
    def tally(self, j: cython.longlong, n: cython.longlong, flow: cython.longlong) -> cython.longlong:
        """Count a journey that is right."""
        kind: cython.longlong = self.ji[j, J_CLASS]
        what: cython.longlong = self.ei[n, WHAT]
        self.c_count[kind] += 1
        self.c_octets[kind] += what >> 32
        self.fi[flow, F_HITS] += 1
        if self.ji[j, J_LAST] > self.fi[flow, F_LAST]:
            self.fi[flow, F_LAST] = self.ji[j, J_LAST]
        if self.fs[flow, F_SYN] == j:
            # a connection's beginning: class, class of its answer or -1, entry
            self.r_open[self.opened * 3] = kind
            self.r_open[self.opened * 3 + 1] = -1
            if self.fs[flow, F_ANSWER] >= 0:
                self.r_open[self.opened * 3 + 1] = self.ji[self.fs[flow, F_ANSWER], J_CLASS]
            self.r_open[self.opened * 3 + 2] = n
            self.opened += 1
            self.fi[flow, F_BEGIN] = self.half(n, 32)
            self.fs[flow, F_BITS] = (self.fs[flow, F_BITS] | _COUNTED) & ~(_BEGUN | _CLOSED)
            self.c_fresh[kind] += 1
        elif (self.fs[flow, F_BITS] & _COUNTED) == 0 and self.fs[flow, F_SYN] < 0:
            self.fs[flow, F_BITS] |= _COUNTED
            self.c_fresh[kind] += 1
        if (what & 0x12) == 0x12 or (
            (what & 2) == 0 and (what >> 16) & 1 == 0 and (self.fs[flow, F_BITS] & _BEGUN) == 0
        ):
            self.fi[flow, F_ACKED] = self.acknowledges(n, what)
        if (what >> 16) & 1 == 0 and (what & 2) == 0 and (self.fs[flow, F_BITS] & _BEGUN) == 0:
            self.fs[flow, F_BITS] |= _BEGUN
            self.c_begun[kind] += 1
        elif (what >> 20) & 0xFF == 17 and (what >> 16) & 1 != 0 and (self.fs[flow, F_BITS] & _HEARD) == 0:
            self.fs[flow, F_BITS] |= _HEARD
            self.c_begun[kind] += 1
        if (what & 1) != 0:
            self.fs[flow, F_BITS] |= _CLOSED
        return 0

    # --- for fastpath ---------------------------------------------------------------------------------------------

    def numbers(self):
        """Entries, flows, and rows that speak of others (ICMP errors, resets) since the last settlement."""
        return self.count, self.flows, self.alarms

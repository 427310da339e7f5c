"""Where on its way through the load balancer a packet of the service is.

Columns decide for a window at once. What a frame's MACs do not tell, another sighting of the same packet may; what none
tells is not said.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from dsrkit.inspect.head import Known
from dsrkit.inspect.packets import address, flag_words, tunnel_name
from dsrkit.inspect.words import Words
from dsrkit.model.names import REWRITES
from dsrkit.verify.arrays import among, distinct
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import INITIAL_TTLS, REPLY, REQUEST, TCP, Frames, Ints, Mask, mix
from dsrkit.verify.frames import Words as Hashes
from dsrkit.verify.journeys import BOUNCED, DECAPSULATED, PLAIN, REWRITTEN, forms, in_service
from dsrkit.wire.address import mac_text

DIRECT: Final = ("l2dsr", "l3dsr-tunnel", "l3dsr-dscp")
"""Modes in which replies bypass the load balancer."""


@dataclass(slots=True)
class Replies:
    """Identities of replies: those that the load balancer has handled, and those that a server sent past it."""

    through: Hashes = field(default_factory=lambda: np.zeros(0, np.uint64))
    past: Hashes = field(default_factory=lambda: np.zeros(0, np.uint64))


@dataclass(frozen=True, slots=True)
class Steps:
    """What frames by themselves show of replies of the service. Shape: (n,) each.

    `own` may be the load balancer's own replies, unless it was seen to take them in; `handled` by it for certain;
    `sent` by a server past it, where it should have got them.
    """

    mine: Mask
    own: Mask
    handled: Mask
    sent: Mask


def _out_of_tunnels(f: Frames, flows: Flows, form: Ints) -> Ints:
    """Forms, with all requests at an interface behind a tunnel as such: offload may have joined some of them, which
    then are no packets that were seen in the tunnel."""
    inside = form == DECAPSULATED
    if not inside.any():
        return form
    place = mix(f.tap, f.port_of_tap)
    there = among(place, distinct(place[inside])) & (flows.direction == REQUEST) & (form == PLAIN)
    return np.where(there, DECAPSULATED, form)


class Service:
    """The packets of the balanced services in one window; `before` is what the window before it showed."""

    def __init__(self, f: Frames, flows: Flows, known: Known, words: Words, before: Replies) -> None:
        self.f, self.flows, self.words = f, flows, words
        scene = self.scene = known.scene
        self.form = _out_of_tunnels(f, flows, forms(f, flows, scene))
        self.balanced = scene.mode in REWRITES
        self.ports = known.ports
        servers_ask = among(flows.client >> 16, sorted(scene.ips("real-server")))
        self.served = in_service(f, flows, scene, self.form) | ((self.form == BOUNCED) & self._to_vip() & ~servers_ask)
        if f.fragment.any():  # later fragments have no identity of their own, but belong to the service
            parts = replace(flows, identity=np.where(f.fragment, np.uint64(1), flows.identity))
            self.served |= f.fragment & in_service(f, parts, scene, self.form)
        self.tunnel_part = self._tunnel_parts()
        if not self.balanced:
            self.served &= self._to_vip()
        self.lb = sorted(scene.macs("lb") - {0})
        self.from_lb, self.to_lb = among(f.eth_src, self.lb), among(f.eth_dst, self.lb)
        servers = sorted(scene.macs("real-server") - {0})
        self.from_server, self.to_server = among(f.eth_src, servers), among(f.eth_dst, servers)
        self.replies = Replies()
        self.own = np.zeros(f.n, bool)  # replies that the load balancer gives itself
        self.steps = self._steps()
        self.via_lb, self.past_lb = self._ways(before)

    def _tunnel_parts(self) -> Mask:
        """Later fragments of what the load balancer has put into tunnels: nothing of the inner packet can be read."""
        f, scene = self.f, self.scene
        if scene.mode != "l3dsr-tunnel" or not f.fragment.any():
            return np.zeros(f.n, bool)
        ends = among(f.src, sorted(scene.ips("lb"))) & among(f.dst, sorted(scene.ips("real-server")))
        return np.asarray(f.fragment & ends & ~f.has_l4, bool)

    def _to_vip(self) -> Mask:
        return among(self.flows.server >> 16, sorted(self.scene.vips))

    def _steps(self) -> Steps:
        """What each frame by itself shows of a reply's way."""
        f = self.f
        mine = self.served & (self.flows.direction == REPLY)
        handled = mine & (self.from_lb | self.to_lb)
        unspent = among(f.ttl, INITIAL_TTLS)
        own = mine & self.from_lb & unspent if self.scene.mode in DIRECT else np.zeros(f.n, bool)
        if self.scene.mode in ("nat", "fullnat"):
            handled |= mine & (self.form == PLAIN)
        elsewhere = mine & f.has_eth_dst & ~handled & bool(self.lb)
        # A packet that has not lost a hop was sent by the machine whose MAC its frame has.
        if self.scene.mode in DIRECT:
            return Steps(mine, own, handled & ~own, elsewhere & (self.from_server | unspent))
        return Steps(mine, own, handled, elsewhere & self.from_server & (self.form == REWRITTEN))

    def _ways(self, before: Replies) -> tuple[Mask, Mask]:
        """Replies that crossed the load balancer, and those known to have gone past it."""
        identity, steps = self.flows.identity, self.steps
        passed_on = among(identity, identity[steps.mine & self.to_lb])  # was seen coming in
        self.own = np.asarray(steps.own & ~passed_on, bool)
        touched = steps.handled | (steps.own & passed_on)
        sent = steps.sent
        if self.scene.mode not in DIRECT:
            sent = sent & among(self.f.tap, distinct(self.f.tap[self.handed]))
        self.replies = Replies(identity[touched], identity[sent])
        through = np.concatenate([before.through, self.replies.through])
        past = np.concatenate([before.past, self.replies.past])
        known = steps.mine & (identity != 0)
        via = touched | (known & among(identity, through))
        return np.asarray(via, bool), np.asarray(~via & (sent | (known & among(identity, past))), bool)

    @property
    def handed(self) -> Mask:
        """Requests that the load balancer hands to servers: where they are seen, replies must go back to it."""
        handed = self.served & (self.flows.direction == REQUEST) & (self.form == REWRITTEN) & self.from_lb
        return np.asarray(handed & self.to_server, bool)

    def text(self, i: int) -> str:
        """The role of one packet of the service; empty for others."""
        if bool(self.tunnel_part[i]):
            return "request after LB, fragment of a tunnel packet"
        if not bool(self.served[i]):
            return ""
        asked = int(self.flows.direction[i]) == REQUEST
        if not self.balanced:
            return "request" if asked else "reply"
        if bool(self.f.is_echo[i]) and int(self.form[i]) == PLAIN:
            return f"ping of {self._vip(i)}" if asked else f"answer of {self._vip(i)} to a ping"
        return self._request(i) if asked else self._reply(i)

    def _vip(self, i: int) -> str:
        return self.words.address(self.f.book.text(int(self.flows.server[i]) >> 16))

    # --- requests -----------------------------------------------------------------------------------------------------

    def _request(self, i: int) -> str:
        form, mode = int(self.form[i]), self.scene.mode
        if form == BOUNCED:
            return f"request, sent on by {self._sender(i) or 'a real server'}, which should have kept it"
        if form == DECAPSULATED:
            return f"request, out of the tunnel at {self._owner(i) or 'the real server'}"
        if form == PLAIN:
            return self._plain_request(i)
        if mode == "l3dsr-tunnel":
            return f"request after LB, {self._outer(i)}, inner {self._server(i)}{self._flags(i)}"
        if mode == "l3dsr-dscp":
            return f"request after LB, {self._tag(i)}, to {self._server(i)}"
        if mode == "l2dsr":
            return f"request after LB, MAC rewritten to {self._receiver(i)}"
        source = ""
        if mode == "fullnat":
            client = int(self.flows.client[i])
            source = f"source rewritten to {self._end(client)}, "
        return f"request after LB, {source}destination rewritten to {self._server(i)}"

    def _plain_request(self, i: int) -> str:
        if not self._of_service(i):
            return "request to the VIP, not of the service"
        if self.scene.mode in ("l2dsr", "l3dsr-tunnel") and bool(self.to_server[i]) and not bool(self.to_lb[i]):
            return f"request, straight to {self._owner(i)}, not by way of the LB" if self.lb else "request"
        unclear = not self.lb if self.scene.mode == "l2dsr" else not int(self.f.eth_src[i])
        if unclear and self.scene.mode in DIRECT:
            return "request"  # nothing tells it from what a server hands to itself
        return "request before LB"

    def _of_service(self, i: int) -> bool:
        """Whether it goes to a port that is balanced, where a spec says which ones are; fragments have none."""
        port = int(self.flows.server[i]) & 0xFFFF
        return not self.ports or not port or (int(self.f.proto[i]), port) in self.ports

    def _outer(self, i: int) -> str:
        rec = self.f.rec[i]
        level = int(rec["depth"]) - 2
        name = tunnel_name(rec, level + 1)
        return f"{name} outer {address(rec, 'src', level)}→{address(rec, 'dst', level)}"

    def _flags(self, i: int) -> str:
        return f" {flag_words(int(self.f.flags[i]))}" if bool(self.f.is_tcp[i]) and int(self.f.proto[i]) == TCP else ""

    def _tag(self, i: int) -> str:
        """``DSCP 7 (tos 0x1c) = VIP 203.0.113.10``."""
        tos, server = int(self.f.tos[i]), int(self.flows.server[i]) >> 16
        dscp, scene = tos >> 2, self.scene
        tagged = {vip for (vip, rip), seen in scene.tags.items() if rip == server and seen.most_common(1)[0][0] == dscp}
        if dscp in scene.tag_of_vip:
            tagged = {scene.tag_of_vip[dscp]}
        shown = f"DSCP {dscp} (tos 0x{tos:02x})"
        if len(tagged) != 1 or not dscp:
            return f"{shown}, which stands for no VIP" if scene.tags or scene.tag_of_vip else shown
        return f"{shown} = VIP {scene.address(tagged.pop())}"

    # --- replies ------------------------------------------------------------------------------------------------------

    def _reply(self, i: int) -> str:
        mode, form = self.scene.mode, int(self.form[i])
        source = self._sender(i) if bool(self.from_server[i]) else ""
        of = f", from {source}" if source else ""
        if mode in ("nat", "fullnat"):
            return self._translated_reply(i, form)
        if mode == "l3dsr-dscp" and form == REWRITTEN:
            return f"reply in the name of {self._server(i)}, not of the VIP"
        if form == REWRITTEN and mode == "l3dsr-tunnel":
            return f"reply in a tunnel, {self._outer(i)}"
        if bool(self.own[i]):
            return "reply of the LB itself"
        if bool(self.via_lb[i]):
            return f"reply, goes through the LB, which it should bypass{of}"
        if bool(self.past_lb[i]):
            return f"reply, bypasses LB{of}"
        return f"reply{of} as the VIP" if of else "reply"

    def _translated_reply(self, i: int, form: int) -> str:
        if form == PLAIN:
            return "reply through LB, source rewritten to the VIP"
        server = self._server(i)
        if bool(self.past_lb[i]):
            return f"reply, bypasses LB, source still {server}"
        if bool(self.via_lb[i]):
            return f"reply before LB, from {server}"
        return f"reply of {server}, source not rewritten"

    # --- names --------------------------------------------------------------------------------------------------------

    def _server(self, i: int) -> str:
        """The endpoint that is asked, as its own side of the load balancer calls it."""
        return self._end(int(self.flows.server[i]))

    def _end(self, end: int) -> str:
        return self.words.endpoint(self.f.book.text(end >> 16), end & 0xFFFF)

    def _sender(self, i: int) -> str:
        return self.words.machine(int(self.f.eth_src[i]))

    def _owner(self, i: int) -> str:
        return self.words.machine(int(self.f.eth_dst[i]))

    def _receiver(self, i: int) -> str:
        mac = int(self.f.eth_dst[i])
        if not mac:
            return "a real server"
        return f"{self._owner(i)} {mac_text(mac)}".strip()

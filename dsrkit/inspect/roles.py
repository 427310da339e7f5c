"""What each frame is in load-balancing terms, as far as packets tell: who it comes from, and where on its way it is.

Nothing is claimed that is not known: without a scene a packet is only itself.
"""

from __future__ import annotations

from dsrkit.inspect.head import Known
from dsrkit.inspect.packets import endpoint, icmp_text
from dsrkit.inspect.resolution import claim_text, is_claim, vrrp_advert, vrrp_text
from dsrkit.inspect.service import Replies, Service
from dsrkit.inspect.talks import Checks, Named, Proxied
from dsrkit.verify.frames import ICMP, PROTOCOLS, Frames
from dsrkit.wire import layout
from dsrkit.wire.address import ip_text


class Roles:
    """The roles of one window's frames; `before` are those of the window before it, if anybody keeps them."""

    def __init__(self, f: Frames, known: Known, before: Roles | None = None) -> None:
        self._f = f
        self._words = known.words
        flows = known.orient(f)
        earlier = before.service.replies if before is not None else Replies()
        self.service: Service = Service(f, flows, known, known.words, earlier)
        self._talks = (Checks(f, flows, known, known.words), Proxied(f, flows, known, known.words))
        self._names = Named(f, flows, known, known.words)

    def text(self, i: int) -> str:
        """What one frame is; empty where it has no role."""
        f = self._f
        if is_claim(f, i):
            return claim_text(f, i, self._words)
        if bool(f.is_error[i]):
            return self._error(i)
        advert = vrrp_advert(f, i)
        if advert is not None:
            return vrrp_text(advert)
        for talk in self._talks:
            text = talk.text(i)
            if text:
                return text
        return self.service.text(i) or self._names.text(i)

    def _error(self, i: int) -> str:
        """``ICMP fragmentation needed (mtu 1480) from router 192.0.2.1 about reply VIP:80 → 198.51.100.7:40000``."""
        f, rec = self._f, self._f.rec[i]
        inner = bool(int(rec["has"]) & layout.HAS_QUOTE_INNER)
        src, dst = (
            ip_text(*(rec[f"{'qi' if inner else 'q'}_{side}_{half}"] for half in ("hi", "lo")))
            for side in ("src", "dst")
        )
        proto = int(rec["qi_proto" if inner else "q_proto"])
        way = "reply " if self._words.is_vip(src) else "request " if self._words.is_vip(dst) else ""
        ends = []
        for side, port in ((src, "q_sport"), (dst, "q_dport")):
            ends.append(endpoint(side, int(rec[port])) if int(rec[port]) else side)
        name = PROTOCOLS.get(proto, "").upper() if not way else ""
        outer = ""
        if inner:
            around = (ip_text(rec[f"q_{side}_hi"], rec[f"q_{side}_lo"]) for side in ("src", "dst"))
            outer = f" in the tunnel {'→'.join(around)}"
        kind = "ICMP" if int(rec["proto"]) == ICMP else "ICMPv6"
        sender = self._words.address(f.book.text(int(f.src[i])))
        about = f"{way or name + ' '}{' → '.join(ends)}".strip()
        return f"{kind} {icmp_text(rec)} from {sender} about {about}{outer}"

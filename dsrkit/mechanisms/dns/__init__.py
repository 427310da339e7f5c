"""DNS round robin: answers and the connections that they lead to."""

from __future__ import annotations

from dsrkit.verify.observer import Observer


class DnsRoundRobin(Observer):
    """DNS round robin: answers and the connections that they lead to."""

    name = "dns"

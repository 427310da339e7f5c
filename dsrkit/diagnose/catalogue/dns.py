"""Entries of the area DNS: a name with many addresses spreads clients over servers, as far as they play along."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.entry import Entry, Fix, LookAlike
from dsrkit.model.names import Mode

_DNS_RR: Final[tuple[Mode, ...]] = ("dns-rr",)

_SHORT_TTL: Final = Fix(
    "the name server",
    ("dnsmasq.conf: host-record=NAME,RIP,60", "zone file: NAME 60 IN A RIP"),
    "a short TTL brings clients back sooner, at the price of more queries",
)
_BALANCER: Final = Fix(
    "the service",
    ("dsrkit setup l2dsr --for lb",),
    "DNS can only suggest; a load balancer behind one address decides for every connection",
)
_ROTATE: Final = Fix(
    "the name server",
    (
        "named.conf: options { rrset-order { order cyclic; }; };",
        "unbound.conf: rrset-roundrobin: yes",
        "knot.conf: answer-rotation: on",
        "dnsmasq.conf: remove no-round-robin",
    ),
    "dnsmasq rotates by itself what it has from host-record, unless told not to",
)
_ASK: Final = "for i in 1 2 3 4; do dig +short NAME @SERVER; echo; done  # does another address come first each time?"

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="DNS601",
        name="resolver-pins-clients",
        severity="info",
        summary="Many clients ask one resolver that hands out the same order until the TTL is over, so they all go to"
        " the same server.",
        signature="The name server's answers rotate (dns.a, dns.aaaa: another address first each time), one resolver"
        " repeats the order that it got once to all of its clients, and their SYNs go to the first address: far from"
        " an even share, more than chance would do.",
        cause="A carrier, a large company or a public resolver caches the answer and does not rotate it, or one proxy"
        " makes the connections of many users.",
        effect="Load is uneven, and moves from server to server each time the TTL ends. Adding servers helps less than"
        " expected.",
        modes=_DNS_RR,
        look_alikes=(
            LookAlike("DNS605", "there the name server itself always begins with the same address"),
            LookAlike("DNS604", "there a client gets other orders and prefers an address of its own"),
            LookAlike("DNS602", "there one client goes on with an answer that has expired"),
        ),
        decide=(_ASK, "dig NAME @RESOLVER  # twice: does the TTL count down and the order stay?"),
        fixes=(_ROTATE, _SHORT_TTL, _BALANCER),
        sources=("RFC 1794 s2", "domainkit.bot on DNS round robin"),
        example="dsrkit craft dns-rr --fault DNS601",
    ),
    Entry(
        code="DNS602",
        name="dns-ttl-ignored",
        severity="warning",
        summary="An address is used for longer than its TTL: a client goes on with an answer that has expired and does"
        " not ask again, or a cache gives it out with a longer TTL.",
        signature="At the client (A), a SYN to an address more than dns.resp.ttl after the last answer with that"
        " address, and no newer query of that client for the name. Where a spec states the TTL: answers of a resolver"
        " with a longer one.",
        cause="Programs keep what they have resolved: Java with networkaddress.cache.ttl=-1, nginx that resolves at"
        " start, connection pools, browsers that pin, daemons that were started months ago. Some caches keep answers"
        " for a least time.",
        effect="After a server has been taken out of DNS, such clients go on calling it until somebody restarts them.",
        modes=_DNS_RR,
        look_alikes=(
            LookAlike("DNS604", "there the client does ask, and then prefers one address of the answer"),
            LookAlike("DNS603", "there the address is still in today's answers"),
            LookAlike("CAP911", "queries over TLS or HTTPS, or by another link, are not in the capture"),
        ),
        decide=("ss -tn dst RIP  # on the client: which program", "resolvectl statistics  # does it ask at all?"),
        fixes=(
            Fix(
                "the program",
                (
                    "java.security: networkaddress.cache.ttl=60",
                    "nginx: resolver RESOLVER valid=60s; set $up NAME; proxy_pass http://$up;",
                    "haproxy.cfg: server web1 NAME:80 resolvers mydns",
                ),
                "nginx asks again only for names in variables, HAProxy only with a resolvers section",
            ),
            Fix("the cache", ("unbound.conf: cache-min-ttl: 0", "dnsmasq.conf: min-cache-ttl=0"), "the zone decides"),
            Fix(
                "whoever takes a server out",
                ("ss -Htn sport = :80 | wc -l  # on the server, before it is switched off",),
                "the TTL is the least to wait for: wait until its connections have ended",
            ),
        ),
        sources=("RFC 1035 s3.2.1", "agent-zone.ai on JVM DNS caches", "Java documentation, networkaddress.cache.ttl"),
        example="dsrkit craft dns-rr --fault DNS602",
    ),
    Entry(
        code="DNS603",
        name="dead-server-still-answered",
        severity="error",
        summary="An address stands in the answers although nobody serves there.",
        signature="Answers hold the address, and SYNs to it get nothing or a RST (UDP: ICMP 3/3), while those to the"
        " other addresses are served. Where the server is gone altogether, its router asks ARP in vain for 3 s and"
        " answers ICMP 3/1.",
        cause="A name server does not know whether servers live: the record stays until somebody removes it, and then"
        " until the TTL is over.",
        effect="One connection in as many as there are servers hangs or is refused. Browsers try the next address"
        " after a pause, most other programs give up.",
        modes=_DNS_RR,
        look_alikes=(
            LookAlike("DNS602", "there the address is not in the answers any more, but the client goes on"),
            LookAlike("DSR322", "there the server lives, and packets are lost on the way to it"),
            LookAlike("DSR319", "there the server lives, and its firewall refuses"),
        ),
        decide=(
            "dig +short NAME | while read ip; do curl -so /dev/null -m 3 -w '%{remote_ip} %{http_code}\\n'"
            " --connect-to ::$ip: http://NAME/; done",
            "systemctl status DAEMON; ss -ltn  # on the server",
        ),
        fixes=(
            Fix("that server", ("systemctl restart DAEMON",), "if it is to serve"),
            Fix(
                "the name server",
                (
                    "dnsmasq.conf: remove host-record=NAME,RIP,60; systemctl restart dnsmasq",
                    "nsupdate: update delete NAME A RIP",
                    "PowerDNS: ifportup(80, {'RIP1', 'RIP2'})",
                ),
                "by hand, by a script of the monitoring, or with a name server that checks before it answers",
            ),
            _SHORT_TTL,
            Fix(
                "the servers",
                (),
                "give each address a vrrp_instance in keepalived.conf, with another server as its backup: then the"
                " address moves when its server dies, and DNS need not change",
            ),
        ),
        sources=(
            "RFC 1794 s2",
            "serverdevworker on DNS round robin",
            "domainkit.bot on DNS round robin",
            "reproduced in the lab",
        ),
        evidence="lab",
        example="dsrkit craft dns-rr --fault DNS603",
    ),
    Entry(
        code="DNS604",
        name="client-reorders-answers",
        severity="info",
        summary="A client sorts the addresses itself and always takes the same one, whatever comes first in the"
        " answer.",
        signature="At the client (A), answers begin with another address each time and the SYNs all go to the same"
        " one.",
        cause="getaddrinfo() sorts by RFC 6724: an address that shares a longer prefix with the client's own comes"
        " first, and IPv6 comes before IPv4. Happy Eyeballs remembers what was fast, and programs stay with what"
        " worked.",
        effect="Clients of one network gather at one server.",
        modes=_DNS_RR,
        look_alikes=(
            LookAlike("DNS601", "there the resolver's answers do not change"),
            LookAlike("DNS605", "there the name server's answers do not change"),
            LookAlike("DNS602", "there the client does not even ask"),
        ),
        decide=("getent ahosts NAME  # on the client, several times: always the same first?", _ASK),
        fixes=(
            Fix(
                "the name server",
                (),
                "hand out one address per answer, drawn anew each time: then there is nothing to sort",
            ),
            _BALANCER,
        ),
        sources=("RFC 6724 s6", "RFC 8305 s4", "serverdevworker on address selection", "engineered.at"),
        example="dsrkit craft dns-rr --fault DNS604",
    ),
    Entry(
        code="DNS605",
        name="answers-not-rotated",
        severity="info",
        summary="The name server gives the addresses in the same order every time, so most clients take the first one.",
        signature="In all dns answers for the name the same dns.a (dns.aaaa) comes first, and most SYNs go there.",
        cause="Rotation is off, or a cache or a load balancer for DNS in front of the name server repeats one answer.",
        effect="The first server has nearly all of the load, the others stand by.",
        modes=_DNS_RR,
        look_alikes=(
            LookAlike("DNS601", "there the name server rotates, and a resolver in between does not"),
            LookAlike("DNS604", "there answers do rotate, and the client sorts them"),
        ),
        decide=(_ASK,),
        fixes=(_ROTATE,),
        sources=("RFC 1794 s3", "BIND 9 reference, rrset-order"),
        example="dsrkit craft dns-rr --fault DNS605",
    ),
    Entry(
        code="DNS606",
        name="dns-answer-truncated",
        severity="warning",
        summary="Answers are cut, and clients make do with the part of the addresses that they got.",
        signature="Answers by UDP with dns.flags.truncated 1 and fewer addresses than the name has, no query by TCP"
        " after them, and SYNs to addresses of the cut answer. Without the flag: fewer records than stated.",
        cause="More records than fit into 512 octets and a client without EDNS, a firewall that drops TCP port 53 or"
        " large UDP answers, a name server with a small limit.",
        effect="Servers whose record comes last get no clients; stub resolvers that do ask again by TCP fail where"
        " that is filtered.",
        modes=_DNS_RR,
        look_alikes=(
            LookAlike("DNS605", "there all records are in every answer"),
            LookAlike("CAP908", "there the capture is cut, not the answer: udp.length tells its real size"),
        ),
        decide=(
            "dig +noedns +ignore NAME @SERVER  # tc among the flags?",
            "dig +tcp NAME @SERVER  # does TCP get through, and with how many records?",
        ),
        fixes=(
            Fix(
                "the firewall",
                ("nft insert rule inet filter forward tcp dport 53 accept",),
                "DNS needs TCP as much as UDP",
            ),
            Fix(
                "the name server",
                ("dnsmasq.conf: edns-packet-max=1232", "named.conf: max-udp-size 1232;"),
                "as much as gets through without fragments; and rather a dozen records than forty",
            ),
            Fix("the clients", ("resolv.conf: options edns0",), "glibc then asks for more than 512 octets"),
        ),
        sources=("RFC 2181 s9", "RFC 7766 s5", "DNS flag day 2020"),
        evidence="general",
        example="dsrkit craft dns-rr --fault DNS606",
    ),
)

"""Entries of the area PRX: proxies, with one session to the client and another one to the server."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.entry import Entry, Fix, LookAlike
from dsrkit.model.names import Mode

_L7: Final[tuple[Mode, ...]] = ("l7",)

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="PRX801",
        name="proxy-header-not-agreed",
        severity="error",
        summary="Proxy and server do not agree on the PROXY header: one sends it and the other does not expect it, or"
        " the reverse.",
        signature="Behind the proxy, tcp.payload of session 2 begins with 'PROXY ' or with 0d0a0d0a000d0a515549540a"
        " and the server closes, resets or answers 400; or it begins with the client's own octets and a server that"
        " wants the header closes. A 400 may come before the request is complete.",
        cause="Each end is configured by itself, per server and per port: a server moved to another listener, a check"
        " without the header, a new machine with the defaults.",
        effect="Every connection to that server fails; HTTP servers log a request that begins with garbage.",
        modes=_L7,
        look_alikes=(
            LookAlike("PRX805", "there the server refuses the connection, before any octet of data"),
            LookAlike("NAT210", "there the client's address is told in a TCP option, which servers may ignore"),
        ),
        decide=(
            "tcpdump -ni IFACE -X tcp port 80 and host RIP  # the first octets of data behind the proxy",
            "grep -rE 'send-proxy|proxy_protocol|RemoteIPProxyProtocol' /etc/haproxy /etc/nginx /etc/apache2",
        ),
        fixes=(
            Fix(
                "the proxy, to send it or not",
                (
                    "haproxy.cfg: server web1 RIP:80 send-proxy-v2",
                    "haproxy.cfg: server web1 RIP:80",
                    "nginx stream: proxy_protocol on;",
                    "AWS: target group attribute proxy_protocol_v2.enabled",
                ),
                "HAProxy's checks send the header too, if check-send-proxy is set or send-proxy goes to the same port",
            ),
            Fix(
                "the server, to expect it",
                (
                    "nginx: listen 80 proxy_protocol; set_real_ip_from DIP; real_ip_header proxy_protocol;",
                    "apache: RemoteIPProxyProtocol On",
                    "varnishd -a :80,PROXY",
                    "haproxy.cfg: bind :80 accept-proxy",
                ),
                "on a port of its own, which only the proxy may reach: whoever can send the header can claim any"
                " address",
            ),
        ),
        sources=(
            "haproxy proxy-protocol.txt s2",
            "varnishcache/varnish-cache #2151",
            "kubernetes/kubernetes #57250",
            "VictoriaMetrics/VictoriaMetrics #6884",
            "hashicorp/consul #3926",
            "recorded b14-proxyv2-unexpected",
        ),
        evidence="recorded",
        example="dsrkit craft l7 --fault PRX801",
    ),
    Entry(
        code="PRX802",
        name="transparent-without-return-path",
        severity="error",
        summary="The proxy connects to the server from the client's address, and the server answers past the proxy.",
        signature="Behind the proxy, SYNs of session 2 with the client's address as ip.src and a tcp.seq of their own;"
        " the server's SYN-ACK goes to the router instead of the proxy's MAC, and the client, which never asked the"
        " RIP, answers RST.",
        cause="Transparent proxying (TPROXY, usesrc) needs the server's gateway to be the proxy, and the proxy to pick"
        " up packets for addresses that are not its own.",
        effect="The client connects, since session 1 is the proxy's own, and then gets 503 or nothing.",
        modes=_L7,
        look_alikes=(
            LookAlike("NAT201", "there tcp.seq is the client's own: one session, translated and not proxied"),
            LookAlike("PRX805", "there the RST comes from the server, to the proxy's own address"),
            LookAlike("PRX804", "there one session spans both sides"),
        ),
        decide=(
            "ip route get CLIENT  # on the server: must go via the proxy",
            "ip rule show; ip route show table 100  # on the proxy: fwmark 1 lookup 100, local default dev lo",
        ),
        fixes=(
            Fix(
                "the server",
                ("ip route replace default via DIP", "ip -6 route replace default via DIP6"),
                "replies must come back to the proxy",
            ),
            Fix(
                "the proxy",
                (
                    "ip rule add fwmark 1 lookup 100; ip route add local 0.0.0.0/0 dev lo table 100",
                    "ip -6 rule add fwmark 1 lookup 100; ip -6 route add local ::/0 dev lo table 100",
                    "nft add rule ip divert pre meta l4proto tcp socket transparent 1 meta mark set 1 accept",
                    "nft add rule ip6 divert pre meta l4proto tcp socket transparent 1 meta mark set 1 accept",
                ),
                "the chain divert pre has the hook prerouting and the priority mangle",
            ),
            Fix(
                "or neither",
                ("haproxy.cfg: remove source 0.0.0.0 usesrc clientip; server web1 RIP:80 send-proxy-v2",),
                "the PROXY header tells the client's address without all this",
            ),
        ),
        sources=("Linux Documentation/networking/tproxy.rst", "HAProxy configuration manual, source usesrc"),
        evidence="general",
        example="dsrkit craft l7 --fault PRX802",
    ),
    Entry(
        code="PRX803",
        name="idle-timeouts-differ",
        severity="warning",
        summary="One of the two sessions is ended when idle and the other is kept, so the next request on it fails.",
        signature="After a pause, FIN or RST on session 2 (or 1), nothing on the other; when data comes there, a RST,"
        " or a FIN without an answer. A proxy that ends idle server sessions of its pool after complete answers does"
        " nothing wrong.",
        cause="The server's keep-alive time is shorter than the proxy's, or a firewall in between forgets sooner than"
        " both.",
        effect="Now and then a first request after a break fails with 502 or a reset. The next one works.",
        modes=_L7,
        look_alikes=(
            LookAlike("NAT207", "there one session is forgotten by a load balancer that translates"),
            LookAlike("NAT208", "there packets vanish without a RST or FIN"),
            LookAlike("DSR318", "there connections break when load balancers change, not after idle times"),
        ),
        decide=(
            "grep -n timeout /etc/haproxy/haproxy.cfg  # on the proxy",
            "nginx -T | grep keepalive_timeout  # on the server",
        ),
        fixes=(
            Fix(
                "the proxy and the servers",
                (
                    "haproxy.cfg: timeout client 30s; timeout server 30s; timeout http-keep-alive 10s",
                    "nginx: keepalive_timeout 75s;",
                    "apache: KeepAliveTimeout 75",
                ),
                "each server must keep idle connections for longer than the proxy in front of it, and the proxy for"
                " longer than the one before that",
            ),
            Fix(
                "long sessions",
                (
                    "haproxy.cfg: timeout tunnel 1h; option clitcpka; option srvtcpka",
                    "sysctl -w net.ipv4.tcp_keepalive_time=300",
                ),
                "for WebSocket, SSH or databases; the sysctl is for IPv6 as well",
            ),
        ),
        sources=("RFC 9112 s9.5", "HAProxy configuration manual, timeout server"),
        evidence="general",
        example="dsrkit craft l7 --fault PRX803",
    ),
    Entry(
        code="PRX804",
        name="one-session-through-proxy",
        severity="error",
        summary="What is called a proxy passes one and the same TCP session through: it is NAT.",
        signature="The SYN behind the load balancer has the tcp.seq, options and ip.id of the client's SYN; only"
        " addresses, ports and MACs differ. A proxy's second session has numbers of its own.",
        cause="The name in the spec or on the diagram is wrong, or a rule of IPVS or nftables takes the connections"
        " before they come to the proxy.",
        effect="Connections may work. What was expected of a proxy does not happen: no TLS, no header with the"
        " client's address, no choice by URL, no retry.",
        modes=_L7,
        look_alikes=(
            LookAlike("PRX802", "there both sessions have the client's address, and numbers of their own"),
            LookAlike("NAT210", "full NAT that should at least tell the client's address"),
        ),
        decide=(
            "ss -tn | grep -E 'VIP|RIP'  # on the load balancer: a proxy has two sockets per connection",
            "ipvsadm -Ln; nft list ruleset | grep -i dnat",
        ),
        fixes=(
            Fix("the spec", ('dsr.toml: mode = "nat"  # or fullnat',), "if NAT is what is meant"),
            Fix(
                "the load balancer",
                ("ipvsadm -D -t VIP:80", "nft delete rule ip nat prerouting handle N", "dsrkit setup l7 --for lb"),
                "if a proxy is what is meant",
            ),
        ),
        sources=("RFC 9293 s3.4.1",),
        evidence="guess",
        example="dsrkit craft l7 --fault PRX804",
        told="--mode l7",
        says="dsrkit verify names PRX804. Not told that this is to be a proxy, it finds NAT, with which nothing is"
        " wrong.",
    ),
    Entry(
        code="PRX805",
        name="server-refuses-proxy",
        severity="error",
        summary="A real server refuses the proxy's connections.",
        signature="Behind the proxy, SYNs of session 2 answered by RST with ip.src RIP, tried again a second later,"
        " three times or at another server; the client, which was connected long before, gets 503 or a FIN without"
        " data.",
        cause="The daemon is down or listens on another port or address, or the server's firewall rejects the proxy.",
        effect="Connections that are given to this server fail after a few seconds, or arrive late at another one.",
        modes=_L7,
        look_alikes=(
            LookAlike("PRX801", "there the connection is accepted, and ended after the first data"),
            LookAlike("PRX802", "there the RST comes from the client, about a session that it does not know"),
            LookAlike("NAT212", "there no proxy is in between: the client gets the RST itself"),
            LookAlike("HCK706", "there nobody is left, and the client is refused at once"),
        ),
        decide=(
            "ss -ltn 'sport = :80'  # on the server",
            "nft list ruleset | grep reject  # on the server",
            "echo 'show servers state' | socat stdio /run/haproxy/admin.sock  # on the proxy",
        ),
        fixes=(
            Fix("that server", ("systemctl restart DAEMON", "nft insert rule inet filter input ip saddr DIP accept")),
            Fix(
                "the proxy",
                ("haproxy.cfg: option redispatch; server web1 RIP:80 check inter 2s fall 2",),
                "a check takes the server out, redispatch tries another one meanwhile",
            ),
        ),
        sources=("RFC 9293 s3.5.2", "HAProxy configuration manual, retries", "recorded, a server without its daemon"),
        evidence="recorded",
        example="dsrkit craft l7 --fault PRX805",
    ),
)

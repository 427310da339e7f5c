"""Entries of the area NAT: load balancers that rewrite addresses, and keep state for both directions."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.entry import Entry, Fix, LookAlike
from dsrkit.model.names import DIRECT_RETURN, Mode

_NAT: Final[tuple[Mode, ...]] = ("nat", "fullnat")

_FULL_NAT: Final = Fix(
    "the load balancer, where replies cannot be made to come back",
    (
        "sysctl -w net.ipv4.vs.conntrack=1",
        "nft add rule ip nat postrouting ip daddr RIP_SUBNET masquerade",
    ),
    "full NAT: servers answer the load balancer's own address, wherever their gateway is. They no longer see the"
    " client's address",
)

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="NAT201",
        name="reply-bypasses-load-balancer",
        severity="error",
        summary="A real server answers the client past the load balancer, so nobody puts the VIP back into the reply.",
        signature="At the client (A), SYN-ACKs whose ip.src is the RIP and whose tcp.ack fits the client's SYN to the"
        " VIP; the client answers RST. At the server, the reply leaves with eth.dst of the router instead of the load"
        " balancer, best seen by the server's own ARP request for the router as its next hop.",
        cause="The server's default route points to the router and not to the load balancer, or a second interface or"
        " a more specific route leads past it.",
        effect="Connections to that server are refused or hang from the client's view, although requests arrive and"
        " the server answers each one. A single server can have it, which looks like one connection in three failing.",
        modes=("nat",),
        look_alikes=(
            LookAlike("NAT202", "there the reply's eth.dst is the client's own MAC: both are in one subnet"),
            LookAlike(
                "DSC501", "there the request at the server carries a DSCP tag, and other servers may answer properly"
            ),
            LookAlike("DSC510", "the same: a tag in the request speaks for DSCP mode and a rule that is missing"),
            LookAlike(
                "DSC517",
                "where no tag is to be seen: a server in a subnet that the load balancer is not in, a load balancer"
                " with one arm, no port translation and tags at other servers speak for DSCP mode",
            ),
            LookAlike("TUN414", "there the request came in a tunnel or with an option that named the VIP"),
            LookAlike("NAT214", "there the reply does reach the load balancer, and ends there"),
        ),
        decide=(
            "ip route get CLIENT from RIP  # on the server: must go via the load balancer",
            "ip neigh show  # on the server: which gateway it has been talking to",
        ),
        fixes=(
            Fix(
                "that server",
                ("ip route replace default via LB_INSIDE", "ip -6 route replace default via LB_INSIDE6"),
                "the load balancer must be on the way back, or it cannot undo its translation",
            ),
            Fix(
                "that server, where the default route must stay",
                ("ip route add default via LB_INSIDE table 100", "ip rule add from RIP table 100"),
                "only what leaves from the RIP goes to the load balancer",
            ),
            _FULL_NAT,
            Fix(
                "F5, Citrix, A10",
                ("F5: source-address-translation { type automap }", "Citrix: enable ns mode USNIP"),
                "their names for answering through the load balancer's own address",
            ),
        ),
        sources=("LVS-HOWTO, LVS-NAT", "lvs-users 2014-04", "recorded b06-nat-reply-bypass"),
        evidence="recorded",
        example="dsrkit craft nat --fault NAT201",
    ),
    Entry(
        code="NAT202",
        name="client-in-server-subnet",
        severity="error",
        summary="A client in the servers' own subnet gets replies straight from the server, with the server's address.",
        signature="SYN-ACKs with ip.src RIP and eth.dst of the client's MAC, on the link that both are on; the client"
        " answers RST. Clients from elsewhere are served.",
        cause="The server has a direct route to its own subnet, so the reply to such a client needs no gateway and"
        " never meets the load balancer. A server that calls the VIP itself (hairpin) is the same case.",
        effect="The service works for everyone but the neighbours: monitoring, other tiers, the servers themselves.",
        modes=("nat",),
        look_alikes=(
            LookAlike("NAT201", "there the reply goes to a router's MAC and clients everywhere suffer"),
            LookAlike(
                "DSR313", "in direct server return a server that calls its own VIP talks to itself, without a frame"
            ),
        ),
        decide=("ip route get CLIENT from RIP  # on the server: dev IFACE without via is this",),
        fixes=(
            Fix(
                "the load balancer",
                (
                    "sysctl -w net.ipv4.vs.conntrack=1",
                    "nft add rule ip nat postrouting ip saddr RIP_SUBNET ip daddr RIP_SUBNET masquerade",
                ),
                "full NAT for local clients alone; IPv6 likewise in an ip6 table",
            ),
            Fix(
                "the servers",
                (
                    "ip route del RIP_SUBNET dev IFACE",
                    "sysctl -w net.ipv4.conf.all.send_redirects=0  # on the load balancer",
                ),
                "without a route of the link everything goes via the load balancer, which must not send redirects"
                " then; add a host route to the load balancer first",
            ),
        ),
        sources=("LVS-HOWTO, one network LVS-NAT", "cilium/cilium #17747"),
        example="dsrkit craft nat --fault NAT202",
    ),
    Entry(
        code="NAT203",
        name="source-rewritten-instead-of-destination",
        severity="error",
        summary="The load balancer puts the server's address into the source and leaves the VIP as destination.",
        signature="Behind the load balancer ip.src is a RIP and ip.dst still the VIP. The server owns neither the"
        " packet nor the reply.",
        cause="A rule of the wrong kind (SNAT where DNAT was meant), or a home-made data plane built from a"
        " description that has the two mixed up.",
        effect="Nothing works: the packet is for the VIP, so it comes back or dies, and the client hears nothing.",
        modes=_NAT,
        look_alikes=(
            LookAlike("NAT204", "there the destination is right and only the checksum is old"),
            LookAlike(
                "DSR302", "there the destination stays the VIP as well, but the source is the client's, as it must be"
            ),
        ),
        decide=("nft list ruleset; iptables-save -t nat  # dnat belongs into prerouting, snat into postrouting",),
        fixes=(
            Fix(
                "the load balancer",
                ("nft add rule ip nat prerouting ip daddr VIP tcp dport PORT dnat to RIP",),
                "the destination changes on the way in; the way back is translated by itself",
            ),
        ),
        sources=("RFC 3022 s2.1", "LVS-HOWTO, LVS-NAT"),
        evidence="general",
        example="dsrkit craft nat --fault NAT203",
    ),
    Entry(
        code="NAT204",
        name="transport-checksum-not-updated",
        severity="error",
        summary="The load balancer changed an address but not the TCP or UDP checksum that covers it.",
        signature="Behind the load balancer the IP header checksum is right and the TCP or UDP checksum wrong by"
        " exactly the difference between old and new address: with the old address it would be valid. The server says"
        " nothing and the client repeats its SYN.",
        cause="A data plane of one's own (eBPF, DPDK, a kernel module) updates one checksum and forgets the other, or"
        " relies on an offload that the outgoing device does not have.",
        effect="Servers drop every packet without a word; only nstat TcpInCsumErrors counts.",
        modes=(*_NAT, "l3dsr-dscp"),
        look_alikes=(
            LookAlike(
                "CAP901", "there the value is the bare sum of the pseudo header, which a network card was to complete"
            ),
            LookAlike("DSR323", "a firewall is silent too, but then the checksum at the server is valid"),
            LookAlike("DSC516", "the same mistake in DSCP mode, where the destination is rewritten as well"),
        ),
        decide=(
            "nstat -az TcpInCsumErrors UdpInCsumErrors  # on the server: grows with each request",
            "tcpdump -vvni IFACE  # on the server, not on the load balancer: offload spoils the view there",
        ),
        fixes=(
            Fix(
                "the load balancer's data plane",
                ("bpf_l4_csum_replace(skb, off, old, new, BPF_F_PSEUDO_HDR | 4)",),
                "update by the difference (RFC 1624); a UDP checksum of 0 stays 0, one that comes out as 0 is sent as"
                " 0xffff; for IPv6, UDP must have one",
            ),
            Fix("the load balancer, if an offload is to blame", ("ethtool -K IFACE tx off",), "as a test, at least"),
        ),
        sources=("RFC 1624", "RFC 3022 s4.1", "RFC 768", "xt_DADDR.c of yahoo/l3dsr"),
        example="dsrkit craft nat --fault NAT204",
    ),
    Entry(
        code="NAT205",
        name="source-ports-exhausted",
        severity="error",
        summary="The load balancer has no source port left for new connections to a server.",
        signature="SYNs arrive at the load balancer and nothing leaves it for them; they are repeated after 1, 3 and"
        " 7 s and given up. Connections that exist go on, and now and then one gets through when a port becomes free.",
        cause="Full NAT has at most some 64,000 ports per own address, server and server port, fewer where a range is"
        " set, and a closed connection keeps its port for another minute or two. Two clients that pick one port at"
        " the same moment can collide as well.",
        effect="Under load, and only then, part of the new connections hangs.",
        modes=("fullnat",),
        look_alikes=(
            LookAlike(
                "NAT206",
                "there the same SYN passes when it is repeated after one second, and its 4-tuple was in use before",
            ),
            LookAlike("NAT208", "there packets of existing connections end before the load balancer, not new SYNs"),
            LookAlike("HCK706", "without any server the load balancer refuses, it is not silent"),
        ),
        decide=(
            "conntrack -S  # insert_failed and drop grow",
            "conntrack -C; sysctl net.netfilter.nf_conntrack_max",
        ),
        fixes=(
            Fix(
                "the load balancer",
                (
                    "nft add rule ip nat postrouting ip daddr RIP_SUBNET snat to DIP1-DIP4 fully-random",
                    "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_time_wait=30",
                    "sysctl -w net.netfilter.nf_conntrack_max=1048576",
                ),
                "each further own address is another 64,000 connections per server; random ports collide less",
            ),
            Fix(
                "F5, Citrix",
                ("F5: ltm snatpool POOL members add { ... }", "Citrix: add ns ip ADDRESS -type SNIP"),
                "a SNAT pool instead of one address",
            ),
        ),
        sources=(
            "cilium/cilium #23604",
            "kubernetes/kubernetes #139276",
            "AndrewGuenther/fck-nat #144",
            "kubernetes-sigs/ip-masq-agent #51",
        ),
        example="dsrkit craft fullnat --fault NAT205",
    ),
    Entry(
        code="NAT206",
        name="port-reuse-delayed",
        severity="warning",
        summary="A client that reuses its port soon waits a second, because the load balancer still holds the old"
        " entry.",
        signature="A SYN whose 4-tuple was closed a moment ago arrives at the load balancer and nothing leaves; the"
        " identical SYN about one second later is forwarded and answered.",
        cause="IPVS finds the old connection in TIME_WAIT, and with vs.conntrack=1 it has to drop this SYN to get rid"
        " of the netfilter entry too (conn_reuse_mode=1). Busy clients behind one NAT address reuse ports all the"
        " time.",
        effect="A share of requests takes one second longer, neither more nor less; it grows with load.",
        modes=_NAT,
        look_alikes=(
            LookAlike("NAT205", "there the repeated SYN fails too, and its 4-tuple was not in use before"),
            LookAlike("DSR314", "there a second server gets the 4-tuple in the middle of a connection"),
        ),
        decide=(
            "sysctl net.ipv4.vs.conn_reuse_mode net.ipv4.vs.conntrack; uname -r",
            "ipvsadm -Lnc | grep CLIENT:PORT  # state of the old entry",
        ),
        fixes=(
            Fix(
                "the load balancer",
                (
                    "sysctl -w net.ipv4.vs.conntrack=0  # where netfilter need not see these connections",
                    "sysctl -w net.ipv4.vs.conn_reuse_mode=0  # kernels before 5.9; new servers then get fewer clients",
                ),
                "Linux 5.9 and later no longer drop the SYN with conn_reuse_mode=1 in most cases: a newer kernel is"
                " the better cure",
            ),
            Fix("clients", (), "keep connections open instead of one per request: then ports are seldom used again"),
        ),
        sources=(
            "Linux Documentation/networking/ipvs-sysctl.rst, conn_reuse_mode",
            "ip_vs_core.c ip_vs_in_hook, Linux 6.1",
            "cloudnativelabs/kube-router #544",
            "moby/moby #35082",
        ),
        example="dsrkit craft nat --fault NAT206",
    ),
    Entry(
        code="NAT207",
        name="idle-connection-forgotten",
        severity="warning",
        summary="The load balancer forgot an idle connection that client and server still hold open.",
        signature="A gap of minutes (900 s is IPVS's default) on one 4-tuple, then data from the client that is"
        " answered by a RST from the VIP, or by nothing; no packet of it leaves the load balancer.",
        cause="The idle timeout of the load balancer, a firewall or a cloud gateway is shorter than that of the"
        " connection: database pools, websockets, message queues.",
        effect="The first request after a quiet time fails or hangs; a retry on a new connection works.",
        modes=(*_NAT, *DIRECT_RETURN),
        look_alikes=(
            LookAlike("NAT208", "there no idle time precedes, and all connections to one server stop together"),
            LookAlike(
                "PRX803", "there a proxy closes one of its two sessions on purpose, with a FIN or RST of its own"
            ),
            LookAlike("DSR318", "there many connections break in the same instant"),
        ),
        decide=(
            "ipvsadm -L --timeout  # tcp, tcpfin, udp in seconds",
            "sysctl net.netfilter.nf_conntrack_tcp_timeout_established",
        ),
        fixes=(
            Fix("the load balancer", ("ipvsadm --set 7200 120 300",), "longer than the longest silence"),
            Fix(
                "clients or servers",
                (
                    "sysctl -w net.ipv4.tcp_keepalive_time=600",
                    "postgresql.conf: tcp_keepalives_idle = 300",
                ),
                "a keepalive within the timeout keeps the entry; programs must ask for it with SO_KEEPALIVE",
            ),
            Fix(
                "F5",
                ("ltm profile fastl4 NAME idle-timeout 7200 reset-on-timeout enabled",),
                "so it says by a RST that the connection is over",
            ),
        ),
        sources=("docker/docs #5519", "moby/moby #37466, #29655", "ip_vs_proto_tcp.c tcp_timeouts, Linux 6.1"),
        example="dsrkit craft nat --fault NAT207",
    ),
    Entry(
        code="NAT208",
        name="destination-gone-silently",
        severity="error",
        summary="The connections of a server that was removed are dropped without a word.",
        signature="Packets of established connections arrive at the load balancer and none leaves; they are repeated"
        " and repeated. New connections go to other servers and work.",
        cause="IPVS keeps the entries of a removed server in case it comes back, and drops what belongs to them"
        " (expire_nodest_conn=0, the default).",
        effect="After a deployment or a failed check, clients of that server hang until their own timeout, instead of"
        " connecting anew at once.",
        modes=(*_NAT, *DIRECT_RETURN),
        look_alikes=(
            LookAlike("NAT205", "there new SYNs are what gets lost"),
            LookAlike("NAT207", "there an idle time precedes and other connections to that server go on"),
            LookAlike("DSR322", "there the packets do leave the load balancer and are lost behind it"),
        ),
        decide=(
            "ipvsadm -Lnc | grep RIP; ipvsadm -Ln | grep RIP  # entries without a server",
            "sysctl net.ipv4.vs.expire_nodest_conn",
        ),
        fixes=(
            Fix(
                "the load balancer",
                ("sysctl -w net.ipv4.vs.expire_nodest_conn=1", "sysctl -w net.ipv4.vs.expire_quiescent_template=1"),
                "the entry ends with the first packet after the removal, so that the client's next SYN is served",
            ),
            Fix(
                "whoever takes servers out",
                (
                    "ipvsadm -e -t VIP:PORT -r RIP -w 0",
                    "real_server RIP PORT { inhibit_on_failure }  # keepalived.conf",
                ),
                "weight 0 first: old connections finish, no new ones come",
            ),
        ),
        sources=(
            "Linux Documentation/networking/ipvs-sysctl.rst, expire_nodest_conn",
            "ip_vs_core.c ip_vs_in_hook, Linux 6.1",
        ),
        example="dsrkit craft nat --fault NAT208",
    ),
    Entry(
        code="NAT209",
        name="icmp-error-not-translated",
        severity="error",
        summary="An ICMP error about a translated connection is passed on with untranslated addresses, or not at all.",
        signature="Towards the client, ICMP 3/x from the RIP whose quoted header names the RIP instead of the VIP; or"
        " an error for the VIP that arrives at the load balancer and does not reach the server. Short quotes (8"
        " octets of TCP) are the usual victims.",
        cause="The data plane looks up only whole TCP headers, does not translate the quoted packet, or ICMP is not"
        " handed to it: a separate firewall rule, another CPU, hashing by ICMP's own addresses.",
        effect="Path MTU discovery fails, so large transfers hang; refused UDP and unreachable hosts become timeouts.",
        modes=_NAT,
        look_alikes=(
            LookAlike("NAT201", "there the TCP replies themselves come from the RIP, not only the errors"),
            LookAlike("TUN406", "there an error is delivered, but to another server than the connection's"),
            LookAlike("TUN423", "there the error is right and a firewall between load balancer and client drops it"),
        ),
        decide=(
            "conntrack -L -p icmp; nft list ruleset | grep icmp  # on the load balancer",
            "tcpdump -vvni IFACE 'icmp[0] == 3 or icmp6[0] == 2'  # outside: what does the quoted header say",
        ),
        fixes=(
            Fix(
                "the load balancer",
                (
                    "nft insert rule inet filter forward ct state related accept",
                    "sysctl -w net.ipv4.vs.nat_icmp_send=1",
                ),
                "related covers the errors of known connections, for IPv4 and IPv6",
            ),
            Fix(
                "a data plane of one's own",
                (),
                "look connections up by the first 8 octets of the quoted TCP header, its ports and sequence number:"
                " RFC 792 promises no more",
            ),
        ),
        sources=("RFC 5508 s4", "LVS-HOWTO, ICMP", "facebookincubator/katran pull 159"),
        example="dsrkit craft nat --fault NAT209",
    ),
    Entry(
        code="NAT210",
        name="client-address-lost",
        severity="info",
        summary="Full NAT hides the client's address, and nothing in the packets tells the server who it was.",
        signature="Behind the load balancer ip.src is one of its own addresses and neither the SYN nor the first ACK"
        " has TCP option 254 of length 8 (TOA).",
        cause="TOA is off or not supported; or there was no room left for it among 40 octets of TCP options, or the"
        " frame would have exceeded the MTU.",
        effect="Logs, rate limits and geolocation see the load balancer as the only client. Fine where that is known.",
        modes=("fullnat",),
        look_alikes=(LookAlike("PRX801", "proxies tell it by a PROXY header in the stream instead"),),
        decide=("tcpdump -vvni IFACE 'tcp[tcpflags] & tcp-syn != 0'  # on the server: unknown-254 among the options",),
        fixes=(
            Fix(
                "load balancer and servers",
                ("modprobe toa  # on the servers, to read it; on the load balancer it is a setting of its own",),
                "both sides must agree; mainline Linux knows no TOA",
            ),
            Fix(
                "or another mode", ("dsrkit setup nat --for lb",), "nat and all direct return keep the client's address"
            ),
        ),
        sources=("iqiyi/dpvs FAQ, #957 and pull 928",),
        example="dsrkit craft fullnat --fault NAT210",
    ),
    Entry(
        code="NAT211",
        name="only-first-fragment-steered",
        severity="error",
        summary="Of a fragmented packet only the first fragment reaches the server, because only that one has ports.",
        signature="Before the load balancer all fragments of one ip.id; behind it only the one with ip.frag_offset =="
        " 0. About 30 s later the server reports ICMP time exceeded, reassembly (11/1).",
        cause="The data plane steers by ports and does not reassemble: DPDK and XDP load balancers as a rule, routers"
        " with ECMP by ports in front of several load balancers.",
        effect="Small datagrams work, large ones never do: DNS with large answers, SIP, RADIUS, QUIC with odd MTUs.",
        modes=(*_NAT, *DIRECT_RETURN),
        look_alikes=(
            LookAlike("TUN407", "there the outer packet is what is fragmented, and all its fragments go to one server"),
            LookAlike("DSC514", "there all fragments arrive, and later ones are spoiled by the rewrite"),
        ),
        decide=("nstat -az IpReasmFails IpReasmTimeout Ip6ReasmFails  # on the server",),
        fixes=(
            Fix(
                "the load balancer",
                ("modprobe nf_defrag_ipv4 nf_defrag_ipv6",),
                "IPVS reassembles on its own; others need a hash without ports for fragments",
            ),
            Fix(
                "clients and servers",
                ("resolv.conf: options edns0", "named.conf: max-udp-size 1232;"),
                "datagrams that fit into one packet, as these settings make those of DNS",
            ),
        ),
        sources=("iqiyi/dpvs FAQ, on fragments", "RFC 8900, IP fragmentation considered fragile"),
        example="dsrkit craft nat --protocol udp --request 3000 --fault NAT211",
    ),
    Entry(
        code="NAT212",
        name="wrong-server-port",
        severity="error",
        summary="The load balancer sends to a port of the server on which nothing listens.",
        signature="Behind the load balancer tcp.dstport is not the port of the service; a RST comes from the RIP at"
        " once (for UDP, ICMP 3/3), translated back to the VIP for the client.",
        cause="A port missing or mistyped in the list of real servers, or a daemon that has moved or is down while no"
        " check looks at its port.",
        effect="Connections are refused: by one server for a share of clients, or by all.",
        modes=_NAT,
        look_alikes=(
            LookAlike("DSR319", "a firewall's RST has TOS 0 although the SYN's was not; a closed port copies it"),
            LookAlike("HCK706", "there the load balancer refuses by itself and no packet leaves it"),
            LookAlike("DSC502", "there the request at the server was to carry a DSCP tag and lost it on the way"),
        ),
        decide=(
            "ipvsadm -Ln  # ports of the real servers",
            "ss -ltnu  # on the server: what listens, on which address",
        ),
        fixes=(
            Fix(
                "the load balancer",
                (
                    "ipvsadm -d -t VIP:80 -r RIP:WRONG; ipvsadm -a -t VIP:80 -r RIP:8080 -m",
                    "real_server RIP 8080 { TCP_CHECK { connect_timeout 3 } }  # keepalived.conf",
                ),
                "with a check of the same port, a server that does not listen gets no clients",
            ),
            Fix("the server", ("systemctl restart DAEMON",), "if the port is right and the daemon is not there"),
        ),
        sources=("RFC 9293 s3.5.2, reset generation", "reproduced in the lab"),
        evidence="lab",
        example="dsrkit craft nat --fault NAT212",
    ),
    Entry(
        code="NAT213",
        name="no-route-back",
        severity="error",
        summary="A real server gets requests and has no route to the client, so its answers never leave it.",
        signature="Requests at the server's tap, and not one packet in return: no reply, no ICMP, not even an ARP"
        " request for a gateway. Machines of its own subnet reach it without trouble.",
        cause="No default route: a DHCP client that went away, a reboot with half a configuration, a policy rule"
        " without its table; for IPv6, router advertisements that are ignored since forwarding was turned on.",
        effect="That server's share of connections times out. Health checks from the same subnet stay green. In full"
        " NAT only a load balancer that is not on the server's link can suffer it.",
        modes=(*_NAT, *DIRECT_RETURN),
        look_alikes=(
            LookAlike("NAT201", "there the reply does leave, towards another gateway"),
            LookAlike("NAT204", "there the request's checksum is wrong, so the server never looked at it"),
            LookAlike("DSR302", "there the server sends the request itself back into the network"),
        ),
        same_picture=("DSR301", "DSR311", "DSR316", "DSR323", "TUN402", "TUN403", "DSC511"),
        decide=(
            "ip route get CLIENT from VIP  # on the server (from RIP with NAT): Network is unreachable is this",
            "nstat -az IpOutNoRoutes Ip6OutNoRoutes  # on the server: grows with each request",
        ),
        fixes=(
            Fix(
                "that server",
                (
                    "ip route add default via ROUTER  # via the load balancer with NAT",
                    "ip -6 route add default via ROUTER6",
                    "sysctl -w net.ipv6.conf.IFACE.accept_ra=2  # if it forwards and still wants advertisements",
                ),
                "give it a way back, and write that where it survives a restart",
            ),
            Fix(
                "health checks",
                (),
                "ask the VIP from a subnet of clients too; a check from next door proves nothing about the way to them",
            ),
        ),
        sources=("recorded, a server without a default route", "route.c ip_route_output_key, Linux 6.1"),
        evidence="recorded",
        example="dsrkit craft nat --fault NAT213",
    ),
    Entry(
        code="NAT214",
        name="replies-not-forwarded",
        severity="error",
        summary="Replies come back to the load balancer and are not sent on to the client.",
        signature="SYN-ACKs from the RIP to the client arrive at the load balancer's inside with its eth.dst, and"
        " nothing of them leaves outside. Requests pass.",
        cause="ip_forward is 0: IPVS sends requests itself, but the way back is ordinary routing. A FORWARD chain"
        " that drops, or strict rp_filter on the inside, look the same from outside.",
        effect="Every connection times out, while the load balancer's counters of incoming packets look fine.",
        modes=_NAT,
        look_alikes=(
            LookAlike("NAT201", "there replies do not come to the load balancer at all"),
            LookAlike("NAT213", "there the server sends no reply"),
        ),
        decide=(
            "sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding  # on the load balancer",
            "nft list chain inet filter forward; nstat -az TcpExtIPReversePathFilter",
        ),
        fixes=(
            Fix(
                "the load balancer",
                (
                    "sysctl -w net.ipv4.ip_forward=1",
                    "sysctl -w net.ipv6.conf.all.forwarding=1",
                    "nft insert rule inet filter forward ip saddr RIP_SUBNET accept",
                    "sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.INSIDE.rp_filter=2",
                ),
                "the first two are nearly always it; the others only if what settles it points to them",
            ),
        ),
        sources=(
            "recorded, ip_forward=0 on the load balancer",
            "ip_forward.c ip_forward, Linux 6.1",
            "LVS-HOWTO, LVS-NAT",
        ),
        evidence="recorded",
        example="dsrkit craft nat --fault NAT214",
    ),
)

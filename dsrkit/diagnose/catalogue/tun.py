"""Entries of the area TUN: requests that travel to the real server inside other packets, or with an option."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.entry import Entry, Fix, LookAlike
from dsrkit.model.names import Mode

_TUNNEL: Final[tuple[Mode, ...]] = ("l3dsr-tunnel",)

_DEVICE: Final = Fix(
    "that server",
    (
        "modprobe ipip; ip link add dsr0 type ipip local RIP remote DIP; ip link set dsr0 up",
        "ip link add dsr0 type ip6tnl mode ip6ip6 local RIP6 remote DIP6; ip link set dsr0 up  # IPv6 in IPv6",
        "modprobe fou; ip fou add port 6080 gue  # GUE: this besides one of the devices above",
        "ip link add dsr0 type gre local RIP remote DIP; ip link set dsr0 up  # GRE",
        "sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.dsr0.rp_filter=0",
    ),
    "one device for what the load balancer sends. katran sends from many addresses: there type ipip external takes"
    " them all",
)
_LESS_MSS: Final = Fix(
    "the real servers",
    (
        "ip route change default via ROUTER advmss 1440",
        "ip -6 route change default via ROUTER6 advmss 1400",
        "nft add table ip dsr; nft add chain ip dsr out '{ type filter hook output priority mangle; }'",
        "nft add rule ip dsr out ip saddr VIP tcp flags syn tcp option maxseg size set 1440  # instead of advmss",
    ),
    "1500 less the outer header, the inner one and 20 for TCP: 1440 for IPv4 in IPv4, 1400 for IPv6 in IPv6, 1428 for"
    " GUE over IPv4. It has to be the server, since the load balancer never sees the SYN-ACK",
)
_WIDER: Final = Fix(
    "the network between load balancer and servers",
    ("ip link set dev IFACE mtu 1600  # on every machine and switch port of the way",),
    "room for the outer header, so that clients need not know of it; jumbo frames are the usual way",
)

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="TUN401",
        name="no-decapsulation-device",
        severity="error",
        summary="A real server has nothing that takes the outer header off, and refuses the tunnel's protocol.",
        signature="At the server (D), outer packets arrive, and icmp.type 3 with icmp.code 2 (protocol unreachable)"
        " goes from the RIP to the outer source; IPv6: icmpv6.type 4 with icmpv6.code 1. IPVS makes an error of it for"
        " the client, from the VIP and about the inner packet.",
        cause="No module for the outer protocol is loaded, so no device of its kind exists: a new server, a reboot"
        " without the modprobe, a container that may not load modules. Where all servers refuse alike, the load"
        " balancer may as well send another kind of tunnel than was agreed.",
        effect="This server's share of connections fails at once, on Linux with 'Protocol not available'.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike(
                "TUN422", "a module that is loaded, with a device that is down, answers 'port unreachable' (3/3)"
            ),
            LookAlike("TUN413", "GUE to a port without a socket draws 3/3, and so does a device made for other ends"),
            LookAlike("TUN402", "a packet that is dropped behind the device draws no error at all"),
            LookAlike("TUN409", "a router that prohibits the outer packets signs the error with its own address"),
        ),
        decide=(
            "ip -d link show  # on the server: a device of type ipip, ip6tnl, sit or gre, up, with fitting ends?",
            "lsmod | grep -E 'ipip|ip_gre|ip6_tunnel|sit|fou'",
            "ipvsadm -Ln --tun-info  # on the load balancer: which tunnel it makes",
        ),
        fixes=(_DEVICE,),
        sources=(
            "ip_input.c ip_protocol_deliver_rcu, Linux 6.1",
            "facebookincubator/katran EXAMPLE.md",
            "GLB documentation",
            "recorded b03a-tun-no-ipip-module",
        ),
        evidence="recorded",
        example="dsrkit craft l3dsr-tunnel --fault TUN401",
    ),
    Entry(
        code="TUN402",
        name="inner-packet-dropped-by-rp-filter",
        severity="error",
        summary="A real server takes the outer header off and drops the inner packet, because its source is not"
        " routed through the tunnel.",
        signature="At the server (D), outer packets arrive, and nothing comes back: no reply from the VIP and no ICMP"
        " error. The client repeats its SYN after 1, 3 and 7 s.",
        cause="rp_filter compares the tunnel device with the way back to the client, which leads to the router. Loose"
        " mode (2) does not help on a device without an address. The larger of conf/all and the device counts.",
        effect="This server's share of connections hangs until the client gives up.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("TUN401", "without a device the server says so, by ICMP 3/2"),
            LookAlike("TUN422", "a device that is down draws ICMP 3/3"),
            LookAlike("TUN420", "with GRE, look at the checksum bit: gre.flags.checksum is 1 there"),
            LookAlike("TUN421", "one look at the outer source tells: there it is the VIP"),
            LookAlike("TUN409", "there the outer packet does not get to the server"),
            LookAlike("DSR302", "a server that forwards sends the inner packet back out, with one TTL less"),
        ),
        same_picture=("TUN403", "NAT213", "DSR323"),
        decide=(
            "nstat -az TcpExtIPReversePathFilter  # on the server: grows with each SYN if it is this",
            "sysctl net.ipv4.conf.all.rp_filter net.ipv4.conf.TUNNEL.rp_filter",
            "ip address show to VIP; ip route get CLIENT from VIP  # rules out the other two",
        ),
        fixes=(
            Fix(
                "that server",
                ("sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.TUNNEL.rp_filter=0",),
                "both, since the larger counts; net.ipv4.conf.default reaches only devices made afterwards, so a file"
                " in /etc/sysctl.d may come too early for the tunnel",
            ),
            Fix(
                "that server, for IPv6",
                ("nft list ruleset | grep fib", "firewalld.conf: IPv6_rpfilter=no"),
                "the kernel has no such sysctl there, but firewalls bring a rule of their own",
            ),
        ),
        sources=(
            "Linux Documentation/networking/ip-sysctl.rst, rp_filter",
            "fib_frontend.c __fib_validate_source, Linux 6.1",
            "facebookincubator/katran #47",
            "loxilb-io/loxilb #219",
            "reproduced in the lab",
        ),
        evidence="lab",
        example="dsrkit craft l3dsr-tunnel --fault TUN402",
    ),
    Entry(
        code="TUN403",
        name="vip-missing-behind-tunnel",
        severity="error",
        summary="A real server takes the outer header off, finds a packet for a VIP that it does not have, and drops"
        " it.",
        signature="As TUN402: outer packets arrive at the server (D) and nothing comes back. Where the server forwards"
        " (ip_forward=1), the inner packet leaves it again instead, bare and with one TTL less.",
        cause="The VIP is on no interface of the server: never added to lo or the tunnel device, or gone with the"
        " device when that was made anew.",
        effect="This server's share of connections hangs. Checks of the RIP stay green.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("TUN401", "without a device the server says so, by ICMP 3/2"),
            LookAlike("DSR302", "the same on a server that forwards: the packet comes out again and loops"),
            LookAlike("DSR303", "a server with the VIP and without a listener answers with a RST"),
            LookAlike("TUN420", "with GRE, look at the checksum bit"),
            LookAlike("TUN421", "one look at the outer source tells: there it is the VIP"),
        ),
        same_picture=("TUN402", "NAT213", "DSR323"),
        decide=(
            "ip address show to VIP  # on the server: nothing is this",
            "nstat -az TcpExtIPReversePathFilter  # if it grows, it is TUN402",
        ),
        fixes=(
            Fix(
                "that server",
                (
                    "ip address add VIP/32 dev lo",
                    "ip -6 address add VIP6/128 dev lo preferred_lft 0",
                    "sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2",
                ),
                "on lo it outlives the tunnel device. The sysctls matter where server and VIP share a network",
            ),
        ),
        sources=("ip_input.c ip_rcv_finish, Linux 6.1", "LVS-HOWTO, LVS-Tun", "reproduced in the lab"),
        evidence="lab",
        example="dsrkit craft l3dsr-tunnel --fault TUN403",
        says="dsrkit verify names TUN402, with TUN403 among the candidates.",
    ),
    Entry(
        code="TUN404",
        name="large-requests-do-not-fit-tunnel",
        severity="warning",
        summary="Full-sized requests do not fit into the tunnel, so the load balancer refuses them until clients send"
        " smaller ones.",
        signature="Before the load balancer (B), packets with ip.flags.df 1 and ip.len above 1480 for which no outer"
        " copy leaves. Then icmp.type 3, icmp.code 4, icmp.mtu 1480 to the client, with the VIP as ip.src, and smaller"
        " segments with the same tcp.seq. IPv6: icmpv6.type 2 with 1460.",
        cause="The outer header takes 20 octets (IPv6 40, GUE over IPv4 32) of an MTU that is 1500 on either side, and"
        " nobody told the clients to send less.",
        effect="Handshakes and small requests work; uploads, large cookies and TLS client certificates stall for a"
        " moment, once per client and path. If the error gets lost they hang for good: TUN423.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("TUN405", "the reason that lies beneath: servers announce an MSS for the whole MTU"),
            LookAlike("TUN423", "there the error never reaches the client, which repeats the full size"),
            LookAlike("TUN408", "there the client sent ordinary segments, and offload joined them"),
            LookAlike("NAT208", "there packets of every size end at the load balancer"),
        ),
        decide=(
            "ping -M do -s 1492 RIP  # from the load balancer: an answer means room for an outer header",
            "ip route get RIP; ip link show  # on the load balancer: the MTU towards the servers",
        ),
        fixes=(
            _LESS_MSS,
            _WIDER,
            Fix(
                "katran",
                ("clang -O2 -emit-llvm -DICMP_TOOBIG_GENERATION ... balancer.bpf.c",),
                "its balancer program drops what does not fit without a word, unless it was built to answer",
            ),
        ),
        sources=(
            "ip_vs_xmit.c ensure_mtu_is_adequate, Linux 6.1",
            "RFC 2003 s5",
            "facebookincubator/katran #82",
            "cloudnativelabs/kube-router #630",
            "recorded b07-tun-mtu-frag-needed",
        ),
        evidence="recorded",
        example="dsrkit craft l3dsr-tunnel --fault TUN404",
        says="dsrkit verify names TUN405, with TUN404 as the other candidate: the one is the setting, the other what"
        " comes of it.",
    ),
    Entry(
        code="TUN405",
        name="mss-ignores-tunnel",
        severity="warning",
        summary="Real servers announce an MSS for the whole MTU, although requests get an outer header on their way.",
        signature="SYN-ACKs from the VIP with tcp.options.mss_val above the path's MTU less outer header, inner header"
        " and 20: 1460 where 1440 would fit. It is only judged where the path's MTU is known, or proven by an outer"
        " packet that was refused; a larger outer packet at the server disproves it.",
        cause="The MSS comes from the MTU of the server's own interface, which does not know of the tunnel. A clamp on"
        " the load balancer does nothing: SYN-ACKs do not pass there.",
        effect="Nothing, until a client sends a full segment: then TUN404, or TUN423.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("TUN404", "the event that it leads to: a segment that did not fit"),
            LookAlike("TUN407", "there the load balancer fragments what does not fit, so that nothing stalls"),
        ),
        decide=(
            "ip route get CLIENT from VIP  # on the server: is there an advmss?",
            "ping -M do -s 1492 RIP  # from the load balancer: an answer means room for an outer header",
        ),
        fixes=(_LESS_MSS, _WIDER),
        sources=(
            "RFC 6691",
            "cloudnativelabs/kube-router #1664",
            "cloudnativelabs/kube-router #1671",
            "recorded b07-tun-mtu-frag-needed",
        ),
        evidence="recorded",
        example="dsrkit craft l3dsr-tunnel --fault TUN405",
    ),
    Entry(
        code="TUN406",
        name="too-big-reaches-wrong-server",
        severity="error",
        summary="'Fragmentation needed' about a reply is sent on to a server that never sent it, so the one that did"
        " goes on with too large packets.",
        signature="ICMP 3/4 (IPv6: type 2) with ip.dst VIP comes to the load balancer and goes on to another server"
        " than the quoted connection's. The quote is reversed: VIP and service port are its source, the client its"
        " destination. The reply is sent again with the same tcp.seq and length.",
        cause="The error comes from a router on the clients' side, so a hash over its own addresses picks another load"
        " balancer or server than the connection's. Only what it quotes says whose it is.",
        effect="Large replies hang for clients behind a narrow link (VPN, PPPoE, mobile), the more surely the more"
        " servers there are.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("TUN423", "there the error is about a request, and never reaches the client"),
            LookAlike("NAT209", "there the load balancer translates addresses and gets the error's wrong"),
            LookAlike("TUN404", "there the load balancer makes the error itself, about requests"),
        ),
        decide=(
            "ip route get CLIENT from VIP  # on each server: which of them has learnt an mtu for this client",
            "tcpdump -ni any 'icmp[0] == 3 and icmp[1] == 4'  # on the servers",
        ),
        fixes=(
            Fix(
                "the load balancer",
                (),
                "steer ICMP errors by the packet that they quote, with source and destination exchanged. IPVS, katran"
                " and GLB do so for connections that they know; several balancers behind ECMP must agree on the"
                " server, or hand errors to each other as Cloudflare's pmtud does",
            ),
            Fix(
                "the real servers",
                (
                    "sysctl -w net.ipv4.tcp_mtu_probing=1",
                    "ip route change default via ROUTER advmss 1360  # and mtu 1400 for what the server sends",
                ),
                "probing finds the size without any error message",
            ),
        ),
        sources=(
            "Cloudflare blog, Path MTU discovery in practice",
            "GLB director tests, test_02_icmp_fragmentation_required",
            "RFC 7690",
        ),
        example="dsrkit craft l3dsr-tunnel --fault TUN406",
    ),
    Entry(
        code="TUN407",
        name="outer-packets-fragmented",
        severity="warning",
        summary="The load balancer cuts outer packets into fragments, although their inner packets must not be"
        " fragmented.",
        signature="Behind the load balancer, outer headers with ip.flags.df 0 around inner ones with 1, and large"
        " requests in two pieces: ip.flags.mf 1, then ip.frag_offset above 0. A client's own fragments do not count:"
        " IPVS joins them and cuts the outer packet anew, as it should.",
        cause="net.ipv4.vs.pmtu_disc is 0, mostly as a cure for TUN404. IPv6 has no such switch.",
        effect="It works, at a price: the server puts every large request together again, one lost fragment loses"
        " both, and firewalls or ECMP on the way may treat later fragments otherwise than first ones.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("NAT211", "there the client's fragments are meant, and later ones do not come out"),
            LookAlike("TUN404", "with pmtu_disc=1 the same segments are refused instead"),
        ),
        decide=("sysctl net.ipv4.vs.pmtu_disc  # on the load balancer: 0 is this",),
        fixes=(
            _LESS_MSS,
            Fix("the load balancer, after that", ("sysctl -w net.ipv4.vs.pmtu_disc=1",), "1 is the default"),
        ),
        sources=(
            "Linux Documentation/networking/ipvs-sysctl.rst, pmtu_disc",
            "RFC 4459",
            "recorded, pmtu_disc=0 on the load balancer",
        ),
        evidence="recorded",
        example="dsrkit craft l3dsr-tunnel --fault TUN407",
    ),
    Entry(
        code="TUN408",
        name="receive-offload-on-load-balancer",
        severity="error",
        summary="The load balancer's network card joins segments, and the load balancer finds the result too large"
        " for the tunnel.",
        signature="In the load balancer's own capture, requests with frame.len above the MTU, each answered at once by"
        " ICMP 3/4 to a client that has sent nothing so large; at the tap before, the same octets in ordinary"
        " segments.",
        cause="LRO or GRO is on. Linux switches LRO off when ip_forward is set, which a load balancer for direct"
        " return may lack. Today's IPVS lets pass what GRO has joined, since it can be cut again; old kernels do not.",
        effect="Uploads crawl: segments come through one by one, when nothing can be joined to them.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("CAP902", "the same large frames without an ICMP error are only a matter of capturing"),
            LookAlike("TUN404", "there the client did send packets that are too large"),
        ),
        decide=("ethtool -k IFACE | grep receive-offload  # on the load balancer",),
        fixes=(
            Fix(
                "the load balancer",
                ("ethtool -K IFACE gro off lro off", "sysctl -w net.ipv4.ip_forward=1  # ends LRO as well"),
                "on every interface, and on each port of a bond",
            ),
        ),
        sources=(
            "facebookincubator/katran EXAMPLE.md",
            "ip_vs_xmit.c ensure_mtu_is_adequate, Linux 6.1",
            "devinet.c inet_forward_change, Linux 6.1",
        ),
        example="dsrkit craft l3dsr-tunnel --fault TUN408",
    ),
    Entry(
        code="TUN409",
        name="tunnel-filtered-on-the-way",
        severity="error",
        summary="Something between load balancer and servers drops the tunnel's packets.",
        signature="Outer packets leave the load balancer (B) and are missing at the servers (D): ip.proto 4, 41 or 47,"
        " or the GUE or Geneve port. Either nobody says so, or a router does with ICMP 3/13, quoting the outer header.",
        cause="Access lists and security groups know TCP, UDP and ICMP, and drop other protocols by default. Some"
        " clouds carry no IP in IP at all.",
        effect="Every connection to servers behind that place hangs. Pings and checks of the RIP are fine.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("DSR322", "lost without being filtered by protocol: plain packets on that way vanish too"),
            LookAlike("TUN412", "there a router answers ICMP 11/0: the outer TTL was used up"),
            LookAlike("TUN418", "there the frames go to a MAC that no router has"),
            LookAlike("DSR310", "there the outer source is what a router objects to: try another one"),
            LookAlike("CAP904", "there the capture filter left the outer packets out: the connections work"),
        ),
        decide=(
            "tcpdump -ni IFACE 'ip proto 4 or ip6 proto 41 or ip proto 47 or udp port 6080'  # hop by hop",
            "nft list ruleset; iptables-save -c  # on routers and servers: which drop counter grows",
        ),
        fixes=(
            Fix(
                "the filter",
                (
                    "nft insert rule inet filter forward ip protocol { 4, 47 } ip saddr DIP accept",
                    "nft insert rule inet filter forward ip6 nexthdr { 4, 41, 47 } ip6 saddr DIP6 accept",
                    "Cisco: permit ipinip host DIP any",
                ),
                "on each filtering hop, before what drops",
            ),
            Fix(
                "AWS, Azure and other clouds",
                (
                    "AWS security group: custom protocol 4, source the load balancers",
                    "ipvsadm -e -t VIP:80 -r RIP -i --tun-type gue --tun-port 6080",
                ),
                "Azure carries neither IP in IP nor GRE between its machines; GUE is UDP and passes",
            ),
        ),
        sources=(
            "cilium/cilium #32473",
            "facebookincubator/katran #116",
            "Azure virtual network FAQ, protocols",
        ),
        example="dsrkit craft l3dsr-tunnel --fault TUN409",
    ),
    Entry(
        code="TUN410",
        name="reply-in-tunnel",
        severity="error",
        summary="A real server sends its replies into the tunnel, back to the load balancer, instead of to the client.",
        signature="At the server (D), outer packets from the RIP to the load balancer, with the reply inside: ip.src"
        " VIP, ip.dst the client. They end at the load balancer, which owns the VIP itself. Router solicitations of an"
        " IPv6 tunnel device are no replies and do not count.",
        cause="The server's route to the clients leads through the tunnel device: a default route on it, or a policy"
        " rule for the VIP that was meant for something else.",
        effect="Connections to that server hang; if the load balancer does forward them, all replies take a detour"
        " through it.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("DSR308", "there the reply goes to the load balancer bare, without an outer header"),
            LookAlike("TUN402", "there the server sends nothing at all"),
        ),
        decide=("ip route get CLIENT from VIP  # on the server: dev TUNNEL is this", "ip rule show; ip route show"),
        fixes=(
            Fix(
                "that server",
                ("ip route replace default via ROUTER dev IFACE", "ip -6 route replace default via ROUTER6 dev IFACE"),
                "the way back is the ordinary one; the tunnel device needs no route",
            ),
        ),
        sources=("facebookincubator/katran #47, built so on purpose",),
        evidence="guess",
        example="dsrkit craft l3dsr-tunnel --fault TUN410",
    ),
    Entry(
        code="TUN411",
        name="outer-mark-lost",
        severity="warning",
        summary="The outer header does not carry the DSCP or the ECN bits of the packet inside.",
        signature="Behind the load balancer, ip.dsfield of the outer header (ip.dsfield#1) is 0 while the inner one's"
        " is not. For ECN also at the server: CE outside, and the TCP there does not hear of it.",
        cause="The load balancer writes a fixed outer header: GLB sets 0, IPVS and katran copy. CE is no loss: IPVS"
        " turns it into ECT(0) outside, as RFC 6040 has it, and the inner mark stays.",
        effect="Between load balancer and servers the packets lose their class of service, and congestion there drops"
        " packets instead of marking them. Nothing breaks.",
        modes=_TUNNEL,
        look_alikes=(LookAlike("DSC508", "the same bits lost by a rewrite of the TOS octet, in DSCP mode"),),
        decide=("ip -d link show TUNNEL  # tos inherit, or a fixed one; katran, GLB: see their sources",),
        fixes=(
            Fix(
                "a load balancer that sends through a Linux device",
                ("ip link set TUNNEL type ipip tos inherit", "ip link set TUNNEL type ip6tnl tclass inherit"),
                "IPVS makes its outer headers itself and copies without being told",
            ),
        ),
        sources=("RFC 6040", "RFC 9601", "ip_vs_xmit.c ip_vs_prepare_tunneled_skb, Linux 6.1"),
        example="dsrkit craft l3dsr-tunnel --fault TUN411",
    ),
    Entry(
        code="TUN412",
        name="outer-ttl-too-low",
        severity="error",
        summary="Outer packets run out of TTL between the load balancer and the servers.",
        signature="Outer headers leave the load balancer with ip.ttl (IPv6: hop limit) smaller than the number of"
        " routers behind it; a router answers ICMP 11/0 to the load balancer's address and quotes the outer header.",
        cause="IPVS gives the outer header what is left of the client's TTL. For clients with a low one, or far away,"
        " that is too little for the rest of the way; or a tunnel device has a small fixed ttl.",
        effect="Some clients cannot connect, always the same ones; others notice nothing.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("DSR320", "there the TTL ends at the load balancer, and nothing leaves it"),
            LookAlike("DSR302", "there one packet loops and its TTL falls round by round"),
            LookAlike("TUN409", "a filter does not answer with ICMP 11/0"),
        ),
        decide=("traceroute -T -p PORT VIP  # from such a client: how much TTL is left",),
        fixes=(
            Fix(
                "the load balancer",
                (
                    "nft add table ip dsr; nft add chain ip dsr out '{ type filter hook output priority mangle; }'",
                    "nft add rule ip dsr out ip protocol 4 ip ttl set 64",
                    "nft add table ip6 dsr; nft add chain ip6 dsr out '{ type filter hook output priority mangle; }'",
                    "nft add rule ip6 dsr out ip6 nexthdr 41 ip6 hoplimit set 64",
                ),
                "the outer header then has a TTL of its own, as katran and GLB give it one",
            ),
            Fix("the client", ("sysctl -w net.ipv4.ip_default_ttl=64",), "if its TTL is low by configuration"),
        ),
        sources=("ip_vs_xmit.c ip_vs_tunnel_xmit, Linux 6.1", "RFC 2003 s3.1"),
        evidence="guess",
        example="dsrkit craft l3dsr-tunnel --fault TUN412",
    ),
    Entry(
        code="TUN413",
        name="tunnel-mismatch",
        severity="error",
        summary="Load balancer and servers do not agree on the kind of tunnel, its port or its ends.",
        signature="At the server (D), ICMP 3/3 (port unreachable) from the RIP about the outer packet, by each server"
        " alike. With GUE the quoted outer ip.len is the one that was sent, since no socket took the packet.",
        cause="The load balancer sends to another UDP port than the servers listen on (6080, 6081 and 19523 are all in"
        " use), or sends GRE where they have ipip, or from an address that no device has as its remote end.",
        effect="No connection works through the servers that disagree.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("TUN422", "a GUE socket that is there shortens the quoted length before its device refuses"),
            LookAlike("TUN401", "without any handler for ip.proto 4 or 47 the error is 3/2"),
            LookAlike("DSR303", "there the quoted packet is the client's own, a closed UDP port"),
            LookAlike("HCK706", "there the load balancer answers 3/3 itself and sends nothing to any server"),
        ),
        decide=(
            "ipvsadm -Ln --tun-info  # on the load balancer",
            "ip fou show; ss -lun; ip -d link show  # on the server",
        ),
        fixes=(
            Fix(
                "the load balancer",
                (
                    "ipvsadm -e -t VIP:80 -r RIP -i --tun-type gue --tun-port 6080 --tun-nocsum",
                    "keepalived.conf: lvs_method TUN type gue port 6080 nocsum",
                ),
                "if it is the one that differs from what was agreed",
            ),
            Fix(
                "or the servers",
                ("ip fou add port 6080 gue", "ip fou add port 6080 gue -6", "ip link set dsr0 type ipip remote DIP"),
                "Linux takes both variants of GUE, with its header (IPVS, GLB) and without (katran)",
            ),
        ),
        sources=(
            "github/glb-director docs, gue-header.md",
            "fou.c gue_udp_recv, Linux 6.1",
            "tunnel4.c tunnel4_rcv, Linux 6.1",
            "recorded, GUE to another port and GRE to an ipip server",
        ),
        evidence="recorded",
        example="dsrkit craft l3dsr-tunnel --fault TUN413",
    ),
    Entry(
        code="TUN414",
        name="server-was-not-told-the-vip",
        severity="error",
        summary="Packets in the middle of a connection come to a server that was never told which VIP they are for.",
        signature="A SYN with an IP option or Geneve option that names the VIP goes to one server, a later packet of"
        " the connection goes without it to another, and that one answers from its own address, mostly with a RST.",
        cause="Cilium tells the VIP with the SYN only. When the load balancer forgets the connection, or another one"
        " takes it over after a change of ECMP, the rest of it may meet a new server.",
        effect="Long connections break when nodes come and go, or after idle times.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("DSR318", "there the new server does know the VIP, and its RST comes from it"),
            LookAlike("NAT201", "there SYNs are answered from the RIP as well"),
            LookAlike("DSC510", "there requests carry a tag, and each connection fails from the start"),
        ),
        decide=(
            "cilium-dbg bpf ct list global | grep CLIENT  # on the nodes: which one has the entry",
            "cilium-dbg status --verbose | grep -iA4 'load balanc\\|dsr'",
        ),
        fixes=(
            Fix(
                "Cilium",
                (
                    "helm upgrade cilium cilium/cilium --reuse-values --set loadBalancer.algorithm=maglev",
                    "helm upgrade cilium cilium/cilium --reuse-values --set loadBalancer.dsrDispatch=ipip",
                ),
                "Maglev lets each node pick the same server; a tunnel tells the VIP with every packet",
            ),
        ),
        sources=("cilium/cilium #27730", "cilium/cilium #32091", "cilium/cilium #47020", "cilium/cilium #17759"),
        example="dsrkit craft l3dsr-tunnel --fault TUN414",
    ),
    Entry(
        code="TUN415",
        name="ip-options-dropped-on-the-way",
        severity="error",
        summary="The network drops packets with IP options, and with them the SYNs that tell servers the VIP.",
        signature="SYNs leave the load balancer with ip.hdr_len above 20 (IPv6: a destination options header, ip6"
        " next header 60) and are missing at the server; packets without options pass on the same way.",
        cause="Many routers send packets with options to their slow path, and many networks and clouds drop them for"
        " that reason.",
        effect="No TCP connection gets through, while ping and checks from node to node work.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("TUN409", "there it is an outer header that is filtered"),
            LookAlike("TUN416", "there only packets that fill the MTU are lost"),
            LookAlike("DSR322", "there plain packets on that way are lost, too"),
        ),
        decide=("tcpdump -ni IFACE 'ip[0] & 0xf > 5'  # hop by hop, where SYNs with options end",),
        fixes=(
            Fix(
                "Cilium",
                (
                    "helm upgrade cilium cilium/cilium --reuse-values --set loadBalancer.dsrDispatch=geneve",
                    "helm upgrade cilium cilium/cilium --reuse-values --set loadBalancer.mode=snat",
                ),
                "Geneve hides the information from routers; snat does without direct return",
            ),
            Fix("the routers", ("Cisco: no ip options drop",), "where the network is yours"),
        ),
        sources=("cilium/cilium #21876", "cybozu-go/neco #2142", "RFC 7126", "RFC 7872"),
        example="dsrkit craft l3dsr-tunnel --fault TUN415",
    ),
    Entry(
        code="TUN416",
        name="option-exceeds-mtu",
        severity="error",
        summary="Datagrams that fill the MTU become too long by the option that tells servers the VIP.",
        signature="Behind the load balancer, UDP with ip.len of 1508 (IPv6: 24 octets above the MTU), which is missing"
        " at the next tap. Smaller datagrams pass. TCP has the option only on its SYN, which is small.",
        cause="Every UDP packet gets an option of 8 octets (IPv6 24), and the way to the server has the same MTU as"
        " the client's.",
        effect="Large UDP requests vanish: QUIC's first packets, video, EDNS answers through a VIP.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("TUN415", "there every packet with an option is lost, however small"),
            LookAlike("TUN404", "there TCP segments do not fit, and the load balancer says so by ICMP"),
            LookAlike("NAT211", "there datagrams come in fragments already"),
        ),
        decide=("ip link show IFACE  # on the nodes and on the routers between them: which MTU",),
        fixes=(
            _WIDER,
            Fix(
                "Cilium",
                ("helm upgrade cilium cilium/cilium --reuse-values --set loadBalancer.mode=hybrid",),
                "hybrid leaves UDP to SNAT, which adds nothing",
            ),
        ),
        sources=("cilium/cilium #32601", "cilium/cilium #9473"),
        example="dsrkit craft l3dsr-tunnel --fault TUN416",
    ),
    Entry(
        code="TUN417",
        name="reply-from-another-vip",
        severity="error",
        summary="A real server that stands behind several VIPs answers a client from another VIP than it asked.",
        signature="At the client (A), a SYN to one VIP and a SYN-ACK with another VIP as ip.src; the client answers"
        " RST. The client's port was used before, with that other VIP. New ports work.",
        cause="The server still has an entry for the client's address and port from a connection whose end it never"
        " saw, and that entry names the other VIP.",
        effect="Single connections fail now and then, mostly those of busy clients or from behind NAT, which use ports"
        " again soon.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("DSC505", "there it is always so for a tag and a server, with any client port"),
            LookAlike("DSR318", "there the server changes, not the VIP"),
        ),
        decide=("cilium-dbg bpf ct list global | grep CLIENT  # on the server: an entry with the other VIP",),
        fixes=(
            Fix(
                "Cilium",
                (
                    "helm upgrade cilium cilium/cilium --reuse-values --version NEWER",
                    "cilium-dbg bpf ct flush global  # on that server, at the price of its open connections",
                ),
                "a version in which a new SYN replaces the old entry; the flush helps until the next one",
            ),
        ),
        sources=("cilium/cilium #18632",),
        example="dsrkit craft l3dsr-tunnel --fault TUN417",
    ),
    Entry(
        code="TUN418",
        name="wrong-next-hop-mac",
        severity="error",
        summary="The load balancer sends its outer packets to a MAC address that is not its gateway's.",
        signature="Behind the load balancer, outer packets whose eth.dst is not the MAC that the gateway answers ARP"
        " with; they appear on no further tap, or flooded on every port.",
        cause="A load balancer below the IP stack (XDP, DPDK) is told its gateway's MAC in its configuration, and the"
        " gateway was replaced or moved to its peer.",
        effect="Nothing gets through, from the moment of the change.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("TUN409", "there frames do go to the router, which does not pass them on"),
            LookAlike("DSR305", "there it is a server's MAC that is out of date, in L2DSR"),
        ),
        decide=(
            "ip neigh show ROUTER  # on the load balancer: the MAC that the kernel knows",
            "tcpdump -eni IFACE 'ip proto 4 or ip6 proto 41'  # the MAC that packets go to",
        ),
        fixes=(
            Fix(
                "katran",
                ("katran_server_grpc -default_mac MAC ...",),
                "let it be the MAC of the gateway's VRRP address (00:00:5e:00:01:VRID), which moves along",
            ),
        ),
        sources=("facebookincubator/katran EXAMPLE.md, -default_mac",),
        example="dsrkit craft l3dsr-tunnel --fault TUN418",
    ),
    Entry(
        code="TUN419",
        name="geneve-options-not-returned",
        severity="error",
        summary="An appliance behind a gateway load balancer does not send packets back with the Geneve options they"
        " came with, or has no room for them.",
        signature="At the appliance, UDP port 6081 with options in; packets that go back lack the options or the flow"
        " cookie among them, or large ones do not go back at all. No mode here has such a load balancer, so that"
        " dsrkit does not judge it.",
        cause="The gateway load balancer finds the flow by the cookie that it sent along, and drops what comes back"
        " without it. Header and options take 68 octets on top of the packet.",
        effect="Traffic through the appliance stops, or only its large packets do.",
        modes=_TUNNEL,
        look_alikes=(LookAlike("TUN404", "there a load balancer of servers refuses large requests by ICMP"),),
        decide=("tcpdump -vvni IFACE udp port 6081  # on the appliance: compare options in and out",),
        fixes=(
            Fix(
                "the appliance",
                ("ip link set dev IFACE mtu 1568  # 8568 for the 8500 that AWS carries",),
                "it needs the room, and software that copies the outer header's options, as AWS's gwlbtun sample does",
            ),
        ),
        sources=("AWS documentation, Gateway Load Balancer", "RFC 8926 s3.5", "AWS re:Post"),
        from_packets=False,
        says="There is nothing to try: dsrkit has no mode for gateway load balancers, so it neither crafts nor"
        " judges them.",
    ),
    Entry(
        code="TUN420",
        name="gre-checksum-refused",
        severity="error",
        summary="The load balancer sends GRE with a checksum, and the servers' device was not made to take one.",
        signature="At the server (D), GRE with gre.flags.checksum 1 arrives and nothing comes back, neither reply nor"
        " ICMP error.",
        cause="Linux drops GRE packets that have a checksum where the device has none set, and the reverse. The"
        " fallback device gre0 has none.",
        effect="Every connection hangs, although the tunnel looks complete on both ends.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("TUN402", "without a checksum in the GRE header it is this, or one of its kin"),
            LookAlike("TUN403", "without a checksum in the GRE header it may be this"),
            LookAlike("TUN401", "without any GRE device the server answers by ICMP"),
        ),
        decide=(
            "ip -d link show type gre  # on the server: is there csum or icsum?",
            "ip -s -s link show gre0  # on the server: receive errors of kind crc grow",
        ),
        fixes=(
            Fix(
                "the servers",
                (
                    "ip link add dsr0 type gre local RIP remote DIP icsum; ip link set dsr0 up",
                    "ip link add dsr0 type ip6gre local RIP6 remote DIP6 icsum; ip link set dsr0 up",
                ),
                "a device that asks for the checksum",
            ),
            Fix(
                "or the load balancer",
                (
                    "ipvsadm -e -t VIP:80 -r RIP -i --tun-type gre --tun-nocsum",
                    "keepalived.conf: lvs_method TUN type gre nocsum",
                ),
                "TCP and UDP inside have checksums of their own",
            ),
        ),
        sources=("ip_tunnel.c ip_tunnel_rcv, Linux 6.1", "RFC 2784 s2.2", "recorded, GRE with checksums to gre0"),
        evidence="recorded",
        example="dsrkit craft l3dsr-tunnel --fault TUN420",
    ),
    Entry(
        code="TUN421",
        name="vip-as-outer-source",
        severity="error",
        summary="The load balancer uses the VIP as the source of its outer packets, which servers own themselves and"
        " so drop.",
        signature="Behind the load balancer and at the server (D), outer ip.src (ipv6.src) is the VIP; nothing comes"
        " back. One packet proves it.",
        cause="IPVS leaves the choice of an IPv6 source to the kernel, which takes the VIP like any other address of"
        " the interface, unless it is deprecated. For the server it is a packet from itself, come from outside.",
        effect="Every connection hangs; IPv4 with the same set-up works.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("TUN402", "there the outer source is the load balancer's own address"),
            LookAlike("TUN403", "there the outer source is the load balancer's own address"),
            LookAlike("DSR310", "there a router on the way drops a source that it does not expect there"),
        ),
        decide=("ip -6 address show to VIP6  # on the load balancer: without 'deprecated' it is this",),
        fixes=(
            Fix(
                "the load balancer",
                (
                    "ip -6 address change VIP6/128 dev IFACE preferred_lft 0",
                    "keepalived.conf: virtual_ipaddress { VIP6/128 preferred_lft 0 }",
                ),
                "a deprecated address still receives, and is no longer chosen as a source",
            ),
        ),
        sources=(
            "ip_vs_xmit.c __ip_vs_route_output_v6, Linux 6.1",
            "RFC 6724 s5, rule 3",
            "recorded, IPv6 in IPv6 with an ordinary VIP",
        ),
        evidence="recorded",
        example="dsrkit craft l3dsr-tunnel --fault TUN421",
    ),
    Entry(
        code="TUN422",
        name="decapsulation-device-down",
        severity="error",
        summary="A real server has a device for the tunnel, and it is down.",
        signature="At the server (D), ICMP 3/3 (port unreachable) from the RIP about the outer packet, although"
        " ip.proto 4 and 47 have no ports; IPv6: 1/4. With GUE the quoted outer ip.len is smaller than what was sent,"
        " since the socket had taken off its header. IPVS passes the error on to the client, from the VIP.",
        cause="The device was made and never set up, or taken down by a network restart; loading the ipip module alone"
        " makes tunl0, which starts down.",
        effect="This server's share of connections is refused at once.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("TUN401", "without the module the error is 3/2, protocol unreachable"),
            LookAlike(
                "TUN413",
                "with GUE the quoted length is unchanged there; with ipip and GRE a device for other ends answers just"
                " the same, and more so if all servers do",
            ),
            LookAlike("DSR303", "a closed UDP port quotes the client's packet, not the outer one"),
            LookAlike("HCK706", "there the load balancer answers 3/3 itself and sends nothing to any server"),
        ),
        decide=("ip -d link show  # on the server: state DOWN, or local and remote that do not fit",),
        fixes=(
            Fix(
                "that server",
                ("ip link set tunl0 up", "ip link set ip6tnl0 up", "systemd-networkd: ActivationPolicy=always-up"),
                "tunl0 takes IPv4 in IPv4 from anybody, ip6tnl0 what is inside IPv6; then see to rp_filter (TUN402)",
            ),
        ),
        sources=("tunnel4.c tunnel4_rcv, Linux 6.1", "fou.c fou_recv_pull, Linux 6.1", "recorded, tunl0 down"),
        evidence="recorded",
        example="dsrkit craft l3dsr-tunnel --fault TUN422",
    ),
    Entry(
        code="TUN423",
        name="too-big-filtered",
        severity="error",
        summary="'Fragmentation needed' from the load balancer is dropped on its way to the client, so large requests"
        " hang.",
        signature="ICMP 3/4 (IPv6: type 2) with ip.src VIP on B, missing on A; on A the same tcp.seq again and again"
        " at full size, 3 s, 6 s, 12 s apart.",
        cause="A firewall between load balancer and clients drops ICMP, or does not take an error from a VIP whose"
        " replies it never sees.",
        effect="Logins work and uploads hang, for as long as the client tries.",
        modes=_TUNNEL,
        look_alikes=(
            LookAlike("TUN404", "the event itself: where the error arrives, clients send less and go on"),
            LookAlike("TUN405", "the reason that lies beneath: with a smaller MSS no error would be needed"),
            LookAlike("TUN406", "there the error is about replies, and goes to the wrong server"),
            LookAlike("DSR309", "there the SYN-ACK is what the firewall drops"),
        ),
        decide=("tcpdump -ni IFACE 'icmp[0] == 3 and icmp[1] == 4'  # on both sides of the firewall",),
        fixes=(
            Fix(
                "the firewall",
                (
                    "nft insert rule inet filter forward icmp type destination-unreachable accept",
                    "nft insert rule inet filter forward icmpv6 type packet-too-big accept",
                    "Cisco: permit icmp any any packet-too-big",
                ),
                "RFC 4890 has it that IPv6 must let these pass",
            ),
            _LESS_MSS,
        ),
        sources=("RFC 2923 s2.1", "RFC 4890 s4.3.1", "recorded, a router that drops ICMP 3/4"),
        evidence="recorded",
        example="dsrkit craft l3dsr-tunnel --fault TUN423",
    ),
)

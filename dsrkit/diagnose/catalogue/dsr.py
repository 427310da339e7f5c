"""Entries of the area DSR: L2DSR, and what every kind of direct server return shares."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.entry import Entry, Fix, LookAlike
from dsrkit.model.names import DIRECT_RETURN, Mode

_L2: Final[tuple[Mode, ...]] = ("l2dsr",)
_BALANCED: Final[tuple[Mode, ...]] = ("nat", "fullnat", *DIRECT_RETURN)

_VIP_ON_LO: Final = Fix(
    "that server",
    (
        "ip address add VIP/32 dev lo",
        "ip -6 address add VIP/128 dev lo preferred_lft 0",
        "sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2",
    ),
    "a packet for an address that is on no interface is not for this machine. The sysctls keep ARP101 and ARP103"
    " away; preferred_lft 0 keeps IPv6 from choosing the VIP as a source",
)
_VIP_ON_WINDOWS: Final = Fix(
    "that server, with Windows",
    (
        "netsh interface ipv4 add address LOOPBACK VIP 255.255.255.255",
        "netsh interface ipv4 set interface LOOPBACK weakhostreceive=enabled weakhostsend=enabled",
        "netsh interface ipv4 set interface IFACE weakhostreceive=enabled",
        "netsh interface ipv6 add address LOOPBACK VIP6/128",
        "netsh interface ipv6 set interface LOOPBACK weakhostreceive=enabled weakhostsend=enabled",
        "netsh interface ipv6 set interface IFACE weakhostreceive=enabled",
    ),
    "on a KM-TEST loopback adapter",
)
_BIND: Final = Fix(
    "that server",
    (
        "nginx: listen 80;",
        "apache: Listen 80",
        "systemctl restart DAEMON; ss -ltnu 'sport = :80'",
    ),
    "on the wildcard address, or on the VIP besides the RIP; [::] for IPv6",
)

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="DSR301",
        name="vip-missing-on-real-server",
        severity="error",
        summary="A real server does not have the VIP, so it drops the requests that the load balancer sends it.",
        signature="At the server, SYNs with ip.dst VIP and eth.dst of the server (or unpacked from a tunnel), and not"
        " one packet in return; the client repeats them after 1, 3 and 7 s.",
        cause="The VIP was never added to lo, or it went away with a reboot or a network restart. Linux drops what is"
        " neither for it nor, with ip_forward=0, for it to forward, and says nothing.",
        effect="The share of connections that this server gets hangs until the client gives up. Checks of the RIP are"
        " green all the while.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike("DSR302", "a server that forwards sends the same packet back with one TTL less"),
            LookAlike("DSR303", "a server that has the VIP and no listener answers with a RST"),
            LookAlike("DSR309", "there the server does answer, and the answer is lost on its way"),
            LookAlike("DSR322", "there the request never gets to the server"),
            LookAlike("NAT204", "there the transport checksum at the server is wrong"),
            LookAlike("TUN421", "in a tunnel, one look at the outer source tells: it is the VIP"),
        ),
        same_picture=("DSR311", "DSR316", "DSR323", "NAT213"),
        decide=(
            "ip address show to VIP  # on the server: nothing is this",
            "nstat -az TcpExtIPReversePathFilter IpOutNoRoutes  # the first grows: DSR311; the other: NAT213",
            "nft list ruleset  # on the server: a drop whose counter grows is DSR323",
        ),
        fixes=(_VIP_ON_LO, _VIP_ON_WINDOWS),
        sources=(
            "google/seesaw #25",
            "LVS-HOWTO, LVS-DR",
            "ip_input.c ip_rcv_finish, Linux 6.1",
            "recorded b01-dr-no-vip-on-rs",
        ),
        evidence="recorded",
        example="dsrkit craft l2dsr --fault DSR301",
    ),
    Entry(
        code="DSR302",
        name="vip-missing-on-forwarding-server",
        severity="error",
        summary="A real server lacks the VIP and forwards packets, so it sends requests back into the network.",
        signature="At the server, the request comes back out of it: same ip.id and tcp.seq, eth.src of the server,"
        " ip.dst still the VIP, ip.ttl one less. The router hands it to the load balancer again, and so on, until"
        " ICMP 11/0.",
        cause="The VIP is missing and ip_forward is 1, as container hosts and VPN gateways have it.",
        effect="Connections to that server hang, and each of their packets crosses the network dozens of times.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike("DSR301", "without forwarding the packet simply ends at the server"),
            LookAlike("CAP903", "the ordinary copy of direct return is made by the load balancer, once"),
            LookAlike("DSR320", "there the TTL is 1 when the packet first arrives; here it falls in a loop"),
            LookAlike("DSR306", "there the loop is between load balancer and router, and no server takes part"),
            LookAlike("DSR315", "there the loop is between two load balancers"),
        ),
        decide=(
            "ip address show to VIP  # on the server: nothing",
            "sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding  # on the server: 1",
        ),
        fixes=(
            _VIP_ON_LO,
            Fix(
                "that server, if it is no router",
                ("sysctl -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0",),
                "then a mistake costs silence, not a loop; container networks need it, though",
            ),
        ),
        sources=("loxilb-io/loxilb #502", "recorded b01b-dr-no-vip-forward-loop", "ip_forward.c ip_forward, Linux 6.1"),
        evidence="recorded",
        example="dsrkit craft l2dsr --fault DSR302",
    ),
    Entry(
        code="DSR303",
        name="daemon-bound-to-real-address",
        severity="error",
        summary="A real server has the VIP, but nothing listens on it there: connections to it are reset.",
        signature="At the server, SYN to the VIP, at once a RST with ip.src VIP and the SYN's own TOS; for UDP, ICMP"
        " 3/3 from the VIP. A SYN to the RIP is answered properly.",
        cause="The daemon is bound to the RIP, or is down, or listens on another port.",
        effect="Connection refused, for this server's share of clients or for all. Checks of the RIP are green.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike(
                "DSR319", "a firewall's RST has TOS 0 even where the SYN's was not; with a SYN of TOS 0 both look alike"
            ),
            LookAlike("HCK706", "there the load balancer itself refuses, and no packet reaches a server"),
            LookAlike("DSR318", "there the RST answers a packet in the middle of a connection"),
            LookAlike("DSR301", "without the VIP the server is silent"),
        ),
        same_picture=("DSR307",),
        decide=("ss -ltnup  # on the server: 0.0.0.0, [::] or the VIP must be among the local addresses",),
        fixes=(_BIND,),
        sources=("NANOG51, L3DSR, slide 4", "tcp_ipv4.c tcp_v4_send_reset, Linux 6.1", "RFC 9293 s3.5.2"),
        evidence="lab",
        example="dsrkit craft l2dsr --fault DSR303",
    ),
    Entry(
        code="DSR304",
        name="balancer-sends-to-itself",
        severity="error",
        summary="The load balancer sends requests to its own MAC address instead of a server's.",
        signature="On the load balancer's link, frames whose eth.src and eth.dst are both its own, or ARP requests of"
        " the load balancer for the very VIP that it owns. They arrive nowhere.",
        cause="It never learned the server's MAC: script monitors of NetScaler do not ask for it, a static entry is"
        " wrong, or the VIP was entered as the server's address.",
        effect="That server gets nothing while its check is green.",
        modes=_L2,
        look_alikes=(
            LookAlike("DSR305", "there the MAC belongs to nobody, or to somebody else"),
            LookAlike("DSR306", "there the MAC is the router's"),
        ),
        decide=("ip neigh show to RIP  # on the load balancer; show arp on appliances",),
        fixes=(
            Fix(
                "Citrix",
                ("add lb monitor PING-RIP PING; bind service NAME -monitorName PING-RIP",),
                "a ping beside the script monitor makes it learn the MAC",
            ),
            Fix(
                "the load balancer",
                ("ip neigh flush to RIP dev IFACE", "ipvsadm -Ln  # no VIP among the real servers"),
                "let it ask again, for the right address",
            ),
        ),
        sources=("Citrix CTX138969",),
        example="dsrkit craft l2dsr --fault DSR304",
    ),
    Entry(
        code="DSR305",
        name="stale-server-mac",
        severity="error",
        summary="The load balancer sends to a MAC address that the server no longer has.",
        signature="Behind the load balancer, eth.dst is a MAC that sends nothing itself; the switch floods the frame"
        " to every port, so taps of other machines show it too. No answer.",
        cause="A network card was replaced, a virtual machine moved or was built anew, and the load balancer holds a"
        " permanent or long-lived neighbour entry.",
        effect="That server's share of connections hangs, and its traffic is seen on all ports.",
        modes=_L2,
        look_alikes=(
            LookAlike("ARP113", "there the MAC is right, and the flood ends as soon as its owner says something"),
            LookAlike("DSR301", "there the frame does reach the server"),
            LookAlike("DSR304", "there the MAC is the load balancer's own"),
        ),
        decide=(
            "ip neigh show to RIP  # on the load balancer",
            "ip link show IFACE  # on the server: is it the same MAC",
        ),
        fixes=(
            Fix(
                "the load balancer",
                ("ip neigh del RIP dev IFACE", "ip -6 neigh del RIP6 dev IFACE"),
                "PERMANENT entries do not go away by themselves",
            ),
            Fix("the server", ("arping -U -c 3 -I IFACE -s RIP RIP",), "announce a new card when it comes up"),
        ),
        sources=("RFC 826", "neighbour.c, Linux 6.1"),
        evidence="general",
        example="dsrkit craft l2dsr --fault DSR305",
    ),
    Entry(
        code="DSR306",
        name="server-in-other-broadcast-domain",
        severity="error",
        summary="A real server is not on the load balancer's own link, which L2DSR cannot bridge.",
        signature="The load balancer asks ARP for the RIP in vain and answers the client with ICMP 3/1; or it sends"
        " to the router's MAC with the VIP still as destination, and the router sends it back: a loop of falling"
        " ip.ttl.",
        cause="L2DSR changes only MAC addresses, so a server behind a router cannot be reached: the router knows the"
        " VIP as the load balancer's.",
        effect="That server never gets a request. In the loop, each packet fills the link many times over.",
        modes=_L2,
        look_alikes=(
            LookAlike("DSR302", "there a server sends the packets back"),
            LookAlike("DSR305", "there nobody sends anything back"),
            LookAlike("DSR315", "there the loop is between two load balancers"),
        ),
        decide=("ip route get RIP  # on the load balancer: via ROUTER is this",),
        fixes=(
            Fix(
                "the servers", (), "move them into the load balancer's VLAN, or give the load balancer a leg in theirs"
            ),
            Fix(
                "the load balancer",
                ("ipvsadm -e -t VIP:PORT -r RIP -i", "dsrkit setup l3dsr-tunnel --for lb"),
                "a tunnel or a DSCP tag crosses routers",
            ),
        ),
        sources=("NANOG51, L3DSR, slides 4 to 7", "ip_vs_xmit.c ip_vs_dr_xmit, Linux 6.1"),
        example="dsrkit craft l2dsr --fault DSR306",
    ),
    Entry(
        code="DSR307",
        name="port-translation-expected",
        severity="error",
        summary="The service was set up with another port at the servers, which direct server return cannot translate.",
        signature="Behind the load balancer tcp.dstport is still the service's port; the server, which listens on"
        " another, answers RST from the VIP with the SYN's TOS. Usually all servers do.",
        cause="Replies do not pass the load balancer, so nobody could put the old port back. IPVS ignores a server's"
        " port in -g and -i mode, others refuse it.",
        effect="Connection refused, although the daemon runs and its own port answers.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike("DSR319", "a firewall's RST has TOS 0 even where the SYN's was not"),
            LookAlike("NAT212", "in NAT the port is translated, to a wrong one"),
            LookAlike("HCK706", "there the load balancer itself refuses"),
        ),
        same_picture=("DSR303",),
        decide=("ipvsadm -Ln  # ports of VIP and servers must be equal", "ss -ltnup  # on the server"),
        fixes=(
            Fix(
                "that server",
                ("nft add rule ip nat prerouting ip daddr VIP tcp dport 80 redirect to :8080",),
                "the server may translate for itself, since it sees both directions; needs a nat table there",
            ),
            _BIND,
            Fix("or", ("dsrkit setup nat --for lb",), "a mode in which replies come back can change ports"),
        ),
        sources=("cilium/cilium #21876", "NANOG51, L3DSR, slide 6", "BalanceNG and loadbalancer.org manuals"),
        from_packets=False,
        example="dsrkit craft l2dsr --fault DSR307",
    ),
    Entry(
        code="DSR308",
        name="reply-through-balancer",
        severity="error",
        summary="A real server sends its replies to the load balancer instead of the router.",
        signature="At the server, SYN-ACKs with ip.src VIP and eth.dst of the load balancer; the load balancer's tap"
        " has them too. Linux drops them there, since their source is an address of its own.",
        cause="The server's default route is still the load balancer, as NAT needed it.",
        effect="Connections hang. Where the load balancer does forward them (IPv6, appliances), all replies load it,"
        " and direct return saves nothing.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike("DSR309", "there the reply goes towards the router and is lost at a firewall"),
            LookAlike("NAT214", "in NAT replies belong to the load balancer, and it fails to send them on"),
            LookAlike(
                "CAP903", "a request on the load balancer's link twice is normal; a reply from the VIP there is not"
            ),
        ),
        decide=("ip route get CLIENT from VIP  # on the server: must go via the router",),
        fixes=(
            Fix(
                "that server",
                ("ip route replace default via ROUTER", "ip -6 route replace default via ROUTER6"),
                "replies go straight to the client; that is the point of the mode",
            ),
            Fix(
                "that server, if the default route must stay",
                ("ip route add default via ROUTER table 100", "ip rule add from VIP table 100"),
                "only what leaves from the VIP takes the router",
            ),
        ),
        sources=(
            "F5 manual, nPath routing",
            "fib_frontend.c fib_validate_source, Linux 6.1",
            "recorded b13-dr-reply-via-lb",
        ),
        evidence="recorded",
        example="dsrkit craft l2dsr --fault DSR308",
    ),
    Entry(
        code="DSR309",
        name="stateful-firewall-sees-half",
        severity="error",
        summary="A stateful firewall on the way of the replies has never seen the requests, and drops what it takes"
        " for stray.",
        signature="The SYN-ACK is at the server's tap and missing at the client's; or the handshake completes and the"
        " client's ACKs vanish at a firewall that saw only the replies. No ICMP.",
        cause="In direct return the two directions take different ways. A firewall that is on one of them only, or"
        " two of a cluster that share no state, see half a connection.",
        effect="Connections hang in the handshake. Ping and traceroute work, which misleads.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike(
                "DSR310",
                "source validation drops by address, UDP and ping from the VIP alike; the router's counters tell",
            ),
            LookAlike("DSR301", "there the server sends nothing"),
            LookAlike("DSR308", "there the reply goes to the load balancer"),
            LookAlike("CAP911", "without a tap at the client a missing reply is only not observed"),
        ),
        decide=(
            "conntrack -L -s CLIENT; nft list ruleset | grep invalid  # on a Linux firewall",
            "show asp drop  # Cisco: tcp-not-syn, no-adjacency",
        ),
        fixes=(
            Fix(
                "a Linux firewall",
                (
                    "nft add rule inet raw prerouting ip saddr VIP notrack",
                    "nft insert rule inet filter forward ip saddr VIP accept",
                ),
                "no state for what it can only see half of; IPv6 likewise with ip6 saddr",
            ),
            Fix("Cisco ASA and FTD", ("set connection advanced-options tcp-state-bypass",), "for the VIP alone"),
            Fix("pf and relayd", ("pass from VIP keep state (sloppy)",), "state that does not follow windows"),
            Fix("or", (), "route requests and replies through the same firewall, which then sees both halves"),
        ),
        sources=("Cisco FTD, asymmetric routing", "loadbalancer.org, L3DSR", "relayd.conf(5), sloppy state"),
        example="dsrkit craft l2dsr --fault DSR309",
    ),
    Entry(
        code="DSR310",
        name="source-validation-drops-vip",
        severity="error",
        summary="A router drops what a server sends from the VIP, because from there it expects other source"
        " addresses.",
        signature="Replies with ip.src VIP at the server's tap, none at the client's. With load balancers that make"
        " up an outer source per flow (katran), outer packets that leave it and do not arrive.",
        cause="uRPF or BCP 38 filters, a provider's ingress filter or a cloud's source check accept only addresses"
        " that are routed to that port; the VIP is routed to the load balancer.",
        effect="Connections hang, while the server's own address works from the same machine.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike(
                "DSR309", "a stateful firewall would let UDP and echo replies from the VIP pass, and drops by state"
            ),
            LookAlike("DSR322", "there requests are lost on their way to the server, not the replies"),
            LookAlike("TUN409", "there outer packets are dropped by protocol, whatever their source"),
        ),
        decide=(
            "nstat -az TcpExtIPReversePathFilter  # on a Linux router",
            "show ip interface IFACE | include verif; show ip traffic | include RPF  # Cisco",
        ),
        fixes=(
            Fix(
                "a Linux router",
                ("sysctl -w net.ipv4.conf.all.rp_filter=2",),
                "loose: the source must be routed somewhere",
            ),
            Fix(
                "Cisco",
                ("ip verify unicast source reachable-via any",),
                "loose, or an access list with the VIP as exception",
            ),
            Fix(
                "clouds",
                (
                    "AWS: modify-instance-attribute --no-source-dest-check",
                    "openstack port set --allowed-address ip-address=VIP PORT",
                ),
                "the platform must know that the server may speak for the VIP",
            ),
        ),
        sources=("RFC 3704", "facebookincubator/katran #116"),
        example="dsrkit craft l2dsr --fault DSR310",
        says="dsrkit verify names DSR309, with DSR310 as the other candidate: only replies of UDP or ping, which state"
        " does not concern, tell the two apart.",
    ),
    Entry(
        code="DSR311",
        name="reverse-path-filter-on-server",
        severity="error",
        summary="A real server drops requests because its route back to the client leaves by another interface.",
        signature="The packets are those of DSR301: requests at the server, silence.",
        cause="rp_filter=1 compares the interface a packet came in on with the one that its source is routed to: two"
        " cards, a management default route, a tunnel device. The larger of conf/all and the interface counts.",
        effect="As DSR301, although the VIP is where it belongs.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike("DSR302", "a server that forwards sends the same packet back with one TTL less"),
            LookAlike("TUN402", "the same filter on the device that takes packets out of a tunnel"),
        ),
        same_picture=("DSR301", "DSR316", "DSR323", "NAT213", "DSC511"),
        decide=(
            "nstat -az TcpExtIPReversePathFilter  # on the server: grows with each SYN",
            "sysctl -w net.ipv4.conf.all.log_martians=1; dmesg | grep martian",
        ),
        fixes=(
            Fix(
                "that server",
                ("sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.IFACE.rp_filter=2",),
                "loose is enough; 0 must be set in both places to count. IPv6 has no such sysctl: look for fib rules"
                " (nft list ruleset | grep fib, IPv6_rpfilter of firewalld)",
            ),
            Fix("or", ("ip route add CLIENTS via ROUTER dev IFACE",), "let the way back be the way in"),
        ),
        sources=(
            "Linux Documentation/networking/ip-sysctl.rst, rp_filter",
            "fib_frontend.c __fib_validate_source, Linux 6.1",
            "cloudnativelabs/kube-router #511",
        ),
        evidence="lab",
        from_packets=False,
        example="dsrkit craft l2dsr --fault DSR311",
    ),
    Entry(
        code="DSR312",
        name="check-answers-filtered-at-balancer",
        severity="error",
        summary="The load balancer drops the answers to its own health checks, because they come from its own VIP.",
        signature="Checks through the data path arrive at the server, whose SYN-ACK with ip.src VIP arrives at the"
        " load balancer; the load balancer repeats its SYN as if nothing had come. It is HCK703, met from the other"
        " side.",
        cause="The VIP is a local address of the load balancer, and Linux takes a packet from outside with a local"
        " source for forged, unless accept_local allows it.",
        effect="Healthy servers are taken out, all of them.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike("HCK702", "there the answer reaches the checker and is refused by it with a RST"),
            LookAlike("DSR308", "there the replies of clients' connections come to the load balancer as well"),
        ),
        same_picture=("HCK703",),
        decide=("sysctl -w net.ipv4.conf.all.log_martians=1; dmesg | grep martian  # on the load balancer",),
        fixes=(
            Fix(
                "the load balancer",
                (
                    "sysctl -w net.ipv4.conf.IFACE.accept_local=1",
                    "sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.IFACE.rp_filter=0",
                ),
                "for checks through the VIP only; or check from another machine or network namespace",
            ),
        ),
        sources=("Linux Documentation/networking/ip-sysctl.rst, accept_local", "facebookincubator/katran #47"),
        from_packets=False,
        example="dsrkit craft health --fault HCK703",
    ),
    Entry(
        code="DSR313",
        name="server-calls-its-own-vip",
        severity="info",
        summary="A real server that calls the VIP always talks to itself, never to the load balancer.",
        signature="No frame at all: the VIP is an address of that machine, so its packets stay inside.",
        cause="The VIP on lo is local for outgoing connections too.",
        effect="Calls between services on the same machines are not balanced, and fail with the local daemon however"
        " many others are healthy.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike("NAT202", "in NAT such a call leaves the server, and the reply comes from the wrong address"),
        ),
        decide=("ip route get VIP  # on the server: local VIP dev lo",),
        fixes=(
            Fix(
                "the callers",
                (),
                "use another name inside, for another VIP or for the servers themselves: a VIP that is not on this"
                " machine is reached through the load balancer",
            ),
            Fix(
                "that server, instead of the VIP on lo",
                ("nft add rule ip nat prerouting ip daddr VIP redirect",),
                "takes what comes in for the VIP and leaves the machine's own calls alone",
            ),
        ),
        sources=("LVS-HOWTO, clients on realservers", "Azure internal load balancer, hairpin"),
        from_packets=False,
        example="pcaps/l2dsr/ipvs-dr-rs-dnat",
        says="dsrkit verify passes: what a server says to itself is in no capture. This recording shows the second way"
        " to mend it, which on the wire is plain direct return.",
    ),
    Entry(
        code="DSR314",
        name="connection-forgotten-by-balancer",
        severity="error",
        summary="The load balancer gives a connection up too early and sends the rest of it to another server.",
        signature="One 4-tuple, one sequence of tcp.seq, and two servers: the second knows nothing of it and answers"
        " RST from the VIP. Other connections go on as they were.",
        cause="Of a direct-return connection the load balancer sees only the client's half, so it has to guess its"
        " state: half-closed, idle and unfinished ones get short timeouts. SYN cookies and SYN proxies cannot work at"
        " all.",
        effect="Long downloads and half-closed connections are reset in the middle.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike(
                "DSR318", "there many connections move in one instant, to another load balancer or after a change"
            ),
            LookAlike(
                "NAT206", "a new initial sequence number on the same port is a new connection and may go anywhere"
            ),
            LookAlike("TUN417", "there it is the VIP that changes, not the server"),
            LookAlike("DSR303", "there the RST answers a SYN"),
        ),
        decide=("ipvsadm -L --timeout; ipvsadm -Lnc | grep CLIENT  # state and time left",),
        fixes=(
            Fix(
                "the load balancer",
                ("ipvsadm --set 7200 600 300", "ipvsadm -E -t VIP:PORT -s mh", "sysctl -w net.ipv4.vs.sloppy_tcp=1"),
                "longer times for both established and finishing; with a hash as scheduler a forgotten connection"
                " finds the same server again",
            ),
            Fix(
                "F5",
                ("ltm profile fastl4 NAME loose-initialization enabled loose-close enabled idle-timeout 7200",),
                "the profile for nPath",
            ),
        ),
        sources=("Linux Documentation/networking/ipvs-sysctl.rst, conn_reuse_mode", "F5 manual, nPath routing"),
        example="dsrkit craft l2dsr --fault DSR314",
    ),
    Entry(
        code="DSR315",
        name="backup-balancer-balances-too",
        severity="error",
        summary="The backup load balancer, which is also a real server, balances what the master sends it once more.",
        signature="On the load balancers' link, the copy made by one (its eth.src) comes back as a copy made by the"
        " other, ip.ttl falling; some go to and fro until ICMP 11/0.",
        cause="Both are load balancers and servers at once, and the IPVS table of the backup is active too, filled by"
        " keepalived or by the sync daemon.",
        effect="Some connections fail at random, and the link carries packets many times.",
        modes=_L2,
        look_alikes=(
            LookAlike("ARP118", "an old owner that merely routes asks ARP for the VIP, not for a server"),
            LookAlike("DSR302", "there a server without a table sends packets back to its gateway"),
            LookAlike("DSR306", "there the loop is between load balancer and router"),
            LookAlike("CAP903", "one copy by one load balancer is normal"),
        ),
        decide=("ipvsadm -Ln; ipvsadm -l --daemon  # on the backup", "sysctl net.ipv4.vs.backup_only"),
        fixes=(
            Fix(
                "both load balancers",
                ("sysctl -w net.ipv4.vs.backup_only=1",),
                "a backup then treats packets for the VIP as its own",
            ),
            Fix(
                "both, without the sync daemon",
                (
                    "iptables -t mangle -A PREROUTING -d VIP -m mac ! --mac-source OTHER_LB -j MARK --set-mark 1",
                    "virtual_server fwmark 1 { ... }  # keepalived.conf",
                ),
                "balance only what does not come from the other load balancer",
            ),
        ),
        sources=("Linux Documentation/networking/ipvs-sysctl.rst, backup_only",),
        example="dsrkit craft l2dsr --fault DSR315",
    ),
    Entry(
        code="DSR316",
        name="strong-host-model",
        severity="error",
        summary="A Windows server has the VIP on its loopback adapter and ignores it on the network card.",
        signature="The packets are those of DSR301: requests at the server, silence.",
        cause="Since Vista, Windows takes a packet only for addresses of the interface that it came in on.",
        effect="As DSR301, although ipconfig shows the VIP.",
        modes=_L2,
        look_alikes=(LookAlike("DSR303", "a server that takes the packet and has no listener answers with a RST"),),
        same_picture=("DSR301", "DSR311", "DSR323", "NAT213"),
        decide=("netsh interface ipv4 show interface IFACE  # weak host sends and receives: disabled is this",),
        fixes=(
            Fix(
                "that server",
                (
                    "netsh interface ipv4 set interface IFACE weakhostreceive=enabled",
                    "netsh interface ipv4 set interface LOOPBACK weakhostreceive=enabled weakhostsend=enabled",
                    "netsh interface ipv6 set interface IFACE weakhostreceive=enabled",
                    "netsh interface ipv6 set interface LOOPBACK weakhostreceive=enabled weakhostsend=enabled",
                ),
                "both interfaces need it; the loopback's weakhostsend lets replies leave from the VIP",
            ),
        ),
        sources=(
            "loadbalancer.org and Barracuda manuals, DR mode with Windows",
            "RFC 1122 s3.3.4.2, strong and weak host models",
        ),
        from_packets=False,
        example="dsrkit craft l2dsr --fault DSR316",
    ),
    Entry(
        code="DSR317",
        name="redirects-teach-a-bypass",
        severity="warning",
        summary="ICMP redirects tell machines of a shorter way that leads past a part of the set-up.",
        signature="ICMP type 5 (IPv6: type 137) on the load balancer's or the servers' link that names the VIP or a"
        " RIP; afterwards some packets skip the router or the load balancer.",
        cause="A router or load balancer forwards a packet out of the interface it came in on, and Linux then sends a"
        " redirect unless told not to.",
        effect="Often nothing. With NAT the load balancer may be skipped and connections break; in takeovers, learned"
        " routes outlive the owner that they point to.",
        modes=("l2dsr", "nat"),
        look_alikes=(
            LookAlike("NAT201", "there the way past the load balancer is configured, not learned"),
            LookAlike("ARP103", "there a neighbour's MAC is learned wrongly, not a route"),
        ),
        decide=(
            "ip route show cache; ip route get VIP  # on the machine that was told: redirected",
            "sysctl -a --pattern redirects",
        ),
        fixes=(
            Fix(
                "routers and load balancers",
                (
                    "sysctl -w net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.IFACE.send_redirects=0",
                    "nft insert rule inet filter output icmpv6 type nd-redirect drop  # IPv6 has no sysctl for it",
                    "Cisco: no ip redirects; no ipv6 redirects",
                ),
                "all and the interface must both be 0; one that is 1 is enough to send",
            ),
            Fix(
                "servers",
                (
                    "sysctl -w net.ipv4.conf.all.accept_redirects=0 net.ipv6.conf.all.accept_redirects=0",
                    "ip route flush cache",
                ),
                "believe none of those that are sent",
            ),
        ),
        sources=("RFC 792", "Linux Documentation/networking/ip-sysctl.rst, send_redirects", "loxilb-io/loxilb #502"),
        example="dsrkit craft l2dsr --fault DSR317",
    ),
    Entry(
        code="DSR318",
        name="connections-moved-by-rehash",
        severity="error",
        summary="A change in the set of load balancers or servers sent running connections to servers that do not"
        " know them.",
        signature="At one instant several 4-tuples, in the middle of their streams, go to another load balancer's MAC"
        " or outer source and to another server, which answers RST from the VIP.",
        cause="ECMP hashes anew when a load balancer comes or goes, and the other one has no state and picks for"
        " itself; or a plain hash over servers changes for all when one is added.",
        effect="A burst of broken connections at every deployment, then all is well.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike("DSR314", "there single connections move, after idle times or half-closed"),
            LookAlike("DSR303", "there RSTs answer SYNs"),
            LookAlike("TUN414", "there the server does not know the VIP, and replies come from its own address"),
        ),
        decide=(
            "ipvsadm -Ln; ipvsadm -l --daemon  # same servers, same scheduler, state shared",
            "ip route show VIP; birdc show protocols",
        ),
        fixes=(
            Fix(
                "both load balancers",
                (
                    "ipvsadm -E -t VIP:PORT -s mh -b mh-port,mh-fallback",
                    "sysctl -w net.ipv4.vs.sloppy_tcp=1",
                    "ipvsadm --start-daemon master --mcast-interface IFACE; ipvsadm --start-daemon backup"
                    " --mcast-interface IFACE",
                ),
                "a consistent hash picks the same server on each, sloppy_tcp lets it in mid-stream, and the daemons"
                " share what the hash cannot know",
            ),
            Fix(
                "the router",
                (
                    "ip nexthop add id 1 via LB1 dev IFACE; ip nexthop add id 2 via LB2 dev IFACE",
                    "ip nexthop add id 10 group 1/2 type resilient buckets 128 idle_timer 300",
                    "ip route replace VIP nhid 10",
                    "Cisco, Juniper, Arista: resilient ECMP hashing",
                ),
                "moves only the connections of the one that went",
            ),
        ),
        sources=(
            "Nordix/xcluster pull 43",
            "cilium/cilium pull 31153",
            "GLB director, second chance",
            "ip_vs_mh.c, Linux 6.1",
        ),
        example="dsrkit craft l2dsr --fault DSR318",
    ),
    Entry(
        code="DSR319",
        name="server-firewall-rejects",
        severity="error",
        summary="A firewall on the real server rejects the requests.",
        signature="At the server, ICMP 3/13, 3/10 or 3/9 (IPv6: type 1 code 1), or a RST with TOS 0 although the SYN"
        " had one, with ip.src VIP (in NAT, the RIP), while other servers serve.",
        cause="The server's rules allow the service to the RIP only, or only from the load balancer's address, as NAT"
        " would have it. In direct return packets come from clients and are for the VIP.",
        effect="This server's share of connections is refused at once.",
        modes=_BALANCED,
        look_alikes=(
            LookAlike(
                "DSR303", "a closed port copies the SYN's TOS into its RST; with TOS 0 in the SYN both look alike"
            ),
            LookAlike("DSR323", "a firewall that drops says nothing"),
            LookAlike("HCK706", "there the load balancer refuses, for everybody"),
            LookAlike("TUN409", "there a router prohibits the outer packets, and quotes them"),
        ),
        decide=(
            "nft list ruleset; iptables-save; firewall-cmd --list-all  # on the server: a reject with a counter that"
            " grows",
        ),
        fixes=(
            Fix(
                "that server",
                (
                    "nft insert rule inet filter input ip daddr VIP tcp dport PORT accept",
                    "nft insert rule inet filter input ip6 daddr VIP6 tcp dport PORT accept",
                    "firewall-cmd --permanent --add-service=http; firewall-cmd --reload",
                ),
                "before the rule that rejects, for the VIP and from anywhere",
            ),
        ),
        sources=("nf_reject_ipv4.c nf_send_reset, Linux 6.1", "recorded b17-dr-rs-firewall-reject"),
        evidence="recorded",
        example="dsrkit craft l2dsr --fault DSR319",
    ),
    Entry(
        code="DSR320",
        name="ttl-ends-at-balancer",
        severity="error",
        summary="Requests reach the load balancer with their last TTL and cannot be sent on.",
        signature="Before the load balancer ip.ttl (IPv6: hop limit) is 1; ICMP 11/0 comes back from the VIP, and"
        " nothing leaves towards a server.",
        cause="The client or something on its way sends with a low TTL, or a loop in front of the load balancer eats"
        " it. The load balancer counts as a hop in IPVS, and only says so.",
        effect="Clients of that kind or place cannot connect, all others can.",
        modes=_BALANCED,
        look_alikes=(
            LookAlike("DSR302", "there one packet, by its ip.id, is seen again and again with a falling TTL"),
            LookAlike(
                "TUN412", "there the outer packet expires behind the load balancer, and is what the error quotes"
            ),
        ),
        decide=(
            "traceroute -T -p PORT VIP  # from the client: how many hops",
            "sysctl net.ipv4.ip_default_ttl  # on the client",
        ),
        fixes=(
            Fix(
                "the client",
                ("sysctl -w net.ipv4.ip_default_ttl=64 net.ipv6.conf.all.hop_limit=64",),
                "a TTL that suffices, here or in the program that sets IP_TTL; traceroute to the VIP does this on"
                " purpose and is no fault",
            ),
            Fix("the path", ("traceroute VIP",), "an address that appears twice is a loop"),
        ),
        sources=("RFC 1812 s5.3.1", "ip_vs_xmit.c decrement_ttl, Linux 6.1", "recorded, a client with a low TTL"),
        evidence="recorded",
        example="dsrkit craft l2dsr --fault DSR320",
    ),
    Entry(
        code="DSR321",
        name="datagrams-answered-from-real-address",
        severity="error",
        summary="A UDP daemon answers from the server's own address, so clients do not take the answer for theirs.",
        signature="UDP replies with ip.src RIP to requests for the VIP; the client answers ICMP 3/3 to the RIP. TCP"
        " from the same server comes from the VIP.",
        cause="A daemon with one socket on the wildcard address does not say from which address to reply, and the"
        " kernel picks the one of the outgoing interface. TCP does not have the problem.",
        effect="DNS, RADIUS, SIP or syslog through the VIP time out, although server and load balancer are busy.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike("NAT201", "there TCP comes from the RIP too, and the load balancer should have translated it"),
            LookAlike("DSC510", "there TCP comes from the RIP too, and requests carry a tag"),
            LookAlike("DSR303", "there the ICMP 3/3 comes from the server, and no reply at all"),
        ),
        decide=("ss -lnup 'sport = :53'  # on the server: 0.0.0.0 or [::] alone is suspect",),
        fixes=(
            Fix(
                "that server",
                (
                    "named.conf: listen-on { VIP; RIP; };",
                    "unbound.conf: interface: VIP",
                    "dnsmasq.conf: listen-address=VIP and bind-interfaces",
                ),
                "a socket bound to the VIP answers from it",
            ),
            Fix(
                "the program",
                (),
                "ask for the address that a datagram was sent to (IP_PKTINFO, IPV6_RECVPKTINFO) and give it back to"
                " sendmsg(): so one socket serves many addresses",
            ),
            Fix(
                "that server, if the program cannot be changed",
                ("nft add rule ip nat prerouting ip daddr VIP udp dport 53 dnat to RIP",),
                "conntrack then restores the VIP in the reply",
            ),
        ),
        sources=("RFC 1123 s2.3, UDP and multihoming", "ip(7), IP_PKTINFO", "recorded, a wildcard daemon"),
        evidence="recorded",
        example="dsrkit craft l2dsr --protocol udp --fault DSR321",
    ),
    Entry(
        code="DSR322",
        name="request-lost-behind-balancer",
        severity="error",
        summary="Requests leave the load balancer and disappear before they reach the server.",
        signature="Behind the load balancer the request goes to the next hop's eth.dst and is missing at the next"
        " tap, without an ICMP error. The router does not even ask ARP for the RIP, so it dropped it before sending.",
        cause="In DSCP mode and L2DSR the source is still the client's, so a router with strict rp_filter or uRPF"
        " sees it come from the wrong side. An access list or a missing route does the same.",
        effect="The connections to servers behind that hop hang.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike("DSR301", "there the request is at the server's tap"),
            LookAlike("DSR305", "there the router or switch has no such MAC and floods"),
            LookAlike("TUN409", "in a tunnel: outer packets dropped by protocol or port"),
            LookAlike("DSR310", "there it is the reply that gets lost"),
            LookAlike("NAT208", "there the request does not leave the load balancer"),
        ),
        decide=(
            "nstat -az TcpExtIPReversePathFilter  # on a Linux router; log_martians names the packets",
            "show ip interface IFACE | include verif  # Cisco; show access-lists",
        ),
        fixes=(
            Fix(
                "the router",
                (
                    "sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.IFACE.rp_filter=2",
                    "Cisco: ip verify unicast source reachable-via any",
                ),
                "on the interface towards the load balancer: loose, so that clients' addresses may come from there",
            ),
            Fix(
                "or", ("dsrkit setup l3dsr-tunnel --for lb",), "in a tunnel the outer source is the load balancer's own"
            ),
        ),
        sources=(
            "RFC 3704",
            "fib_frontend.c __fib_validate_source, Linux 6.1",
            "recorded, strict rp_filter on the router",
        ),
        evidence="recorded",
        example="dsrkit craft l3dsr-dscp --fault DSR322",
    ),
    Entry(
        code="DSR323",
        name="server-firewall-drops",
        severity="error",
        summary="A firewall on the real server drops the requests without a word.",
        signature="Requests at the server's tap, and nothing in return, as in every other silence; tcpdump looks"
        " before the firewall does.",
        cause="The server's rules know the RIP and not the VIP, or accept only the load balancer as a source.",
        effect="This server's share of connections hangs until the client gives up.",
        modes=_BALANCED,
        look_alikes=(
            LookAlike("DSR319", "a firewall that rejects answers with ICMP or a RST"),
            LookAlike("NAT204", "there the request's checksum is wrong, which is visible"),
            LookAlike("TUN421", "in a tunnel, the outer source tells"),
            LookAlike("TUN420", "with GRE, the checksum bit tells"),
        ),
        same_picture=("DSR301", "DSR311", "DSR316", "NAT213", "TUN402", "TUN403", "DSC511"),
        decide=(
            "nft list ruleset; iptables-save -c  # on the server: a drop whose counter grows with each SYN",
            "nft monitor trace",
        ),
        fixes=(
            Fix(
                "that server",
                (
                    "nft insert rule inet filter input ip daddr VIP tcp dport PORT accept",
                    "nft insert rule inet filter input ip6 daddr VIP6 tcp dport PORT accept",
                    "nft insert rule inet filter input meta l4proto { 4, 41, 47 } ip saddr DIP accept  # tunnel modes",
                ),
                "before the rule or policy that drops",
            ),
        ),
        sources=("nft(8)", "reproduced in the lab"),
        evidence="general",
        from_packets=False,
        example="dsrkit craft l2dsr --fault DSR323",
    ),
)

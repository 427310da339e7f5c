"""Entries of the area DSC: a DSCP value in the request tells the real server which VIP the client meant."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.entry import Entry, Fix, LookAlike
from dsrkit.model.names import Mode

_DSCP: Final[tuple[Mode, ...]] = ("l3dsr-dscp",)

_RULES: Final = "nft list ruleset; iptables-save -c  # on the server: which rule turns which DSCP into which VIP"
_NAT_RULES: Final = "nft list ruleset | grep -i dnat; conntrack -L -d RIP  # on the server: anything is DSC501"

_RESTORE: Final = Fix(
    "that server, with nftables",
    (
        "nft add table ip dsr; nft add chain ip dsr pre '{ type filter hook prerouting priority raw; }'",
        "nft add rule ip dsr pre ip daddr RIP ip dscp TAG ip daddr set VIP notrack",
        "nft add table ip6 dsr; nft add chain ip6 dsr pre '{ type filter hook prerouting priority raw; }'",
        "nft add rule ip6 dsr pre ip6 daddr RIP6 ip6 dscp TAG ip6 daddr set VIP6 notrack",
    ),
    "stateless, so nothing undoes it for the reply; nft puts the checksums right",
)
_DADDR: Final = Fix(
    "that server, with Yahoo's xt_DADDR",
    (
        "modprobe xt_DADDR",
        "iptables -t raw -A PREROUTING -m dscp --dscp TAG -j DADDR --set-daddr=VIP",
        "ip6tables -t raw -A PREROUTING -m dscp --dscp TAG -j DADDR --set-daddr=VIP6",
    ),
    "in PREROUTING, before the kernel decides whom the packet is for; kmod updates must rebuild the module",
)
_MARK: Final = Fix(
    "the load balancer",
    (
        "nft add rule ip TABLE CHAIN ip daddr RIP ip dscp set TAG notrack",
        "nft add rule ip6 TABLE CHAIN ip6 daddr RIP6 ip6 dscp set TAG notrack",
        "dsrkit setup l3dsr-dscp --for lb",
    ),
    "in the chain that has put the RIP in place of the VIP; dsrkit prints the whole table",
)
_TRUST: Final = (
    "Cisco IOS: mls qos trust dscp; on other models no set dscp in the input policy",
    "Arista: qos trust dscp",
    "Linux: nft list ruleset | grep 'dscp set'  # delete the rule that does it",
)

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="DSC501",
        name="stateful-dnat-on-server",
        severity="error",
        summary="The server turns the RIP into the VIP with DNAT, which connection tracking undoes in every reply.",
        signature="Requests reach the server (D) as they should, with ip.dst RIP and the tag in ip.dsfield.dscp, and"
        " the SYN-ACK leaves with ip.src RIP; the client answers RST. On the wire this is DSC510.",
        cause="A DNAT rule keeps a connection entry: from RIP to VIP on the way in, so from VIP back to RIP on the way"
        " out. In L2DSR and NAT the same habit is harmless or wanted.",
        effect="No connection to that server works, although its rule counts hits and its daemon sees the clients.",
        modes=_DSCP,
        look_alikes=(
            LookAlike("DSC505", "there the server's rule waits for another tag, and other servers' tags work"),
            LookAlike("DSC502", "there the tag is gone before the request reaches the server"),
            LookAlike("NAT201", "there no tag is in the request: the load balancer does NAT, and is bypassed"),
        ),
        same_picture=("DSC509", "DSC510"),
        decide=(_NAT_RULES,),
        fixes=(
            Fix(
                "that server, first",
                (
                    "nft -a list chain ip nat prerouting; nft delete rule ip nat prerouting handle N",
                    "iptables -t nat -L PREROUTING -n --line-numbers; iptables -t nat -D PREROUTING N",
                ),
                "take the DNAT out; then put a rule without state in its place",
            ),
            _RESTORE,
            _DADDR,
            Fix(
                "or with tc",
                (
                    "tc qdisc add dev IFACE clsact",
                    "tc filter add dev IFACE ingress protocol ip flower ip_tos TOS/0xfc action nat ingress RIP/32 VIP",
                ),
                "tc's nat has no state either, and repairs checksums; TOS is four times the tag",
            ),
        ),
        sources=("yahoo/l3dsr #9", "yahoo/l3dsr USING", "reproduced in the lab"),
        evidence="lab",
        from_packets=False,
        example="dsrkit craft l3dsr-dscp --fault DSC501",
    ),
    Entry(
        code="DSC502",
        name="dscp-bleached",
        severity="error",
        summary="A router between load balancer and server clears the DSCP, so the server does not know which VIP is"
        " meant.",
        signature="ip.dsfield.dscp is the tag behind the load balancer (B) and 0 at the server (D). The server answers"
        " for itself: SYN-ACK or RST with ip.src RIP, and the client resets.",
        cause="A port that does not trust marks, a policy that sets best effort, a provider's link. Clearing only"
        " part of the field looks the same where nothing else was set: tags 8, 16, 24 and so on under a router that"
        " clears the upper three bits, tags 1 to 7 under one that clears the lower three.",
        effect="Every connection to servers behind that router fails.",
        modes=_DSCP,
        look_alikes=(
            LookAlike("DSC503", "there the server gets another value than 0"),
            LookAlike("DSC517", "there the tag is missing already behind the load balancer"),
            LookAlike("DSC515", "there the load balancer itself writes 0"),
            LookAlike("DSC510", "there the tag does arrive at the server"),
            LookAlike("NAT201", "without a tag anywhere, and with a server that asks for the router, it is NAT"),
        ),
        decide=("tcpdump -vni IFACE tcp and dst host RIP  # hop by hop: where tos becomes 0x0",),
        fixes=(
            Fix("that router", _TRUST, "leave the DS field alone on the way from the load balancer to the servers"),
            Fix(
                "where the router is not yours",
                ("dsrkit setup l3dsr-tunnel --for lb",),
                "a tunnel needs nobody's marks; or take another tag if only a part of the field is cleared (DSC503)",
            ),
        ),
        sources=("RFC 9435 s4", "recorded b04-dscp-bleached"),
        evidence="recorded",
        example="dsrkit craft l3dsr-dscp --fault DSC502",
    ),
    Entry(
        code="DSC503",
        name="dscp-remarked",
        severity="error",
        summary="A router between load balancer and server changes the DSCP to another value.",
        signature="ip.dsfield.dscp is N behind the load balancer (B) and M, not 0, at the server (D); replies with"
        " ip.src RIP, or from the VIP that M stands for. M tells the habit: N & 7 is a router that clears the old"
        " precedence bits, N & 0x38 one that clears the lower three, a constant is a policy.",
        cause="Old equipment that knows TOS precedence only, a class map that puts unknown values into a class of its"
        " own, a link with a marking plan.",
        effect="Every connection through that router fails, or ends at the wrong service.",
        modes=_DSCP,
        look_alikes=(
            LookAlike("DSC502", "there nothing is left of the tag"),
            LookAlike("DSC505", "there the value at the server is the one that the load balancer wrote"),
            LookAlike("DSC504", "there the value is wrong already behind the load balancer, by a factor of 4"),
        ),
        decide=("tcpdump -vni IFACE tcp and dst host RIP  # hop by hop: where tos changes",),
        fixes=(
            Fix("that router", _TRUST, "leave the DS field alone"),
            Fix(
                "load balancer and servers, where the router stays as it is",
                (
                    "dsrkit setup l3dsr-dscp --dscp 3 --for lb",
                    "dsrkit setup l3dsr-dscp --dscp 3 --for real-server",
                ),
                "1 to 7 survive routers that clear the precedence bits, multiples of 8 those that clear the lower"
                " three; nothing but 0 survives both",
            ),
        ),
        sources=("RFC 9435 s4", "reproduced in the lab"),
        evidence="lab",
        example="dsrkit craft l3dsr-dscp --fault DSC503",
    ),
    Entry(
        code="DSC504",
        name="tag-written-as-tos",
        severity="error",
        summary="Somebody took the TOS octet for the DSCP: the value on the wire is the tag divided or multiplied by"
        " four.",
        signature="Behind the load balancer (B) ip.dsfield.dscp is a quarter of the tag and ip.dsfield.ecn holds the"
        " rest (tag 7 written as TOS 7: DSCP 1, ECN 3), or it is four times the tag. Replies come with ip.src RIP.",
        cause="DSCP is the upper six bits of the octet, so DSCP 7 is TOS 28 or 0x1c. One tool takes the one, the next"
        " tool the other, and old commands take either.",
        effect="No connection works; a captured tos of 0x7 looks right to whoever expects 7.",
        modes=_DSCP,
        look_alikes=(
            LookAlike("DSC505", "there the values have no such ratio, and ECN is left alone"),
            LookAlike("DSC517", "there DSCP and ECN are those of the client"),
            LookAlike("DSC503", "there the value changes on the way"),
        ),
        decide=("tcpdump -vni IFACE tcp and dst host RIP  # on the load balancer: tos must be four times the tag",),
        fixes=(
            _MARK,
            Fix(
                "the load balancer, with iptables",
                (
                    "iptables -t mangle -A POSTROUTING -d RIP -j DSCP --set-dscp 7",
                    "iptables -t mangle -A POSTROUTING -d RIP -j TOS --set-tos 0x1c/0xfc",
                ),
                "either: DSCP 7 and TOS 0x1c with its mask are the same",
            ),
        ),
        sources=("NANOG 51, L3DSR, slide 29", "RFC 2474 s3", "reproduced in the lab"),
        example="dsrkit craft l3dsr-dscp --fault DSC504",
    ),
    Entry(
        code="DSC505",
        name="tag-maps-disagree",
        severity="error",
        summary="Load balancer and server do not agree on which tag stands for which VIP.",
        signature="The tag arrives at the server (D) as it left the load balancer, and the server answers from another"
        " VIP than was asked, always the same for that tag; or one server answers with ip.src RIP, because its rules"
        " want another tag, while the others' tags work.",
        cause="The map is kept in two places, and one was changed: a VIP was added, a server was cloned from another"
        " pool, tags per server were mixed up.",
        effect="The share of connections that this server gets fails: clients reset what comes from a stranger.",
        modes=_DSCP,
        look_alikes=(
            LookAlike(
                "DSC510", "a server without any rule answers from its RIP too; only its rules tell the two apart"
            ),
            LookAlike("DSC501", "a server with DNAT answers from its RIP too; its nat table tells"),
            LookAlike("DSC503", "there the value changes between load balancer and server"),
            LookAlike("TUN417", "there it goes with single client ports, not with a tag"),
            LookAlike("DSC511", "a map to a VIP that the server lacks makes it silent"),
        ),
        decide=(_RULES, "nft list ruleset  # on the load balancer: which tag it writes for which server"),
        fixes=(
            Fix(
                "that server",
                ("nft -a list chain ip dsr pre", "nft replace rule ip dsr pre handle N ip dscp TAG ip daddr set VIP"),
                "give it the map of the load balancer, ip6 likewise",
            ),
            Fix(
                "both",
                (
                    "dsrkit setup --spec dsr.toml --for lb",
                    "dsrkit setup --spec dsr.toml --for real-server",
                ),
                "one file from which both ends are made",
            ),
        ),
        sources=("NANOG 51, L3DSR, slides 12 and 26", "recorded b05-dscp-mismatch"),
        evidence="recorded",
        example="dsrkit craft l3dsr-dscp --fault DSC505",
    ),
    Entry(
        code="DSC506",
        name="tag-collides-with-marking",
        severity="info",
        summary="The tag is a value that others use for quality of service, so their packets are taken for tagged"
        " ones.",
        signature="Packets with ip.dst RIP that did not come from the load balancer, such as SSH or monitoring, carry"
        " the tag in ip.dsfield.dscp, and the server answers them from the VIP.",
        cause="The tag has a name in somebody's marking plan: EF (46), CS1 to CS7 (multiples of 8), AF, LE (1). A"
        " switch or a program marks its packets so.",
        effect="Those who go to the server's own address get answers from the VIP and give up: logins,"
        " checks, backups.",
        modes=_DSCP,
        look_alikes=(
            LookAlike("DSC507", "there such packets come through the load balancer, for a VIP without a tag"),
            LookAlike("DSC513", "there the server's replies carry the tag, which is normal for some"),
        ),
        decide=("tcpdump -vni IFACE 'dst host RIP and ip[1] & 0xfc == TOS'  # on the server: whose packets",),
        fixes=(
            Fix(
                "load balancer and servers",
                (
                    "dsrkit setup l3dsr-dscp --dscp 3 --for lb",
                    "dsrkit setup l3dsr-dscp --dscp 3 --for real-server",
                ),
                "a value that ends in binary 11 (3, 7, 11, 15 and so on) is set aside for local use",
            ),
            Fix(
                "the servers",
                ("nft add rule ip dsr pre ip daddr RIP tcp dport 80 ip dscp TAG ip daddr set VIP notrack",),
                "only for the ports of the service",
            ),
        ),
        sources=("NANOG 51, L3DSR, slide 26", "loadbalancer.org blog on L3DSR", "RFC 2474 s6", "RFC 8622"),
        example="dsrkit craft l3dsr-dscp --fault DSC506",
    ),
    Entry(
        code="DSC507",
        name="client-dscp-not-cleared",
        severity="error",
        summary="The load balancer leaves the client's own DSCP on requests for a VIP without a tag, and the server"
        " takes it for one.",
        signature="At the client (A) ip.dsfield.dscp is not 0 and it is the same behind the load balancer, on requests"
        " for a VIP that has no tag; the reply comes from the VIP that has it.",
        cause="The load balancer writes tags for the VIPs that have one, and clears nothing for the others.",
        effect="Single clients cannot use the untagged service: those whose system or network marks packets.",
        modes=_DSCP,
        look_alikes=(
            LookAlike("DSC517", "there the VIP should have a tag"),
            LookAlike("DSC505", "there every client of the VIP suffers, marked or not"),
            LookAlike("DSC506", "there the packets never saw the load balancer"),
        ),
        decide=("tcpdump -vni IFACE 'dst host RIP and ip[1] & 0xfc != 0'  # on the load balancer",),
        fixes=(
            Fix(
                "the load balancer",
                (
                    "nft insert rule ip TABLE CHAIN ip daddr VIP ip dscp set cs0",
                    "nft insert rule ip6 TABLE CHAIN ip6 daddr VIP6 ip6 dscp set cs0",
                ),
                "before the rules that write tags, for every VIP: what then has a tag has it from here",
            ),
        ),
        sources=("NANOG 51, L3DSR, slide 13",),
        example="dsrkit craft l3dsr-dscp --fault DSC507",
    ),
    Entry(
        code="DSC508",
        name="ecn-overwritten",
        severity="warning",
        summary="The load balancer writes the whole TOS octet, and with the tag it overwrites the two ECN bits.",
        signature="ip.dsfield.ecn is 1, 2 or 3 before the load balancer and always the same behind it, mostly 0. The"
        " tag is right.",
        cause="A rule or program that sets the octet instead of its upper six bits.",
        effect="Congestion between load balancer and server drops packets instead of marking them. Written as 3 it is"
        " worse: senders are told of congestion that is not there, and slow down.",
        modes=_DSCP,
        look_alikes=(
            LookAlike("DSC504", "there the tag is wrong, too"),
            LookAlike("TUN411", "there an outer header lacks the bits, and the packet inside still has them"),
        ),
        decide=("tcpdump -vni IFACE host CLIENT  # on the load balancer: tos before and after",),
        fixes=(
            _MARK,
            Fix(
                "the load balancer, with iptables or tc",
                (
                    "iptables -t mangle -A POSTROUTING -d RIP -j DSCP --set-dscp TAG",
                    "tc: action pedit ex munge ip dsfield set TOS retain 0xfc",
                ),
                "both leave the lower two bits as they are, and so does nft's dscp set",
            ),
        ),
        sources=("RFC 3168 s5", "RFC 2474 s3"),
        evidence="general",
        example="dsrkit craft l3dsr-dscp --fault DSC508",
    ),
    Entry(
        code="DSC509",
        name="tag-rule-in-wrong-chain",
        severity="error",
        summary="The server's rule was never installed, or stands in a chain that is passed too late.",
        signature="The packets are those of DSC510: the tag arrives at the server (D), and the reply has ip.src RIP.",
        cause="The raw table has no INPUT chain, so iptables refuses the line that some guides print ('No"
        " chain/target/match by that name'), and a script goes on. A rule in a later INPUT chain changes a packet"
        " whose fate is decided already.",
        effect="As DSC510.",
        modes=_DSCP,
        look_alikes=(LookAlike("DSC505", "there the rule is in place and waits for another tag"),),
        same_picture=("DSC501", "DSC510"),
        decide=("iptables -t raw -S; iptables -t mangle -S  # on the server: is DADDR in PREROUTING?", _RULES),
        fixes=(_DADDR, _RESTORE),
        sources=("yahoo/l3dsr USING", "yvipagent CHANGES", "reproduced in the lab"),
        evidence="lab",
        from_packets=False,
        example="dsrkit craft l3dsr-dscp --fault DSC501",
    ),
    Entry(
        code="DSC510",
        name="tag-rule-missing",
        severity="error",
        summary="The server has no rule that turns the tag back into the VIP, so it answers from its own address.",
        signature="Requests reach the server (D) with ip.dst RIP and the tag in ip.dsfield.dscp, the value that left"
        " the load balancer; the SYN-ACK has ip.src RIP, and the client answers RST and goes on asking the VIP. A"
        " daemon that listens at the VIP only makes it a RST from the RIP.",
        cause="The module is not loaded or was not built for a new kernel, the rules did not survive a reboot, another"
        " tool flushed them.",
        effect="This server's share of connections times out: clients discard what does not come from the VIP.",
        modes=_DSCP,
        look_alikes=(
            LookAlike(
                "DSC505", "there the server's rules want another tag; it is likelier where each server has its own tag"
            ),
            LookAlike("DSC502", "there the tag is gone before the request reaches the server"),
            LookAlike("DSC503", "there another value arrives than was sent"),
            LookAlike("DSC517", "there no tag leaves the load balancer"),
            LookAlike("DSC511", "with the rule and without the VIP the server is silent"),
            LookAlike("DSR321", "there only UDP comes from the RIP"),
            LookAlike("NAT201", "there no tag is in the request"),
            LookAlike("CAP912", "a capture never shows the rewrite itself: only the reply's source proves it"),
        ),
        same_picture=("DSC501", "DSC509"),
        decide=(_RULES, _NAT_RULES, "lsmod | grep -i daddr"),
        fixes=(_RESTORE, _DADDR),
        sources=("NANOG 51, L3DSR, slide 24", "yahoo/l3dsr USING", "reproduced in the lab"),
        evidence="lab",
        example="dsrkit craft l3dsr-dscp --fault DSC510",
    ),
    Entry(
        code="DSC511",
        name="vip-missing-after-rewrite",
        severity="error",
        summary="The server turns the tag into the VIP and does not have that VIP, so it drops the request.",
        signature="Tagged requests reach the server (D) and nothing comes back. Where the server forwards"
        " (ip_forward=1), the packet leaves it again with ip.dst VIP and one TTL less.",
        cause="The rule was installed and the address forgotten, or it went away with a network restart.",
        effect="This server's share of connections hangs. Without the rule it would be refused instead, so that"
        " half a repair looks like another fault.",
        modes=_DSCP,
        look_alikes=(
            LookAlike("DSC505", "a rule that names a VIP of another pool is silent, too; the rules tell"),
            LookAlike("DSC510", "without the rule the server answers from its RIP"),
            LookAlike("DSR302", "the same on a server that forwards: the packet comes out again and loops"),
            LookAlike("DSR303", "a server with the VIP and without a listener answers with a RST"),
            LookAlike("DSC516", "there the request's checksum is wrong, which is visible"),
        ),
        same_picture=("DSR311", "NAT213", "DSR323"),
        decide=("ip address show to VIP  # on the server: nothing is this", _RULES),
        fixes=(
            Fix(
                "that server",
                (
                    "ip address add VIP/32 dev lo",
                    "ip -6 address add VIP6/128 dev lo preferred_lft 0",
                    "sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2",
                ),
                "the sysctls matter where server and VIP share a network",
            ),
        ),
        sources=("ip_input.c ip_rcv_finish, Linux 6.1", "reproduced in the lab"),
        evidence="lab",
        example="dsrkit craft l3dsr-dscp --fault DSC511",
    ),
    Entry(
        code="DSC512",
        name="checksum-left-by-rewrite",
        severity="info",
        summary="A capture on the server, above its rewrite, shows TCP checksums that still belong to the RIP.",
        signature="In a capture taken inside the server, requests have ip.dst VIP and a tcp.checksum that is right for"
        " the RIP; on D both are right, and every request is answered.",
        cause="FreeBSD's dscp_rewrite changes the address after the checksum was verified, and leaves the checksum"
        " alone on purpose.",
        effect="None, except for whoever reads such a capture.",
        modes=_DSCP,
        look_alikes=(
            LookAlike("DSC516", "there the checksum is wrong on the wire, and nothing is answered"),
            LookAlike("CAP901", "there it is outgoing packets, with the bare sum of the pseudo header"),
        ),
        decide=("tcpdump -vvni IFACE tcp and dst host RIP  # on the network's side of the rewrite",),
        sources=("FreeBSD dscp_rewrite, source",),
        example="dsrkit craft l3dsr-dscp --fault DSC512",
    ),
    Entry(
        code="DSC513",
        name="tag-in-replies",
        severity="info",
        summary="Replies carry the request's tag back to the client.",
        signature="SYN-ACKs and data with ip.src VIP have the tag in ip.dsfield.dscp, from the server (D) to the"
        " client (A). On RSTs and echo replies alone it is normal: Linux copies the field there.",
        cause="net.ipv4.tcp_reflect_tos is 1, or the daemon sets the mark of what it received.",
        effect="Mostly none. A policer on the way may put the replies into the class that the value stands for, and a"
        " server that matches tags on its way through would rewrite them.",
        modes=_DSCP,
        look_alikes=(LookAlike("DSC506", "there requests of others carry the tag"),),
        decide=("sysctl net.ipv4.tcp_reflect_tos  # on the server",),
        fixes=(
            Fix(
                "the servers",
                (
                    "sysctl -w net.ipv4.tcp_reflect_tos=0",
                    "nft add rule ip dsr out ip saddr VIP ip dscp set cs0  # chain of hook output",
                ),
                "the sysctl is for TCP over IPv6 as well",
            ),
        ),
        sources=("Linux Documentation/networking/ip-sysctl.rst, tcp_reflect_tos", "reproduced in the lab"),
        evidence="lab",
        example="dsrkit craft l3dsr-dscp --fault DSC513",
    ),
    Entry(
        code="DSC514",
        name="fragments-spoiled-by-rewrite",
        severity="error",
        summary="The server's rewrite alters two octets of later fragments, where it takes data for a checksum.",
        signature="Fragmented datagrams (ip.flags.mf, ip.frag_offset above 0) arrive complete at the server (D) and"
        " get no answer; datagrams that fit into one packet do.",
        cause="xt_DADDR corrects the field where a UDP or TCP header has its checksum, and a fragment other than the"
        " first has no such header. This is read from its source and was not seen happen. nft was seen to leave"
        " fragments intact.",
        effect="Large UDP requests time out. TCP hardly ever comes in fragments.",
        modes=_DSCP,
        look_alikes=(
            LookAlike("NAT211", "there later fragments do not even reach the server"),
            LookAlike("DSC510", "there a datagram of any size is answered from the RIP"),
        ),
        decide=("nstat -az UdpInCsumErrors IpReasmOKs  # on the server: both grow",),
        fixes=(_RESTORE,),
        sources=("yahoo/l3dsr xt_DADDR.c", "reproduced in the lab: nft keeps fragments intact"),
        evidence="guess",
        example="dsrkit craft l3dsr-dscp --fault DSC514",
    ),
    Entry(
        code="DSC515",
        name="tag-zero",
        severity="error",
        summary="The tag is 0, which is the value of every unmarked packet, so servers see none.",
        signature="Behind the load balancer (B) ip.dst is the RIP and ip.dsfield.dscp is 0 whatever the client had"
        " sent; the server answers with ip.src RIP.",
        cause="A map with tag 0, an unset variable, or a value above 63 of which nothing is left.",
        effect="Connections fail; or, on servers that do map 0, everything that comes to the RIP unmarked is answered"
        " from the VIP, SSH included.",
        modes=_DSCP,
        look_alikes=(
            LookAlike("DSC517", "there the client's own value survives, since nothing is written"),
            LookAlike("DSC502", "there the tag is there behind the load balancer"),
        ),
        decide=("nft list ruleset  # on the load balancer: dscp set 0x00 or cs0",),
        fixes=(
            _MARK,
            Fix(
                "load balancer and servers",
                (
                    "dsrkit setup l3dsr-dscp --dscp 7 --for lb",
                    "dsrkit setup l3dsr-dscp --dscp 7 --for real-server",
                ),
                "any value from 1 to 63",
            ),
        ),
        sources=("dsr.conf(5) of yahoo/l3dsr",),
        example="dsrkit craft l3dsr-dscp --fault DSC515",
    ),
    Entry(
        code="DSC516",
        name="checksum-not-updated",
        severity="error",
        summary="The load balancer puts the RIP in place of the VIP and leaves the TCP or UDP checksum as it was.",
        signature="Behind the load balancer (B) and at the server (D), tcp.checksum (udp.checksum) is wrong, and is"
        " right if computed with the VIP; ip.checksum is right. Nothing comes back.",
        cause="The pseudo header has the destination address in it. A program or tc rule that sets the address must"
        " correct the sum itself. DSCP is in no transport checksum.",
        effect="No connection works: servers drop such packets without a word.",
        modes=_DSCP,
        look_alikes=(
            LookAlike("CAP901", "there the value is the bare sum of the pseudo header, left to the card"),
            LookAlike("DSC511", "there the checksum is right"),
            LookAlike("NAT204", "the same mistake with NAT, where no tag is written"),
            LookAlike("DSC512", "there the packet on the wire is right"),
        ),
        decide=("nstat -az TcpInCsumErrors UdpInCsumErrors  # on the server: grows with each request",),
        fixes=(
            Fix(
                "the load balancer",
                (
                    "tc: action pedit ex munge ip dst set RIP pipe action csum ip4h and tcp and udp",
                    "BPF: bpf_l4_csum_replace() with BPF_F_PSEUDO_HDR; in XDP the difference by bpf_csum_diff()",
                ),
                "nft's daddr set does it by itself; over IPv6 UDP must have a checksum",
            ),
        ),
        sources=("RFC 1624", "RFC 9293 s3.1", "NAT204, in DSCP mode"),
        example="dsrkit craft l3dsr-dscp --fault DSC516",
    ),
    Entry(
        code="DSC517",
        name="rewritten-but-not-marked",
        severity="error",
        summary="The load balancer puts the RIP in place of the VIP and writes no tag.",
        signature="Behind the load balancer (B) ip.dst is the RIP, ip.src still the client, and ip.dsfield is exactly"
        " what the client had sent; the server answers with ip.src RIP.",
        cause="The rule that marks is missing, is passed before the one that chooses the server, or matches another"
        " address; a hardware load balancer has the virtual server without its DSCP setting.",
        effect="No connection works.",
        modes=_DSCP,
        look_alikes=(
            LookAlike("DSC502", "there the tag leaves the load balancer and is lost behind it"),
            LookAlike("DSC515", "there the client's value is replaced by 0"),
            LookAlike("DSC504", "there ECN bits appear that the client did not send"),
            LookAlike(
                "NAT201",
                "nearly the same packets: a translated port, servers in the load balancer's own subnet, or its inside"
                " address as their gateway speak for NAT; tags at other servers or one arm speak for DSCP",
            ),
        ),
        decide=("nft list ruleset  # on the load balancer: is there a dscp set for this server?",),
        fixes=(
            _MARK,
            Fix(
                "Brocade ADX, F5",
                ("ADX, server virtual: tos-marking TAG hc-l3-dsr", "F5, profile fastl4: ip-tos-to-server TOS"),
                "their names for the mark; F5 takes the TOS octet, four times the tag",
            ),
        ),
        sources=("recorded, a load balancer without its mark", "NANOG 51, L3DSR"),
        evidence="recorded",
        example="dsrkit craft l3dsr-dscp --fault DSC517",
    ),
)

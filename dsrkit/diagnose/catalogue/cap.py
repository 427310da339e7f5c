"""Entries of the area CAP: what capturing does to packets. They accuse nobody and keep others from being accused."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.entry import Entry, Fix, LookAlike
from dsrkit.model.names import DIRECT_RETURN, REWRITES

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="CAP901",
        name="checksums-left-to-the-nic",
        severity="info",
        summary="Outgoing packets were captured before the network card had filled in their checksums.",
        signature="At the tap of the machine that sends, tcp.checksum or udp.checksum is the bare sum of the pseudo"
        " header, or 0; at the next tap it is right. On veth and virtio it may stay so along the whole way.",
        cause="Checksum offload: the kernel leaves the rest of the sum to the card, and tcpdump looks before the card.",
        effect="Wireshark shows bad checksums all over. No packet on the wire is wrong.",
        modes=REWRITES,
        look_alikes=(
            LookAlike(
                "NAT204", "there the value fits the address before the rewrite, and the receiver's own tap shows it"
            ),
            LookAlike("DSC512", "there only a server's capture above its rewrite hook shows it"),
        ),
        decide=("ethtool -k IFACE | grep checksum  # tx-checksumming: on",),
        fixes=(
            Fix(
                "whoever captures",
                ("ethtool -K IFACE tx off rx off  # for the time of the capture",),
                "only if checksums are what you look for; otherwise capture one hop further on",
            ),
        ),
        sources=("Wireshark wiki, CaptureSetup/Offloading", "Linux Documentation/networking/checksum-offloads.rst"),
        evidence="lab",
        example="dsrkit craft l2dsr --fault CAP901",
        says="dsrkit verify passes: a checksum that is the pseudo header's alone is not held against anybody.",
    ),
    Entry(
        code="CAP902",
        name="segments-joined-by-offload",
        severity="info",
        summary="Frames larger than the MTU are in the capture because segments are joined or cut by offload engines.",
        signature="frame.len above the MTU plus Ethernet header, up to 64 kB, at the tap of the sender (TSO, GSO) or"
        " the receiver (GRO, LRO); separate segments of ordinary size at other taps.",
        cause="The kernel hands large pieces to the card, which cuts them; on the way in it joins what belongs"
        " together before tcpdump sees it.",
        effect="Packets cannot be paired one to one across taps, and counts differ. No packet on the wire is too"
        " large.",
        modes=REWRITES,
        look_alikes=(
            LookAlike(
                "TUN408", "there the joined frame is too large for the tunnel, and an ICMP 3/4 answers it at once"
            ),
        ),
        decide=("ethtool -k IFACE | grep -E 'segmentation|receive-offload'",),
        fixes=(
            Fix(
                "whoever captures",
                ("ethtool -K IFACE tso off gso off gro off lro off  # for the time of the capture",),
                "then the capture shows what is on the wire, at the price of some CPU",
            ),
        ),
        sources=("Wireshark wiki, CaptureSetup/Offloading", "Linux Documentation/networking/segmentation-offloads.rst"),
        example="dsrkit craft l2dsr --reply 20000 --fault CAP902",
        says="dsrkit verify passes: a long frame is judged like the segments that it stands for.",
    ),
    Entry(
        code="CAP903",
        name="copies-taken-for-retransmissions",
        severity="info",
        summary="The copy that a one-armed load balancer sends on is shown as a retransmission of the request.",
        signature="Two frames of the same ip.id, tcp.seq and payload within microseconds, with different MAC"
        " addresses (or one of them encapsulated). Wireshark marks the second with tcp.analysis.retransmission or a"
        " duplicate ACK.",
        cause="In direct server return a request passes the load balancer's link twice, in and out, and protocol"
        " analysers look at IP and TCP only.",
        effect="Analysis by eye suspects loss where there is none.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike("DSR302", "there the copy has the server's MAC as source and its TTL goes on falling"),
            LookAlike("DSR315", "there the second copy is sent on by another load balancer"),
            LookAlike("CAP909", "there both frames have the same MAC addresses and the same TTL"),
        ),
        decide=("tshark -r FILE -Y tcp.analysis.retransmission -T fields -e eth.src -e eth.dst -e ip.ttl -e ip.id",),
        fixes=(
            Fix(
                "whoever reads it in Wireshark",
                ("display filter: eth.dst == LB_MAC",),
                "look at one of the two halves at a time",
            ),
        ),
        sources=("reproduced in the lab", "recorded ipvs-dr"),
        evidence="lab",
        from_packets=False,
        example="pcaps/l2dsr/ipvs-dr",
        says="dsrkit verify passes: it pairs the two halves as B.in and B.out, and takes neither for a retransmission.",
    ),
    Entry(
        code="CAP904",
        name="filter-misses-outer-headers",
        severity="info",
        summary="The capture filter let the encapsulated packets fall through, so the leg behind the load balancer is"
        " missing.",
        signature="Requests to the VIP and replies from it are there, and no packet with ip.proto 4, 41, 47 or the"
        " tunnel's UDP port, although the service runs through a tunnel.",
        cause="A filter such as host VIP or tcp port 80 looks at the outermost header, where a tunnel has other"
        " addresses and no TCP.",
        effect="What the load balancer does to requests cannot be observed; it is not missing on the wire.",
        modes=("l3dsr-tunnel",),
        look_alikes=(
            LookAlike("HCK706", "there the load balancer answers by itself, with a RST or ICMP 3/3"),
            LookAlike("CAP906", "there not even the plain requests are at the load balancer's tap"),
            LookAlike("TUN409", "there the outer packets leave the load balancer and are missing at the next tap"),
        ),
        decide=("capinfos FILE; tshark -r FILE -q -z io,phs  # which protocols are there at all",),
        fixes=(
            Fix(
                "whoever captures",
                ("tcpdump -i IFACE -w OUT 'host VIP or ip proto 4 or ip proto 41 or ip proto 47 or udp port 6080'",),
                "let the outer packets through, or capture without a filter and choose later",
            ),
        ),
        sources=("pcap-filter(7)", "katran tcpdump_encap_helper"),
        evidence="lab",
        example="dsrkit craft l3dsr-tunnel --fault CAP904",
        says="dsrkit verify accuses nobody. It says that the mode is undetermined, and that only routers and links"
        " could be judged.",
    ),
    Entry(
        code="CAP905",
        name="vlan-tag-stripped-by-mirror",
        severity="info",
        summary="VLAN tags are missing, or doubled, at one tap because a mirror port or network card took or added"
        " them.",
        signature="vlan.id is there at some taps and not at others for the same packets, or stands twice.",
        cause="Mirror ports strip or add tags as configured, and cards strip them on receipt (rxvlan) and hand them"
        " to the kernel beside the packet.",
        effect="None. Tags belong to a link, so they are not compared between taps.",
        modes=REWRITES,
        decide=("ethtool -k IFACE | grep vlan", "show monitor session 1 detail  # Cisco: encapsulation replicate"),
        fixes=(
            Fix(
                "whoever captures",
                (
                    "ethtool -K IFACE rxvlan off",
                    "Cisco: monitor session 1 destination interface ... encapsulation replicate",
                ),
                "only if tags matter to you",
            ),
        ),
        sources=("IEEE 802.1Q s6.9", "LiveAction tip 21", "Wireshark wiki, CaptureSetup/VLAN"),
        example="dsrkit craft l2dsr --fault CAP905",
        says="dsrkit verify passes: a tag belongs to its link, and is not compared between taps.",
    ),
    Entry(
        code="CAP906",
        name="packets-hidden-by-xdp",
        severity="info",
        summary="The load balancer handles packets before the kernel does, so tcpdump on it does not see them.",
        signature="The load balancer's tap has ARP and other chatter and none of the connections, which work.",
        cause="XDP programs (katran, Cilium) and DPDK take packets at the driver, below the place where tcpdump"
        " listens.",
        effect="Nothing can be said about the load balancer from that tap.",
        modes=("nat", "fullnat", *DIRECT_RETURN),
        look_alikes=(
            LookAlike("CAP904", "there plain requests are seen and only the encapsulated packets are missing"),
            LookAlike("ARP101", "there connections pass the load balancer by, which the router's tap shows in eth.dst"),
        ),
        decide=("ip -d link show IFACE | grep xdp; bpftool net  # on the load balancer", "lspci -k  # vfio-pci: DPDK"),
        fixes=(
            Fix(
                "whoever captures",
                ("xdpdump -i IFACE -w OUT --rx-capture entry,exit", "dpdk-dumpcap -i 0 -w OUT", "cilium-dbg monitor"),
                "these see what the data plane sees; a mirror port of the switch does as well",
            ),
        ),
        sources=("katran xdpdump README", "facebookincubator/katran #47"),
        example="dsrkit craft l3dsr-tunnel --profile katran --fault CAP906",
        says="dsrkit verify passes: the taps before and behind the load balancer are enough to judge what it does.",
    ),
    Entry(
        code="CAP907",
        name="cooked-without-destination-mac",
        severity="info",
        summary="The capture is a cooked one (tcpdump -i any), whose frames have no destination MAC address.",
        signature="Link type Linux cooked v1 or v2 (sll): one MAC address, the sender's, and no eth.dst.",
        cause="tcpdump -i any captures on devices of every kind, so it writes a header that fits all of them.",
        effect="Whatever L2DSR promises about destination MAC addresses cannot be observed: which server was chosen,"
        " whether a frame went to the load balancer. The rest is judged as usual.",
        modes=REWRITES,
        decide=("capinfos -E FILE  # File encapsulation: Linux cooked-mode capture",),
        fixes=(
            Fix(
                "whoever captures",
                ("tcpdump -i IFACE -w OUT  # an interface by name, and one file for each",),
                "a named interface keeps its own link header",
            ),
        ),
        sources=("LINKTYPE_LINUX_SLL and LINKTYPE_LINUX_SLL2 of tcpdump.org", "cloudnativelabs/kube-router #1671"),
        example="dsrkit craft l2dsr --fault CAP907",
        says="dsrkit verify accuses nobody, and leaves unproven what needs a destination MAC: the link type has no such"
        " address.",
    ),
    Entry(
        code="CAP908",
        name="cut-by-snaplen",
        severity="info",
        summary="Frames were cut off when they were captured, so payloads and their checksums cannot be checked.",
        signature="frame.cap_len below frame.len, at the same size for all long frames.",
        cause="tcpdump -s, or a mirror that truncates to save bandwidth.",
        effect="Headers are judged as usual; checks that need whole packets say not observable.",
        modes=REWRITES,
        decide=("capinfos -l FILE  # packet size limit",),
        fixes=(
            Fix(
                "whoever captures",
                ("tcpdump -s 0 -i IFACE -w OUT",),
                "whole frames, or at least 128 octets of each, enough for any headers",
            ),
        ),
        sources=("tcpdump(1), -s", "recorded ipvs-nat-snaplen96"),
        evidence="recorded",
        example="dsrkit craft nat --fault CAP908",
        says="dsrkit verify passes: it compares what was captured of each frame.",
    ),
    Entry(
        code="CAP909",
        name="mirrored-twice",
        severity="info",
        summary="The mirror copies every frame twice, once where it enters the switch and once where it leaves.",
        signature="Each frame is there twice with the same MAC addresses, TTL, ip.id and payload, microseconds apart.",
        cause="A SPAN session with both directions, of both ports or of a whole VLAN.",
        effect="Everything looks retransmitted. Duplicates are counted once.",
        modes=REWRITES,
        look_alikes=(
            LookAlike("CAP903", "a forwarded copy has other MAC addresses, and a smaller TTL in most modes"),
            LookAlike("DSR302", "in a loop the TTL falls"),
        ),
        decide=(
            "show monitor session 1  # Cisco: Both",
            "editcap -D 2 IN OUT; capinfos -c IN OUT  # half of them gone",
        ),
        fixes=(
            Fix(
                "whoever captures",
                ("Cisco: monitor session 1 source interface PORT rx", "editcap -D 2 IN OUT"),
                "one direction of each port, or duplicates taken out afterwards",
            ),
        ),
        sources=("Wireshark wiki, DuplicatePackets", "editcap(1), -D"),
        evidence="general",
        example="dsrkit craft l2dsr --fault CAP909",
        says="dsrkit verify passes. It notes which taps have every frame twice, and leaves the copies out.",
    ),
    Entry(
        code="CAP910",
        name="clocks-apart",
        severity="info",
        summary="The clocks of the machines that captured differ, so times of different files cannot be compared.",
        signature="A packet is seen later at an early tap than at a late one; replies seem to come before requests.",
        cause="No NTP or PTP between the machines, virtual machines after a pause, or time stamps taken in batches.",
        effect="Delays between taps mean nothing. Packets are put in order by what causes what, not by time.",
        modes=REWRITES,
        decide=("chronyc tracking; timedatectl  # on each machine",),
        fixes=(
            Fix("each machine that captures", ("systemctl enable --now chrony",), "a millisecond is good enough"),
            Fix("the files", ("editcap -t OFFSET IN OUT",), "shift one file, where you know by how much"),
        ),
        sources=("editcap(1), -t", "pcap-tstamp(7)"),
        evidence="general",
        example="dsrkit craft l2dsr --fault CAP910",
        says="dsrkit verify passes: it finds out how far the clocks are apart (clock_offset_ns in the JSON report), and"
        " goes by what causes what.",
    ),
    Entry(
        code="CAP911",
        name="replies-not-captured",
        severity="info",
        summary="No tap was on the way of the replies, so nothing can be said about them.",
        signature="Requests at every tap and no reply at any, and yet connections go on: ACKs of the client"
        " acknowledge data that no tap has seen.",
        cause="In direct server return, replies take another way than requests: a capture at the load balancer alone"
        " never has them. Filters on one direction do the same.",
        effect="Missing answers are not observable, which is not the same as missing.",
        modes=REWRITES,
        look_alikes=(
            LookAlike("DSR301", "there the client repeats its SYN and never goes on to an ACK"),
            LookAlike("DSR309", "there the reply is at the server's tap and missing at the client's"),
        ),
        decide=("tshark -r FILE -Y 'tcp.flags.syn == 1 && tcp.flags.ack == 1 && ip.src == VIP' | wc -l",),
        fixes=(
            Fix(
                "whoever captures",
                ("tcpdump -i IFACE -w OUT 'host VIP'  # at the client, or at a server, besides the load balancer",),
                "one tap on the way back is enough",
            ),
        ),
        sources=("the definition of direct server return",),
        evidence="general",
        example="dsrkit craft l2dsr --fault CAP911",
        says="dsrkit verify accuses nobody: that requests went on shows that there were replies. Nothing about them is"
        " proven.",
    ),
    Entry(
        code="CAP912",
        name="dscp-rewrite-inside-server",
        severity="info",
        summary="In DSCP mode the server turns its own address back into the VIP after the tap, so no capture shows"
        " it.",
        signature="At the server, requests to the RIP with a DSCP tag and replies from the VIP, and never a request"
        " to the VIP.",
        cause="The rewrite takes place in raw prerouting, behind the place where tcpdump listens.",
        effect="None. The source address of the reply is the proof that the rewrite works.",
        modes=("l3dsr-dscp",),
        look_alikes=(
            LookAlike("DSC510", "there replies come from the RIP: the rewrite does not happen"),
            LookAlike("NAT201", "there, too, replies come from the RIP, and requests carry no tag"),
        ),
        decide=("nft -a list ruleset; nft monitor trace  # on the server: counters of the rule",),
        fixes=(
            Fix(
                "nobody",
                ("nft add rule ip dsr pre ip dscp N counter",),
                "nothing is wrong; a counter makes the rule visible",
            ),
        ),
        sources=("NANOG51, L3DSR, slides 20 to 24", "netfilter hooks, nft(8)"),
        evidence="lab",
        from_packets=False,
        example="pcaps/l3dsr-dscp/l3dsr-dscp",
        says="dsrkit verify passes: replies that come from the VIP prove the rewrite.",
    ),
)

"""Entries of the area ARP: who owns the VIP on its link, and how neighbours learn that it has moved."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.entry import Entry, Fix, LookAlike
from dsrkit.model.names import DIRECT_RETURN, Mode

_OWNED: Final[tuple[Mode, ...]] = ("nat", "fullnat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp")
_TAKEOVER: Final[tuple[Mode, ...]] = ("garp", *_OWNED, "l7")
"""A takeover happens on top of any mode that has a VIP."""

_ARP_SYSCTLS: Final = Fix(
    "each real server",
    (
        "sysctl -w net.ipv4.conf.all.arp_ignore=1",
        "sysctl -w net.ipv4.conf.all.arp_announce=2",
    ),
    "arp_ignore=1 answers only for addresses of the interface that was asked, so a VIP on lo stays silent;"
    " arp_announce=2 keeps the VIP out of the server's own requests. Write both to /etc/sysctl.d",
)
_ARP_TABLES: Final = Fix(
    "real servers whose sysctls cannot be changed",
    (
        "nft add table arp dsr",
        "nft 'add chain arp dsr answers { type filter hook input priority 0; }'",
        "nft add rule arp dsr answers arp daddr ip VIP drop",
    ),
    "drops questions for the VIP before the kernel can answer them; arptables does the same on old systems",
)
_ND_LO: Final = Fix(
    "each real server (IPv6)",
    ("ip -6 address add VIP/128 dev lo preferred_lft 0",),
    "IPv6 has no arp_ignore and needs none: a solicitation is answered only for addresses of the interface it came in"
    " on, so the VIP must be on lo and nowhere else, and nothing may proxy it (ip -6 neigh show proxy)",
)
_WINDOWS: Final = Fix(
    "real servers with Windows",
    ("netsh interface ipv4 set interface LOOPBACK weakhostreceive=enabled weakhostsend=enabled",),
    "put the VIP on a KM-TEST loopback adapter, never on the network card, which would answer ARP for it",
)
_FLUSH: Final = Fix(
    "the router, as first aid",
    ("ip neigh flush to VIP dev IFACE", "clear ip arp VIP  # Cisco IOS; clear arp-cache on others"),
    "ends the outage now, until the cause strikes again",
)
_KEEPALIVED: Final = Fix(
    "both load balancers, global_defs of keepalived.conf",
    (
        "vrrp_garp_master_repeat 5",
        "vrrp_garp_master_delay 2",
        "vrrp_garp_master_refresh 60",
        "vrrp_garp_master_refresh_repeat 2",
    ),
    "a burst at the takeover, a second one two seconds later when ports and links have settled, and one a minute for"
    " whoever missed both; for IPv6 VIPs the same settings govern unsolicited neighbour advertisements",
)

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="ARP101",
        name="vip-arp-answered-by-real-servers",
        severity="error",
        summary="Real servers answer ARP for the VIP, so that neighbours may send its traffic past the load balancer.",
        signature="On the VIP's link, ARP replies (arp.opcode == 2, arp.src.proto_ipv4 == VIP) carry the MAC address"
        " of a real server in arp.src.hw_mac, often two or more different answers to one request. Whoever's answer"
        " comes last wins: then client SYNs for the VIP have eth.dst of that server and no copy by the load balancer.",
        cause="The VIP is configured on the servers, as direct server return needs, but they were not told to keep"
        " quiet about it: Linux answers ARP for any of its addresses on any interface unless arp_ignore says"
        " otherwise.",
        effect="Often nothing at first, because the server serves whom it gets. But one server takes all the load,"
        " health checks and draining mean nothing, and when that server stops, the VIP is down for those neighbours.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike(
                "ARP104",
                "in a takeover one MAC stops answering and another starts; here several answer at the same time",
            ),
            LookAlike("ARP109", "there the second MAC belongs to a load balancer, and VRRP adverts come from both"),
            LookAlike("ARP116", "there the second MAC is no machine of the set-up and nothing is ever forwarded to it"),
            LookAlike(
                "ARP103", "that is a request which a server sends unasked; this is an answer to somebody's request"
            ),
        ),
        same_picture=("ARP102", "ARP114", "ARP119"),
        decide=(
            "sysctl net.ipv4.conf.all.arp_ignore net.ipv4.conf.IFACE.arp_ignore  # the larger counts; 1, 2 or 8 is"
            " silent",
            "ip -4 address show to VIP  # lo (or a tunnel device) is right, a network card is ARP119",
            "arping -D -I IFACE VIP  # from a third machine on the link: who answers, and how many",
        ),
        fixes=(_ARP_SYSCTLS, _ARP_TABLES, _ND_LO, _WINDOWS, _FLUSH),
        sources=(
            "Linux Documentation/networking/ip-sysctl.rst, arp_ignore and arp_announce",
            "arp.c arp_ignore, Linux 6.1",
            "LVS-HOWTO, the ARP problem",
            "recorded b02-dr-arp-flux",
        ),
        evidence="recorded",
        example="dsrkit craft l2dsr --fault ARP101",
    ),
    Entry(
        code="ARP102",
        name="arp-ignore-on-loopback-only",
        severity="error",
        summary="arp_ignore is set on lo alone, where it has no effect, so real servers still answer ARP for the VIP.",
        signature="The packets are those of ARP101: ARP replies for the VIP with a real server's MAC. As the snippet"
        " is rolled out everywhere, usually all servers answer.",
        cause="The kernel takes the larger of conf/all and the interface that the request came in on. A request never"
        " comes in on lo, so net.ipv4.conf.lo.arp_ignore is never looked at, although many guides set just that.",
        effect="As ARP101, with a check list that says the sysctl is done.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike("ARP109", "there the second MAC belongs to a load balancer, not to a real server"),
            LookAlike("ARP116", "there the second MAC is no machine of the set-up"),
        ),
        same_picture=("ARP101", "ARP114", "ARP119"),
        decide=("sysctl -a --pattern 'net.ipv4.conf.*.arp_ignore'  # lo=1 with all=0 and IFACE=0 is this",),
        fixes=(_ARP_SYSCTLS,),
        sources=(
            "Linux Documentation/networking/ip-sysctl.rst, arp_ignore",
            "inetdevice.h IN_DEV_MAXCONF, Linux 6.1",
            "iqiyi/dpvs #312",
        ),
        evidence="lab",
        from_packets=False,
        example="dsrkit craft l2dsr --fault ARP102",
    ),
    Entry(
        code="ARP103",
        name="vip-announced-by-real-server",
        severity="error",
        summary="A real server asks ARP in the name of the VIP, and whoever hears it learns the server's MAC for the"
        " VIP.",
        signature="On the server's link, ARP requests (arp.opcode == 1) with arp.src.proto_ipv4 == VIP and the"
        " server's MAC in arp.src.hw_mac, asking for its gateway or another neighbour. After them the one that was"
        " asked, and any who had an entry, may send the VIP's packets to that server.",
        cause="Linux puts the source address of the packet that waits for an answer into its ARP request, and a reply"
        " of direct server return has the VIP as source. arp_announce=0 allows that, and 1 still does where the VIP"
        " is in the subnet of the one that is asked; only 2 always takes the server's own address.",
        effect="Nothing, for hours. Then a server's ARP entry for the gateway expires at a bad moment, the router"
        " learns the wrong MAC and one server gets everything, until the load balancer happens to be asked again.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike(
                "ARP101", "those are replies to a question for the VIP; this is a question that the server asks itself"
            ),
            LookAlike("ARP104", "after a takeover the new sender is a load balancer, and it goes on to forward"),
            LookAlike("ARP111", "there the request comes from the VIP's rightful owner, with its interface's own MAC"),
        ),
        decide=(
            "sysctl net.ipv4.conf.all.arp_announce net.ipv4.conf.IFACE.arp_announce  # the larger counts; must be 2",
        ),
        fixes=(
            Fix(
                "each real server",
                ("sysctl -w net.ipv4.conf.all.arp_announce=2",),
                "the request then carries the best address of the outgoing interface instead of the VIP. IPv6 does"
                " not have the problem as long as the VIP is on lo",
            ),
            Fix(
                "real servers whose sysctls cannot be changed",
                ("arptables -A OUTPUT -s VIP -j mangle --mangle-ip-s RIP",),
                "rewrites the sender of what leaves",
            ),
        ),
        sources=(
            "Linux Documentation/networking/ip-sysctl.rst, arp_announce",
            "arp.c arp_solicit, Linux 6.1",
            "kb.linux-vs.org",
            "recorded b10-dr-arp-announce-wrong",
        ),
        evidence="recorded",
        example="dsrkit craft l2dsr --fault ARP103",
    ),
    Entry(
        code="ARP104",
        name="takeover-not-announced",
        severity="error",
        summary="The VIP has moved and its new owner told nobody, so that neighbours go on sending to the old one.",
        signature="A new owner shows itself (VRRP adverts from another address, or frames from its MAC with the VIP"
        " as source), yet no ARP with arp.src.proto_ipv4 == VIP and its MAC follows. Requests for the VIP keep the"
        " eth.dst of the old owner. The blackout lasts from the last good reply to the first frame with the new MAC.",
        cause="The takeover was done by hand or by a script without an announcement, keepalived's announcements are"
        " turned off or came before the link was ready, or the new owner never noticed that it is one.",
        effect="The VIP is dead after a failover for as long as routers trust their ARP entry: minutes on Linux, up"
        " to four hours on many routers. Clients on the VIP's own link may recover much earlier.",
        modes=_TAKEOVER,
        look_alikes=(
            LookAlike(
                "ARP117", "there the announcement leaves the new owner; only a tap at the new owner tells the two apart"
            ),
            LookAlike("ARP118", "there the old owner still lives and forwards, so that nothing is lost for now"),
            LookAlike("ARP105", "there something is sent, but in a form that a fresh entry ignores"),
            LookAlike("ARP115", "there the announcement is proper and neighbours follow it; only a router does not"),
        ),
        decide=(
            "journalctl -u keepalived | grep -i gratuitous  # on the new owner: were any sent",
            "tcpdump -eni IFACE 'arp and host VIP'  # on the new owner, through a takeover",
            "ip neigh show to VIP  # on the router: whose MAC does it hold",
        ),
        fixes=(
            _KEEPALIVED,
            Fix(
                "the new owner, by hand",
                (
                    "arping -U -c 3 -I IFACE -s VIP VIP",
                    "ndsend VIP IFACE  # IPv6, from vzctl; keepalived does it itself",
                ),
                "tells everybody now",
            ),
            _FLUSH,
            Fix(
                "F5, Citrix and other appliances",
                (
                    "F5: tmsh modify cm traffic-group traffic-group-1 mac 02:...",
                    "Citrix: add vrid 10; bind vrid 10 -ifnum 1/1",
                ),
                "a MAC address that moves along with the VIP makes announcements a matter for switches only",
            ),
        ),
        sources=(
            "RFC 5227 s3, announcing an address",
            "RFC 5798 s6.4.2, gratuitous ARP on becoming master",
            "acassen/keepalived #14, #160, #223, #277",
            "recorded b08-garp-not-sent",
        ),
        evidence="recorded",
        example="dsrkit craft garp --fault ARP104",
    ),
    Entry(
        code="ARP105",
        name="announcement-not-gratuitous",
        severity="info",
        summary="What was sent to announce the VIP is no gratuitous ARP: its target is 255.255.255.255, not the VIP.",
        signature="ARP replies with arp.src.proto_ipv4 == VIP and arp.dst.proto_ipv4 == 255.255.255.255, target MAC"
        " ff:ff:ff:ff:ff:ff; Wireshark does not set arp.isgratuitous on them.",
        cause="The old send_arp tool called with the broadcast address as its target, as many failover scripts do.",
        effect="Linux takes it for an ordinary unasked reply: it changes an entry that exists and is older than about"
        " a second, and nothing else. Usually that is enough; a neighbour with a fresh entry keeps the old MAC.",
        modes=_TAKEOVER,
        look_alikes=(
            LookAlike(
                "ARP106", "there sender and target address are both the VIP, so that it is gratuitous for Wireshark"
            ),
            LookAlike("ARP104", "there nothing at all is sent for the VIP"),
        ),
        decide=("grep -rn send_arp /etc /usr/local  # on the load balancers: who sends it",),
        fixes=(
            Fix(
                "the script that announces",
                ("arping -U -c 3 -I IFACE -s VIP VIP",),
                "a request whose sender and target are the VIP is taken by everybody, whatever the age of their entry",
            ),
        ),
        sources=("RFC 5227 s3", "arp.c arp_is_garp and arp_process, Linux 6.1", "send_arp of Yuri Volobuev"),
        evidence="lab",
        example="dsrkit craft garp --fault ARP105",
    ),
    Entry(
        code="ARP106",
        name="announcement-reply-to-broadcast-mac",
        severity="info",
        summary="Announcements are replies with target MAC ff:ff:ff:ff:ff:ff, which Linux does not take for"
        " gratuitous.",
        signature="ARP replies (arp.opcode == 2) with the VIP as sender and target, arp.dst.hw_mac =="
        " ff:ff:ff:ff:ff:ff instead of the sender's MAC. Wireshark does flag them as gratuitous.",
        cause="Heartbeat and pacemaker send a request and such a reply in turn; other tools send only the reply.",
        effect="Linux wants sender and target MAC to be equal in a gratuitous reply. This one counts as an unasked"
        " reply and leaves an entry alone that was changed within the last second. Harmless where a request goes with"
        " it.",
        modes=_TAKEOVER,
        look_alikes=(
            LookAlike("ARP105", "there the target address is 255.255.255.255, so that it is gratuitous for nobody"),
        ),
        decide=("tcpdump -eni IFACE 'arp and host VIP'  # does a request come with each reply",),
        fixes=(
            Fix(
                "whatever announces",
                ("arping -U -c 3 -I IFACE -s VIP VIP",),
                "the form of a request is understood everywhere",
            ),
        ),
        sources=("arp.c arp_is_garp, Linux 6.1", "RFC 5227 s3"),
        evidence="lab",
        example="dsrkit craft garp --fault ARP106",
    ),
    Entry(
        code="ARP107",
        name="announcement-makes-no-entry",
        severity="info",
        summary="A neighbour that had no entry for the VIP learns nothing from announcements and asks later all the"
        " same.",
        signature="Proper announcements reach the neighbour's tap, and some time later it sends an ARP request for"
        " the VIP.",
        cause="Linux updates entries by gratuitous ARP but makes none (arp_accept=0, the default), and with"
        " drop_gratuitous_arp=1 it does not even update. For IPv6, RFC 4861 wants the same of every system.",
        effect="Usually none: who has no entry asks, and gets the right answer. With drop_gratuitous_arp=1 an old"
        " entry stays wrong until it is checked, which is a takeover that this neighbour does not follow.",
        modes=_TAKEOVER,
        look_alikes=(
            LookAlike("ARP117", "there the announcement does not reach the neighbour's tap at all"),
            LookAlike("ARP115", "there the neighbour has an entry, and goes on using it"),
        ),
        decide=(
            "sysctl net.ipv4.conf.IFACE.arp_accept net.ipv4.conf.IFACE.drop_gratuitous_arp",
            "sysctl net.ipv6.conf.IFACE.drop_unsolicited_na",
        ),
        fixes=(
            Fix(
                "the neighbour, if it matters at all",
                (
                    "sysctl -w net.ipv4.conf.IFACE.drop_gratuitous_arp=0",
                    "sysctl -w net.ipv4.conf.IFACE.arp_accept=1",
                    "sysctl -w net.ipv6.conf.IFACE.drop_unsolicited_na=0",
                ),
                "the first and the last let announcements correct what is there; arp_accept also makes new entries,"
                " which saves one question and lets anybody fill the table",
            ),
        ),
        sources=(
            "Linux Documentation/networking/ip-sysctl.rst, arp_accept and drop_gratuitous_arp",
            "Linux commit 97daf331",
            "RFC 4861 s7.2.5",
        ),
        evidence="lab",
        example="dsrkit craft garp --fault ARP107",
    ),
    Entry(
        code="ARP108",
        name="announced-by-wrong-owner-last",
        severity="error",
        summary="The last announcement of the VIP came from a machine that is not its owner any more.",
        signature="A gratuitous ARP with the backup's MAC, then within seconds VRRP adverts from the old master again"
        " and no announcement from it. From there on requests for the VIP have the backup's MAC in eth.dst.",
        cause="The backup missed some adverts, took over and announced itself, then heard the master again and gave"
        " up. The master never lost its role in its own eyes, so it saw no reason to announce anything.",
        effect="The VIP is dead although one proper master runs: neighbours send to the backup. On routers with a"
        " long ARP timeout it stays so for hours.",
        modes=_TAKEOVER,
        look_alikes=(
            LookAlike("ARP109", "there both go on sending adverts; here the backup has gone quiet"),
            LookAlike("ARP104", "there the one that should have announced is new; here the old owner is the right one"),
        ),
        decide=(
            "journalctl -u keepalived | grep -E 'MASTER|BACKUP'  # on both: a short stay as master on the backup",
            "ip neigh show to VIP  # on the router",
        ),
        fixes=(
            Fix(
                "both load balancers, keepalived.conf",
                ("garp_lower_prio_repeat 5", "garp_lower_prio_delay 5", "garp_master_refresh 60"),
                "the master announces again when it hears an advert of lower priority, and once a minute anyway",
            ),
            Fix(
                "both load balancers, keepalived.conf",
                ("advert_int 1", "preempt_delay 30"),
                "find out why adverts were missed: a busy CPU, IGMP snooping, a full queue. The delay keeps the VIP"
                " where it is until the machine is well again",
            ),
            _FLUSH,
        ),
        sources=("acassen/keepalived #20", "RFC 5798 s6.4.3", "askoverflow 1004811"),
        example="dsrkit craft garp --fault ARP108",
    ),
    Entry(
        code="ARP109",
        name="two-masters",
        severity="error",
        summary="Two load balancers both believe that they own the VIP.",
        signature="VRRP adverts of one VRID (vrrp.virt_rtr_id) from two source addresses at the same time, or ARP for"
        " the VIP with the MAC addresses of both load balancers in turn; Wireshark reports a duplicate address.",
        cause="They do not hear each other: IP protocol 112 or multicast 224.0.0.18 is filtered, IGMP snooping has"
        " lost the group, or a virtual switch drops the adverts.",
        effect="Connections break at random, whenever neighbours change their mind about the MAC. Each load balancer"
        " knows only the connections that it has seen.",
        modes=_TAKEOVER,
        look_alikes=(
            LookAlike("ARP101", "there the second MAC is a real server's, which sends no adverts"),
            LookAlike("ARP104", "in a takeover one stops before the other starts"),
            LookAlike("ARP108", "there the backup has stopped sending adverts and only its announcement lives on"),
            LookAlike("ARP110", "there the adverts are of different groups, with other virtual addresses in them"),
        ),
        decide=(
            "tcpdump -ni IFACE 'ip proto 112 or ip6 proto 112'  # on both: does each hear the other",
            "ip address show to VIP  # on both at once",
        ),
        fixes=(
            Fix(
                "both load balancers, keepalived.conf",
                ("unicast_src_ip OWN_ADDRESS", "unicast_peer { OTHER_ADDRESS }"),
                "adverts from address to address need no multicast",
            ),
            Fix(
                "firewalls on and between them",
                ("nft insert rule inet filter input meta l4proto 112 accept",),
                "VRRP is a protocol of its own, neither TCP nor UDP",
            ),
            Fix(
                "switches",
                ("Cisco: no ip igmp snooping vlan N  # or a querier in that VLAN",),
                "snooping without a querier stops multicast after a few minutes",
            ),
        ),
        sources=("RFC 5798 s6.4", "Broadcom KB 427472"),
        example="dsrkit craft garp --fault ARP109",
    ),
    Entry(
        code="ARP110",
        name="vrid-used-twice",
        severity="error",
        summary="Two unrelated groups use one VRID on the same link, and with it the same virtual MAC address.",
        signature="VRRP adverts of one VRID with different virtual addresses from different machines; frames from"
        " 00:00:5e:00:01:VRID (IPv6: 00:00:5e:00:02:VRID) at two ports of the switch.",
        cause="VRIDs were given out per team or copied with an example configuration; 51 is everybody's favourite.",
        effect="The switch learns the MAC here and there in turn, so packets for either group get lost at random."
        " Where no virtual MAC is used, the groups merely log adverts that they do not understand.",
        modes=_TAKEOVER,
        look_alikes=(LookAlike("ARP109", "there both machines advertise the same addresses: one group, split"),),
        decide=("tcpdump -vni IFACE 'ip proto 112'  # vrid and addresses of every sender",),
        fixes=(
            Fix(
                "one of the groups, keepalived.conf",
                ("virtual_router_id 52",),
                "must be unique on the link, from 1 to 255; IPv4 and IPv6 groups may share one",
            ),
        ),
        sources=("RFC 5798 s7.3, virtual router MAC address",),
        evidence="general",
        example="dsrkit craft garp --fault ARP110",
    ),
    Entry(
        code="ARP111",
        name="virtual-and-own-mac-mixed",
        severity="info",
        summary="The owner of the VIP speaks for it with two MAC addresses, its virtual one and its interface's own.",
        signature="Announcements of the VIP with 00:00:5e:00:01:VRID, and ARP requests in the VIP's name with the MAC"
        " of the interface (arp.src.hw_mac), from the same machine.",
        cause="The VIP sits on a macvlan (keepalived use_vmac) and the base interface has an address of the same"
        " subnet; the kernel answers and asks through whichever fits.",
        effect="Neighbours learn now one, now the other. Both reach the owner, until a takeover moves only the"
        " virtual one. Resets have been reported from such set-ups; the chain of causes is not established.",
        modes=_TAKEOVER,
        look_alikes=(
            LookAlike("ARP109", "there the two MAC addresses belong to two machines"),
            LookAlike("ARP103", "there the one that asks in the VIP's name is a real server"),
        ),
        decide=(
            "ip -d link show type macvlan; ip address show to VIP  # on the owner",
            "sysctl -a --pattern arp_ignore",
        ),
        fixes=(
            Fix(
                "both load balancers",
                (
                    "sysctl -w net.ipv4.conf.all.arp_ignore=1",
                    "sysctl -w net.ipv4.conf.all.arp_announce=2",
                    "sysctl -w net.ipv4.conf.BASE.arp_filter=1",
                ),
                "each interface then speaks only for its own addresses; where routers follow announcements anyway,"
                " leave out use_vmac and there is nothing to mix",
            ),
        ),
        sources=("acassen/keepalived #2306", "keepalived doc/NOTE_vrrp_vmac.txt"),
        evidence="guess",
        example="dsrkit craft garp --fault ARP111",
    ),
    Entry(
        code="ARP112",
        name="announcement-from-another-mac",
        severity="info",
        summary="Announcements carry one MAC address in the Ethernet header and another as ARP sender.",
        signature="In ARP for the VIP, eth.src differs from arp.src.hw_mac.",
        cause="Bonds, teams, macvlans and some appliances send on behalf of another MAC; hand-made frames do too.",
        effect="None on a plain switch. Dynamic ARP inspection, port security or a hypervisor that refuses forged"
        " transmits drops the frame, so that it is at the sender's tap and nowhere else.",
        modes=_TAKEOVER,
        look_alikes=(
            LookAlike("ARP117", "the loss itself: with both, this is the likely reason for it"),
            LookAlike("ARP111", "there each frame is consistent in itself, but they differ from one another"),
        ),
        decide=(
            "show ip arp inspection statistics  # Cisco",
            "esxcli network vswitch standard policy security get -v VSWITCH  # VMware: forged transmits",
        ),
        fixes=(
            Fix(
                "the sender",
                ("arping -U -c 3 -I IFACE -s VIP VIP",),
                "send through the interface that owns the MAC; keepalived with use_vmac does so",
            ),
            Fix(
                "the switch or hypervisor",
                ("Cisco: ip arp inspection trust  # on that port", "VMware: allow forged transmits and MAC changes"),
                "if the difference is meant",
            ),
        ),
        sources=("RFC 826", "RFC 5227 s1.1", "metallb/metallb #123"),
        evidence="general",
        example="dsrkit craft garp --fault ARP112",
    ),
    Entry(
        code="ARP113",
        name="switch-forgets-before-router",
        severity="info",
        summary="The switch has forgotten the port of the owner's MAC while the router still sends to it.",
        signature="After some silent minutes, unicast frames for the owner's MAC appear at taps of machines that they"
        " are not for; as soon as the owner sends anything they stop.",
        cause="Switches forget a MAC after 300 s of silence, ARP entries of routers live up to four hours. In direct"
        " server return some MAC addresses are never a source on some switches, which makes it permanent there.",
        effect="Requests are flooded to every port, which costs others bandwidth and shows your traffic to them. A"
        " switch told not to flood unknown unicast drops them, and then the VIP is dead until its owner speaks.",
        modes=_TAKEOVER,
        look_alikes=(
            LookAlike("DSR305", "there the MAC belongs to nobody, and no frame of its owner ever ends the flood"),
            LookAlike("ARP104", "there frames go to the MAC of the old owner, which is wrong; here the MAC is right"),
        ),
        decide=(
            "bridge fdb show | grep MAC  # on a Linux bridge: gone",
            "show mac address-table address MAC  # on a Cisco switch: gone",
            "ip neigh show to VIP  # on the router: still there",
        ),
        fixes=(
            Fix(
                "the switch",
                ("ip link set BRIDGE type bridge ageing_time 150000", "Cisco: mac address-table aging-time 14400"),
                "a MAC should live longer there than the ARP entries that point at it (Linux: in hundredths of"
                " seconds)",
            ),
            Fix(
                "the owner, keepalived.conf",
                ("vrrp_garp_master_refresh 60",),
                "who speaks once a minute is not forgotten",
            ),
            Fix("the router", ("Cisco: arp timeout 240",), "it asks before the switch forgets"),
        ),
        sources=("metallb/metallb #2910", "IEEE 802.1Q s8.8.3, ageing", "takyaku.com 2013-07, unicast flood of LVS-DR"),
        example="dsrkit craft garp --fault ARP113",
    ),
    Entry(
        code="ARP114",
        name="every-node-answers-arp",
        severity="error",
        summary="Every node of the cluster answers ARP for the VIP, because kube-proxy put it on all of them.",
        signature="The packets are those of ARP101: ARP replies for the VIP with the MAC addresses of cluster nodes.",
        cause="kube-proxy in IPVS mode configures service addresses on kube-ipvs0 of each node, and without strictARP"
        " the kernel answers for them on every interface.",
        effect="As ARP101: the node that was meant to announce the VIP is one among many, and takeovers mean nothing.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike(
                "ARP109", "there two speakers of the announcing software disagree; here nodes answer that run none"
            ),
            LookAlike("ARP116", "there the second MAC is no node of the cluster"),
        ),
        same_picture=("ARP101", "ARP102", "ARP119"),
        decide=(
            "ip address show dev kube-ipvs0  # the VIP is there, on all nodes",
            "kubectl -n kube-system get configmap kube-proxy -o yaml | grep strictARP",
        ),
        fixes=(
            Fix(
                "kube-proxy's ConfigMap",
                (
                    "ipvs: { strictARP: true }",
                    "kubectl -n kube-system rollout restart daemonset kube-proxy",
                ),
                "sets arp_ignore=1 and arp_announce=2 on the nodes",
            ),
        ),
        sources=("kubermatic #7309", "metallb/metallb pull 2500"),
        from_packets=False,
        example="dsrkit craft l2dsr --fault ARP114",
    ),
    Entry(
        code="ARP115",
        name="takeover-not-followed-by-router",
        severity="error",
        summary="A takeover was announced and neighbours followed it, but the router keeps sending to the old MAC.",
        signature="The announcement is at the router's tap. Clients on the VIP's own link use the new eth.dst at"
        " once; what comes through the router keeps the old one for 15 seconds and more.",
        cause="The router ignores gratuitous ARP (drop_gratuitous_arp, ARP inspection on itself, a static or locked"
        " entry), throttles ARP, or its hardware table is slower than its software's.",
        effect="Tests from the same office say that failover works; customers say that it does not.",
        modes=_TAKEOVER,
        look_alikes=(
            LookAlike("ARP117", "there the announcement does not arrive at the router's tap"),
            LookAlike("ARP104", "there nobody follows, because nothing was announced"),
            LookAlike("ARP105", "there the form of the announcement explains why fresh entries are not changed"),
        ),
        decide=(
            "ip neigh show to VIP; sysctl net.ipv4.conf.IFACE.drop_gratuitous_arp  # Linux router",
            "show ip arp VIP; show adjacency VIP detail  # Cisco: software against hardware",
        ),
        fixes=(
            Fix(
                "the router",
                (
                    "sysctl -w net.ipv4.conf.IFACE.drop_gratuitous_arp=0",
                    "sysctl -w net.ipv6.conf.IFACE.drop_unsolicited_na=0",
                    "Cisco: arp timeout 60  # on that interface; remove static entries for the VIP",
                ),
                "let it learn, or let it ask soon",
            ),
            _KEEPALIVED,
        ),
        sources=("metallb/metallb #2009", "Linux Documentation/networking/ip-sysctl.rst, drop_gratuitous_arp"),
        example="dsrkit craft garp --fault ARP115",
    ),
    Entry(
        code="ARP116",
        name="vip-owned-by-foreign-host",
        severity="error",
        summary="A machine that has no part in the set-up claims the VIP.",
        signature="ARP for the VIP with a MAC address that belongs to neither load balancer nor real server; client"
        " SYNs with that eth.dst are answered by a RST from the VIP, or not at all.",
        cause="The address was given out twice: by hand, by DHCP, by a cloned virtual machine, by an old load"
        " balancer that was switched on again.",
        effect="Part of the clients talk to a machine that knows nothing of the service, and who does changes over"
        " time.",
        modes=_OWNED,
        look_alikes=(
            LookAlike("ARP101", "there the second MAC receives forwarded requests as well: it is a real server"),
            LookAlike("ARP109", "there the second MAC sends adverts, or forwards"),
            LookAlike("ARP104", "a new owner of a takeover starts to forward; a foreign host never does"),
        ),
        decide=(
            "arping -D -I IFACE VIP  # answers, with their MAC addresses",
            "show mac address-table address MAC  # on the switch: the port behind which it is",
        ),
        fixes=(
            Fix(
                "the foreign machine",
                ("ip address del VIP/PREFIX dev IFACE",),
                "find it by its port on the switch; the first half of the MAC names its maker",
            ),
            Fix("DHCP and address management", (), "take the VIP out of every pool, so that it does not come back"),
            _FLUSH,
        ),
        sources=("RFC 5227 s2.4, ongoing conflict detection", "Wireshark's duplicate address expert note"),
        example="dsrkit craft nat --fault ARP116",
    ),
    Entry(
        code="ARP117",
        name="announcement-lost",
        severity="error",
        summary="The new owner announced the VIP, and the announcement never reached its neighbours.",
        signature="Gratuitous ARP for the VIP at the new owner's tap, absent at the router's and the other machines'"
        " taps, while other frames from the same MAC do arrive. Traffic keeps the old eth.dst.",
        cause="Dynamic ARP inspection, port security, an ebtables rule or a cloud's anti-spoofing does not believe"
        " that the VIP can be behind that port.",
        effect="As if nobody had announced anything: the VIP is dead until ARP entries expire, and every log of the"
        " load balancer says that all is well.",
        modes=_TAKEOVER,
        look_alikes=(
            LookAlike("ARP104", "there the new owner's own tap shows no announcement either"),
            LookAlike("ARP115", "there the announcement arrives and the router does not follow it"),
            LookAlike("ARP112", "a reason for the loss: the frame's two MAC addresses differ"),
        ),
        decide=(
            "show ip arp inspection statistics vlan N  # Cisco: drops that grow with each takeover",
            "nft list ruleset bridge; ebtables -L  # on a Linux bridge or hypervisor",
        ),
        fixes=(
            Fix(
                "the switch",
                (
                    "Cisco: ip arp inspection trust  # on the load balancers' ports",
                    "Cisco: no ip verify source  # there too",
                ),
                "believe these ports, or enter the VIP into the table of allowed pairs for both of them",
            ),
            Fix(
                "clouds and hypervisors",
                ("openstack port set --allowed-address ip-address=VIP PORT",),
                "the platform must know that either port may have the VIP; in AWS, Azure and GCP ARP moves no address"
                " at all, only the provider's API does",
            ),
        ),
        sources=("recorded, a filter between the new owner and the router", "RFC 5227 s3"),
        evidence="recorded",
        example="dsrkit craft garp --fault ARP117",
    ),
    Entry(
        code="ARP118",
        name="old-owner-forwards",
        severity="warning",
        summary="After the move the old owner still gets the VIP's packets and passes them on, so all works by"
        " accident.",
        signature="Frames for the VIP with the old owner's eth.dst, then the same packets from its MAC to the new"
        " owner's with one TTL less; the old owner asks ARP for the VIP, as only a router does.",
        cause="The takeover was not announced, or not heard, and the old owner has ip_forward=1. It no longer has the"
        " VIP, so it routes what arrives for it like any router.",
        effect="Nobody notices, until the old owner is switched off for the very maintenance that the move was for.",
        modes=_TAKEOVER,
        look_alikes=(
            LookAlike("ARP104", "its usual companion: the missing announcement is why packets still go there"),
            LookAlike("DSR315", "a backup that balances asks ARP for a real server's address, never for the VIP"),
        ),
        decide=(
            "ip neigh show to VIP  # on the router: the old owner's MAC",
            "sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding  # on the old owner",
        ),
        fixes=(_KEEPALIVED, _FLUSH),
        sources=("recorded, a takeover whose old owner routes", "RFC 1812 s5.3.1"),
        evidence="recorded",
        example="dsrkit craft garp --fault ARP118",
    ),
    Entry(
        code="ARP119",
        name="vip-on-interface-of-real-server",
        severity="error",
        summary="A real server has the VIP on its network card, where it answers ARP for it whatever arp_ignore says.",
        signature="The packets are those of ARP101, from one server only: ARP replies for the VIP with its MAC.",
        cause="Somebody added the VIP to eth0 instead of lo. With arp_ignore=1 the kernel is silent about addresses"
        " of other interfaces, but this one is on the interface that is asked.",
        effect="As ARP101: neighbours may send everything to that one server. Traffic is served, so nobody looks.",
        modes=DIRECT_RETURN,
        look_alikes=(
            LookAlike("ARP109", "there the second MAC belongs to a load balancer"),
            LookAlike("ARP116", "there the second MAC is no real server of the set-up"),
        ),
        same_picture=("ARP101", "ARP102", "ARP114"),
        decide=("ip address show to VIP  # on the server that answers: which interface has it",),
        fixes=(
            Fix(
                "that server",
                (
                    "ip address del VIP/PREFIX dev IFACE",
                    "ip address add VIP/32 dev lo",
                    "ip -6 address add VIP/128 dev lo preferred_lft 0  # IPv6",
                ),
                "on lo, and with the length of one address, so that no route to the subnet comes with it",
            ),
            _ARP_SYSCTLS,
        ),
        sources=("recorded, the VIP on one server's network card", "arp.c arp_ignore, Linux 6.1"),
        evidence="recorded",
        from_packets=False,
        example="dsrkit craft l2dsr --fault ARP119",
    ),
)

"""Entries of the area HCK: health checks that ask something else than clients do, or do not take the answer."""

from __future__ import annotations

from typing import Final

from dsrkit.diagnose.entry import Entry, Fix, LookAlike
from dsrkit.model.names import DIRECT_RETURN, REWRITES, Mode

_HEALTH: Final[tuple[Mode, ...]] = ("health",)
_HEALTH_DIRECT: Final[tuple[Mode, ...]] = ("health", *DIRECT_RETURN)

_LIKE_CLIENTS: Final = Fix(
    "the load balancer",
    (
        "Brocade ADX, server virtual: tos-marking TAG hc-l3-dsr",
        "Radware Alteon and Nortel: viphlth",
        "katran: healthchecks through its own tunnels (-hc_forwarding)",
    ),
    "checks that take the clients' way: in L2DSR the VIP with the server's MAC, in a tunnel an encapsulated probe, with"
    " DSCP the RIP with the tag. The answer comes from the VIP each time",
)
_ASK_THE_SERVER: Final = Fix(
    "where the checker can only ask the RIP, as keepalived does",
    (
        "ip address show to VIP | grep -q VIP && systemctl is-active DAEMON  # on the server, behind its health URL",
        "keepalived.conf: HTTP_GET { url { path /ready status_code 200 } connect_port 8081 }",
    ),
    "let the server look at itself: VIP, tunnel device, tag rule and daemon; and let a test client ask the VIP from"
    " outside",
)
_BY_SERVICE: Final = Fix(
    "the checker",
    (
        "keepalived.conf: HTTP_GET { url { path /health status_code 200 } }  # or TCP_CHECK { }",
        "haproxy.cfg: option httpchk GET /health",
        "F5: ltm pool POOL monitor http",
    ),
    "ask what clients ask",
)

ENTRIES: Final[tuple[Entry, ...]] = (
    Entry(
        code="HCK701",
        name="check-misses-data-path",
        severity="warning",
        summary="Health checks ask the server's own address and say nothing about the way that clients' requests take.",
        signature="Probes from the load balancer with ip.dst RIP, without tunnel, tag or VIP, all answered, while"
        " clients' requests to that server stay without an answer. Where clients are served it is only a weakness.",
        cause="Most checkers open an ordinary connection from the load balancer, and the load balancer cannot ask the"
        " VIP, which is its own address.",
        effect="A server that lost its VIP, its tunnel device or its tag rule stays in service, and its share of"
        " connections fails until somebody notices.",
        modes=_HEALTH,
        look_alikes=(
            LookAlike("HCK705", "there the probe is a ping, which no daemon needs to answer"),
            LookAlike("HCK704", "there a load balancer tags TCP checks, and this kind of check not"),
        ),
        decide=(
            "tcpdump -ni IFACE host RIP and host DIP  # what the probes look like",
            "curl -m 3 --resolve NAME:80:VIP http://NAME/  # from a client's subnet, several times",
        ),
        fixes=(_LIKE_CLIENTS, _ASK_THE_SERVER),
        sources=(
            "google/seesaw #25",
            "Nortel WebOS, viphlth",
            "NANOG 51, L3DSR, slide 24",
            "loxilb-io/loxilb #219",
            "LVS-HOWTO, LVS-Tun",
            "reproduced in the lab",
        ),
        evidence="lab",
        example="dsrkit craft health --fault HCK701",
        says="dsrkit verify names DSR301 at the server, and HCK701 at the load balancer, whose checks do not see it.",
    ),
    Entry(
        code="HCK702",
        name="check-answer-from-vip-discarded",
        severity="error",
        summary="The server answers a check from the VIP, as it answers clients, and the load balancer waits for the"
        " RIP.",
        signature="A tagged SYN from the load balancer to the RIP, and a SYN-ACK with ip.src VIP that does arrive at"
        " the load balancer, which answers RST or repeats its SYN; or a tagged ping, answered from the VIP as if it had"
        " not been. Then clients get refused, since no server is left.",
        cause="The checker sends along the data path and looks for the reply under the address that it asked.",
        effect="All servers are taken out, although each would serve.",
        modes=_HEALTH_DIRECT,
        look_alikes=(
            LookAlike("HCK703", "there the kernel drops the reply before the checker: repeated SYNs, never a RST"),
            LookAlike("DSC510", "without the server's rule the answer would come from the RIP, and suit the checker"),
            LookAlike("HCK706", "the same refusals to clients, from a pool that is empty for another reason"),
        ),
        decide=(
            "show server real  # Brocade ADX: FAILED although the server answers",
            "ipvsadm -Ln; journalctl -u DAEMON",
        ),
        fixes=(
            Fix(
                "Brocade ADX",
                ("server virtual NAME VIP", "tos-marking TAG hc-l3-dsr"),
                "the option makes it take answers from the VIP",
            ),
            Fix(
                "another checker",
                (),
                "ask the RIP without a tag, which then answers for itself; let the server look at itself (HCK701), and"
                " a test client try the data path",
            ),
        ),
        sources=("Brocade ADX Server Load Balancing Guide, L3 DSR", "NANOG 51, L3DSR, slide 24"),
        example="dsrkit craft health --fault HCK702",
    ),
    Entry(
        code="HCK703",
        name="check-answer-dropped-by-rp-filter",
        severity="error",
        summary="The load balancer's kernel drops the answers to checks, because they come from an address of its"
        " own: the VIP.",
        signature="Probes along the data path reach the server, whose SYN-ACK with ip.src VIP arrives at the load"
        " balancer; the SYN is repeated as if nothing had come, and no RST follows. Then clients get refused.",
        cause="Linux takes a packet from outside with a local source for forged; rp_filter looks for the VIP behind"
        " the interface, and it is on the host itself.",
        effect="All servers are taken out, although each would serve.",
        modes=_HEALTH_DIRECT,
        look_alikes=(
            LookAlike("HCK702", "there the checker itself refuses the answer, mostly with a RST"),
            LookAlike("HCK706", "the same refusals to clients, from a pool that is empty for another reason"),
            LookAlike("DSR301", "there the server does not answer"),
        ),
        same_picture=("DSR312",),
        decide=(
            "nstat -az TcpExtIPReversePathFilter  # on the load balancer: grows with each check",
            "sysctl -w net.ipv4.conf.all.log_martians=1; dmesg | grep martian",
        ),
        fixes=(
            Fix(
                "the load balancer",
                (
                    "sysctl -w net.ipv4.conf.IFACE.accept_local=1",
                    "sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.IFACE.rp_filter=0",
                    "nft list ruleset | grep fib  # IPv6: the filter is a rule of the firewall",
                ),
                "both are needed where the VIP is on the load balancer; checking from another machine or network"
                " namespace needs neither",
            ),
        ),
        sources=(
            "facebookincubator/katran #47",
            "Linux Documentation/networking/ip-sysctl.rst, accept_local",
            "fib_frontend.c __fib_validate_source, Linux 6.1",
        ),
        example="dsrkit craft health --fault HCK703",
    ),
    Entry(
        code="HCK704",
        name="check-not-tagged",
        severity="info",
        summary="Checks by UDP or ping go to the RIP without the tag, so they do not test what the tag is for.",
        signature="Echo requests or UDP probes from the load balancer to the RIP with ip.dsfield.dscp 0, answered with"
        " ip.src RIP, while clients' packets and TCP checks carry the tag.",
        cause="The load balancer marks its TCP checks only.",
        effect="A server that has lost its rule (DSC510) stays in service. Reported for information as long as clients"
        " of all servers are served, and as a warning when they are not.",
        modes=_HEALTH,
        look_alikes=(
            LookAlike("HCK701", "the same weakness with every kind of check"),
            LookAlike("HCK705", "a ping is a weak check, tagged or not"),
        ),
        decide=("tcpdump -vni IFACE 'icmp or udp' and host RIP  # on the load balancer: tos 0x0",),
        fixes=(
            Fix(
                "the load balancer",
                ("Brocade ADX, server virtual: tos-marking TAG hc-l3-dsr",),
                "check the service by TCP, with the tag: the answer comes from the VIP, which proves rule and VIP at"
                " once",
            ),
            _ASK_THE_SERVER,
        ),
        sources=("Brocade ADX Server Load Balancing Guide, L3 DSR",),
        example="dsrkit craft health --fault HCK704",
    ),
    Entry(
        code="HCK705",
        name="check-is-ping-only",
        severity="warning",
        summary="The only check is a ping, which the kernel answers whether or not the service runs.",
        signature="icmp.type 8 and 0 (IPv6: 128 and 129) between load balancer and server, all answered, while SYNs of"
        " clients to that server get a RST or nothing. Without failing clients it is only a weakness; with a service"
        " that refuses them it is one error, of the server and of whoever does not notice.",
        cause="The default of many pools, or a check that was chosen because the service is hard to ask.",
        effect="A server with a dead daemon keeps its share of clients.",
        modes=_HEALTH,
        look_alikes=(
            LookAlike("HCK701", "there the service is asked, but at the RIP"),
            LookAlike("HCK704", "with DSCP a tagged ping would at least prove the rule: the reply comes from the VIP"),
        ),
        decide=(
            "grep -n _CHECK /etc/keepalived/keepalived.conf  # PING_CHECK and no other; F5: gateway_icmp",
            "ss -ltn  # on the server: who listens",
        ),
        fixes=(
            _BY_SERVICE,
            Fix("that server", ("systemctl restart DAEMON; ss -ltn",), "start it again, and see why it stopped"),
        ),
        sources=("RFC 1122 s3.2.2.6", "NANOG 51, L3DSR, slides 20 and 23"),
        evidence="general",
        example="dsrkit craft health --fault HCK705",
        says="dsrkit verify names HCK705 at the server that refuses its clients and at the load balancer, whose pings"
        " do not see it; DSR303, DSR307 and DSR319 are the other candidates.",
    ),
    Entry(
        code="HCK706",
        name="no-real-server",
        severity="error",
        summary="No real server stands behind the VIP, so the load balancer refuses every connection itself.",
        signature="Requests reach the load balancer (B), nothing of them leaves it, and at once ICMP 3/3 (IPVS; IPv6:"
        " 1/4) or a RST comes from the VIP, for TCP and UDP alike. Another VIP may be served.",
        cause="All servers failed their checks, have weight 0, or were never added; keepalived lost its file. A REJECT"
        " rule on the load balancer itself looks the same.",
        effect="The service is down, and says so: connection refused.",
        modes=(*REWRITES, "health"),
        look_alikes=(
            LookAlike("DSR303", "there the request goes on to a server, which refuses"),
            LookAlike("DSR319", "there the request goes on to a server, whose firewall refuses"),
            LookAlike("TUN422", "there the error is relayed: the original about the outer packet is at the server"),
            LookAlike("ARP104", "there the load balancer does not own the VIP any more, and says nothing"),
            LookAlike("NAT205", "there open connections work, and new ones get silence"),
            LookAlike("HCK702", "the reason, if answers to checks do arrive and are thrown away"),
            LookAlike("HCK703", "the reason, if answers to checks do arrive and SYNs are repeated"),
        ),
        decide=(
            "ipvsadm -Ln  # on the load balancer: are there servers with weight above 0?",
            "journalctl -u keepalived | grep -i 'removing service'",
            "nft list ruleset | grep reject  # on the load balancer",
        ),
        fixes=(
            Fix(
                "the load balancer",
                (
                    "ipvsadm -a -t VIP:80 -r RIP -g -w 1  # -m for NAT, -i for a tunnel",
                    "ipvsadm -a -t [VIP6]:80 -r [RIP6] -g -w 1",
                    "keepalived.conf: sorry_server RIP 80",
                ),
                "put servers back, and mend what made their checks fail; a sorry server answers when nobody else can",
            ),
        ),
        sources=("ip_vs_core.c ip_vs_leave, Linux 6.1", "recorded, a virtual service without servers"),
        evidence="recorded",
        example="dsrkit craft health --fault HCK706",
    ),
)

#!/bin/sh
# lb1: lb, l3dsr-dscp
# Run as root; stops at the first command that fails.
# Sets links, addresses and routes too; for a machine that has its own, print this with --no-network.
set -e

# for the files of this set-up
mkdir -p /run/dsrkit/lb1

# what is changed below, as it was before
test -e /run/dsrkit/lb1/sysctl.conf || sysctl -e net/ipv4/conf/all/send_redirects net/ipv4/conf/eth0/send_redirects net/ipv4/ip_forward net/ipv4/conf/all/accept_redirects > /run/dsrkit/lb1/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of lb1 in 203.0.113.0/24
ip address replace 203.0.113.2/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 203.0.113.1 dev eth0

# it hands packets back to where they came from, and must not tell the sender
sysctl -q -w net/ipv4/conf/all/send_redirects=0

# and of this interface, since either is enough
sysctl -q -w net/ipv4/conf/eth0/send_redirects=0

# requests come here: this machine answers ARP for the VIP
ip address replace 203.0.113.10/32 dev eth0

# requests go on to the servers, as packets for them
sysctl -q -w net/ipv4/ip_forward=1

# stateless, since replies do not come back here; nft puts the checksums right
nft -f - <<'DSRKIT_END'
table ip dsrkit_lb
delete table ip dsrkit_lb
table ip dsrkit_lb {
	chain tag_tcp_80_0 {
		# web1
		ip daddr 10.0.0.11 ip dscp set 7 notrack accept
		# web2
		ip daddr 10.0.0.12 ip dscp set 7 notrack accept
	}
	chain prerouting {
		# raw: before connection tracking, which would wait for replies that do not come back here
		type filter hook prerouting priority raw; policy accept;
		ip daddr 203.0.113.10 tcp dport 80 ip daddr set jhash ip saddr . tcp sport mod 2 seed 1 map { 0 : 10.0.0.11, 1 : 10.0.0.12 } goto tag_tcp_80_0
	}
}
DSRKIT_END

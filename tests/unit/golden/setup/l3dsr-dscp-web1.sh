#!/bin/sh
# web1: real-server, l3dsr-dscp
# Note: the service has to listen at 203.0.113.10, or at every address
# Run as root; stops at the first command that fails.
# Sets links, addresses and routes too; for a machine that has its own, print this with --no-network.
set -e

# for the files of this set-up
mkdir -p /run/dsrkit/web1

# what is changed below, as it was before
test -e /run/dsrkit/web1/sysctl.conf || sysctl -e net/ipv4/conf/all/arp_ignore net/ipv4/conf/all/arp_announce > /run/dsrkit/web1/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of web1 in 10.0.0.0/24
ip address replace 10.0.0.11/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 10.0.0.1 dev eth0

# answer ARP for addresses of the asked interface only: the VIP's owner is the load balancer
sysctl -q -w net/ipv4/conf/all/arp_ignore=1

# ask by ARP from an own address: a request from the VIP would claim it in the neighbours' caches
sysctl -q -w net/ipv4/conf/all/arp_announce=2

# packets for the VIP are for this server; /32, or the whole subnet would be local
ip address replace 203.0.113.10/32 dev lo

# the tag says which VIP the client meant
nft -f - <<'DSRKIT_END'
table ip dsrkit_dscp
delete table ip dsrkit_dscp
table ip dsrkit_dscp {
	chain restore {
		# raw: before connection tracking, which must not see the packet twice
		type filter hook prerouting priority raw; policy accept;
		# DSCP 7 stands for 203.0.113.10
		ip daddr 10.0.0.11 ip dscp 7 ip daddr set 203.0.113.10 notrack accept
	}
}
DSRKIT_END

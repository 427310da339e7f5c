#!/bin/sh
# web1: real-server, l3dsr-tunnel
# Note: the service has to listen at 203.0.113.10, or at every address
# Run as root; stops at the first command that fails.
# Sets links, addresses and routes too; for a machine that has its own, print this with --no-network.
set -e

# the device that takes the outer header off
modprobe -a ipip

# for the files of this set-up
mkdir -p /run/dsrkit/web1

# what is changed below, as it was before
test -e /run/dsrkit/web1/sysctl.conf || sysctl -e net/ipv4/conf/all/rp_filter net/ipv4/conf/all/arp_ignore net/ipv4/conf/all/arp_announce > /run/dsrkit/web1/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of web1 in 10.0.0.0/24
ip address replace 10.0.0.11/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 10.0.0.1 dev eth0

# takes the outer header off what comes from 203.0.113.2
ip link show dev dsr0 > /dev/null 2>&1 || ip link add name dsr0 type ipip local 10.0.0.11 remote 203.0.113.2

# clients are not behind the tunnel; loose (2) drops too, since the device has no address
sysctl -q -w net/ipv4/conf/dsr0/rp_filter=0

# the larger of this and the device's own counts
sysctl -q -w net/ipv4/conf/all/rp_filter=0

# what comes to a tunnel that is down is refused as unreachable
ip link set dev dsr0 up

# answer ARP for addresses of the asked interface only: the VIP's owner is the load balancer
sysctl -q -w net/ipv4/conf/all/arp_ignore=1

# ask by ARP from an own address: a request from the VIP would claim it in the neighbours' caches
sysctl -q -w net/ipv4/conf/all/arp_announce=2

# packets for the VIP are for this server; /32, or the whole subnet would be local
ip address replace 203.0.113.10/32 dev lo

# clients send segments that fit with the outer header around them
ip -4 route change 0.0.0.0/0 via 10.0.0.1 dev eth0 advmss 1440

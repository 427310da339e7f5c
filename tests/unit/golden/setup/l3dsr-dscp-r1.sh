#!/bin/sh
# r1: router, l3dsr-dscp
# Run as root; stops at the first command that fails.
# Sets links, addresses and routes too; for a machine that has its own, print this with --no-network.
set -e

# for the files of this set-up
mkdir -p /run/dsrkit/r1

# what is changed below, as it was before
test -e /run/dsrkit/r1/sysctl.conf || sysctl -e net/ipv4/ip_forward net/ipv4/conf/all/accept_redirects net/ipv4/conf/all/rp_filter > /run/dsrkit/r1/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of r1 in 198.51.100.0/24
ip address replace 198.51.100.1/24 dev eth0

# in use from here on
ip link set dev eth1 up

# the address of r1 in 203.0.113.0/24
ip address replace 203.0.113.1/24 dev eth1

# in use from here on
ip link set dev eth2 up

# the address of r1 in 10.0.0.0/24
ip address replace 10.0.0.1/24 dev eth2

# a router passes on what is for others
sysctl -q -w net/ipv4/ip_forward=1

# replies of direct server return leave another way than requests came: strict RFC 3704 checks drop them
sysctl -q -w net/ipv4/conf/all/rp_filter=2

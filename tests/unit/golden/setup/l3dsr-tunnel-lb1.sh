#!/bin/sh
# lb1: lb, l3dsr-tunnel
# Run as root; stops at the first command that fails.
# Sets links, addresses and routes too; for a machine that has its own, print this with --no-network.
set -e

# IPVS and the scheduler
modprobe -a ip_vs ip_vs_rr

# for the files of this set-up
mkdir -p /run/dsrkit/lb1

# what is changed below, as it was before
test -e /run/dsrkit/lb1/sysctl.conf || sysctl -e net/ipv4/conf/all/send_redirects net/ipv4/conf/eth0/send_redirects > /run/dsrkit/lb1/sysctl.conf

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

# the service, spread by rr
ipvsadm -E -t 203.0.113.10:80 -s rr > /dev/null 2>&1 || ipvsadm -A -t 203.0.113.10:80 -s rr

# web1: a tunnel; replies go straight to the client
ipvsadm -e -t 203.0.113.10:80 -r 10.0.0.11:80 -i > /dev/null 2>&1 || ipvsadm -a -t 203.0.113.10:80 -r 10.0.0.11:80 -i

# web2: a tunnel; replies go straight to the client
ipvsadm -e -t 203.0.113.10:80 -r 10.0.0.12:80 -i > /dev/null 2>&1 || ipvsadm -a -t 203.0.113.10:80 -r 10.0.0.12:80 -i

#!/bin/sh
# lab-tun-6in4: what `dsrkit setup` prints for each machine, run unmodified in its network namespace.
# The lab laid the cables; the MACs are in truth.json.
set -e

ip netns exec surfer16 sh <<'SETUP'
#!/bin/sh
# surfer16: client, l3dsr-tunnel
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of surfer16 in fdab:4b68:72e6:3ac7::/64
ip address replace fdab:4b68:72e6:3ac7::a/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via fdab:4b68:72e6:3ac7::1 dev eth0
SETUP

ip netns exec gw17 sh <<'SETUP'
#!/bin/sh
# gw17: router, l3dsr-tunnel
# Run as root; stops at the first command that fails.
set -e

# for the files of this set-up
mkdir -p /run/dsrkit/gw17

# what is changed below, as it was before
test -e /run/dsrkit/gw17/sysctl.conf || sysctl -e net/ipv4/ip_forward net/ipv6/conf/all/forwarding net/ipv4/conf/all/rp_filter > /run/dsrkit/gw17/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of gw17 in fdab:4b68:72e6:3ac7::/64
ip address replace fdab:4b68:72e6:3ac7::1/64 dev eth0

# in use from here on
ip link set dev eth1 up

# the address of gw17 in 172.22.85.0/24
ip address replace 172.22.85.1/24 dev eth1

# the address of gw17 in 2001:db8:a0d0:e9b4::/64
ip address replace 2001:db8:a0d0:e9b4::1/64 dev eth1

# in use from here on
ip link set dev eth2 up

# the address of gw17 in 172.31.90.0/24
ip address replace 172.31.90.1/24 dev eth2

# the address of gw17 in 2001:db8:43b8:4218::/64
ip address replace 2001:db8:43b8:4218::1/64 dev eth2

# a router passes on what is for others
sysctl -q -w net/ipv4/ip_forward=1

# a router passes on what is for others
sysctl -q -w net/ipv6/conf/all/forwarding=1

# replies of direct server return leave another way than requests came: strict RFC 3704 checks drop them
sysctl -q -w net/ipv4/conf/all/rp_filter=2
SETUP

ip netns exec balancer18 sh <<'SETUP'
#!/bin/sh
# balancer18: lb, l3dsr-tunnel
# Run as root; stops at the first command that fails.
set -e

# IPVS and the scheduler
modprobe -a ip_vs ip_vs_rr

# for the files of this set-up
mkdir -p /run/dsrkit/balancer18

# what is changed below, as it was before
test -e /run/dsrkit/balancer18/sysctl.conf || sysctl -e net/ipv4/conf/all/send_redirects net/ipv4/conf/eth0/send_redirects > /run/dsrkit/balancer18/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of balancer18 in 172.22.85.0/24
ip address replace 172.22.85.2/24 dev eth0

# the address of balancer18 in 2001:db8:a0d0:e9b4::/64
ip address replace 2001:db8:a0d0:e9b4::2/64 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 172.22.85.1 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via 2001:db8:a0d0:e9b4::1 dev eth0

# it hands packets back to where they came from, and must not tell the sender
sysctl -q -w net/ipv4/conf/all/send_redirects=0

# and of this interface, since either is enough
sysctl -q -w net/ipv4/conf/eth0/send_redirects=0

# requests come here; deprecated, or the kernel would take the VIP as the source of its own packets
ip address replace 2001:db8:a0d0:e9b4::a/128 dev eth0 nodad preferred_lft 0

# the service, spread by rr
ipvsadm -E -t '[2001:db8:a0d0:e9b4::a]:14360' -s rr > /dev/null 2>&1 || ipvsadm -A -t '[2001:db8:a0d0:e9b4::a]:14360' -s rr

# node20: a tunnel; replies go straight to the client
ipvsadm -e -t '[2001:db8:a0d0:e9b4::a]:14360' -r 172.31.90.11:14360 -i > /dev/null 2>&1 || ipvsadm -a -t '[2001:db8:a0d0:e9b4::a]:14360' -r 172.31.90.11:14360 -i

# node21: a tunnel; replies go straight to the client
ipvsadm -e -t '[2001:db8:a0d0:e9b4::a]:14360' -r 172.31.90.12:14360 -i > /dev/null 2>&1 || ipvsadm -a -t '[2001:db8:a0d0:e9b4::a]:14360' -r 172.31.90.12:14360 -i

# the service, spread by rr
ipvsadm -E -u '[2001:db8:a0d0:e9b4::a]:16763' -s rr > /dev/null 2>&1 || ipvsadm -A -u '[2001:db8:a0d0:e9b4::a]:16763' -s rr

# node20: a tunnel; replies go straight to the client
ipvsadm -e -u '[2001:db8:a0d0:e9b4::a]:16763' -r 172.31.90.11:16763 -i > /dev/null 2>&1 || ipvsadm -a -u '[2001:db8:a0d0:e9b4::a]:16763' -r 172.31.90.11:16763 -i

# node21: a tunnel; replies go straight to the client
ipvsadm -e -u '[2001:db8:a0d0:e9b4::a]:16763' -r 172.31.90.12:16763 -i > /dev/null 2>&1 || ipvsadm -a -u '[2001:db8:a0d0:e9b4::a]:16763' -r 172.31.90.12:16763 -i
SETUP

ip netns exec leaf19 sh <<'SETUP'
#!/bin/sh
# leaf19: bridge, l3dsr-tunnel
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# its ports are one broadcast domain; forwards at once, without spanning tree
ip link show dev br0 > /dev/null 2>&1 || ip link add name br0 type bridge stp_state 0 mcast_snooping 0

# a port of the bridge
ip link set dev eth0 master br0

# in use from here on
ip link set dev eth0 up

# a port of the bridge
ip link set dev eth1 master br0

# in use from here on
ip link set dev eth1 up

# a port of the bridge
ip link set dev eth2 master br0

# in use from here on
ip link set dev eth2 up

# in use from here on
ip link set dev br0 up
SETUP

ip netns exec node20 sh <<'SETUP'
#!/bin/sh
# node20: real-server, l3dsr-tunnel
# Note: the service has to listen at 2001:db8:a0d0:e9b4::a, or at every address
# Run as root; stops at the first command that fails.
set -e

# the device that takes the outer header off
modprobe -a sit

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of node20 in 172.31.90.0/24
ip address replace 172.31.90.11/24 dev eth0

# the address of node20 in 2001:db8:43b8:4218::/64
ip address replace 2001:db8:43b8:4218::b/64 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 172.31.90.1 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via 2001:db8:43b8:4218::1 dev eth0

# takes the outer header off what comes from 172.22.85.2
ip link show dev dsr0 > /dev/null 2>&1 || ip link add name dsr0 type sit local 172.31.90.11 remote 172.22.85.2

# there is no router to ask in it
sysctl -q -w net/ipv6/conf/dsr0/router_solicitations=0

# a tunnel that is down drops without a word
ip link set dev dsr0 up

# packets for the VIP are for this server; neighbour discovery does not answer for the loopback
ip address replace 2001:db8:a0d0:e9b4::a/128 dev lo

# clients send segments that fit with the outer header around them
ip -6 route change ::/0 via 2001:db8:43b8:4218::1 dev eth0 advmss 1420
SETUP

ip netns exec node21 sh <<'SETUP'
#!/bin/sh
# node21: real-server, l3dsr-tunnel
# Note: the service has to listen at 2001:db8:a0d0:e9b4::a, or at every address
# Run as root; stops at the first command that fails.
set -e

# the device that takes the outer header off
modprobe -a sit

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of node21 in 172.31.90.0/24
ip address replace 172.31.90.12/24 dev eth0

# the address of node21 in 2001:db8:43b8:4218::/64
ip address replace 2001:db8:43b8:4218::c/64 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 172.31.90.1 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via 2001:db8:43b8:4218::1 dev eth0

# takes the outer header off what comes from 172.22.85.2
ip link show dev dsr0 > /dev/null 2>&1 || ip link add name dsr0 type sit local 172.31.90.12 remote 172.22.85.2

# there is no router to ask in it
sysctl -q -w net/ipv6/conf/dsr0/router_solicitations=0

# a tunnel that is down drops without a word
ip link set dev dsr0 up

# packets for the VIP are for this server; neighbour discovery does not answer for the loopback
ip address replace 2001:db8:a0d0:e9b4::a/128 dev lo

# clients send segments that fit with the outer header around them
ip -6 route change ::/0 via 2001:db8:43b8:4218::1 dev eth0 advmss 1420
SETUP

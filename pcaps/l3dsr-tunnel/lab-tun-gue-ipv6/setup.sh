#!/bin/sh
# lab-tun-gue-ipv6: what `dsrkit setup` prints for each machine, run unmodified in its network namespace.
# The lab laid the cables; the MACs are in truth.json.
set -e

ip netns exec home13 sh <<'SETUP'
#!/bin/sh
# home13: client, l3dsr-tunnel
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of home13 in fd33:f9f8:e7aa:8576::/64
ip address replace fd33:f9f8:e7aa:8576::a/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via fd33:f9f8:e7aa:8576::1 dev eth0
SETUP

ip netns exec core14 sh <<'SETUP'
#!/bin/sh
# core14: router, l3dsr-tunnel
# Run as root; stops at the first command that fails.
set -e

# for the files of this set-up
mkdir -p /run/dsrkit/core14

# what is changed below, as it was before
test -e /run/dsrkit/core14/sysctl.conf || sysctl -e net/ipv6/conf/all/forwarding > /run/dsrkit/core14/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of core14 in fd33:f9f8:e7aa:8576::/64
ip address replace fd33:f9f8:e7aa:8576::1/64 dev eth0

# in use from here on
ip link set dev eth1 up

# the address of core14 in 2001:db8:2b5c:5cd1::/64
ip address replace 2001:db8:2b5c:5cd1::1/64 dev eth1

# in use from here on
ip link set dev eth2 up

# the address of core14 in 2001:db8:1333:bc1c::/64
ip address replace 2001:db8:1333:bc1c::1/64 dev eth2

# a router passes on what is for others
sysctl -q -w net/ipv6/conf/all/forwarding=1
SETUP

ip netns exec front15 sh <<'SETUP'
#!/bin/sh
# front15: lb, l3dsr-tunnel
# Run as root; stops at the first command that fails.
set -e

# IPVS and the scheduler
modprobe -a ip_vs ip_vs_rr

# for the files of this set-up
mkdir -p /run/dsrkit/front15

# what is changed below, as it was before
test -e /run/dsrkit/front15/sysctl.conf || sysctl -e net/ipv4/conf/all/send_redirects net/ipv4/conf/eth0/send_redirects > /run/dsrkit/front15/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of front15 in 2001:db8:2b5c:5cd1::/64
ip address replace 2001:db8:2b5c:5cd1::2/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via 2001:db8:2b5c:5cd1::1 dev eth0

# it hands packets back to where they came from, and must not tell the sender
sysctl -q -w net/ipv4/conf/all/send_redirects=0

# and of this interface, since either is enough
sysctl -q -w net/ipv4/conf/eth0/send_redirects=0

# requests come here; deprecated, or the kernel would take the VIP as the source of its own packets
ip address replace 2001:db8:2b5c:5cd1::a/128 dev eth0 nodad preferred_lft 0

# the service, spread by rr
ipvsadm -E -t '[2001:db8:2b5c:5cd1::a]:27207' -s rr > /dev/null 2>&1 || ipvsadm -A -t '[2001:db8:2b5c:5cd1::a]:27207' -s rr

# srv17: a tunnel; replies go straight to the client
ipvsadm -e -t '[2001:db8:2b5c:5cd1::a]:27207' -r '[2001:db8:1333:bc1c::b]:27207' -i --tun-type gue --tun-port 6080 --tun-nocsum > /dev/null 2>&1 || ipvsadm -a -t '[2001:db8:2b5c:5cd1::a]:27207' -r '[2001:db8:1333:bc1c::b]:27207' -i --tun-type gue --tun-port 6080 --tun-nocsum

# srv18: a tunnel; replies go straight to the client
ipvsadm -e -t '[2001:db8:2b5c:5cd1::a]:27207' -r '[2001:db8:1333:bc1c::c]:27207' -i --tun-type gue --tun-port 6080 --tun-nocsum > /dev/null 2>&1 || ipvsadm -a -t '[2001:db8:2b5c:5cd1::a]:27207' -r '[2001:db8:1333:bc1c::c]:27207' -i --tun-type gue --tun-port 6080 --tun-nocsum

# the service, spread by rr
ipvsadm -E -u '[2001:db8:2b5c:5cd1::a]:21263' -s rr > /dev/null 2>&1 || ipvsadm -A -u '[2001:db8:2b5c:5cd1::a]:21263' -s rr

# srv17: a tunnel; replies go straight to the client
ipvsadm -e -u '[2001:db8:2b5c:5cd1::a]:21263' -r '[2001:db8:1333:bc1c::b]:21263' -i --tun-type gue --tun-port 6080 --tun-nocsum > /dev/null 2>&1 || ipvsadm -a -u '[2001:db8:2b5c:5cd1::a]:21263' -r '[2001:db8:1333:bc1c::b]:21263' -i --tun-type gue --tun-port 6080 --tun-nocsum

# srv18: a tunnel; replies go straight to the client
ipvsadm -e -u '[2001:db8:2b5c:5cd1::a]:21263' -r '[2001:db8:1333:bc1c::c]:21263' -i --tun-type gue --tun-port 6080 --tun-nocsum > /dev/null 2>&1 || ipvsadm -a -u '[2001:db8:2b5c:5cd1::a]:21263' -r '[2001:db8:1333:bc1c::c]:21263' -i --tun-type gue --tun-port 6080 --tun-nocsum
SETUP

ip netns exec br16 sh <<'SETUP'
#!/bin/sh
# br16: bridge, l3dsr-tunnel
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

ip netns exec srv17 sh <<'SETUP'
#!/bin/sh
# srv17: real-server, l3dsr-tunnel
# Note: the service has to listen at 2001:db8:2b5c:5cd1::a, or at every address
# Run as root; stops at the first command that fails.
set -e

# the device that takes the outer header off
modprobe -a ip6_tunnel fou fou6

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of srv17 in 2001:db8:1333:bc1c::/64
ip address replace 2001:db8:1333:bc1c::b/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via 2001:db8:1333:bc1c::1 dev eth0

# what comes to this UDP port is taken out of its GUE header, and then goes to the device below
ip fou add port 6080 -6 gue

# takes the outer header off what comes from 2001:db8:2b5c:5cd1::2
ip link show dev dsr0 > /dev/null 2>&1 || ip link add name dsr0 type ip6tnl mode ip6ip6 local 2001:db8:1333:bc1c::b remote 2001:db8:2b5c:5cd1::2

# there is no router to ask in it
sysctl -q -w net/ipv6/conf/dsr0/router_solicitations=0

# a tunnel that is down drops without a word
ip link set dev dsr0 up

# packets for the VIP are for this server; neighbour discovery does not answer for the loopback
ip address replace 2001:db8:2b5c:5cd1::a/128 dev lo

# clients send segments that fit with the outer header around them
ip -6 route change ::/0 via 2001:db8:1333:bc1c::1 dev eth0 advmss 1388
SETUP

ip netns exec srv18 sh <<'SETUP'
#!/bin/sh
# srv18: real-server, l3dsr-tunnel
# Note: the service has to listen at 2001:db8:2b5c:5cd1::a, or at every address
# Run as root; stops at the first command that fails.
set -e

# the device that takes the outer header off
modprobe -a ip6_tunnel fou fou6

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of srv18 in 2001:db8:1333:bc1c::/64
ip address replace 2001:db8:1333:bc1c::c/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via 2001:db8:1333:bc1c::1 dev eth0

# what comes to this UDP port is taken out of its GUE header, and then goes to the device below
ip fou add port 6080 -6 gue

# takes the outer header off what comes from 2001:db8:2b5c:5cd1::2
ip link show dev dsr0 > /dev/null 2>&1 || ip link add name dsr0 type ip6tnl mode ip6ip6 local 2001:db8:1333:bc1c::c remote 2001:db8:2b5c:5cd1::2

# there is no router to ask in it
sysctl -q -w net/ipv6/conf/dsr0/router_solicitations=0

# a tunnel that is down drops without a word
ip link set dev dsr0 up

# packets for the VIP are for this server; neighbour discovery does not answer for the loopback
ip address replace 2001:db8:2b5c:5cd1::a/128 dev lo

# clients send segments that fit with the outer header around them
ip -6 route change ::/0 via 2001:db8:1333:bc1c::1 dev eth0 advmss 1388
SETUP

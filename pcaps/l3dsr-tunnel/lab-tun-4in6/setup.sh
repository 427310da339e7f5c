#!/bin/sh
# lab-tun-4in6: what `dsrkit setup` prints for each machine, run unmodified in its network namespace.
# The lab laid the cables; the MACs are in truth.json.
set -e

ip netns exec surfer13 sh <<'SETUP'
#!/bin/sh
# surfer13: client, l3dsr-tunnel
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of surfer13 in 198.19.54.0/24
ip address replace 198.19.54.10/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 198.19.54.1 dev eth0
SETUP

ip netns exec core14 sh <<'SETUP'
#!/bin/sh
# core14: router, l3dsr-tunnel
# Run as root; stops at the first command that fails.
set -e

# for the files of this set-up
mkdir -p /run/dsrkit/core14

# what is changed below, as it was before
test -e /run/dsrkit/core14/sysctl.conf || sysctl -e net/ipv4/ip_forward net/ipv6/conf/all/forwarding net/ipv4/conf/all/rp_filter > /run/dsrkit/core14/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of core14 in 198.19.54.0/24
ip address replace 198.19.54.1/24 dev eth0

# in use from here on
ip link set dev eth1 up

# the address of core14 in 192.168.148.0/24
ip address replace 192.168.148.1/24 dev eth1

# the address of core14 in fd8e:7a42:a950:666d::/64
ip address replace fd8e:7a42:a950:666d::1/64 dev eth1

# in use from here on
ip link set dev eth2 up

# the address of core14 in 10.13.202.0/24
ip address replace 10.13.202.1/24 dev eth2

# the address of core14 in fdd6:d169:bf13:c171::/64
ip address replace fdd6:d169:bf13:c171::1/64 dev eth2

# a router passes on what is for others
sysctl -q -w net/ipv4/ip_forward=1

# a router passes on what is for others
sysctl -q -w net/ipv6/conf/all/forwarding=1

# replies of direct server return leave another way than requests came: strict RFC 3704 checks drop them
sysctl -q -w net/ipv4/conf/all/rp_filter=2
SETUP

ip netns exec balancer15 sh <<'SETUP'
#!/bin/sh
# balancer15: lb, l3dsr-tunnel
# Run as root; stops at the first command that fails.
set -e

# IPVS and the scheduler
modprobe -a ip_vs ip_vs_rr

# for the files of this set-up
mkdir -p /run/dsrkit/balancer15

# what is changed below, as it was before
test -e /run/dsrkit/balancer15/sysctl.conf || sysctl -e net/ipv4/conf/all/send_redirects net/ipv4/conf/eth0/send_redirects > /run/dsrkit/balancer15/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of balancer15 in 192.168.148.0/24
ip address replace 192.168.148.2/24 dev eth0

# the address of balancer15 in fd8e:7a42:a950:666d::/64
ip address replace fd8e:7a42:a950:666d::2/64 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 192.168.148.1 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via fd8e:7a42:a950:666d::1 dev eth0

# it hands packets back to where they came from, and must not tell the sender
sysctl -q -w net/ipv4/conf/all/send_redirects=0

# and of this interface, since either is enough
sysctl -q -w net/ipv4/conf/eth0/send_redirects=0

# requests come here: this machine answers ARP for the VIP
ip address replace 192.168.148.10/32 dev eth0

# the service, spread by rr
ipvsadm -E -t 192.168.148.10:18290 -s rr > /dev/null 2>&1 || ipvsadm -A -t 192.168.148.10:18290 -s rr

# app17: a tunnel; replies go straight to the client
ipvsadm -e -t 192.168.148.10:18290 -r '[fdd6:d169:bf13:c171::b]:18290' -i > /dev/null 2>&1 || ipvsadm -a -t 192.168.148.10:18290 -r '[fdd6:d169:bf13:c171::b]:18290' -i

# app18: a tunnel; replies go straight to the client
ipvsadm -e -t 192.168.148.10:18290 -r '[fdd6:d169:bf13:c171::c]:18290' -i > /dev/null 2>&1 || ipvsadm -a -t 192.168.148.10:18290 -r '[fdd6:d169:bf13:c171::c]:18290' -i

# the service, spread by rr
ipvsadm -E -u 192.168.148.10:2928 -s rr > /dev/null 2>&1 || ipvsadm -A -u 192.168.148.10:2928 -s rr

# app17: a tunnel; replies go straight to the client
ipvsadm -e -u 192.168.148.10:2928 -r '[fdd6:d169:bf13:c171::b]:2928' -i > /dev/null 2>&1 || ipvsadm -a -u 192.168.148.10:2928 -r '[fdd6:d169:bf13:c171::b]:2928' -i

# app18: a tunnel; replies go straight to the client
ipvsadm -e -u 192.168.148.10:2928 -r '[fdd6:d169:bf13:c171::c]:2928' -i > /dev/null 2>&1 || ipvsadm -a -u 192.168.148.10:2928 -r '[fdd6:d169:bf13:c171::c]:2928' -i
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

ip netns exec app17 sh <<'SETUP'
#!/bin/sh
# app17: real-server, l3dsr-tunnel
# Note: the service has to listen at 192.168.148.10, or at every address
# Run as root; stops at the first command that fails.
set -e

# the device that takes the outer header off
modprobe -a ip6_tunnel

# for the files of this set-up
mkdir -p /run/dsrkit/app17

# what is changed below, as it was before
test -e /run/dsrkit/app17/sysctl.conf || sysctl -e net/ipv4/conf/all/rp_filter net/ipv4/conf/all/arp_ignore net/ipv4/conf/all/arp_announce > /run/dsrkit/app17/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of app17 in 10.13.202.0/24
ip address replace 10.13.202.11/24 dev eth0

# the address of app17 in fdd6:d169:bf13:c171::/64
ip address replace fdd6:d169:bf13:c171::b/64 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 10.13.202.1 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via fdd6:d169:bf13:c171::1 dev eth0

# takes the outer header off what comes from fd8e:7a42:a950:666d::2
ip link show dev dsr0 > /dev/null 2>&1 || ip link add name dsr0 type ip6tnl mode ipip6 local fdd6:d169:bf13:c171::b remote fd8e:7a42:a950:666d::2

# clients are not behind the tunnel; loose (2) drops too, since the device has no address
sysctl -q -w net/ipv4/conf/dsr0/rp_filter=0

# the larger of this and the device's own counts
sysctl -q -w net/ipv4/conf/all/rp_filter=0

# a tunnel that is down drops without a word
ip link set dev dsr0 up

# answer ARP for addresses of the asked interface only: the VIP's owner is the load balancer
sysctl -q -w net/ipv4/conf/all/arp_ignore=1

# ask by ARP from an own address: a request from the VIP would claim it in the neighbours' caches
sysctl -q -w net/ipv4/conf/all/arp_announce=2

# packets for the VIP are for this server; /32, or the whole subnet would be local
ip address replace 192.168.148.10/32 dev lo

# clients send segments that fit with the outer header around them
ip -4 route change 0.0.0.0/0 via 10.13.202.1 dev eth0 advmss 1420
SETUP

ip netns exec app18 sh <<'SETUP'
#!/bin/sh
# app18: real-server, l3dsr-tunnel
# Note: the service has to listen at 192.168.148.10, or at every address
# Run as root; stops at the first command that fails.
set -e

# the device that takes the outer header off
modprobe -a ip6_tunnel

# for the files of this set-up
mkdir -p /run/dsrkit/app18

# what is changed below, as it was before
test -e /run/dsrkit/app18/sysctl.conf || sysctl -e net/ipv4/conf/all/rp_filter net/ipv4/conf/all/arp_ignore net/ipv4/conf/all/arp_announce > /run/dsrkit/app18/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of app18 in 10.13.202.0/24
ip address replace 10.13.202.12/24 dev eth0

# the address of app18 in fdd6:d169:bf13:c171::/64
ip address replace fdd6:d169:bf13:c171::c/64 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 10.13.202.1 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via fdd6:d169:bf13:c171::1 dev eth0

# takes the outer header off what comes from fd8e:7a42:a950:666d::2
ip link show dev dsr0 > /dev/null 2>&1 || ip link add name dsr0 type ip6tnl mode ipip6 local fdd6:d169:bf13:c171::c remote fd8e:7a42:a950:666d::2

# clients are not behind the tunnel; loose (2) drops too, since the device has no address
sysctl -q -w net/ipv4/conf/dsr0/rp_filter=0

# the larger of this and the device's own counts
sysctl -q -w net/ipv4/conf/all/rp_filter=0

# a tunnel that is down drops without a word
ip link set dev dsr0 up

# answer ARP for addresses of the asked interface only: the VIP's owner is the load balancer
sysctl -q -w net/ipv4/conf/all/arp_ignore=1

# ask by ARP from an own address: a request from the VIP would claim it in the neighbours' caches
sysctl -q -w net/ipv4/conf/all/arp_announce=2

# packets for the VIP are for this server; /32, or the whole subnet would be local
ip address replace 192.168.148.10/32 dev lo

# clients send segments that fit with the outer header around them
ip -4 route change 0.0.0.0/0 via 10.13.202.1 dev eth0 advmss 1420
SETUP

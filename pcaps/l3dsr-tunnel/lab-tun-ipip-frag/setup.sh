#!/bin/sh
# lab-tun-ipip-frag: what `dsrkit setup` prints for each machine, run unmodified in its network namespace.
# The lab laid the cables; the MACs are in truth.json.
set -e

ip netns exec cl38 sh <<'SETUP'
#!/bin/sh
# cl38: client, l3dsr-tunnel
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of cl38 in 172.29.96.0/24
ip address replace 172.29.96.10/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 172.29.96.1 dev eth0
SETUP

ip netns exec edge39 sh <<'SETUP'
#!/bin/sh
# edge39: router, l3dsr-tunnel
# Run as root; stops at the first command that fails.
set -e

# for the files of this set-up
mkdir -p /run/dsrkit/edge39

# what is changed below, as it was before
test -e /run/dsrkit/edge39/sysctl.conf || sysctl -e net/ipv4/ip_forward net/ipv4/conf/all/rp_filter > /run/dsrkit/edge39/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of edge39 in 172.29.96.0/24
ip address replace 172.29.96.1/24 dev eth0

# in use from here on
ip link set dev eth1 up

# the address of edge39 in 198.19.32.0/24
ip address replace 198.19.32.1/24 dev eth1

# in use from here on
ip link set dev eth2 up

# the address of edge39 in 198.18.221.0/24
ip address replace 198.18.221.1/24 dev eth2

# a router passes on what is for others
sysctl -q -w net/ipv4/ip_forward=1

# replies of direct server return leave another way than requests came: strict RFC 3704 checks drop them
sysctl -q -w net/ipv4/conf/all/rp_filter=2
SETUP

ip netns exec director40 sh <<'SETUP'
#!/bin/sh
# director40: lb, l3dsr-tunnel
# Run as root; stops at the first command that fails.
set -e

# IPVS and the scheduler
modprobe -a ip_vs ip_vs_rr

# for the files of this set-up
mkdir -p /run/dsrkit/director40

# what is changed below, as it was before
test -e /run/dsrkit/director40/sysctl.conf || sysctl -e net/ipv4/conf/all/send_redirects net/ipv4/conf/eth0/send_redirects > /run/dsrkit/director40/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of director40 in 198.19.32.0/24
ip address replace 198.19.32.2/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 198.19.32.1 dev eth0

# it hands packets back to where they came from, and must not tell the sender
sysctl -q -w net/ipv4/conf/all/send_redirects=0

# and of this interface, since either is enough
sysctl -q -w net/ipv4/conf/eth0/send_redirects=0

# requests come here: this machine answers ARP for the VIP
ip address replace 198.19.32.10/32 dev eth0

# the service, spread by rr
ipvsadm -E -t 198.19.32.10:23102 -s rr > /dev/null 2>&1 || ipvsadm -A -t 198.19.32.10:23102 -s rr

# app42: a tunnel; replies go straight to the client
ipvsadm -e -t 198.19.32.10:23102 -r 198.18.221.11:23102 -i > /dev/null 2>&1 || ipvsadm -a -t 198.19.32.10:23102 -r 198.18.221.11:23102 -i

# app43: a tunnel; replies go straight to the client
ipvsadm -e -t 198.19.32.10:23102 -r 198.18.221.12:23102 -i > /dev/null 2>&1 || ipvsadm -a -t 198.19.32.10:23102 -r 198.18.221.12:23102 -i

# app44: a tunnel; replies go straight to the client
ipvsadm -e -t 198.19.32.10:23102 -r 198.18.221.13:23102 -i > /dev/null 2>&1 || ipvsadm -a -t 198.19.32.10:23102 -r 198.18.221.13:23102 -i

# the service, spread by rr
ipvsadm -E -u 198.19.32.10:22585 -s rr > /dev/null 2>&1 || ipvsadm -A -u 198.19.32.10:22585 -s rr

# app42: a tunnel; replies go straight to the client
ipvsadm -e -u 198.19.32.10:22585 -r 198.18.221.11:22585 -i > /dev/null 2>&1 || ipvsadm -a -u 198.19.32.10:22585 -r 198.18.221.11:22585 -i

# app43: a tunnel; replies go straight to the client
ipvsadm -e -u 198.19.32.10:22585 -r 198.18.221.12:22585 -i > /dev/null 2>&1 || ipvsadm -a -u 198.19.32.10:22585 -r 198.18.221.12:22585 -i

# app44: a tunnel; replies go straight to the client
ipvsadm -e -u 198.19.32.10:22585 -r 198.18.221.13:22585 -i > /dev/null 2>&1 || ipvsadm -a -u 198.19.32.10:22585 -r 198.18.221.13:22585 -i
SETUP

ip netns exec tor41 sh <<'SETUP'
#!/bin/sh
# tor41: bridge, l3dsr-tunnel
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

# a port of the bridge
ip link set dev eth3 master br0

# in use from here on
ip link set dev eth3 up

# in use from here on
ip link set dev br0 up
SETUP

ip netns exec app42 sh <<'SETUP'
#!/bin/sh
# app42: real-server, l3dsr-tunnel
# Note: the service has to listen at 198.19.32.10, or at every address
# Run as root; stops at the first command that fails.
set -e

# the device that takes the outer header off
modprobe -a ipip

# for the files of this set-up
mkdir -p /run/dsrkit/app42

# what is changed below, as it was before
test -e /run/dsrkit/app42/sysctl.conf || sysctl -e net/ipv4/conf/all/rp_filter net/ipv4/conf/all/arp_ignore net/ipv4/conf/all/arp_announce > /run/dsrkit/app42/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of app42 in 198.18.221.0/24
ip address replace 198.18.221.11/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 198.18.221.1 dev eth0

# takes the outer header off what comes from 198.19.32.2
ip link show dev dsr0 > /dev/null 2>&1 || ip link add name dsr0 type ipip local 198.18.221.11 remote 198.19.32.2

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
ip address replace 198.19.32.10/32 dev lo

# clients send segments that fit with the outer header around them
ip -4 route change 0.0.0.0/0 via 198.18.221.1 dev eth0 advmss 1440
SETUP

ip netns exec app43 sh <<'SETUP'
#!/bin/sh
# app43: real-server, l3dsr-tunnel
# Note: the service has to listen at 198.19.32.10, or at every address
# Run as root; stops at the first command that fails.
set -e

# the device that takes the outer header off
modprobe -a ipip

# for the files of this set-up
mkdir -p /run/dsrkit/app43

# what is changed below, as it was before
test -e /run/dsrkit/app43/sysctl.conf || sysctl -e net/ipv4/conf/all/rp_filter net/ipv4/conf/all/arp_ignore net/ipv4/conf/all/arp_announce > /run/dsrkit/app43/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of app43 in 198.18.221.0/24
ip address replace 198.18.221.12/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 198.18.221.1 dev eth0

# takes the outer header off what comes from 198.19.32.2
ip link show dev dsr0 > /dev/null 2>&1 || ip link add name dsr0 type ipip local 198.18.221.12 remote 198.19.32.2

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
ip address replace 198.19.32.10/32 dev lo

# clients send segments that fit with the outer header around them
ip -4 route change 0.0.0.0/0 via 198.18.221.1 dev eth0 advmss 1440
SETUP

ip netns exec app44 sh <<'SETUP'
#!/bin/sh
# app44: real-server, l3dsr-tunnel
# Note: the service has to listen at 198.19.32.10, or at every address
# Run as root; stops at the first command that fails.
set -e

# the device that takes the outer header off
modprobe -a ipip

# for the files of this set-up
mkdir -p /run/dsrkit/app44

# what is changed below, as it was before
test -e /run/dsrkit/app44/sysctl.conf || sysctl -e net/ipv4/conf/all/rp_filter net/ipv4/conf/all/arp_ignore net/ipv4/conf/all/arp_announce > /run/dsrkit/app44/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of app44 in 198.18.221.0/24
ip address replace 198.18.221.13/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 198.18.221.1 dev eth0

# takes the outer header off what comes from 198.19.32.2
ip link show dev dsr0 > /dev/null 2>&1 || ip link add name dsr0 type ipip local 198.18.221.13 remote 198.19.32.2

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
ip address replace 198.19.32.10/32 dev lo

# clients send segments that fit with the outer header around them
ip -4 route change 0.0.0.0/0 via 198.18.221.1 dev eth0 advmss 1440
SETUP

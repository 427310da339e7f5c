#!/bin/sh
# lab-tun-gre: what `dsrkit setup` prints for each machine, run unmodified in its network namespace.
# The lab laid the cables; the MACs are in truth.json.
set -e

ip netns exec laptop30 sh <<'SETUP'
#!/bin/sh
# laptop30: client, l3dsr-tunnel
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of laptop30 in 172.16.95.0/24
ip address replace 172.16.95.10/24 dev eth0

# the address of laptop30 in 172.16.95.0/24
ip address replace 172.16.95.11/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 172.16.95.1 dev eth0
SETUP

ip netns exec edge31 sh <<'SETUP'
#!/bin/sh
# edge31: router, l3dsr-tunnel
# Run as root; stops at the first command that fails.
set -e

# for the files of this set-up
mkdir -p /run/dsrkit/edge31

# what is changed below, as it was before
test -e /run/dsrkit/edge31/sysctl.conf || sysctl -e net/ipv4/ip_forward net/ipv4/conf/all/rp_filter > /run/dsrkit/edge31/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of edge31 in 172.16.95.0/24
ip address replace 172.16.95.1/24 dev eth0

# in use from here on
ip link set dev eth1 up

# the address of edge31 in 10.80.231.0/24
ip address replace 10.80.231.1/24 dev eth1

# in use from here on
ip link set dev eth2 up

# the address of edge31 in 172.16.138.0/24
ip address replace 172.16.138.1/24 dev eth2

# a router passes on what is for others
sysctl -q -w net/ipv4/ip_forward=1

# replies of direct server return leave another way than requests came: strict RFC 3704 checks drop them
sysctl -q -w net/ipv4/conf/all/rp_filter=2
SETUP

ip netns exec balancer32 sh <<'SETUP'
#!/bin/sh
# balancer32: lb, l3dsr-tunnel
# Run as root; stops at the first command that fails.
set -e

# IPVS and the scheduler
modprobe -a ip_vs ip_vs_rr

# for the files of this set-up
mkdir -p /run/dsrkit/balancer32

# what is changed below, as it was before
test -e /run/dsrkit/balancer32/sysctl.conf || sysctl -e net/ipv4/conf/all/send_redirects net/ipv4/conf/eth0/send_redirects > /run/dsrkit/balancer32/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of balancer32 in 10.80.231.0/24
ip address replace 10.80.231.2/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 10.80.231.1 dev eth0

# it hands packets back to where they came from, and must not tell the sender
sysctl -q -w net/ipv4/conf/all/send_redirects=0

# and of this interface, since either is enough
sysctl -q -w net/ipv4/conf/eth0/send_redirects=0

# requests come here: this machine answers ARP for the VIP
ip address replace 10.80.231.10/32 dev eth0

# the service, spread by rr
ipvsadm -E -t 10.80.231.10:18520 -s rr > /dev/null 2>&1 || ipvsadm -A -t 10.80.231.10:18520 -s rr

# app34: a tunnel; replies go straight to the client
ipvsadm -e -t 10.80.231.10:18520 -r 172.16.138.11:18520 -i --tun-type gre --tun-nocsum > /dev/null 2>&1 || ipvsadm -a -t 10.80.231.10:18520 -r 172.16.138.11:18520 -i --tun-type gre --tun-nocsum

# app35: a tunnel; replies go straight to the client
ipvsadm -e -t 10.80.231.10:18520 -r 172.16.138.12:18520 -i --tun-type gre --tun-nocsum > /dev/null 2>&1 || ipvsadm -a -t 10.80.231.10:18520 -r 172.16.138.12:18520 -i --tun-type gre --tun-nocsum

# the service, spread by rr
ipvsadm -E -u 10.80.231.10:21145 -s rr > /dev/null 2>&1 || ipvsadm -A -u 10.80.231.10:21145 -s rr

# app34: a tunnel; replies go straight to the client
ipvsadm -e -u 10.80.231.10:21145 -r 172.16.138.11:21145 -i --tun-type gre --tun-nocsum > /dev/null 2>&1 || ipvsadm -a -u 10.80.231.10:21145 -r 172.16.138.11:21145 -i --tun-type gre --tun-nocsum

# app35: a tunnel; replies go straight to the client
ipvsadm -e -u 10.80.231.10:21145 -r 172.16.138.12:21145 -i --tun-type gre --tun-nocsum > /dev/null 2>&1 || ipvsadm -a -u 10.80.231.10:21145 -r 172.16.138.12:21145 -i --tun-type gre --tun-nocsum
SETUP

ip netns exec leaf33 sh <<'SETUP'
#!/bin/sh
# leaf33: bridge, l3dsr-tunnel
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

ip netns exec app34 sh <<'SETUP'
#!/bin/sh
# app34: real-server, l3dsr-tunnel
# Note: the service has to listen at 10.80.231.10, or at every address
# Run as root; stops at the first command that fails.
set -e

# the device that takes the outer header off
modprobe -a ip_gre

# for the files of this set-up
mkdir -p /run/dsrkit/app34

# what is changed below, as it was before
test -e /run/dsrkit/app34/sysctl.conf || sysctl -e net/ipv4/conf/all/rp_filter net/ipv4/conf/all/arp_ignore net/ipv4/conf/all/arp_announce > /run/dsrkit/app34/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of app34 in 172.16.138.0/24
ip address replace 172.16.138.11/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 172.16.138.1 dev eth0

# takes the outer header off what comes from 10.80.231.2
ip link show dev dsr0 > /dev/null 2>&1 || ip link add name dsr0 type gre local 172.16.138.11 remote 10.80.231.2

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
ip address replace 10.80.231.10/32 dev lo

# clients send segments that fit with the outer header around them
ip -4 route change 0.0.0.0/0 via 172.16.138.1 dev eth0 advmss 1436
SETUP

ip netns exec app35 sh <<'SETUP'
#!/bin/sh
# app35: real-server, l3dsr-tunnel
# Note: the service has to listen at 10.80.231.10, or at every address
# Run as root; stops at the first command that fails.
set -e

# the device that takes the outer header off
modprobe -a ip_gre

# for the files of this set-up
mkdir -p /run/dsrkit/app35

# what is changed below, as it was before
test -e /run/dsrkit/app35/sysctl.conf || sysctl -e net/ipv4/conf/all/rp_filter net/ipv4/conf/all/arp_ignore net/ipv4/conf/all/arp_announce > /run/dsrkit/app35/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of app35 in 172.16.138.0/24
ip address replace 172.16.138.12/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 172.16.138.1 dev eth0

# takes the outer header off what comes from 10.80.231.2
ip link show dev dsr0 > /dev/null 2>&1 || ip link add name dsr0 type gre local 172.16.138.12 remote 10.80.231.2

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
ip address replace 10.80.231.10/32 dev lo

# clients send segments that fit with the outer header around them
ip -4 route change 0.0.0.0/0 via 172.16.138.1 dev eth0 advmss 1436
SETUP

#!/bin/sh
# lab-tun-gue-csum: what `dsrkit setup` prints for each machine, run unmodified in its network namespace.
# The lab laid the cables; the MACs are in truth.json.
set -e

ip netns exec home18 sh <<'SETUP'
#!/bin/sh
# home18: client, l3dsr-tunnel
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of home18 in 10.61.202.0/24
ip address replace 10.61.202.10/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 10.61.202.1 dev eth0
SETUP

ip netns exec core19 sh <<'SETUP'
#!/bin/sh
# core19: router, l3dsr-tunnel
# Run as root; stops at the first command that fails.
set -e

# for the files of this set-up
mkdir -p /run/dsrkit/core19

# what is changed below, as it was before
test -e /run/dsrkit/core19/sysctl.conf || sysctl -e net/ipv4/ip_forward net/ipv4/conf/all/rp_filter > /run/dsrkit/core19/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of core19 in 10.61.202.0/24
ip address replace 10.61.202.1/24 dev eth0

# in use from here on
ip link set dev eth1 up

# the address of core19 in 172.28.151.0/24
ip address replace 172.28.151.1/24 dev eth1

# in use from here on
ip link set dev eth2 up

# the address of core19 in 192.168.148.0/24
ip address replace 192.168.148.1/24 dev eth2

# a router passes on what is for others
sysctl -q -w net/ipv4/ip_forward=1

# replies of direct server return leave another way than requests came: strict RFC 3704 checks drop them
sysctl -q -w net/ipv4/conf/all/rp_filter=2
SETUP

ip netns exec lvs20 sh <<'SETUP'
#!/bin/sh
# lvs20: lb, l3dsr-tunnel
# Run as root; stops at the first command that fails.
set -e

# IPVS and the scheduler
modprobe -a ip_vs ip_vs_rr

# for the files of this set-up
mkdir -p /run/dsrkit/lvs20

# what is changed below, as it was before
test -e /run/dsrkit/lvs20/sysctl.conf || sysctl -e net/ipv4/conf/all/send_redirects net/ipv4/conf/eth0/send_redirects > /run/dsrkit/lvs20/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of lvs20 in 172.28.151.0/24
ip address replace 172.28.151.2/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 172.28.151.1 dev eth0

# it hands packets back to where they came from, and must not tell the sender
sysctl -q -w net/ipv4/conf/all/send_redirects=0

# and of this interface, since either is enough
sysctl -q -w net/ipv4/conf/eth0/send_redirects=0

# requests come here: this machine answers ARP for the VIP
ip address replace 172.28.151.10/32 dev eth0

# the service, spread by rr
ipvsadm -E -t 172.28.151.10:7299 -s rr > /dev/null 2>&1 || ipvsadm -A -t 172.28.151.10:7299 -s rr

# srv22: a tunnel; replies go straight to the client
ipvsadm -e -t 172.28.151.10:7299 -r 192.168.148.11:7299 -i --tun-type gue --tun-port 6088 --tun-csum > /dev/null 2>&1 || ipvsadm -a -t 172.28.151.10:7299 -r 192.168.148.11:7299 -i --tun-type gue --tun-port 6088 --tun-csum

# srv23: a tunnel; replies go straight to the client
ipvsadm -e -t 172.28.151.10:7299 -r 192.168.148.12:7299 -i --tun-type gue --tun-port 6088 --tun-csum > /dev/null 2>&1 || ipvsadm -a -t 172.28.151.10:7299 -r 192.168.148.12:7299 -i --tun-type gue --tun-port 6088 --tun-csum

# the service, spread by rr
ipvsadm -E -u 172.28.151.10:5436 -s rr > /dev/null 2>&1 || ipvsadm -A -u 172.28.151.10:5436 -s rr

# srv22: a tunnel; replies go straight to the client
ipvsadm -e -u 172.28.151.10:5436 -r 192.168.148.11:5436 -i --tun-type gue --tun-port 6088 --tun-csum > /dev/null 2>&1 || ipvsadm -a -u 172.28.151.10:5436 -r 192.168.148.11:5436 -i --tun-type gue --tun-port 6088 --tun-csum

# srv23: a tunnel; replies go straight to the client
ipvsadm -e -u 172.28.151.10:5436 -r 192.168.148.12:5436 -i --tun-type gue --tun-port 6088 --tun-csum > /dev/null 2>&1 || ipvsadm -a -u 172.28.151.10:5436 -r 192.168.148.12:5436 -i --tun-type gue --tun-port 6088 --tun-csum
SETUP

ip netns exec switch21 sh <<'SETUP'
#!/bin/sh
# switch21: bridge, l3dsr-tunnel
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

ip netns exec srv22 sh <<'SETUP'
#!/bin/sh
# srv22: real-server, l3dsr-tunnel
# Note: the service has to listen at 172.28.151.10, or at every address
# Run as root; stops at the first command that fails.
set -e

# the device that takes the outer header off
modprobe -a ipip fou

# for the files of this set-up
mkdir -p /run/dsrkit/srv22

# what is changed below, as it was before
test -e /run/dsrkit/srv22/sysctl.conf || sysctl -e net/ipv4/conf/all/rp_filter net/ipv4/conf/all/arp_ignore net/ipv4/conf/all/arp_announce > /run/dsrkit/srv22/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of srv22 in 192.168.148.0/24
ip address replace 192.168.148.11/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 192.168.148.1 dev eth0

# what comes to this UDP port is taken out of its GUE header, and then goes to the device below
ip fou add port 6088 gue

# takes the outer header off what comes from 172.28.151.2
ip link show dev dsr0 > /dev/null 2>&1 || ip link add name dsr0 type ipip local 192.168.148.11 remote 172.28.151.2

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
ip address replace 172.28.151.10/32 dev lo

# clients send segments that fit with the outer header around them
ip -4 route change 0.0.0.0/0 via 192.168.148.1 dev eth0 advmss 1428
SETUP

ip netns exec srv23 sh <<'SETUP'
#!/bin/sh
# srv23: real-server, l3dsr-tunnel
# Note: the service has to listen at 172.28.151.10, or at every address
# Run as root; stops at the first command that fails.
set -e

# the device that takes the outer header off
modprobe -a ipip fou

# for the files of this set-up
mkdir -p /run/dsrkit/srv23

# what is changed below, as it was before
test -e /run/dsrkit/srv23/sysctl.conf || sysctl -e net/ipv4/conf/all/rp_filter net/ipv4/conf/all/arp_ignore net/ipv4/conf/all/arp_announce > /run/dsrkit/srv23/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of srv23 in 192.168.148.0/24
ip address replace 192.168.148.12/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 192.168.148.1 dev eth0

# what comes to this UDP port is taken out of its GUE header, and then goes to the device below
ip fou add port 6088 gue

# takes the outer header off what comes from 172.28.151.2
ip link show dev dsr0 > /dev/null 2>&1 || ip link add name dsr0 type ipip local 192.168.148.12 remote 172.28.151.2

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
ip address replace 172.28.151.10/32 dev lo

# clients send segments that fit with the outer header around them
ip -4 route change 0.0.0.0/0 via 192.168.148.1 dev eth0 advmss 1428
SETUP

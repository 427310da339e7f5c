#!/bin/sh
# lab-dr-vlan-frag: what `dsrkit setup` prints for each machine, run unmodified in its network namespace.
# The lab laid the cables; the MACs are in truth.json.
set -e

ip netns exec surfer26 sh <<'SETUP'
#!/bin/sh
# surfer26: client, l2dsr
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of surfer26 in 10.126.110.0/24
ip address replace 10.126.110.10/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 10.126.110.1 dev eth0
SETUP

ip netns exec gw27 sh <<'SETUP'
#!/bin/sh
# gw27: router, l2dsr
# Run as root; stops at the first command that fails.
set -e

# VLAN tags
modprobe -a 8021q

# for the files of this set-up
mkdir -p /run/dsrkit/gw27

# what is changed below, as it was before
test -e /run/dsrkit/gw27/sysctl.conf || sysctl -e net/ipv4/ip_forward net/ipv4/conf/all/rp_filter > /run/dsrkit/gw27/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of gw27 in 10.126.110.0/24
ip address replace 10.126.110.1/24 dev eth0

# its ports are one broadcast domain; forwards at once, without spanning tree
ip link show dev br0 > /dev/null 2>&1 || ip link add name br0 type bridge stp_state 0 mcast_snooping 0

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

# frames here carry a tag
ip link show dev br0.204 > /dev/null 2>&1 || ip link add link br0 name br0.204 type vlan id 204

# in use from here on
ip link set dev br0.204 up

# the address of gw27 in 192.168.130.0/24
ip address replace 192.168.130.1/24 dev br0.204

# a router passes on what is for others
sysctl -q -w net/ipv4/ip_forward=1

# replies of direct server return leave another way than requests came: strict RFC 3704 checks drop them
sysctl -q -w net/ipv4/conf/all/rp_filter=2
SETUP

ip netns exec lvs28 sh <<'SETUP'
#!/bin/sh
# lvs28: lb, l2dsr
# Run as root; stops at the first command that fails.
set -e

# VLAN tags
modprobe -a 8021q

# IPVS and the scheduler
modprobe -a ip_vs ip_vs_rr

# for the files of this set-up
mkdir -p /run/dsrkit/lvs28

# what is changed below, as it was before
test -e /run/dsrkit/lvs28/sysctl.conf || sysctl -e net/ipv4/conf/all/send_redirects net/ipv4/conf/eth0.204/send_redirects > /run/dsrkit/lvs28/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# frames here carry a tag
ip link show dev eth0.204 > /dev/null 2>&1 || ip link add link eth0 name eth0.204 type vlan id 204

# in use from here on
ip link set dev eth0.204 up

# the address of lvs28 in 192.168.130.0/24
ip address replace 192.168.130.2/24 dev eth0.204

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 192.168.130.1 dev eth0.204

# it hands packets back to where they came from, and must not tell the sender
sysctl -q -w net/ipv4/conf/all/send_redirects=0

# and of this interface, since either is enough
sysctl -q -w net/ipv4/conf/eth0.204/send_redirects=0

# requests come here: this machine answers ARP for the VIP
ip address replace 192.168.130.10/32 dev eth0.204

# the service, spread by rr
ipvsadm -E -t 192.168.130.10:19989 -s rr > /dev/null 2>&1 || ipvsadm -A -t 192.168.130.10:19989 -s rr

# srv30: new MAC address; replies go straight to the client
ipvsadm -e -t 192.168.130.10:19989 -r 192.168.130.21:19989 -g > /dev/null 2>&1 || ipvsadm -a -t 192.168.130.10:19989 -r 192.168.130.21:19989 -g

# srv31: new MAC address; replies go straight to the client
ipvsadm -e -t 192.168.130.10:19989 -r 192.168.130.22:19989 -g > /dev/null 2>&1 || ipvsadm -a -t 192.168.130.10:19989 -r 192.168.130.22:19989 -g

# the service, spread by rr
ipvsadm -E -u 192.168.130.10:21910 -s rr > /dev/null 2>&1 || ipvsadm -A -u 192.168.130.10:21910 -s rr

# srv30: new MAC address; replies go straight to the client
ipvsadm -e -u 192.168.130.10:21910 -r 192.168.130.21:21910 -g > /dev/null 2>&1 || ipvsadm -a -u 192.168.130.10:21910 -r 192.168.130.21:21910 -g

# srv31: new MAC address; replies go straight to the client
ipvsadm -e -u 192.168.130.10:21910 -r 192.168.130.22:21910 -g > /dev/null 2>&1 || ipvsadm -a -u 192.168.130.10:21910 -r 192.168.130.22:21910 -g
SETUP

ip netns exec br29 sh <<'SETUP'
#!/bin/sh
# br29: bridge, l2dsr
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

ip netns exec srv30 sh <<'SETUP'
#!/bin/sh
# srv30: real-server, l2dsr
# Note: the service has to listen at 192.168.130.10, or at every address
# Run as root; stops at the first command that fails.
set -e

# VLAN tags
modprobe -a 8021q

# for the files of this set-up
mkdir -p /run/dsrkit/srv30

# what is changed below, as it was before
test -e /run/dsrkit/srv30/sysctl.conf || sysctl -e net/ipv4/conf/all/arp_ignore net/ipv4/conf/all/arp_announce > /run/dsrkit/srv30/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# frames here carry a tag
ip link show dev eth0.204 > /dev/null 2>&1 || ip link add link eth0 name eth0.204 type vlan id 204

# in use from here on
ip link set dev eth0.204 up

# the address of srv30 in 192.168.130.0/24
ip address replace 192.168.130.21/24 dev eth0.204

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 192.168.130.1 dev eth0.204

# answer ARP for addresses of the asked interface only: the VIP's owner is the load balancer
sysctl -q -w net/ipv4/conf/all/arp_ignore=1

# ask by ARP from an own address: a request from the VIP would claim it in the neighbours' caches
sysctl -q -w net/ipv4/conf/all/arp_announce=2

# packets for the VIP are for this server; /32, or the whole subnet would be local
ip address replace 192.168.130.10/32 dev lo
SETUP

ip netns exec srv31 sh <<'SETUP'
#!/bin/sh
# srv31: real-server, l2dsr
# Note: the service has to listen at 192.168.130.10, or at every address
# Run as root; stops at the first command that fails.
set -e

# VLAN tags
modprobe -a 8021q

# for the files of this set-up
mkdir -p /run/dsrkit/srv31

# what is changed below, as it was before
test -e /run/dsrkit/srv31/sysctl.conf || sysctl -e net/ipv4/conf/all/arp_ignore net/ipv4/conf/all/arp_announce > /run/dsrkit/srv31/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# frames here carry a tag
ip link show dev eth0.204 > /dev/null 2>&1 || ip link add link eth0 name eth0.204 type vlan id 204

# in use from here on
ip link set dev eth0.204 up

# the address of srv31 in 192.168.130.0/24
ip address replace 192.168.130.22/24 dev eth0.204

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 192.168.130.1 dev eth0.204

# answer ARP for addresses of the asked interface only: the VIP's owner is the load balancer
sysctl -q -w net/ipv4/conf/all/arp_ignore=1

# ask by ARP from an own address: a request from the VIP would claim it in the neighbours' caches
sysctl -q -w net/ipv4/conf/all/arp_announce=2

# packets for the VIP are for this server; /32, or the whole subnet would be local
ip address replace 192.168.130.10/32 dev lo
SETUP

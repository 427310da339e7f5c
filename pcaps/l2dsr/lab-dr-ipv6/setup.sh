#!/bin/sh
# lab-dr-ipv6: what `dsrkit setup` prints for each machine, run unmodified in its network namespace.
# The lab laid the cables; the MACs are in truth.json.
set -e

ip netns exec home2 sh <<'SETUP'
#!/bin/sh
# home2: client, l2dsr
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of home2 in 2001:db8:e3d6:e4b9::/64
ip address replace 2001:db8:e3d6:e4b9::a/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via 2001:db8:e3d6:e4b9::1 dev eth0
SETUP

ip netns exec edge3 sh <<'SETUP'
#!/bin/sh
# edge3: router, l2dsr
# Run as root; stops at the first command that fails.
set -e

# for the files of this set-up
mkdir -p /run/dsrkit/edge3

# what is changed below, as it was before
test -e /run/dsrkit/edge3/sysctl.conf || sysctl -e net/ipv6/conf/all/forwarding > /run/dsrkit/edge3/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of edge3 in 2001:db8:e3d6:e4b9::/64
ip address replace 2001:db8:e3d6:e4b9::1/64 dev eth0

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

# the address of edge3 in fd4b:588b:aa8b:230f::/64
ip address replace fd4b:588b:aa8b:230f::1/64 dev br0

# a router passes on what is for others
sysctl -q -w net/ipv6/conf/all/forwarding=1
SETUP

ip netns exec director4 sh <<'SETUP'
#!/bin/sh
# director4: lb, l2dsr
# Run as root; stops at the first command that fails.
set -e

# IPVS and the scheduler
modprobe -a ip_vs ip_vs_rr

# for the files of this set-up
mkdir -p /run/dsrkit/director4

# what is changed below, as it was before
test -e /run/dsrkit/director4/sysctl.conf || sysctl -e net/ipv4/conf/all/send_redirects net/ipv4/conf/eth0/send_redirects > /run/dsrkit/director4/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of director4 in fd4b:588b:aa8b:230f::/64
ip address replace fd4b:588b:aa8b:230f::2/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via fd4b:588b:aa8b:230f::1 dev eth0

# it hands packets back to where they came from, and must not tell the sender
sysctl -q -w net/ipv4/conf/all/send_redirects=0

# and of this interface, since either is enough
sysctl -q -w net/ipv4/conf/eth0/send_redirects=0

# requests come here; deprecated, or the kernel would take the VIP as the source of its own packets
ip address replace fd4b:588b:aa8b:230f::a/128 dev eth0 nodad preferred_lft 0

# the service, spread by rr
ipvsadm -E -t '[fd4b:588b:aa8b:230f::a]:6902' -s rr > /dev/null 2>&1 || ipvsadm -A -t '[fd4b:588b:aa8b:230f::a]:6902' -s rr

# node6: new MAC address; replies go straight to the client
ipvsadm -e -t '[fd4b:588b:aa8b:230f::a]:6902' -r '[fd4b:588b:aa8b:230f::15]:6902' -g > /dev/null 2>&1 || ipvsadm -a -t '[fd4b:588b:aa8b:230f::a]:6902' -r '[fd4b:588b:aa8b:230f::15]:6902' -g

# node7: new MAC address; replies go straight to the client
ipvsadm -e -t '[fd4b:588b:aa8b:230f::a]:6902' -r '[fd4b:588b:aa8b:230f::16]:6902' -g > /dev/null 2>&1 || ipvsadm -a -t '[fd4b:588b:aa8b:230f::a]:6902' -r '[fd4b:588b:aa8b:230f::16]:6902' -g

# node8: new MAC address; replies go straight to the client
ipvsadm -e -t '[fd4b:588b:aa8b:230f::a]:6902' -r '[fd4b:588b:aa8b:230f::17]:6902' -g > /dev/null 2>&1 || ipvsadm -a -t '[fd4b:588b:aa8b:230f::a]:6902' -r '[fd4b:588b:aa8b:230f::17]:6902' -g

# the service, spread by rr
ipvsadm -E -u '[fd4b:588b:aa8b:230f::a]:12697' -s rr > /dev/null 2>&1 || ipvsadm -A -u '[fd4b:588b:aa8b:230f::a]:12697' -s rr

# node6: new MAC address; replies go straight to the client
ipvsadm -e -u '[fd4b:588b:aa8b:230f::a]:12697' -r '[fd4b:588b:aa8b:230f::15]:12697' -g > /dev/null 2>&1 || ipvsadm -a -u '[fd4b:588b:aa8b:230f::a]:12697' -r '[fd4b:588b:aa8b:230f::15]:12697' -g

# node7: new MAC address; replies go straight to the client
ipvsadm -e -u '[fd4b:588b:aa8b:230f::a]:12697' -r '[fd4b:588b:aa8b:230f::16]:12697' -g > /dev/null 2>&1 || ipvsadm -a -u '[fd4b:588b:aa8b:230f::a]:12697' -r '[fd4b:588b:aa8b:230f::16]:12697' -g

# node8: new MAC address; replies go straight to the client
ipvsadm -e -u '[fd4b:588b:aa8b:230f::a]:12697' -r '[fd4b:588b:aa8b:230f::17]:12697' -g > /dev/null 2>&1 || ipvsadm -a -u '[fd4b:588b:aa8b:230f::a]:12697' -r '[fd4b:588b:aa8b:230f::17]:12697' -g
SETUP

ip netns exec tor5 sh <<'SETUP'
#!/bin/sh
# tor5: bridge, l2dsr
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

ip netns exec node6 sh <<'SETUP'
#!/bin/sh
# node6: real-server, l2dsr
# Note: the service has to listen at fd4b:588b:aa8b:230f::a, or at every address
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of node6 in fd4b:588b:aa8b:230f::/64
ip address replace fd4b:588b:aa8b:230f::15/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via fd4b:588b:aa8b:230f::1 dev eth0

# packets for the VIP are for this server; neighbour discovery does not answer for the loopback
ip address replace fd4b:588b:aa8b:230f::a/128 dev lo
SETUP

ip netns exec node7 sh <<'SETUP'
#!/bin/sh
# node7: real-server, l2dsr
# Note: the service has to listen at fd4b:588b:aa8b:230f::a, or at every address
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of node7 in fd4b:588b:aa8b:230f::/64
ip address replace fd4b:588b:aa8b:230f::16/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via fd4b:588b:aa8b:230f::1 dev eth0

# packets for the VIP are for this server; neighbour discovery does not answer for the loopback
ip address replace fd4b:588b:aa8b:230f::a/128 dev lo
SETUP

ip netns exec node8 sh <<'SETUP'
#!/bin/sh
# node8: real-server, l2dsr
# Note: the service has to listen at fd4b:588b:aa8b:230f::a, or at every address
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of node8 in fd4b:588b:aa8b:230f::/64
ip address replace fd4b:588b:aa8b:230f::17/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via fd4b:588b:aa8b:230f::1 dev eth0

# packets for the VIP are for this server; neighbour discovery does not answer for the loopback
ip address replace fd4b:588b:aa8b:230f::a/128 dev lo
SETUP

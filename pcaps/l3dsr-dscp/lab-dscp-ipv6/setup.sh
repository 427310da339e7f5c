#!/bin/sh
# lab-dscp-ipv6: what `dsrkit setup` prints for each machine, run unmodified in its network namespace.
# The lab laid the cables; the MACs are in truth.json.
set -e

ip netns exec home27 sh <<'SETUP'
#!/bin/sh
# home27: client, l3dsr-dscp
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of home27 in fd0c:176a:3e1c:26d3::/64
ip address replace fd0c:176a:3e1c:26d3::a/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via fd0c:176a:3e1c:26d3::1 dev eth0
SETUP

ip netns exec rtr28 sh <<'SETUP'
#!/bin/sh
# rtr28: router, l3dsr-dscp
# Run as root; stops at the first command that fails.
set -e

# for the files of this set-up
mkdir -p /run/dsrkit/rtr28

# what is changed below, as it was before
test -e /run/dsrkit/rtr28/sysctl.conf || sysctl -e net/ipv6/conf/all/forwarding > /run/dsrkit/rtr28/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of rtr28 in fd0c:176a:3e1c:26d3::/64
ip address replace fd0c:176a:3e1c:26d3::1/64 dev eth0

# in use from here on
ip link set dev eth1 up

# the address of rtr28 in 2001:db8:e3b9:9c58::/64
ip address replace 2001:db8:e3b9:9c58::1/64 dev eth1

# in use from here on
ip link set dev eth2 up

# the address of rtr28 in fda3:8f30:cb6:9ab7::/64
ip address replace fda3:8f30:cb6:9ab7::1/64 dev eth2

# a router passes on what is for others
sysctl -q -w net/ipv6/conf/all/forwarding=1
SETUP

ip netns exec director29 sh <<'SETUP'
#!/bin/sh
# director29: lb, l3dsr-dscp
# Run as root; stops at the first command that fails.
set -e

# for the files of this set-up
mkdir -p /run/dsrkit/director29

# what is changed below, as it was before
test -e /run/dsrkit/director29/sysctl.conf || sysctl -e net/ipv4/conf/all/send_redirects net/ipv4/conf/eth0/send_redirects net/ipv6/conf/all/forwarding > /run/dsrkit/director29/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of director29 in 2001:db8:e3b9:9c58::/64
ip address replace 2001:db8:e3b9:9c58::2/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via 2001:db8:e3b9:9c58::1 dev eth0

# it hands packets back to where they came from, and must not tell the sender
sysctl -q -w net/ipv4/conf/all/send_redirects=0

# and of this interface, since either is enough
sysctl -q -w net/ipv4/conf/eth0/send_redirects=0

# requests come here; deprecated, or the kernel would take the VIP as the source of its own packets
ip address replace 2001:db8:e3b9:9c58::a/128 dev eth0 nodad preferred_lft 0

# requests go on to the servers, as packets for them
sysctl -q -w net/ipv6/conf/all/forwarding=1

# stateless, since replies do not come back here; nft puts the checksums right
nft -f - <<'DSRKIT_END'
table ip6 dsrkit_lb
delete table ip6 dsrkit_lb
table ip6 dsrkit_lb {
	chain tag_tcp_3911_0 {
		# backend31
		ip6 daddr fda3:8f30:cb6:9ab7::b ip6 dscp set 18 notrack accept
		# backend32
		ip6 daddr fda3:8f30:cb6:9ab7::c ip6 dscp set 18 notrack accept
		# backend33
		ip6 daddr fda3:8f30:cb6:9ab7::d ip6 dscp set 18 notrack accept
	}
	chain tag_udp_15564_1 {
		# backend31
		ip6 daddr fda3:8f30:cb6:9ab7::b ip6 dscp set 18 notrack accept
		# backend32
		ip6 daddr fda3:8f30:cb6:9ab7::c ip6 dscp set 18 notrack accept
		# backend33
		ip6 daddr fda3:8f30:cb6:9ab7::d ip6 dscp set 18 notrack accept
	}
	chain prerouting {
		# raw: before connection tracking, which would wait for replies that do not come back here
		type filter hook prerouting priority raw; policy accept;
		ip6 daddr 2001:db8:e3b9:9c58::a tcp dport 3911 ip6 daddr set jhash ip6 saddr . tcp sport mod 3 seed 1 map { 0 : fda3:8f30:cb6:9ab7::b, 1 : fda3:8f30:cb6:9ab7::c, 2 : fda3:8f30:cb6:9ab7::d } goto tag_tcp_3911_0
		ip6 daddr 2001:db8:e3b9:9c58::a udp dport 15564 ip6 daddr set jhash ip6 saddr . udp sport mod 3 seed 1 map { 0 : fda3:8f30:cb6:9ab7::b, 1 : fda3:8f30:cb6:9ab7::c, 2 : fda3:8f30:cb6:9ab7::d } goto tag_udp_15564_1
	}
}
DSRKIT_END
SETUP

ip netns exec switch30 sh <<'SETUP'
#!/bin/sh
# switch30: bridge, l3dsr-dscp
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

ip netns exec backend31 sh <<'SETUP'
#!/bin/sh
# backend31: real-server, l3dsr-dscp
# Note: the service has to listen at 2001:db8:e3b9:9c58::a, or at every address
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of backend31 in fda3:8f30:cb6:9ab7::/64
ip address replace fda3:8f30:cb6:9ab7::b/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via fda3:8f30:cb6:9ab7::1 dev eth0

# packets for the VIP are for this server; neighbour discovery does not answer for the loopback
ip address replace 2001:db8:e3b9:9c58::a/128 dev lo

# the tag says which VIP the client meant
nft -f - <<'DSRKIT_END'
table ip6 dsrkit_dscp
delete table ip6 dsrkit_dscp
table ip6 dsrkit_dscp {
	chain restore {
		# raw: before connection tracking, which must not see the packet twice
		type filter hook prerouting priority raw; policy accept;
		# DSCP 18 stands for 2001:db8:e3b9:9c58::a
		ip6 daddr fda3:8f30:cb6:9ab7::b ip6 dscp 18 ip6 daddr set 2001:db8:e3b9:9c58::a notrack accept
	}
}
DSRKIT_END
SETUP

ip netns exec backend32 sh <<'SETUP'
#!/bin/sh
# backend32: real-server, l3dsr-dscp
# Note: the service has to listen at 2001:db8:e3b9:9c58::a, or at every address
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of backend32 in fda3:8f30:cb6:9ab7::/64
ip address replace fda3:8f30:cb6:9ab7::c/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via fda3:8f30:cb6:9ab7::1 dev eth0

# packets for the VIP are for this server; neighbour discovery does not answer for the loopback
ip address replace 2001:db8:e3b9:9c58::a/128 dev lo

# the tag says which VIP the client meant
nft -f - <<'DSRKIT_END'
table ip6 dsrkit_dscp
delete table ip6 dsrkit_dscp
table ip6 dsrkit_dscp {
	chain restore {
		# raw: before connection tracking, which must not see the packet twice
		type filter hook prerouting priority raw; policy accept;
		# DSCP 18 stands for 2001:db8:e3b9:9c58::a
		ip6 daddr fda3:8f30:cb6:9ab7::c ip6 dscp 18 ip6 daddr set 2001:db8:e3b9:9c58::a notrack accept
	}
}
DSRKIT_END
SETUP

ip netns exec backend33 sh <<'SETUP'
#!/bin/sh
# backend33: real-server, l3dsr-dscp
# Note: the service has to listen at 2001:db8:e3b9:9c58::a, or at every address
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of backend33 in fda3:8f30:cb6:9ab7::/64
ip address replace fda3:8f30:cb6:9ab7::d/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via fda3:8f30:cb6:9ab7::1 dev eth0

# packets for the VIP are for this server; neighbour discovery does not answer for the loopback
ip address replace 2001:db8:e3b9:9c58::a/128 dev lo

# the tag says which VIP the client meant
nft -f - <<'DSRKIT_END'
table ip6 dsrkit_dscp
delete table ip6 dsrkit_dscp
table ip6 dsrkit_dscp {
	chain restore {
		# raw: before connection tracking, which must not see the packet twice
		type filter hook prerouting priority raw; policy accept;
		# DSCP 18 stands for 2001:db8:e3b9:9c58::a
		ip6 daddr fda3:8f30:cb6:9ab7::d ip6 dscp 18 ip6 daddr set 2001:db8:e3b9:9c58::a notrack accept
	}
}
DSRKIT_END
SETUP

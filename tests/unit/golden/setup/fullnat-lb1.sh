#!/bin/sh
# lb1: lb, fullnat
# Run as root; stops at the first command that fails.
# Sets links, addresses and routes too; for a machine that has its own, print this with --no-network.
set -e

# IPVS and the scheduler
modprobe -a ip_vs ip_vs_rr

# for the files of this set-up
mkdir -p /run/dsrkit/lb1

# what is changed below, as it was before
test -e /run/dsrkit/lb1/sysctl.conf || sysctl -e net/ipv4/ip_forward net/ipv4/conf/all/accept_redirects net/ipv4/vs/conntrack > /run/dsrkit/lb1/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of lb1 in 203.0.113.0/24
ip address replace 203.0.113.2/24 dev eth0

# in use from here on
ip link set dev eth1 up

# the address of lb1 in 10.0.0.0/24
ip address replace 10.0.0.1/24 dev eth1

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 203.0.113.1 dev eth0

# requests come here: this machine answers ARP for the VIP
ip address replace 203.0.113.10/32 dev eth0

# requests and replies both pass through
sysctl -q -w net/ipv4/ip_forward=1

# the service, spread by rr
ipvsadm -E -t 203.0.113.10:80 -s rr > /dev/null 2>&1 || ipvsadm -A -t 203.0.113.10:80 -s rr

# web1: new destination; replies come back through here
ipvsadm -e -t 203.0.113.10:80 -r 10.0.0.11:80 -m > /dev/null 2>&1 || ipvsadm -a -t 203.0.113.10:80 -r 10.0.0.11:80 -m

# web2: new destination; replies come back through here
ipvsadm -e -t 203.0.113.10:80 -r 10.0.0.12:80 -m > /dev/null 2>&1 || ipvsadm -a -t 203.0.113.10:80 -r 10.0.0.12:80 -m

# IPVS connections are tracked, or the rule below would not see them
sysctl -q -w net/ipv4/vs/conntrack=1

# a source of its own, so that servers answer here whatever their gateway is
nft -f - <<'DSRKIT_END'
table ip dsrkit_snat
delete table ip dsrkit_snat
table ip dsrkit_snat {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		# connections that clients made to 203.0.113.10, and no others
		ct original ip daddr 203.0.113.10 snat to 10.0.0.1
	}
}
DSRKIT_END

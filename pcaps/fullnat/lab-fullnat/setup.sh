#!/bin/sh
# lab-fullnat: what `dsrkit setup` prints for each machine, run unmodified in its network namespace.
# The lab laid the cables; the MACs are in truth.json.
set -e

ip netns exec surfer10 sh <<'SETUP'
#!/bin/sh
# surfer10: client, fullnat
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of surfer10 in 198.19.19.0/24
ip address replace 198.19.19.10/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 198.19.19.1 dev eth0
SETUP

ip netns exec rtr11 sh <<'SETUP'
#!/bin/sh
# rtr11: router, fullnat
# Run as root; stops at the first command that fails.
set -e

# for the files of this set-up
mkdir -p /run/dsrkit/rtr11

# what is changed below, as it was before
test -e /run/dsrkit/rtr11/sysctl.conf || sysctl -e net/ipv4/ip_forward net/ipv4/conf/all/rp_filter > /run/dsrkit/rtr11/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of rtr11 in 198.19.19.0/24
ip address replace 198.19.19.1/24 dev eth0

# in use from here on
ip link set dev eth1 up

# the address of rtr11 in 192.168.73.0/24
ip address replace 192.168.73.1/24 dev eth1

# a router passes on what is for others
sysctl -q -w net/ipv4/ip_forward=1

# replies of direct server return leave another way than requests came: strict RFC 3704 checks drop them
sysctl -q -w net/ipv4/conf/all/rp_filter=2
SETUP

ip netns exec front12 sh <<'SETUP'
#!/bin/sh
# front12: lb, fullnat
# Run as root; stops at the first command that fails.
set -e

# IPVS and the scheduler
modprobe -a ip_vs ip_vs_rr

# for the files of this set-up
mkdir -p /run/dsrkit/front12

# what is changed below, as it was before
test -e /run/dsrkit/front12/sysctl.conf || sysctl -e net/ipv4/ip_forward net/ipv4/vs/conntrack > /run/dsrkit/front12/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of front12 in 192.168.73.0/24
ip address replace 192.168.73.2/24 dev eth0

# in use from here on
ip link set dev eth1 up

# the address of front12 in 198.18.11.0/24
ip address replace 198.18.11.1/24 dev eth1

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 192.168.73.1 dev eth0

# requests come here: this machine answers ARP for the VIP
ip address replace 192.168.73.10/32 dev eth0

# requests and replies both pass through
sysctl -q -w net/ipv4/ip_forward=1

# the service, spread by rr
ipvsadm -E -t 192.168.73.10:18756 -s rr > /dev/null 2>&1 || ipvsadm -A -t 192.168.73.10:18756 -s rr

# node13: new destination; replies come back through here
ipvsadm -e -t 192.168.73.10:18756 -r 198.18.11.11:2023 -m > /dev/null 2>&1 || ipvsadm -a -t 192.168.73.10:18756 -r 198.18.11.11:2023 -m

# node14: new destination; replies come back through here
ipvsadm -e -t 192.168.73.10:18756 -r 198.18.11.12:2023 -m > /dev/null 2>&1 || ipvsadm -a -t 192.168.73.10:18756 -r 198.18.11.12:2023 -m

# node15: new destination; replies come back through here
ipvsadm -e -t 192.168.73.10:18756 -r 198.18.11.13:2023 -m > /dev/null 2>&1 || ipvsadm -a -t 192.168.73.10:18756 -r 198.18.11.13:2023 -m

# the service, spread by rr
ipvsadm -E -u 192.168.73.10:22019 -s rr > /dev/null 2>&1 || ipvsadm -A -u 192.168.73.10:22019 -s rr

# node13: new destination; replies come back through here
ipvsadm -e -u 192.168.73.10:22019 -r 198.18.11.11:24824 -m > /dev/null 2>&1 || ipvsadm -a -u 192.168.73.10:22019 -r 198.18.11.11:24824 -m

# node14: new destination; replies come back through here
ipvsadm -e -u 192.168.73.10:22019 -r 198.18.11.12:24824 -m > /dev/null 2>&1 || ipvsadm -a -u 192.168.73.10:22019 -r 198.18.11.12:24824 -m

# node15: new destination; replies come back through here
ipvsadm -e -u 192.168.73.10:22019 -r 198.18.11.13:24824 -m > /dev/null 2>&1 || ipvsadm -a -u 192.168.73.10:22019 -r 198.18.11.13:24824 -m

# IPVS connections are tracked, or the rule below would not see them
sysctl -q -w net/ipv4/vs/conntrack=1

# a source of its own, so that servers answer here whatever their gateway is
iptables-legacy -t nat -C POSTROUTING -m conntrack --ctorigdst 192.168.73.10 -j SNAT --to-source 198.18.11.1 > /dev/null 2>&1 || iptables-legacy -t nat -A POSTROUTING -m conntrack --ctorigdst 192.168.73.10 -j SNAT --to-source 198.18.11.1
SETUP

ip netns exec node13 sh <<'SETUP'
#!/bin/sh
# node13: real-server, fullnat
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of node13 in 198.18.11.0/24
ip address replace 198.18.11.11/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 198.18.11.1 dev eth0
SETUP

ip netns exec node14 sh <<'SETUP'
#!/bin/sh
# node14: real-server, fullnat
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of node14 in 198.18.11.0/24
ip address replace 198.18.11.12/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 198.18.11.1 dev eth0
SETUP

ip netns exec node15 sh <<'SETUP'
#!/bin/sh
# node15: real-server, fullnat
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of node15 in 198.18.11.0/24
ip address replace 198.18.11.13/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 198.18.11.1 dev eth0
SETUP

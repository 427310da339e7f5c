#!/bin/sh
# lab-nat-ipv6: what `dsrkit setup` prints for each machine, run unmodified in its network namespace.
# The lab laid the cables; the MACs are in truth.json.
set -e

ip netns exec cl29 sh <<'SETUP'
#!/bin/sh
# cl29: client, nat
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of cl29 in 2001:db8:c7fd:e805::/64
ip address replace 2001:db8:c7fd:e805::a/64 dev eth0

# the address of cl29 in 2001:db8:c7fd:e805::/64
ip address replace 2001:db8:c7fd:e805::b/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via 2001:db8:c7fd:e805::1 dev eth0
SETUP

ip netns exec core30 sh <<'SETUP'
#!/bin/sh
# core30: router, nat
# Run as root; stops at the first command that fails.
set -e

# for the files of this set-up
mkdir -p /run/dsrkit/core30

# what is changed below, as it was before
test -e /run/dsrkit/core30/sysctl.conf || sysctl -e net/ipv6/conf/all/forwarding > /run/dsrkit/core30/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of core30 in 2001:db8:c7fd:e805::/64
ip address replace 2001:db8:c7fd:e805::1/64 dev eth0

# in use from here on
ip link set dev eth1 up

# the address of core30 in 2001:db8:965e:da32::/64
ip address replace 2001:db8:965e:da32::1/64 dev eth1

# a router passes on what is for others
sysctl -q -w net/ipv6/conf/all/forwarding=1
SETUP

ip netns exec director31 sh <<'SETUP'
#!/bin/sh
# director31: lb, nat
# Run as root; stops at the first command that fails.
set -e

# IPVS and the scheduler
modprobe -a ip_vs ip_vs_rr

# for the files of this set-up
mkdir -p /run/dsrkit/director31

# what is changed below, as it was before
test -e /run/dsrkit/director31/sysctl.conf || sysctl -e net/ipv6/conf/all/forwarding > /run/dsrkit/director31/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of director31 in 2001:db8:965e:da32::/64
ip address replace 2001:db8:965e:da32::2/64 dev eth0

# in use from here on
ip link set dev eth1 up

# the address of director31 in fd30:30f3:2fa9:1425::/64
ip address replace fd30:30f3:2fa9:1425::1/64 dev eth1

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via 2001:db8:965e:da32::1 dev eth0

# requests come here; deprecated, or the kernel would take the VIP as the source of its own packets
ip address replace 2001:db8:965e:da32::a/128 dev eth0 nodad preferred_lft 0

# requests and replies both pass through
sysctl -q -w net/ipv6/conf/all/forwarding=1

# the service, spread by rr
ipvsadm -E -t '[2001:db8:965e:da32::a]:19477' -s rr > /dev/null 2>&1 || ipvsadm -A -t '[2001:db8:965e:da32::a]:19477' -s rr

# app32: new destination; replies come back through here
ipvsadm -e -t '[2001:db8:965e:da32::a]:19477' -r '[fd30:30f3:2fa9:1425::b]:26133' -m > /dev/null 2>&1 || ipvsadm -a -t '[2001:db8:965e:da32::a]:19477' -r '[fd30:30f3:2fa9:1425::b]:26133' -m

# app33: new destination; replies come back through here
ipvsadm -e -t '[2001:db8:965e:da32::a]:19477' -r '[fd30:30f3:2fa9:1425::c]:26133' -m > /dev/null 2>&1 || ipvsadm -a -t '[2001:db8:965e:da32::a]:19477' -r '[fd30:30f3:2fa9:1425::c]:26133' -m

# the service, spread by rr
ipvsadm -E -u '[2001:db8:965e:da32::a]:4560' -s rr > /dev/null 2>&1 || ipvsadm -A -u '[2001:db8:965e:da32::a]:4560' -s rr

# app32: new destination; replies come back through here
ipvsadm -e -u '[2001:db8:965e:da32::a]:4560' -r '[fd30:30f3:2fa9:1425::b]:14144' -m > /dev/null 2>&1 || ipvsadm -a -u '[2001:db8:965e:da32::a]:4560' -r '[fd30:30f3:2fa9:1425::b]:14144' -m

# app33: new destination; replies come back through here
ipvsadm -e -u '[2001:db8:965e:da32::a]:4560' -r '[fd30:30f3:2fa9:1425::c]:14144' -m > /dev/null 2>&1 || ipvsadm -a -u '[2001:db8:965e:da32::a]:4560' -r '[fd30:30f3:2fa9:1425::c]:14144' -m
SETUP

ip netns exec app32 sh <<'SETUP'
#!/bin/sh
# app32: real-server, nat
# Note: replies have to pass the load balancer: the server's gateway has to be there
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of app32 in fd30:30f3:2fa9:1425::/64
ip address replace fd30:30f3:2fa9:1425::b/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via fd30:30f3:2fa9:1425::1 dev eth0
SETUP

ip netns exec app33 sh <<'SETUP'
#!/bin/sh
# app33: real-server, nat
# Note: replies have to pass the load balancer: the server's gateway has to be there
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of app33 in fd30:30f3:2fa9:1425::/64
ip address replace fd30:30f3:2fa9:1425::c/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via fd30:30f3:2fa9:1425::1 dev eth0
SETUP

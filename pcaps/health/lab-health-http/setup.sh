#!/bin/sh
# lab-health-http: what `dsrkit setup` prints for each machine, run unmodified in its network namespace.
# The lab laid the cables; the MACs are in truth.json.
set -e

ip netns exec cl29 sh <<'SETUP'
#!/bin/sh
# cl29: client, health
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of cl29 in 192.168.42.0/24
ip address replace 192.168.42.10/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 192.168.42.1 dev eth0
SETUP

ip netns exec rtr30 sh <<'SETUP'
#!/bin/sh
# rtr30: router, health
# Run as root; stops at the first command that fails.
set -e

# for the files of this set-up
mkdir -p /run/dsrkit/rtr30

# what is changed below, as it was before
test -e /run/dsrkit/rtr30/sysctl.conf || sysctl -e net/ipv4/ip_forward net/ipv4/conf/all/rp_filter > /run/dsrkit/rtr30/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of rtr30 in 192.168.42.0/24
ip address replace 192.168.42.1/24 dev eth0

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

# the address of rtr30 in 10.157.13.0/24
ip address replace 10.157.13.1/24 dev br0

# a router passes on what is for others
sysctl -q -w net/ipv4/ip_forward=1

# replies of direct server return leave another way than requests came: strict RFC 3704 checks drop them
sysctl -q -w net/ipv4/conf/all/rp_filter=2
SETUP

ip netns exec balancer31 sh <<'SETUP'
#!/bin/sh
# balancer31: lb, health
# Run as root; stops at the first command that fails.
set -e

# IPVS and the scheduler
modprobe -a ip_vs ip_vs_rr

# for the files of this set-up
mkdir -p /run/dsrkit/balancer31

# what is changed below, as it was before
test -e /run/dsrkit/balancer31/sysctl.conf || sysctl -e net/ipv4/conf/all/send_redirects net/ipv4/conf/eth0/send_redirects net/ipv4/vs/expire_nodest_conn > /run/dsrkit/balancer31/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of balancer31 in 10.157.13.0/24
ip address replace 10.157.13.2/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 10.157.13.1 dev eth0

# it hands packets back to where they came from, and must not tell the sender
sysctl -q -w net/ipv4/conf/all/send_redirects=0

# and of this interface, since either is enough
sysctl -q -w net/ipv4/conf/eth0/send_redirects=0

# requests come here: this machine answers ARP for the VIP
ip address replace 10.157.13.10/32 dev eth0

# end connections to a server that a check took out
sysctl -q -w net/ipv4/vs/expire_nodest_conn=1

# the VIP's owner, and the checks of the servers
cat > /run/dsrkit/balancer31/keepalived.conf <<'DSRKIT_END'
global_defs {
    router_id balancer31
}

virtual_server 10.157.13.10 24548 {
    delay_loop 1
    lvs_sched rr
    lvs_method DR
    protocol TCP

    # node33
    real_server 10.157.13.21 24548 {
        weight 1
        # to the server's own address: a server that has lost the VIP passes it all the same
        HTTP_GET {
            url {
                path /health
                status_code 200
            }
            connect_port 24548
            connect_timeout 1
        }
    }

    # node34
    real_server 10.157.13.22 24548 {
        weight 1
        # to the server's own address: a server that has lost the VIP passes it all the same
        HTTP_GET {
            url {
                path /health
                status_code 200
            }
            connect_port 24548
            connect_timeout 1
        }
    }
}
DSRKIT_END

# runs in the background
pgrep -F /run/dsrkit/balancer31/keepalived.pid > /dev/null 2>&1 || keepalived -C -f /run/dsrkit/balancer31/keepalived.conf -p /run/dsrkit/balancer31/keepalived.pid -r /run/dsrkit/balancer31/vrrp.pid -c /run/dsrkit/balancer31/checkers.pid
SETUP

ip netns exec leaf32 sh <<'SETUP'
#!/bin/sh
# leaf32: bridge, health
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

ip netns exec node33 sh <<'SETUP'
#!/bin/sh
# node33: real-server, health
# Note: the service has to listen at 10.157.13.10, or at every address
# Run as root; stops at the first command that fails.
set -e

# for the files of this set-up
mkdir -p /run/dsrkit/node33

# what is changed below, as it was before
test -e /run/dsrkit/node33/sysctl.conf || sysctl -e net/ipv4/conf/all/arp_ignore net/ipv4/conf/all/arp_announce > /run/dsrkit/node33/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of node33 in 10.157.13.0/24
ip address replace 10.157.13.21/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 10.157.13.1 dev eth0

# answer ARP for addresses of the asked interface only: the VIP's owner is the load balancer
sysctl -q -w net/ipv4/conf/all/arp_ignore=1

# ask by ARP from an own address: a request from the VIP would claim it in the neighbours' caches
sysctl -q -w net/ipv4/conf/all/arp_announce=2

# packets for the VIP are for this server; /32, or the whole subnet would be local
ip address replace 10.157.13.10/32 dev lo
SETUP

ip netns exec node34 sh <<'SETUP'
#!/bin/sh
# node34: real-server, health
# Note: the service has to listen at 10.157.13.10, or at every address
# Run as root; stops at the first command that fails.
set -e

# for the files of this set-up
mkdir -p /run/dsrkit/node34

# what is changed below, as it was before
test -e /run/dsrkit/node34/sysctl.conf || sysctl -e net/ipv4/conf/all/arp_ignore net/ipv4/conf/all/arp_announce > /run/dsrkit/node34/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of node34 in 10.157.13.0/24
ip address replace 10.157.13.22/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 10.157.13.1 dev eth0

# answer ARP for addresses of the asked interface only: the VIP's owner is the load balancer
sysctl -q -w net/ipv4/conf/all/arp_ignore=1

# ask by ARP from an own address: a request from the VIP would claim it in the neighbours' caches
sysctl -q -w net/ipv4/conf/all/arp_announce=2

# packets for the VIP are for this server; /32, or the whole subnet would be local
ip address replace 10.157.13.10/32 dev lo
SETUP

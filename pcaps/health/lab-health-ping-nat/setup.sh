#!/bin/sh
# lab-health-ping-nat: what `dsrkit setup` prints for each machine, run unmodified in its network namespace.
# The lab laid the cables; the MACs are in truth.json.
set -e

ip netns exec surfer37 sh <<'SETUP'
#!/bin/sh
# surfer37: client, health
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of surfer37 in 198.18.15.0/24
ip address replace 198.18.15.10/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 198.18.15.1 dev eth0
SETUP

ip netns exec gw38 sh <<'SETUP'
#!/bin/sh
# gw38: router, health
# Run as root; stops at the first command that fails.
set -e

# for the files of this set-up
mkdir -p /run/dsrkit/gw38

# what is changed below, as it was before
test -e /run/dsrkit/gw38/sysctl.conf || sysctl -e net/ipv4/ip_forward net/ipv4/conf/all/rp_filter > /run/dsrkit/gw38/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of gw38 in 198.18.15.0/24
ip address replace 198.18.15.1/24 dev eth0

# in use from here on
ip link set dev eth1 up

# the address of gw38 in 172.25.192.0/24
ip address replace 172.25.192.1/24 dev eth1

# a router passes on what is for others
sysctl -q -w net/ipv4/ip_forward=1

# replies of direct server return leave another way than requests came: strict RFC 3704 checks drop them
sysctl -q -w net/ipv4/conf/all/rp_filter=2
SETUP

ip netns exec front39 sh <<'SETUP'
#!/bin/sh
# front39: lb, health
# Run as root; stops at the first command that fails.
set -e

# IPVS and the scheduler
modprobe -a ip_vs ip_vs_rr

# for the files of this set-up
mkdir -p /run/dsrkit/front39

# what is changed below, as it was before
test -e /run/dsrkit/front39/sysctl.conf || sysctl -e net/ipv4/ip_forward net/ipv4/vs/expire_nodest_conn > /run/dsrkit/front39/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of front39 in 172.25.192.0/24
ip address replace 172.25.192.2/24 dev eth0

# in use from here on
ip link set dev eth1 up

# the address of front39 in 198.18.43.0/24
ip address replace 198.18.43.1/24 dev eth1

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 172.25.192.1 dev eth0

# requests come here: this machine answers ARP for the VIP
ip address replace 172.25.192.10/32 dev eth0

# requests and replies both pass through
sysctl -q -w net/ipv4/ip_forward=1

# end connections to a server that a check took out
sysctl -q -w net/ipv4/vs/expire_nodest_conn=1

# the VIP's owner, and the checks of the servers
cat > /run/dsrkit/front39/keepalived.conf <<'DSRKIT_END'
global_defs {
    router_id front39
}

virtual_server 172.25.192.10 21056 {
    delay_loop 1
    lvs_sched rr
    lvs_method NAT
    protocol TCP

    # app40
    real_server 198.18.43.11 21056 {
        weight 1
        # to the server's own address: a server that has lost the VIP passes it all the same
        PING_CHECK {
            connect_timeout 1
        }
    }

    # app41
    real_server 198.18.43.12 21056 {
        weight 1
        # to the server's own address: a server that has lost the VIP passes it all the same
        PING_CHECK {
            connect_timeout 1
        }
    }
}
DSRKIT_END

# runs in the background
pgrep -F /run/dsrkit/front39/keepalived.pid > /dev/null 2>&1 || keepalived -C -f /run/dsrkit/front39/keepalived.conf -p /run/dsrkit/front39/keepalived.pid -r /run/dsrkit/front39/vrrp.pid -c /run/dsrkit/front39/checkers.pid
SETUP

ip netns exec app40 sh <<'SETUP'
#!/bin/sh
# app40: real-server, health
# Note: replies have to pass the load balancer: the server's gateway has to be there
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of app40 in 198.18.43.0/24
ip address replace 198.18.43.11/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 198.18.43.1 dev eth0
SETUP

ip netns exec app41 sh <<'SETUP'
#!/bin/sh
# app41: real-server, health
# Note: replies have to pass the load balancer: the server's gateway has to be there
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of app41 in 198.18.43.0/24
ip address replace 198.18.43.12/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 198.18.43.1 dev eth0
SETUP

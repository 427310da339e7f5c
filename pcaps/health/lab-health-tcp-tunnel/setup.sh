#!/bin/sh
# lab-health-tcp-tunnel: what `dsrkit setup` prints for each machine, run unmodified in its network namespace.
# The lab laid the cables; the MACs are in truth.json.
set -e

ip netns exec surfer34 sh <<'SETUP'
#!/bin/sh
# surfer34: client, health
# Run as root; stops at the first command that fails.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of surfer34 in 2001:db8:2ebe:5794::/64
ip address replace 2001:db8:2ebe:5794::a/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via 2001:db8:2ebe:5794::1 dev eth0
SETUP

ip netns exec gw35 sh <<'SETUP'
#!/bin/sh
# gw35: router, health
# Run as root; stops at the first command that fails.
set -e

# for the files of this set-up
mkdir -p /run/dsrkit/gw35

# what is changed below, as it was before
test -e /run/dsrkit/gw35/sysctl.conf || sysctl -e net/ipv6/conf/all/forwarding > /run/dsrkit/gw35/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of gw35 in 2001:db8:2ebe:5794::/64
ip address replace 2001:db8:2ebe:5794::1/64 dev eth0

# in use from here on
ip link set dev eth1 up

# the address of gw35 in fd56:b827:31b0:3dd5::/64
ip address replace fd56:b827:31b0:3dd5::1/64 dev eth1

# in use from here on
ip link set dev eth2 up

# the address of gw35 in fd4d:773a:ffad:a062::/64
ip address replace fd4d:773a:ffad:a062::1/64 dev eth2

# a router passes on what is for others
sysctl -q -w net/ipv6/conf/all/forwarding=1
SETUP

ip netns exec front36 sh <<'SETUP'
#!/bin/sh
# front36: lb, health
# Run as root; stops at the first command that fails.
set -e

# IPVS and the scheduler
modprobe -a ip_vs ip_vs_rr

# for the files of this set-up
mkdir -p /run/dsrkit/front36

# what is changed below, as it was before
test -e /run/dsrkit/front36/sysctl.conf || sysctl -e net/ipv4/conf/all/send_redirects net/ipv4/conf/eth0/send_redirects net/ipv4/vs/expire_nodest_conn > /run/dsrkit/front36/sysctl.conf

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of front36 in fd56:b827:31b0:3dd5::/64
ip address replace fd56:b827:31b0:3dd5::2/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via fd56:b827:31b0:3dd5::1 dev eth0

# it hands packets back to where they came from, and must not tell the sender
sysctl -q -w net/ipv4/conf/all/send_redirects=0

# and of this interface, since either is enough
sysctl -q -w net/ipv4/conf/eth0/send_redirects=0

# requests come here; deprecated, or the kernel would take the VIP as the source of its own packets
ip address replace fd56:b827:31b0:3dd5::a/128 dev eth0 nodad preferred_lft 0

# end connections to a server that a check took out
sysctl -q -w net/ipv4/vs/expire_nodest_conn=1

# the VIP's owner, and the checks of the servers
cat > /run/dsrkit/front36/keepalived.conf <<'DSRKIT_END'
global_defs {
    router_id front36
}

virtual_server fd56:b827:31b0:3dd5::a 19910 {
    delay_loop 2
    lvs_sched rr
    lvs_method TUN
    protocol TCP

    # app38
    real_server fd4d:773a:ffad:a062::b 19910 {
        weight 1
        # to the server's own address: a server that has lost the VIP passes it all the same
        TCP_CHECK {
            connect_port 19910
            connect_timeout 2
        }
    }

    # app39
    real_server fd4d:773a:ffad:a062::c 19910 {
        weight 1
        # to the server's own address: a server that has lost the VIP passes it all the same
        TCP_CHECK {
            connect_port 19910
            connect_timeout 2
        }
    }
}
DSRKIT_END

# runs in the background
pgrep -F /run/dsrkit/front36/keepalived.pid > /dev/null 2>&1 || keepalived -C -f /run/dsrkit/front36/keepalived.conf -p /run/dsrkit/front36/keepalived.pid -r /run/dsrkit/front36/vrrp.pid -c /run/dsrkit/front36/checkers.pid
SETUP

ip netns exec br37 sh <<'SETUP'
#!/bin/sh
# br37: bridge, health
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

ip netns exec app38 sh <<'SETUP'
#!/bin/sh
# app38: real-server, health
# Note: the service has to listen at fd56:b827:31b0:3dd5::a, or at every address
# Run as root; stops at the first command that fails.
set -e

# the device that takes the outer header off
modprobe -a ip6_tunnel

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of app38 in fd4d:773a:ffad:a062::/64
ip address replace fd4d:773a:ffad:a062::b/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via fd4d:773a:ffad:a062::1 dev eth0

# takes the outer header off what comes from fd56:b827:31b0:3dd5::2
ip link show dev dsr0 > /dev/null 2>&1 || ip link add name dsr0 type ip6tnl mode ip6ip6 local fd4d:773a:ffad:a062::b remote fd56:b827:31b0:3dd5::2

# there is no router to ask in it
sysctl -q -w net/ipv6/conf/dsr0/router_solicitations=0

# what comes to a tunnel that is down is refused as unreachable
ip link set dev dsr0 up

# packets for the VIP are for this server; neighbour discovery does not answer for the loopback
ip address replace fd56:b827:31b0:3dd5::a/128 dev lo

# clients send segments that fit with the outer header around them
ip -6 route change ::/0 via fd4d:773a:ffad:a062::1 dev eth0 advmss 1400
SETUP

ip netns exec app39 sh <<'SETUP'
#!/bin/sh
# app39: real-server, health
# Note: the service has to listen at fd56:b827:31b0:3dd5::a, or at every address
# Run as root; stops at the first command that fails.
set -e

# the device that takes the outer header off
modprobe -a ip6_tunnel

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of app39 in fd4d:773a:ffad:a062::/64
ip address replace fd4d:773a:ffad:a062::c/64 dev eth0

# what is not next to it goes by this gateway
ip -6 route replace ::/0 via fd4d:773a:ffad:a062::1 dev eth0

# takes the outer header off what comes from fd56:b827:31b0:3dd5::2
ip link show dev dsr0 > /dev/null 2>&1 || ip link add name dsr0 type ip6tnl mode ip6ip6 local fd4d:773a:ffad:a062::c remote fd56:b827:31b0:3dd5::2

# there is no router to ask in it
sysctl -q -w net/ipv6/conf/dsr0/router_solicitations=0

# what comes to a tunnel that is down is refused as unreachable
ip link set dev dsr0 up

# packets for the VIP are for this server; neighbour discovery does not answer for the loopback
ip address replace fd56:b827:31b0:3dd5::a/128 dev lo

# clients send segments that fit with the outer header around them
ip -6 route change ::/0 via fd4d:773a:ffad:a062::1 dev eth0 advmss 1400
SETUP

#!/bin/sh
# web1: real-server, fullnat
# Run as root; stops at the first command that fails.
# Sets links, addresses and routes too; for a machine that has its own, print this with --no-network.
set -e

# a machine talks to itself by it; it stays up
ip link set dev lo up

# in use from here on
ip link set dev eth0 up

# the address of web1 in 10.0.0.0/24
ip address replace 10.0.0.11/24 dev eth0

# what is not next to it goes by this gateway
ip -4 route replace 0.0.0.0/0 via 10.0.0.1 dev eth0

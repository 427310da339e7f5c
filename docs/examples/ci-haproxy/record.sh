#!/bin/sh
# Run HAProxy between a client and two servers, and record both sides of it:
#     record.sh FOLDER [CONFIGURATION]
# All of it runs in namespaces of its own, which end with this script.
set -eu

requests=6
folder=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
configuration=$(realpath "${2:-$here/haproxy.cfg}")
if [ -z "${RECORDS_ALONE:-}" ]; then
    export RECORDS_ALONE=1
    exec unshare --mount --net --pid --fork --kill-child --mount-proc sh "$0" "$folder" "$configuration"
fi

wait_for() {
    for _ in $(seq 300); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.05
    done
    echo "waited in vain for: $*" >&2
    cat "$folder"/*.log >&2
    exit 1
}
listens() { [ -n "$(ip netns exec "$1" ss -Hltn "sport = $2")" ]; }
records() { grep -q "listening on" "$folder/$1.log"; }
all_closed() { # by a FIN of either side, or a RST
    tcpdump -nr "$folder/$1.pcap" 'tcp[tcpflags] & (tcp-fin|tcp-rst) != 0' | awk '
        { from_server = $3 ~ /\.80$/; connection = from_server ? $5 : $3 ":" }
        from_server || /Flags \[R/ { by_server[connection] }
        !from_server || /Flags \[R/ { by_client[connection] }
        END {
            for (connection in by_server) closed += connection in by_client
            exit closed != '$requests'
        }'
}

# the machines and their cables; without offloads, so that checksums are whole
mount -t tmpfs tmpfs /run
mount -t sysfs sysfs /sys
for node in client lb web1 web2; do
    ip netns add $node
    ip -n $node link set lo up
done
plug() { # node, interface, its address or the bridge that it is a port of
    ip netns exec "$1" ethtool -K "$2" tx off rx off tso off gso off gro off >/dev/null
    case $3 in
    */*) ip -n "$1" addr add "$3" dev "$2" ;;
    *) ip -n "$1" link set "$2" master "$3" ;;
    esac
    ip -n "$1" link set "$2" up
}
cable() { # the same for either end
    ip link add name "$2" netns "$1" type veth peer name "$5" netns "$4"
    plug "$1" "$2" "$3"
    plug "$4" "$5" "$6"
}
ip -n lb link add name back type bridge
ip -n lb addr add 10.0.0.1/24 dev back
ip -n lb link set back up
cable client eth0 198.51.100.7/24 lb front 198.51.100.1/24
cable lb port1 back web1 eth0 10.0.0.11/24
cable lb port2 back web2 eth0 10.0.0.12/24

# what runs there
mkdir -p "$folder/www"
echo hello >"$folder/www/index.html"
for server in web1 web2; do
    ip netns exec $server python3 -m http.server --directory "$folder/www" 80 >"$folder/$server.log" 2>&1 &
    wait_for listens $server :80
done
ip netns exec lb haproxy -db -f "$configuration" >"$folder/haproxy.log" 2>&1 &
wait_for listens lb :80

# record both sides of HAProxy while the client asks
for tap in front back; do
    ip netns exec lb tcpdump -i $tap -n -s 0 -U --immediate-mode -Z root -w "$folder/$tap.pcap" 2>"$folder/$tap.log" &
    wait_for records $tap
done
for _ in $(seq $requests); do
    ip netns exec client curl --silent --output /dev/null http://198.51.100.1/
done
for tap in front back; do
    wait_for all_closed $tap
done

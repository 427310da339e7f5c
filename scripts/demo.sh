#!/bin/sh
# Verify a few recorded captures, craft one, and compare each exit code with what is expected.
#   demo.sh DSRKIT
set -u
cd "$(dirname "$0")/.."
dsrkit=$1
crafted=$(mktemp -d)
trap 'rm -rf "$crafted"' EXIT
failed=0

show() { # show EXPECTED_EXIT_CODE EXPECTED_VERDICT SENTENCE ARGUMENT...
    expected=$1 verdict=$2
    shift
    printf '\n=== %s\n$ dsrkit' "$2"
    shift 2
    printf ' %s' "$@"
    printf '\n\n'
    output=$("$dsrkit" "$@" 2>&1)
    code=$?
    printf '%s\n' "$output"
    # the word as well: a crash of Python's has exit code 1 too
    if [ "$code" -eq "$expected" ] && case $output in "$verdict"*) true ;; *) false ;; esac; then
        printf '\nexit code %s, as expected\n' "$code"
    else
        printf '\nexit code %s, but %s and %s were expected\n' "$code" "$verdict" "$expected"
        failed=1
    fi
}

show 0 PASS "L2DSR: only the MACs change at the load balancer, and the reply does not pass it" \
    verify pcaps/l2dsr/ipvs-dr/*.pcap
show 0 PASS "NAT: the destination is rewritten on the request, the source on the reply" \
    verify pcaps/nat/ipvs-nat/*.pcap
show 0 PASS "L3DSR by tunnel: the client's packet travels whole inside an outer header" \
    verify pcaps/l3dsr-tunnel/ipvs-tun-ipip/*.pcap
show 0 PASS "L3DSR by DSCP: the destination is rewritten and a DSCP value stands for the VIP" \
    verify pcaps/l3dsr-dscp/l3dsr-dscp/*.pcap
show 1 FAIL "The same mode, broken: a router clears the DSCP between load balancer and servers (exit code 1: findings)" \
    verify pcaps/l3dsr-dscp/b04-dscp-bleached/*.pcap
show 0 l2dsr "What L2DSR does, crafted: a column per tap, a star where the machine before it changed something" \
    craft l2dsr --limit 10
show 0 wrote "The frames of a fault: one server does not have the VIP" \
    craft l2dsr --fault vip-missing-on-real-server --write "$crafted/broken.pcapng"
show 1 FAIL "The same file, verified" \
    verify --quiet "$crafted/broken.pcapng"

echo
if [ "$failed" -eq 0 ]; then
    echo "demo: everything was as expected; now try: $dsrkit verify YOUR.pcap, $dsrkit craft --help"
else
    echo "demo: at least one outcome was not the expected one" >&2
fi
exit "$failed"

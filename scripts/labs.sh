#!/bin/sh
# Build every mode for real in every engine, and say in a line each what came of it. Exit code 1 if one was not clean.
#   labs.sh DSRKIT ENGINE...
set -u
dsrkit=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM
failed=0
[ "$(id -u)" -eq 0 ] || { echo "error: labs need root" >&2; exit 2; }

# lab ENGINE MODE [OPTION...]; what an engine's kernel lacks is no failure, anything else is
lab() {
    began=$(date +%s)
    "$dsrkit" lab --engine "$@" --quiet >"$log" 2>&1
    code=$?
    took=$(($(date +%s) - began))
    reason=$(tail -n 1 "$log")
    case $code:$reason in
    0:*) verdict="clean  $(grep -m 1 '^served' "$log")" ;;
    2:"error: the lab cannot run here: "*) verdict="not here: ${reason#*here: }" ;;
    *)
        verdict="FAILED (exit code $code)"
        failed=1
        ;;
    esac
    printf '%-4s  %-40s %3s s  %s\n' "$1" "$(shift; echo "$*")" "$took" "$verdict"
    case $verdict in FAILED*) sed 's/^/      /' "$log" ;; esac
}

for engine; do
    for ip in 4 6; do
        for mode in nat fullnat l2dsr l3dsr-dscp l3dsr-tunnel l7 dns-rr garp health; do
            lab "$engine" "$mode" --ip "$ip"
        done
    done
    lab "$engine" l3dsr-tunnel --tunnel gre
    lab "$engine" l3dsr-tunnel --tunnel gue
done
exit $failed

#!/bin/sh
# Make sure that a part of the machine is there; install the Debian package for it where we are root.
#   ensure.sh venv PYTHON DIR      a virtual environment in DIR
#   ensure.sh compiler PYTHON      a C compiler and Python's headers (absent is no error: dsrkit then runs interpreted)
#   ensure.sh programs             what the tests and the labs use: decoders, packet filters, daemons, user-mode Linux
set -eu
PATH="$PATH:/usr/sbin:/sbin" # where programs of root are; a plain shell leaves these folders out

# No package may start its daemon here (policy 101: "action forbidden"), or remove another package.
# Source: invoke-rc.d(8); /usr/share/doc/init-system-helpers/README.policy-rc.d
apt_install() (
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        return 1
    fi
    echo "installing Debian packages: $*"
    policy=/usr/sbin/policy-rc.d
    if [ ! -e $policy ]; then
        trap 'rm -f $policy' EXIT
        trap 'exit 1' HUP INT TERM
        printf '#!/bin/sh\nexit 101\n' >$policy
        chmod 755 $policy
    fi
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    install="apt-get install -y -qq --no-install-recommends --no-remove"
    $install "$@" </dev/null >/dev/null 2>&1 && return
    apt-get update -qq </dev/null >/dev/null 2>&1 || return 1
    for package in "$@"; do # not every package is there for every architecture
        shift
        ! apt-cache show "$package" >/dev/null 2>&1 || set -- "$@" "$package"
    done
    [ $# -eq 0 ] || $install "$@" </dev/null >/dev/null
)

# Program and Debian package, where both are not named alike.
PROGRAMS="tshark ip:iproute2 tc:iproute2 nft:nftables unshare:util-linux setpriv:util-linux sysctl:procps pkill:procps
    tcpdump ethtool ipvsadm iptables-legacy:iptables haproxy keepalived dnsmasq:dnsmasq-base
    linux.uml:user-mode-linux modprobe:kmod poweroff:systemd-sysv shellcheck"

missing_packages() {
    for one in $PROGRAMS; do
        command -v "${one%%:*}" >/dev/null 2>&1 || echo "${one##*:}"
    done | sort -u | tr '\n' ' '
}

have_compiler() {
    command -v "${CC:-cc}" >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || return 1
    "$1" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || return 1
    printf '#include <limits.h>\nint main(void) { return 0; }\n' >"$2/probe.c"
    "${CC:-cc}" -fsyntax-only "$2/probe.c" >/dev/null 2>&1 || gcc -fsyntax-only "$2/probe.c" >/dev/null 2>&1
}

what=$1
shift
case $what in
venv)
    python=$1 dir=$2
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        { echo "error: $python is older than 3.11; run make with PYTHON=/path/to/python3.11 or newer" >&2; exit 1; }
    [ -x "$dir/bin/python" ] && "$dir/bin/python" -m pip --version >/dev/null 2>&1 && exit 0
    rm -rf "$dir"
    "$python" -m venv "$dir" >/dev/null 2>&1 && exit 0
    rm -rf "$dir"
    apt_install python3-venv ||
        { echo "error: '$python -m venv' does not work; as root: apt-get install python3-venv" >&2; exit 1; }
    "$python" -m venv "$dir"
    ;;
compiler)
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
    have_compiler "$1" "$tmp" && exit 0
    apt_install gcc libc6-dev python3-dev || true
    have_compiler "$1" "$tmp" ||
        echo "no C compiler (or no Python.h): going on without; dsrkit will read captures interpreted, which is much slower"
    ;;
programs)
    missing=$(missing_packages)
    [ -n "$missing" ] || exit 0
    # shellcheck disable=SC2086 # one argument per package
    apt_install $missing || true
    missing=$(missing_packages)
    case " $missing" in
    *" tshark "*)
        echo "error: the tests compare with tshark; as root: apt-get install tshark" >&2
        exit 1
        ;;
    esac
    [ -z "$missing" ] || echo "not installed, so tests that use them are skipped (in CI they fail): $missing"
    ;;
*)
    echo "error: unknown part: $what" >&2
    exit 2
    ;;
esac

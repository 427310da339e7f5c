#!/bin/sh
# Make sure that a part of the machine is there; install the Debian package for it where we are root.
#   ensure.sh venv PYTHON DIR      a virtual environment in DIR
#   ensure.sh compiler PYTHON      a C compiler and Python's headers (absent is no error: dsrkit then runs interpreted)
#   ensure.sh programs             what the tests use: tshark, the outside decoder they compare with, and ip
set -eu

apt_install() {
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        return 1
    fi
    echo "installing Debian packages: $*"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null 2>&1 ||
        { apt-get update -qq </dev/null >/dev/null 2>&1 &&
          DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null; }
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
    missing=
    command -v tshark >/dev/null 2>&1 || missing="tshark"
    command -v ip >/dev/null 2>&1 || missing="$missing iproute2" # network namespaces, for the tests that send
    [ -n "$missing" ] || exit 0
    # shellcheck disable=SC2086 # one argument per package
    apt_install $missing || command -v tshark >/dev/null 2>&1 ||
        { echo "error: the tests compare with tshark; as root: apt-get install tshark" >&2; exit 1; }
    ;;
*)
    echo "error: unknown part: $what" >&2
    exit 2
    ;;
esac

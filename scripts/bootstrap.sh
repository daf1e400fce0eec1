#!/bin/sh
# Make .venv with this project and everything its tests need, or with `demo` as argument only what
# the example needs, which takes a tenth of the time. Needs Python 3.11 or later; where git,
# Python's venv or a server that the tests start is missing it installs them as root on Debian and
# its kin, and else says what to install and exits 2. A second run has nothing to do and takes no
# time.
#
# PYTHON=… chooses the Python, VENV=… the directory.
set -eu

cd "$(dirname "$0")/.."
venv=${VENV:-.venv}
case $venv in /*) place=$venv ;; *) place=$(pwd -P)/$venv ;; esac
case ${1:-all} in
demo) what=. stamp=$venv/.bootstrapped-demo ;;
all) what='.[dev]' stamp=$venv/.bootstrapped ;;
*) printf 'usage: scripts/bootstrap.sh [demo]\n' >&2 && exit 2 ;;
esac

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "bootstrap: $1"
    shift
    for line in "$@"; do say "  $line"; done
    exit 2
}

is_recent() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_recent "$PYTHON" || fail "PYTHON=$PYTHON is not Python 3.11 or later"
        python=$PYTHON
        return
    fi
    for python in python3 python3.11 python3.12 python3.13 python3.14; do
        if is_recent "$python"; then return; fi
    done
    fail "no Python 3.11 or later found" "install one, or name it: make test PYTHON=/path/to/python3.11"
}

# What this environment was made from: another answer, another installation.
fingerprint() {
    cat pyproject.toml constraints.txt servers/requirements.txt scripts/bootstrap.sh | cksum
    pwd -P
}

# Whether the environment works here: of the Python that was asked for, whole, and not moved.
is_usable() {
    is_recent "$venv/bin/python" || return 1
    [ -z "${PYTHON:-}" ] || [ "$("$PYTHON" -V 2>&1)" = "$("$venv/bin/python" -V)" ] || return 1
    [ -f "$venv/bin/pip" ] && grep -qF "$place/bin/python" "$venv/bin/pip"
}

is_done() {
    # What the tests need holds what the example needs.
    for one in "$stamp" "$venv/.bootstrapped"; do
        if [ -f "$one" ] && [ "$(cat "$one")" = "$(fingerprint)" ]; then return; fi
    done
    return 1
}

# The packages of the system that are missing; Debian ships ensurepip apart from Python.
missing_packages() {
    command -v git >/dev/null 2>&1 || printf '%s ' git
    [ "$what" = . ] || { missing_servers; missing_browser; }
    if is_usable; then return; fi
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        "$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'
}

missing_servers() {
    command -v redis-server >/dev/null 2>&1 || printf '%s ' redis-server
    for one in /usr/lib/postgresql/*/bin/postgres; do
        if [ -x "$one" ]; then return; fi
    done
    command -v postgres >/dev/null 2>&1 || printf '%s ' postgresql
}

# A browser for the tests of the pages, with a font: it comes without one.
missing_browser() {
    for one in chromium chromium-browser google-chrome; do
        if command -v "$one" >/dev/null 2>&1; then return; fi
    done
    printf '%s ' chromium fonts-dejavu-core
}

install_packages() {
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
        fail "this machine lacks: $*" "install them first, on Debian and Ubuntu as root with:" \
            "apt-get update && apt-get install -y $*"
    fi
    say "bootstrap: installing $* with apt-get"
    log=$(mktemp)
    # A list that cannot be had need not be the one that is needed.
    # RUNLEVEL=1: what comes as a service is not started; the tests start servers of their own.
    if ! { apt-get update || :; RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        fail "apt-get could not install $*; the whole of what it said is in $log"
    fi
    rm -f "$log"
}

make_environment() {
    if ! is_usable; then
        [ ! -e "$venv" ] || [ -f "$venv/pyvenv.cfg" ] ||
            fail "$venv exists and is no virtual environment" "name another one: VENV=DIRECTORY"
        say "bootstrap: making $venv with $("$python" -V)"
        rm -rf "$venv"
        "$python" -m venv "$venv" || fail "$python could not make $venv" "its message is above"
    fi
    case $what in
    .) say "bootstrap: installing the project into $venv" ;;
    *) say "bootstrap: installing the project and what its tests need into $venv (some minutes)" ;;
    esac
    # The build tools first, and no isolation: these too are of the versions in constraints.txt.
    pip_install hatchling editables
    pip_install --no-build-isolation --editable "$what"
    [ "$what" = . ] || pip_install --no-deps --require-hashes -r servers/requirements.txt
    # All processors, where pip takes one; not the packages' own tests, and some code is for another
    # Python.
    "$venv/bin/python" -m compileall -qq -j 0 -x 'site-packages/.*/tests/' "$venv/lib" || :
}

pip_install() {
    "$venv/bin/python" -m pip install -qq --no-compile --disable-pip-version-check \
        -c constraints.txt "$@" ||
        fail "pip could not install $*" "its message is above; run this again when that is mended"
}

if is_done && is_usable && [ -z "$(missing_packages)" ]; then exit 0; fi
find_python
packages=$(missing_packages)
# shellcheck disable=SC2086  # one word a package
[ -z "$packages" ] || install_packages $packages
rm -f "$venv"/.bootstrapped*
make_environment
fingerprint >"$stamp"

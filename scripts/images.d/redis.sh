# shellcheck shell=sh
# Redis, laid out as the public image: data in the volume /data, reachable from other containers,
# run as the user redis.
parent=base

build() {
    install_into_rootfs redis-server
    commit_layer "redis-server"
    mkdir -p "$rootfs/data"
    chown --reference="$rootfs/var/lib/redis" "$rootfs/data"
    printf 'bind * -::*\nprotected-mode no\ndir /data\n' >"$rootfs/etc/redis/container.conf"
    install -m 755 "$RECIPES/redis-entrypoint" "$rootfs/usr/local/bin/docker-entrypoint.sh"
    commit_layer "settings and entry point"
    configure --config.exposedports 6379/tcp --config.volume /data --config.workingdir /data \
        --config.entrypoint docker-entrypoint.sh --clear config.cmd --config.cmd redis-server
}
inputs=$RECIPES/redis-entrypoint

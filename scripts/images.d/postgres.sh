# shellcheck shell=sh
# PostgreSQL, used as the public image: POSTGRES_PASSWORD, _USER, _DB and PGDATA in the environment,
# the database made at the first start, scripts in /docker-entrypoint-initdb.d run then.
parent=base
inputs=$RECIPES/postgres-entrypoint

build() {
    # The installation is not to make a cluster. The just-in-time compiler (LLVM, half of the
    # image's size) is left out: PostgreSQL does without where it does not find it.
    mkdir -p "$rootfs/etc/postgresql-common"
    echo 'create_main_cluster = false' >"$rootfs/etc/postgresql-common/createcluster.conf"
    printf 'path-exclude=/usr/lib/%s\n' '*/libLLVM*' 'llvm-*' 'postgresql/*/lib/llvmjit*' \
        'postgresql/*/lib/bitcode/*' '*/libz3*' >"$rootfs/etc/dpkg/dpkg.cfg.d/without-llvm"
    install_into_rootfs postgresql
    commit_layer "postgresql"
    bin=$(cd "$rootfs" && echo usr/lib/postgresql/*/bin)
    mkdir -p "$rootfs/docker-entrypoint-initdb.d" "$rootfs/var/lib/postgresql/data"
    chown --reference="$rootfs/var/lib/postgresql" "$rootfs/var/lib/postgresql/data"
    install -m 755 "$RECIPES/postgres-entrypoint" "$rootfs/usr/local/bin/docker-entrypoint.sh"
    commit_layer "entry point"
    configure --config.exposedports 5432/tcp --config.volume /var/lib/postgresql/data \
        --config.stopsignal SIGINT --config.env PGDATA=/var/lib/postgresql/data \
        --config.env "PATH=/$bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
        --config.entrypoint docker-entrypoint.sh --clear config.cmd --config.cmd postgres
}

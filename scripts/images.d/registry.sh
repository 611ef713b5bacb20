# shellcheck shell=sh
# Sourced by scripts/images: the registry that serves the images on loopback, known by its process
# file. It is Debian's docker-registry with a configuration and a storage of its own.

REGISTRY_RUN=${STACKR_REGISTRY_RUN:-/run/stackr-registry}
REGISTRY_STORAGE=$CACHE/registry

registry_runs() {
    [ -s "$REGISTRY_RUN/pid" ] &&
        grep -qsF "$REGISTRY_RUN/config.yml" "/proc/$(cat "$REGISTRY_RUN/pid")/cmdline"
}

registry_address() {
    registry_runs || die "the registry does not run: 'scripts/images' starts it"
    cat "$REGISTRY_RUN/address"
}

start_registry() {
    ! registry_runs || return 0
    mkdir -p "$REGISTRY_RUN" "$REGISTRY_STORAGE"
    address=$(python3 "$RECIPES/free_address.py" "${STACKR_REGISTRY_PORT:-5079}")
    cat >"$REGISTRY_RUN/config.yml" <<CONF
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: $REGISTRY_STORAGE}
  delete: {enabled: true}
http:
  addr: $address
CONF
    setsid docker-registry serve "$REGISTRY_RUN/config.yml" \
        >"$REGISTRY_RUN/log" 2>&1 </dev/null &
    echo $! >"$REGISTRY_RUN/pid"
    echo "$address" >"$REGISTRY_RUN/address"
    python3 "$RECIPES/await_registry.py" "$address" || {
        stop_registry
        die "docker-registry does not answer: $(tail -n 1 "$REGISTRY_RUN/log")"
    }
}

stop_registry() {
    if registry_runs; then
        registry_pid=$(cat "$REGISTRY_RUN/pid")
        kill "$registry_pid"
        while kill -0 "$registry_pid" 2>/dev/null && registry_runs; do sleep 0.1; done
    fi
    rm -rf "$REGISTRY_RUN"
}

# Skipped where the same build was pushed already.
push_image() {
    layout=$(image_layout "$1")
    mark=$REGISTRY_STORAGE/pushed/$1
    [ "$(cat "$mark" 2>/dev/null)" != "$layout" ] || return 0
    note "pushing the image $1"
    skopeo --insecure-policy copy --quiet --dest-tls-verify=false \
        --format "$(read_recipe "$1" && echo "$format")" \
        "oci:$layout:latest" "docker://$(cat "$REGISTRY_RUN/address")/$1:latest" >&2
    mkdir -p "${mark%/*}"
    echo "$layout" >"$mark"
}

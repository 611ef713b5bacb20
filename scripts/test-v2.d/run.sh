# shellcheck shell=sh
# Sourced by scripts/test-v2: one run of the machine. Its second drive has the checkout and what to
# run; its first serial line is the console, which is shown, its second takes the exit code.

MACHINE_LIMIT_S=10800
CHECKOUT_SIZE=256M

# A folder of the run's own, which goes with it; those of runs that were killed go with the next.
begin_run() {
    mkdir -p "$MACHINES"
    for old in "$MACHINES"/run.*; do
        [ ! -d "$old" ] || ! flock -n "$old/lock" true || rm -rf "$old"
    done
    run=$(mktemp -d "$MACHINES/run.XXXXXX")
    qemu_pid=""
    trap end_run EXIT
    trap 'exit 130' INT TERM HUP
    exec 8>"$run/lock"
    flock 8
    mkdir "$run/suites"
}

end_run() {
    [ -z "$qemu_pid" ] || kill "$qemu_pid" 2>/dev/null || true
    rm -rf "$run"
}

# suite RUNTIME ARGUMENT...: pytest with these arguments is run in the machine, with this runtime.
suite() {
    number=$(find "$run/suites" -type f | wc -l)
    file=$run/suites/$number.$1
    shift
    if [ $# -gt 0 ]; then printf '%s\n' "$@" >"$file"; else : >"$file"; fi
}

# What of the checkout is in the machine, at /srv/stackr, as it is now.
make_checkout() {
    mkdir "$run/checkout"
    tar -c --exclude=__pycache__ pyproject.toml README.md docs examples requirements scripts stackr \
        tests | tar -x -C "$run/checkout"
    compile "$run/checkout"
    mv "$run/suites" "$run/checkout/suites"
    mkfs.ext4 -q -O ^has_journal -d "$run/checkout" "$run/checkout.ext4" $CHECKOUT_SIZE >/dev/null
}

run_machine() {
    make_checkout
    : >"$run/code"
    start_machine 8>&- &
    qemu_pid=$!
    wait "$qemu_pid" || note "the machine was ended: it took too long, or qemu failed"
    qemu_pid=""
    code=$(tr -cd 0-9 <"$run/code")
    [ -n "$code" ] || die "the machine ended without a result"
    return "$code"
}

# Emulated, since not every host lets its guests use the processor's own virtualisation. What the
# machine writes to its drives is kept in files that have no name.
start_machine() {
    machine=$(machine)
    truncate -s 512M "$run/swap"
    cd "$run"
    TMPDIR=$run exec setpriv --pdeathsig KILL timeout --foreground "$MACHINE_LIMIT_S" \
        qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
        -accel tcg,thread=multi -cpu max -smp 2 -m 3G \
        -kernel "$machine/vmlinuz" \
        -append "root=/dev/nvme0n1 rw console=ttyS0 loglevel=2 panic=-1" \
        -drive "if=none,id=root,format=raw,snapshot=on,cache=unsafe,file=$machine/root.ext4" \
        -drive "if=none,id=checkout,format=raw,cache=unsafe,file=checkout.ext4" \
        -drive "if=none,id=swap,format=raw,cache=unsafe,file=swap" \
        -device nvme,serial=root,drive=root \
        -device nvme,serial=checkout,drive=checkout \
        -device nvme,serial=swap,drive=swap \
        -serial stdio -serial file:code </dev/null
}

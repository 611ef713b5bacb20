# shellcheck shell=sh
# The application of examples/stacks/guestbook with its code inside, run as nobody and with a health
# check of the image's own.
parent=python
format=v2s2
inputs="$(ls examples/stacks/guestbook/app/*.py) $RECIPES/healthcheck.py"

build() {
    mkdir -p "$rootfs/app"
    cp examples/stacks/guestbook/app/*.py "$rootfs/app/"
    commit_layer "the application"
    configure --config.exposedports 8000/tcp --config.user nobody --config.workingdir /app \
        --config.env PYTHONUNBUFFERED=1 --clear config.cmd \
        --config.cmd python3 --config.cmd /app/guestbook.py
    python3 "$RECIPES/healthcheck.py" "$work/layout" python3 /app/guestbook.py --check
}

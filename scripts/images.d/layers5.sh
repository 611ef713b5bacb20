# shellcheck shell=sh
# Five layers, 150 MB in all, as an application's image has them: a few large files and thousands of
# small ones, half of the bytes compressible. For measuring pulls.
parent=""
inputs=$RECIPES/layers5.py

build() {
    for layer in 0 1 2 3 4; do
        python3 "$RECIPES/layers5.py" "$rootfs" "$layer"
        commit_layer "layer $layer"
    done
    configure --config.cmd /nothing
}

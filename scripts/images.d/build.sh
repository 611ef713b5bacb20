# shellcheck shell=sh
# Sourced by scripts/images: from a recipe (NAME.sh beside this file) to an OCI layout in the cache.
# A recipe sets `parent` ("" for none), `inputs` (further files it is made of), `format` (oci or
# v2s2, which has a place for health checks), and defines build(), which fills $rootfs, calls
# commit_layer once a layer and ends with configure. It is run in a subshell.

RECIPES=scripts/images.d

# The layout of image $1: a folder whose name is the hash of all that it is made from.
image_layout() { echo "$CACHE/oci/$1-$(image_hash "$1")"; }

image_hash() {
    (
        read_recipe "$1"
        {
            distribution
            # shellcheck disable=SC2086  # one word a file
            cat "$RECIPES/build.sh" "$RECIPES/$1.sh" $inputs
            [ -z "$parent" ] || image_hash "$parent"
        } | sha256sum | cut -c 1-16
    )
}

read_recipe() {
    parent="" inputs="" format=oci
    . "$RECIPES/$1.sh"
}

# The distribution that the images are made of is the host's own: "bookworm amd64".
distribution() {
    echo "$(. /etc/os-release && echo "$VERSION_CODENAME") $(dpkg --print-architecture)"
}

build_image() {
    layout=$(image_layout "$1")
    [ ! -e "$layout" ] || return 0
    parent_of_image=$(read_recipe "$1" && echo "$parent")
    [ -z "$parent_of_image" ] || build_image "$parent_of_image"
    note "building the image $1"
    # Mounts made while building are seen by the build alone and end with it, however it ends.
    CACHE=$CACHE unshare --mount --propagation private \
        sh -eu -c '. scripts/packages.sh; . "$1/build.sh"; build_layout "$2"' sh "$RECIPES" "$1" >&2
    remove_superseded "$1" "$(image_layout "$1")"
}

remove_superseded() {
    for old in "$CACHE/oci/$1"-????????????????; do
        [ "$old" = "$2" ] || rm -rf "$old"
    done
}

# Runs in a mount namespace of its own.
build_layout() {
    name=$1
    layout=$(image_layout "$name")
    read_recipe "$name"
    work=$CACHE/work/$name
    rm -rf "$work"
    mkdir -p "$work" "$CACHE/oci"
    image=$work/layout:latest
    bundle=$work/bundle rootfs=$work/bundle/rootfs
    if [ -z "$parent" ]; then
        umoci init --layout "$work/layout"
        umoci new --image "$image"
    else
        cp -a "$(image_layout "$parent")" "$work/layout"
    fi
    umoci unpack --image "$image" "$bundle"
    build
    umoci gc --layout "$work/layout"
    mv -T "$work/layout" "$layout"
    rm -rf "$work"
}

# What changed in $rootfs since the last call becomes a layer; $1 says what it is.
commit_layer() {
    umoci repack --refresh-bundle --history.created_by "$1" --image "$image" "$bundle"
}

configure() { umoci config --history.created_by "configure $name" --image "$image" "$@"; }

# install_into_rootfs PACKAGE...: by the host's apt, with the host's sources, dpkg chrooted.
install_into_rootfs() {
    prepare_apt
    mkdir -p "$rootfs/var/cache/apt/archives" "$CACHE/apt/archives/partial"
    mount --bind "$CACHE/apt/archives" "$rootfs/var/cache/apt/archives"
    mount -t proc proc "$rootfs/proc"
    mount --rbind /dev "$rootfs/dev"
    printf '#!/bin/sh\nexit 101\n' >"$rootfs/usr/sbin/policy-rc.d"
    chmod 755 "$rootfs/usr/sbin/policy-rc.d"
    DEBIAN_FRONTEND=noninteractive APT_CONFIG=$work/apt.conf \
        apt-get -q -y -o Dpkg::Use-Pty=0 install --no-install-recommends "$@" </dev/null >"$work/apt.log" 2>&1 ||
        { tail -n 20 "$work/apt.log" >&2 && die "$name: apt-get: cannot install $*"; }
    umount -l "$rootfs/dev" "$rootfs/proc" "$rootfs/var/cache/apt/archives"
    rm -rf "$rootfs/usr/sbin/policy-rc.d" "$rootfs/var/cache/apt" "$rootfs/var/lib/apt/lists" \
        "$rootfs"/var/log/apt "$rootfs"/var/log/dpkg.log "$rootfs"/var/cache/debconf/*-old \
        "$rootfs"/var/lib/dpkg/*-old "$rootfs"/etc/*-
}

prepare_apt() {
    write_sources
    mkdir -p "$CACHE/apt/lists/partial"
    cat >"$work/apt.conf" <<CONF
APT::Architecture "$(dpkg --print-architecture)";
APT::Sandbox::User "root";
Dir "$rootfs/";
Dir::Etc::sourcelist "$CACHE/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::trusted "/etc/apt/trusted.gpg";
Dir::Etc::trustedparts "/etc/apt/trusted.gpg.d/";
Dir::State::lists "$CACHE/apt/lists/";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
DPkg::Chroot-Directory "$rootfs";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
CONF
    host_apt_settings >>"$work/apt.conf"
    if [ -z "$(find "$CACHE/apt/lists" -name '*_Packages*' -mmin -360 | head -n 1)" ]; then
        APT_CONFIG=$work/apt.conf apt-get -q update >"$work/apt.log" 2>&1 ||
            { tail -n 20 "$work/apt.log" >&2 && die "$name: apt-get update: failed"; }
        touch "$CACHE"/apt/lists/*_Packages*
    fi
}

# The host's proxies, and whether it minds dates (snapshots of an archive are old).
host_apt_settings() { apt-config dump | grep -E '^Acquire::(https?::(Proxy|CaInfo)|Check-)' || true; }

# The host's sources of its own distribution, whichever way they are written there.
write_sources() {
    mkdir -p "$CACHE/apt"
    list_sources >"$CACHE/apt/sources.list.new"
    if [ ! -s "$CACHE/apt/sources.list.new" ]; then
        refresh_package_lists
        list_sources >"$CACHE/apt/sources.list.new"
    fi
    [ -s "$CACHE/apt/sources.list.new" ] || die "apt: no source of this distribution's packages found"
    mv "$CACHE/apt/sources.list.new" "$CACHE/apt/sources.list"
}

list_sources() {
    vendor=$(. /etc/os-release && echo "$ID")
    keyring=/usr/share/keyrings/$vendor-archive-keyring.gpg
    if [ -e "$keyring" ]; then trust="[signed-by=$keyring] "; else trust=""; fi
    # shellcheck disable=SC2016  # apt's own variables
    apt-get indextargets --format '$(ORIGIN)|$(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' "Architecture: $(dpkg --print-architecture)" |
        sed -nE "s#^(Debian|Ubuntu|Raspbian)\|(.*)#deb $trust\2#p" | sort -u
}

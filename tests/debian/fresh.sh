# A fresh Debian in a folder of the tests' own; to be sourced, from the top of the repository.

# fresh_debian RELEASE: sets folder and base, and fetches what is not there yet.
fresh_debian() {
    folder=$PWD/target/debian-$1
    base=$folder/base
    [ ! -e "$folder/complete" ] || return 0
    [ "$(id -u)" -eq 0 ] || fail "this needs root: a system of its own is made and started"
    rm -rf "$folder"
    mkdir -p "$folder"
    echo "fetching a fresh Debian: $1" >&2
    debootstrap --variant=minbase --include="$INCLUDED" "$1" "$base" "$(mirror)" \
        >"$folder/debootstrap.log" 2>&1 || fail "debootstrap: see $folder/debootstrap.log"
    touch "$folder/complete"
}

# What the scenes need besides the smallest system.
INCLUDED=systemd-sysv,dbus,udev,iproute2,debconf-utils,man-db,busybox,curl,sqlite3,jq

# Where this machine has its own Debian from.
mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' |
        grep -v security | head -n 1
}

# A system wants the unified hierarchy of control groups. Where this machine has another, it is there
# beside it, as a group of the system's own.
cgroups() {
    [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ] || return 0
    mount --make-rprivate /
    umount -R /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
}

fail() {
    echo "$0: $1" >&2
    exit 1
}

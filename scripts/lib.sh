# SPDX-License-Identifier: GPL-2.0
# Shared by every script: where things are cached, how progress and errors are told.
# Sourced, never run.

project=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
while [ "$project" != / ] && [ ! -f "$project/Kbuild" ]; do
	project=$(dirname -- "$project")
done
cache=${MPTCP_RS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/mptcp_rs}
started=$(date +%s)

# say TEXT...: one progress line with the seconds since the script began.
say() {
	printf '[%4ds] %s\n' "$(($(date +%s) - started))" "$*" >&2
}

# die TEXT...: what was wrong, what to do; ends the script.
die() {
	printf 'error: %s\n' "$*" >&2
	exit 1
}

# need_root: most steps make chroots, mounts and namespaces.
need_root() {
	[ "$(id -u)" = 0 ] || die "this needs root (chroot, mounts, network namespaces): run it with sudo"
}

# digest FILE...: a short key that changes when any of the files does.
digest() {
	cat -- "$@" | sha256sum | cut -c1-16
}

# in_root COMMAND...: runs COMMAND inside the root tree, with the project at /project and the
# cache at /cache. All mounts live in a mount namespace of their own, so they vanish with it,
# also on Ctrl-C; no process outlives it either.
in_root() {
	unshare --mount --pid --fork --kill-child --mount-proc sh -eu -c '
		root=$1 project=$2 cache=$3; shift 3
		mount --make-rprivate /
		mount --bind "$root" "$root"
		mkdir -p "$root/project" "$root/cache"
		mount --bind "$project" "$root/project"
		mount --bind "$cache" "$root/cache"
		mount -t proc proc "$root/proc"
		mount --rbind /dev "$root/dev"
		mount -t tmpfs tmpfs "$root/tmp"
		cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || :
		exec chroot "$root" /usr/bin/env -i HOME=/root TERM="${TERM:-dumb}" LC_ALL=C.UTF-8 \
			PATH=/usr/sbin:/usr/bin:/sbin:/bin CARGO_NET_RETRY=5 ${IN_ROOT_ENV-} "$@"
	' in_root "$root_tree" "$project" "$cache" "$@"
}

# copy_sources NAME: brings the copy of the module's sources in the cache's folder NAME up to date; what was
# built there stays.
copy_sources() {
	mkdir -p "$cache/$1"
	in_root rsync -a --delete --exclude='*.o' --exclude='*.cmd' --exclude='*.d' --exclude='*.rmeta' \
		--exclude=bindings_generated.rs --exclude='/mptcp_rs.*' --exclude=modules.order \
		--exclude=Module.symvers --exclude=.tmp_versions \
		/project/Kbuild /project/include /project/src "/cache/$1/"
}

# cargo_in_root ARGUMENT...: cargo of the root tree, with the registry and the certificates that this
# machine's own cargo uses.
cargo_in_root() {
	mkdir -p "$cache/cargo"
	for settings_file in "${CARGO_HOME:-${HOME:-/root}/.cargo}"/config.toml /etc/ssl/certs/ca-certificates.crt \
		${SSL_CERT_FILE:+"$SSL_CERT_FILE"}; do
		[ ! -f "$settings_file" ] || cp -- "$settings_file" "$cache/cargo/"
	done
	certificates=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
	IN_ROOT_ENV="CARGO_HOME=/cache/cargo CARGO_TARGET_DIR=/cache/target"
	[ ! -f "$certificates" ] || IN_ROOT_ENV="$IN_ROOT_ENV CARGO_HTTP_CAINFO=/cache/cargo/${certificates##*/}"
	export IN_ROOT_ENV
	in_root sh -euc 'cd /project && exec nice cargo "$@"' cargo "$@"
}

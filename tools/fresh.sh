#!/usr/bin/env bash
# What a new user meets: tools/fresh.sh [bookworm|trixie|noble] [TARGET…]
#
#   a root of that distribution with git and make alone → a clone of what is committed → make TARGET (default: check)
#
# The kernel is this machine's, and so are its certificates and pip settings, lent as a network may need them. All else
# (the root, the caches, what the run makes) lies in one folder that goes away at the end. Where this machine lacks a
# distribution's keys, its lists are taken unsigned: nothing of the trial outlives it.
set -euo pipefail
cd "$(dirname "$0")/.."

SUITE=${1:-noble}
shift || true
TARGETS=("${@:-check}")
ROOT=$(mktemp -d -p "${TMPDIR:-/var/tmp}" "sentinel-fresh-$SUITE-XXXXXX")
LOG=out/fresh-$SUITE.log

say() { printf 'fresh: %s\n' "$*" >&2; }
die() { say "$*" && exit 1; }

source_of() { # one line of sources.list
	local trust=
	case $1 in
	bookworm | trixie) echo "deb http://deb.debian.org/debian $1 main" ;;
	noble)
		[ -e /usr/share/keyrings/ubuntu-archive-keyring.gpg ] || trust='[trusted=yes] '
		echo "deb ${trust}http://archive.ubuntu.com/ubuntu $1 main universe"
		echo "deb ${trust}http://archive.ubuntu.com/ubuntu $1-updates main universe"
		;;
	*) die "There is no trial of '$1': use bookworm, trixie or noble." ;;
	esac
}

[ "$(id -u)" = 0 ] || die "A root of another distribution needs root: run the same command with sudo."
command -v mmdebstrap >/dev/null || die "mmdebstrap is missing: run tools/setup.sh cluster."
trap 'rm -rf --one-file-system "$ROOT"' EXIT
mkdir -p out
sources=$(source_of "$SUITE")
say "making a root of $SUITE (see $LOG)"
mmdebstrap --quiet --variant=minbase --include=apt,git,make,ca-certificates "$SUITE" "$ROOT/root" - <<<"$sources" >"$LOG" 2>&1 ||
	die "the root could not be made (see $LOG): check the network and free disk space."

inside() { # a root, mounts and processes of its own, as a machine has them; they end with it
	local new=$ROOT/root
	mount --bind "$new" "$new"
	for path in sys dev; do mount --rbind "/$path" "$new/$path"; done
	mount -t proc proc "$new/proc"
	mount -t tmpfs tmpfs "$new/run"
	for path in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt /etc/pip.conf; do
		[ ! -e $path ] || { touch "$new$path" && mount --bind "$(readlink -f $path)" "$new$path"; }
	done
	mkdir "$new/origin" "$new/old"
	mount --bind "$PWD" "$new/origin"
	cd "$new"
	pivot_root . old
	umount --lazy /old
	exec env -i HOME=/root TERM="${TERM:-dumb}" LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin UV_SYSTEM_CERTS=true \
		sh -ec 'git config --global --add safe.directory "*"; git clone --quiet /origin /root/sentinel; cd /root/sentinel
			make "$@" || { tail -n 20 out/*.log; exit 1; }; git status --short' - "${TARGETS[@]}"
}
export -f inside
export ROOT PWD
declare -p TARGETS >"$ROOT/targets"
say "make ${TARGETS[*]} in a clone there"
unshare --mount --pid --fork --kill-child bash -euo pipefail -c 'source "$ROOT/targets"; inside'
say "$SUITE: make ${TARGETS[*]} passed"

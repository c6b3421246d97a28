#!/usr/bin/env bash
# Builds the images from their Dockerfiles without a daemon: tools/images.sh [operator] [agent] → out/images/*.tar
#
# BASE=IMAGE builds on that image (the Dockerfiles' own default needs a registry). Without it a Debian base is made
# here by mmdebstrap once and kept in the cache. The machine's certificates and pip settings are lent to the build
# stages and stay out of the images.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/sentinel-buffers/images
SUITE=bookworm
OUT=out/images
BUILD_LOG=$OUT/build.log
KEPT_LAYERS=60 # of former builds, some 300 MB each; one build makes about ten

say() { printf 'images: %s\n' "$*" >&2; }
die() { say "$*" && exit 1; }

[ "$(id -u)" = 0 ] || die "Building images needs root: run the same command with sudo."
for tool in buildah mmdebstrap; do
	command -v $tool >/dev/null || die "$tool is missing: run tools/setup.sh cluster."
done
mkdir -p "$CACHE" $OUT || die "Cannot write to $CACHE: make it yours, or set XDG_CACHE_HOME to a folder that is."
exec 9>"$CACHE/lock"
flock -n 9 || { say "waiting for another build to end" && flock 9; }
: >$BUILD_LOG

version() { git describe --tags --always --dirty 2>/dev/null || echo 0.0.0; }

pep440() { # a version that Python packages may have, whatever git says
	local told
	told=${VERSION:-$(version)}
	case $told in
	v[0-9]*-*) told=${told#v} && echo "${told%%-*}+${told#*-}" | tr - . ;;
	v[0-9]*) echo "${told#v}" ;;
	[0-9]*.[0-9]*.[0-9]*) echo "$told" ;;
	*) echo "0.0.0+g$told" | tr - . ;;
	esac
}

own_base() { # the base, in buildah's store; prints its name
	local name=localhost/sentinel-base:$SUITE tar=$CACHE/base-$SUITE.tar
	if ! buildah images --quiet "$name" >/dev/null 2>&1; then
		[ -f "$tar" ] || make_base "$tar"
		if ! load_base "$tar" "$name" >>$BUILD_LOG 2>&1; then
			rm -f "$tar"
			die "the kept base does not work (see $BUILD_LOG) and was removed: run this again, and it is made anew."
		fi
	fi
	echo "$name"
}

make_base() { # TAR: whole or not at all
	local new=$CACHE/new-$SUITE.tar # mmdebstrap goes by the end of the name
	say "making a Debian $SUITE base (once, about half a minute)"
	rm -rf "$1" "$new"
	mmdebstrap --quiet --variant=minbase --include=python3,ca-certificates \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' $SUITE "$new" >>$BUILD_LOG 2>&1 ||
		die "the base could not be made (see $BUILD_LOG): check the network and free disk space."
	mv "$new" "$1"
}

load_base() { # TAR NAME: committed only if it works, for what stands in the store is not looked at again
	local container failed=0
	container=$(buildah from scratch)
	buildah add --quiet "$container" "$1" / &&
		buildah run --isolation chroot "$container" -- python3 --version &&
		buildah commit --quiet "$container" "$2" || failed=1
	buildah rm "$container"
	return $failed
}

forget_layers() { # buildah keeps what each build made, and never asks which of it is still of use
	local layers
	mapfile -t layers < <(buildah images --quiet --filter dangling=true --filter label=io.sentinel.layer=true)
	[ ${#layers[@]} -le $KEPT_LAYERS ] && return
	say "removing ${#layers[@]} layers of former builds: this one takes some minutes"
	buildah rmi --force "${layers[@]}" >>$BUILD_LOG 2>&1 || true # one in use stays
}

lent=()
for path in /etc/ssl/certs /etc/pip.conf; do
	[ -e $path ] && lent+=(-v "$path:$path:ro")
done
printf 'native-tls = true\n' >$OUT/uv.toml
lent+=(-v "$PWD/$OUT/uv.toml:/etc/uv/uv.toml:ro")

forget_layers
base=${BASE:-$(own_base)}
for image in "${@:-operator agent}"; do
	for each in $image; do
		[ -f "Dockerfile.$each" ] || die "there is no Dockerfile.$each: name operator or agent."
		say "building $each on $base"
		buildah bud --quiet --isolation chroot --network host --layers --force-rm --timestamp 0 "${lent[@]}" \
			--build-arg BASE="$base" --build-arg VERSION="$(pep440)" \
			-f "Dockerfile.$each" -t "sentinel.test/$each:dev" . >>$BUILD_LOG 2>&1 ||
			die "$each did not build; the end of $BUILD_LOG says why: $(tail -n 3 $BUILD_LOG)"
		rm -f "$OUT/$each.tar"
		buildah push --quiet "sentinel.test/$each:dev" "docker-archive:$OUT/$each.tar:sentinel.test/$each:dev"
		say "$OUT/$each.tar: $(du -h "$OUT/$each.tar" | cut -f1)"
	done
done

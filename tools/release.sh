#!/usr/bin/env bash
# `make release-dry`: what a release has, built to out/release/ and checked against itself. Nothing leaves the machine.
#
#   IMAGES=1   also the images (some minutes)
#   SIGN=1     cosign signs every file; needs cosign and an identity of yours
set -euo pipefail
cd "$(dirname "$0")/.."

OUT=out/release
CHART=deploy/helm/sentinel
PYTHON=.venv/bin/python

say() { printf 'release: %s\n' "$*" >&2; }
die() { say "$*" && exit 1; }

helm=$(tools/cluster-tools.sh --where)/helm
[ -x "$helm" ] || helm=$(command -v helm) || die "helm is missing: install it, or run make tools."
[ -z "${SIGN:-}" ] || command -v cosign >/dev/null || die "SIGN is set and cosign is missing: install it, or leave SIGN away."

version() { # of the newest tag that this commit has behind it; a chart takes nothing else than MAJOR.MINOR.PATCH
	local tag
	tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null) || tag=v0.0.0
	[[ $tag =~ ^v[0-9]+\.[0-9]+\.[0-9]+$ ]] || die "the tag $tag is no version: name it v1.2.3."
	echo "${tag#v}"
}

build() { # VERSION
	rm -rf $OUT && mkdir -p $OUT/chart
	say "version $1"
	SETUPTOOLS_SCM_PRETEND_VERSION=$1 "$UV" build --quiet --wheel --out-dir $OUT
	rm -f $OUT/.gitignore
	cp -r $CHART $OUT/chart/sentinel
	sed -i "s/^version: .*/version: $1/; s/^appVersion: .*/appVersion: \"$1\"/" $OUT/chart/sentinel/Chart.yaml
	"$helm" package $OUT/chart/sentinel --destination $OUT >/dev/null
	rm -rf $OUT/chart
	.venv/bin/towncrier build --draft --version "$1" >$OUT/CHANGES.md 2>/dev/null
	if [ -n "${IMAGES:-}" ]; then
		VERSION=$1 tools/images.sh && cp out/images/*.tar $OUT/
	fi
}

find_uv() {
	UV=${XDG_CACHE_HOME:-$HOME/.cache}/sentinel-buffers/uv/$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' tools/uv.txt)/uv
	[ -x "$UV" ] || die "uv is missing: run make setup."
}

sign() {
	local file
	for file in $OUT/*; do
		cosign sign-blob --yes --bundle "$file.sigstore.json" "$file" >/dev/null
	done
}

find_uv
wanted=$(version)
build "$wanted"
$PYTHON tools/release.py $OUT "$wanted" || die "the parts do not agree: see above."
(cd $OUT && sha256sum -- *.whl *.tgz CHANGES.md $(ls -- *.tar 2>/dev/null) >SHA256SUMS && cat SHA256SUMS)
# What a builder of provenance is told to vouch for.
[ -z "${GITHUB_OUTPUT:-}" ] || printf 'subjects=%s\n' "$(base64 -w0 $OUT/SHA256SUMS)" >>"$GITHUB_OUTPUT"
[ -z "${SIGN:-}" ] || sign

#!/usr/bin/env bash
# Builds the cluster binaries that tests run, from Go modules, into the cache: tools/cluster-tools.sh [NAME…]
#
#   look (checksums) → a Go that is new enough → fetch modules → compile every package once → link what is missing
#
# A binary is placed by rename and its checksum after it, so that a run which was cut off, or a damaged file, is found
# and only that binary is linked again; compiled packages stay in Go's cache. `--where` prints the folder and ends.
set -euo pipefail
cd "$(dirname "$0")"

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/sentinel-buffers
ALL=(etcd kube-apiserver kubectl kube-controller-manager kube-scheduler kubelet kube-proxy helm kwok)
GO_NEEDED=1.24.0
GO_FETCHED=1.25.5 # taken as a module where the machine's Go is older than GO_NEEDED

export CGO_ENABLED=0 GOWORK=off GOFLAGS='-mod=readonly -trimpath -buildvcs=false -modcacherw'
export GOMODCACHE=$CACHE/go/modules GOCACHE=$CACHE/go/build

say() { printf 'tools: %s\n' "$*" >&2; }
die() { say "$*" && exit 1; }

version_of() { awk -v module="$1" '$1 == module && $2 ~ /^v/ { print $2; exit }' go.mod; } # MODULE → v1.2.3

folder_of() { [ "$1" = kwok ] && echo kwok || echo .; } # NAME → its go.mod: kwok does not compile with our Kubernetes

package_of() { # NAME → the package that is its main
	case $1 in
	etcd) echo go.etcd.io/etcd/server/v3 ;;
	helm) echo helm.sh/helm/v3/cmd/helm ;;
	kwok) echo sigs.k8s.io/kwok/cmd/kwok ;;
	*) echo "k8s.io/kubernetes/cmd/$1" ;;
	esac
}

link_flags() { # what each binary answers to --version; a Kubernetes without it calls itself v0.0.0 and refuses its peers
	local kubernetes minor
	kubernetes=$(version_of k8s.io/kubernetes)
	minor=${kubernetes#v1.}
	printf -- '-s -w'
	printf -- ' -X k8s.io/component-base/version.%s' "gitVersion=$kubernetes" gitMajor=1 "gitMinor=${minor%%.*}" gitTreeState=clean
	printf -- ' -X helm.sh/helm/v3/internal/version.version=%s' "$(version_of helm.sh/helm/v3)"
}

digest() { { cat {.,kwok}/{go.mod,go.sum,tools.go} && link_flags && echo "$CGO_ENABLED $GOFLAGS $(uname -m)"; } | sha256sum | cut -c1-16; }

intact() { (cd "$BIN" && sha256sum --check --status "../sums/$1") 2>/dev/null; }

check_names() {
	local name
	for name in "$@"; do
		[[ " ${ALL[*]} " == *" $name "* ]] || die "There is no tool '$name': use ${ALL[*]}."
	done
}

older() { [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n1)" = "$1" ]; }

find_go() { # puts a Go of at least GO_NEEDED first on PATH
	local have module fetched=$CACHE/go/go$GO_FETCHED folder
	command -v go >/dev/null ||
		die "Go is missing: install golang-go, or put Go $GO_NEEDED or newer on PATH, then run this again."
	have=$(cd / && GOTOOLCHAIN=local GOFLAGS='' go env GOVERSION)
	older "${have#go}" "$GO_NEEDED" || return 0
	if [ ! -x "$fetched/bin/go" ]; then
		say "Go ${have#go} is older than $GO_NEEDED: fetching Go $GO_FETCHED as a module"
		module=golang.org/toolchain@v0.0.1-go$GO_FETCHED.linux-amd64
		folder=$(cd / && GOFLAGS=-modcacherw go mod download -json "$module" | sed -n 's/^.*"Dir": "\(.*\)".*$/\1/p') || true
		[ -d "$folder" ] ||
			die "Go ${have#go} is too old and Go $GO_FETCHED could not be fetched: check the network, or put Go $GO_NEEDED or newer on PATH."
		rm -rf "$fetched.new" && mkdir -p "$CACHE/go" && cp -r "$folder" "$fetched.new"
		chmod +x "$fetched.new"/bin/* "$fetched.new"/pkg/tool/*/* # a module's files carry no right to be run
		mv -T "$fetched.new" "$fetched"
	fi
	export PATH=$fetched/bin:$PATH GOROOT=$fetched
}

counted() { # EVERY TEXT: one line of progress for every so many lines read
	awk -v every="$1" -v text="$2" 'NR % every == 0 { printf "tools: " text "\n", NR > "/dev/stderr"; fflush("/dev/stderr") }'
}

fetch_modules() { # PACKAGE… → LIBRARIES: every package they need, but for the mains themselves
	local log=$WORK/fetch.log attempt
	say "reading the modules' lists (fetched where they are not there yet)"
	for attempt in 1 2; do
		if go list -deps -f '{{if ne .Name "main"}}{{.ImportPath}}{{end}}' "$@" 2>&1 >"$WORK/libraries" | tee "$log" | counted 100 'fetched %d modules'; then
			mapfile -t LIBRARIES < <(grep . "$WORK/libraries")
			return
		fi
		((attempt == 1)) && say "that failed; trying once more"
	done
	tail -n 5 "$log" >&2
	die "The Go modules could not be fetched: check the network and GOPROXY ($(go env GOPROXY)), then run this again; what is here is kept."
}

compile() {
	say "compiling ${#LIBRARIES[@]} packages (those compiled before are skipped)"
	if ! go build -v "${LIBRARIES[@]}" 2>&1 | tee "$WORK/compile.log" | counted 100 "compiled %d of at most ${#LIBRARIES[@]}"; then
		grep ' ' "$WORK/compile.log" | tail -n 20 >&2 || true
		die "Compiling failed (above): check free memory and disk space, then run this again; it goes on where it stopped."
	fi
}

link() { # NAME
	say "linking $1"
	go build -ldflags "$FLAGS" -o "$WORK/$1" "$(package_of "$1")" ||
		die "Linking $1 failed (above): check free memory and disk space, then run this again."
	(cd "$WORK" && sha256sum "$1" >"$1.sum")
	mv -f "$WORK/$1" "$BIN/$1"
	mv -f "$WORK/$1.sum" "$SUMS/$1"
}

find_missing() { # NAME… → MISSING
	local name
	MISSING=()
	for name in "$@"; do
		intact "$name" && continue
		[ -e "$SUMS/$name" ] && say "the cached $name is damaged: building it again"
		rm -f "$BIN/$name" "$SUMS/$name"
		MISSING+=("$name")
	done
}

build() { # NAME…: those of one go.mod
	local name jobs=() failed=0 packages
	mapfile -t packages < <(for name in "$@"; do package_of "$name"; done)
	fetch_modules "${packages[@]}"
	compile
	for name in "$@"; do
		link "$name" &
		jobs+=($!)
		((${#jobs[@]} < 2)) || wait -n || true # two at a time: a link takes one core and up to 1.5 GB
	done
	for name in "${jobs[@]}"; do wait "$name" || failed=1; done
	return $failed
}

build_all() { # NAME…
	local folder name group
	find_go
	FLAGS=$(link_flags)
	for folder in . kwok; do
		mapfile -t group < <(for name in "$@"; do [ "$(folder_of "$name")" != "$folder" ] || echo "$name"; done)
		[ ${#group[@]} = 0 ] || (cd "$folder" && build "${group[@]}")
	done
}

main() {
	local folder
	folder=$CACHE/tools/$(digest)
	BIN=$folder/bin SUMS=$folder/sums
	[ "${1:-}" != --where ] || { echo "$BIN" && exit; }
	[ $# -gt 0 ] || set -- "${ALL[@]}"
	check_names "$@"
	mkdir -p "$BIN" "$SUMS" || die "Cannot write to $CACHE: make it yours, or set XDG_CACHE_HOME to a folder that is."
	exec 9>"$CACHE/tools/lock"
	flock -n 9 || { say "waiting for another build to end" && flock 9; }
	find_missing "$@"
	[ ${#MISSING[@]} -gt 0 ] || exit 0
	rm -rf "$folder"/work-*
	WORK=$(mktemp -d "$folder/work-XXXXXX")
	trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$WORK"' EXIT
	build_all "${MISSING[@]}"
	say "built: ${MISSING[*]} in $BIN"
}

main "$@"

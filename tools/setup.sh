#!/usr/bin/env bash
# Brings this machine to a level: tools/setup.sh check|net|cluster|vm …
#
#   packages of tools/packages.txt by apt → uv into the cache → .venv as uv.lock says
#
# Each step looks before it acts, so that a second run takes well under a second. A step that was cut off leaves no
# stamp and is done again. Written outside the tree: the cache folder alone.
set -euo pipefail
cd "$(dirname "$0")/.."

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/sentinel-buffers
EXTRAS=(operator agent lb lab dev docs) # not `training`: its PyTorch is 3 GB, and only training needs it
STAMP=.venv/.set-up

say() { printf 'set-up: %s\n' "$*" >&2; }
die() { say "$*" && exit 1; }
as_root() { [ "$(id -u)" = 0 ]; }

check_levels() {
	local level
	for level in "$@"; do
		grep -q "^$level " tools/packages.txt || die "There is no level '$level': use check, net, cluster or vm."
	done
}

wanted_packages() { # LEVEL… → one PACKAGE[|PACKAGE] a line
	awk -v levels=" $* " 'index(levels, " " $1 " ") { print $2 }' tools/packages.txt
}

missing_packages() { # those of which no alternative is installed
	local have wanted name
	have=" $(dpkg-query -W -f '${db:Status-Status} ${Package} ' 2>/dev/null | tr '\n' ' ')"
	for wanted in "$@"; do
		for name in ${wanted//|/ }; do
			[[ $have == *" installed $name "* ]] && continue 2
		done
		echo "$wanted"
	done
}

check_machine() {
	local arch
	arch=$(uname -m)
	[ "$arch" = x86_64 ] || die "This machine is $arch and only x86_64 is built and tested: use an x86_64 machine."
}

check_kernel() { # what the levels above `check` need of the running kernel
	as_root || die "Network namespaces and BPF need root: run the same command with sudo."
	[ -r /sys/kernel/btf/vmlinux ] ||
		die "This kernel has no BTF (/sys/kernel/btf/vmlinux): boot one with CONFIG_DEBUG_INFO_BTF=y, as Debian's and Ubuntu's are."
}

check_without_apt() { # another distribution: tell what to install by hand, in its own way
	local tool
	for tool in clang bpftool python3; do
		command -v "$tool" >/dev/null || die "$tool is missing and this machine has no apt-get: install $tool with its own package manager."
	done
}

install_packages() {
	local wanted=("$@") missing names=() choice name log=out/set-up-apt.log hint='free disk space'
	command -v apt-get >/dev/null && command -v dpkg-query >/dev/null || { check_without_apt && return; }
	mapfile -t missing < <(missing_packages "${wanted[@]}")
	[ ${#missing[@]} -gt 0 ] || return 0
	choice=${missing[*]}
	as_root || die "Only root can install ${choice//|/ or }: run the same command with sudo."
	mkdir -p out
	say "apt: reading the package lists"
	# One archive of many may be out of order; that matters only if what we need comes from it.
	apt_get update -o APT::Update::Error-Mode=any >"$log" 2>&1 || hint='the network and /etc/apt'
	for choice in "${missing[@]}"; do
		for name in ${choice//|/ }; do
			if installable "$name"; then
				names+=("$name") && continue 2
			fi
		done
		[ "$hint" = 'free disk space' ] || die "apt-get update failed (see $log): check $hint, then run this again."
		die "apt knows no package ${choice//|/ or }: use Debian 12, Debian 13 or Ubuntu 24.04 (with universe)."
	done
	say "apt: installing ${names[*]}"
	apt_get install --no-install-recommends -o APT::Status-Fd=3 "${names[@]}" 3>&1 >>"$log" 2>&1 | show_progress || true
	mapfile -t missing < <(missing_packages "${wanted[@]}")
	[ ${#missing[@]} -eq 0 ] || die "apt could not install ${missing[*]} (see $log): check $hint, then run this again."
}

installable() { # `show` knows names that other packages merely provide, too
	LC_ALL=C apt-cache policy "$1" 2>/dev/null | grep '^ *Candidate: [^(]' >/dev/null
}

apt_get() { # a service that a package starts must not inherit our lock, or the next set-up waits for ever
	DEBIAN_FRONTEND=noninteractive apt-get -qy -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" </dev/null 9>&-
}

show_progress() { # apt's status lines: KIND:PACKAGE:PERCENT:TEXT → one line every tenth of the way
	local kind percent text last=-10
	while IFS=: read -r kind _ percent text; do
		percent=${percent%%.*}
		[[ $percent =~ ^[0-9]+$ ]] || continue
		if [ "$kind" = dlstatus ] || [ "$kind" = pmstatus ]; then
			if ((percent < last)); then last=-10; fi
			if ((percent >= last + 10)); then
				say "apt: $([ "$kind" = dlstatus ] && echo downloading || echo installing) $percent %" && last=$percent
			fi
		fi
	done
}

find_python() { # the distribution's own first: what is first on PATH may be anything
	local python
	for python in /usr/bin/python3 python3 python3.14 python3.13 python3.12 python3.11; do
		if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
			command -v "$python" && return
		fi
	done
	die "Python 3.11 or newer is missing: use Debian 12, Debian 13 or Ubuntu 24.04, or put a python3.11 on PATH."
}

install_uv() { # sets UV
	local version venv python
	version=$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' tools/uv.txt)
	UV=$CACHE/uv/$version/uv
	[ "$("$UV" --version 2>/dev/null | cut -d' ' -f2)" = "$version" ] && return
	[ -e "$UV" ] && say "the cached uv does not run: fetching it again"
	say "fetching uv $version"
	python=$(find_python)
	mkdir -p "$CACHE/uv/$version" || die "Cannot write to $CACHE: make it yours, or set XDG_CACHE_HOME to a folder that is."
	venv=$(mktemp -d "$CACHE/uv/new-XXXXXX")
	# shellcheck disable=SC2064  # the name of now, not of later
	trap "rm -rf '$venv'" EXIT
	"$python" -m venv "$venv" ||
		die "$python cannot make a virtual environment: install the package python3-venv."
	PIP_RETRIES=${PIP_RETRIES:-2} "$venv/bin/pip" --quiet --disable-pip-version-check install --no-cache-dir --only-binary :all: --require-hashes \
		-r tools/uv.txt || die "uv $version could not be fetched: check the network (pip's settings count), then run this again."
	mv -f "$venv/bin/uv" "$UV"
}

venv_digest() { cat uv.lock pyproject.toml tools/uv.txt tools/setup.sh | sha256sum | cut -d' ' -f1; }

install_venv() {
	local digest sync=()
	digest=$(venv_digest)
	if .venv/bin/python -c '' 2>/dev/null; then
		[ "$(cat $STAMP 2>/dev/null)" = "$digest" ] && return
	else
		[ -e .venv ] && say ".venv has no Python that runs: making it again"
		rm -rf .venv
		sync=(--python "$(find_python)")
	fi
	install_uv
	say "Python packages as uv.lock says"
	rm -f $STAMP
	unset VIRTUAL_ENV
	export UV_CACHE_DIR=${UV_CACHE_DIR:-$CACHE/uv/packages} UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=${UV_LINK_MODE:-copy}
	sync+=(--frozen "${EXTRAS[@]/#/--extra=}")
	if ! "$UV" sync "${sync[@]}"; then
		say "that failed; trying once more with an empty package cache"
		"$UV" cache clean --quiet || rm -rf "$UV_CACHE_DIR"
		rm -rf .venv
		"$UV" sync "${sync[@]}" --python "$(find_python)" ||
			die "The Python packages could not be installed: check the network and free disk space; if both are fine, remove $CACHE/uv and run this again."
	fi
	echo "$digest" >$STAMP
}

main() {
	[ $# -gt 0 ] || set -- check
	local wanted
	check_machine
	check_levels "$@"
	if [ "$*" != check ]; then check_kernel; fi
	mapfile -t wanted < <(wanted_packages "$@")
	mkdir -p "$CACHE" 2>/dev/null && [ -w "$CACHE" ] ||
		die "Cannot write to $CACHE: make it yours, or set XDG_CACHE_HOME to a folder that is."
	exec 9>"$CACHE/set-up.lock"
	flock -n 9 || { say "waiting for another set-up to end" && flock 9; }
	install_packages "${wanted[@]}"
	install_venv
}

main "$@"

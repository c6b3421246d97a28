#!/usr/bin/env bash
# Every check that runs no test: a line for each, and all of them before the verdict.
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH
failed=()

gate() { # NAME COMMAND…: silent when it passes, all it said when it fails
	local name=$1 said started=$SECONDS
	shift
	if said=$("$@" 2>&1 </dev/null); then
		printf 'check: %-24s ok   %3d s\n' "$name" $((SECONDS - started))
	else
		printf 'check: %-24s FAILED\n%s\n' "$name" "$said"
		failed+=("$name")
	fi
}

gate "ruff" ruff check .
gate "ruff format" ruff format --check .
gate "import contracts" lint-imports
gate "generated files" python -m sentinel_api.crdgen --check
gate "reference pages" env PYTHONPATH=tools/pages python -m pages --check
gate "rules and dashboards" env PYTHONPATH=tools/monitoring python -m monitoring --check
gate "pages of the agent" sh -c 'for page in burst tick faults; do python -m sentinel_lab.bench.${page}_page --check || exit 1; done'
gate "clang-format" make -s -C bpf check-format
gate "shell syntax" sh -c 'for script in tools/*.sh tools/vm/*.sh .ci/run; do bash -n "$script" || exit 1; done'
gate "mypy" mypy

if [ ${#failed[@]} -gt 0 ]; then
	echo "check: failed: ${failed[*]}" >&2
	exit 1
fi

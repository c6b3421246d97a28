#!/usr/bin/env bash
# The demo: what this machine can do, and then real traffic through real XDP.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/sentinel doctor
if .venv/bin/sentinel demo --help >/dev/null 2>&1; then
	exec .venv/bin/sentinel demo
fi

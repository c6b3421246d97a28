#!/usr/bin/env bash
# The demo: what this machine can do, and then real traffic through real XDP.
set -euo pipefail
cd "$(dirname "$0")/.."
.venv/bin/sentinel doctor
exec .venv/bin/sentinel demo

#!/usr/bin/env bash
# Installs the packages of the npm project in this directory, by its lock file,
# and runs its scripts in order: web.sh build; web.sh check test. Without npm it
# says what then is missing, and fails in CI.
set -euo pipefail

if ! command -v npm >/dev/null; then
  echo "web: npm is missing; $(basename "$(dirname "$PWD")")/$(basename "$PWD") is left as it is, and what comes of it will say how it is built" >&2
  [ "${CI:-}" = true ] && exit 1
  exit 0
fi
npm ci
for script in "$@"; do npm run "$script"; done

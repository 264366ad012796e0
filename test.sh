#!/usr/bin/env bash
# Everything that must hold: style, types, arrows, tests. `./test.sh -m "not vm"`
# hands its arguments to pytest; `./test.sh --image` also makes the appliance's disk image
# and boots it.
set -euo pipefail
cd "$(dirname "$0")"
. ./install.sh
# shellcheck disable=SC2086
install_packages $TEST_PACKAGES
install_environment
if [ "${1:-}" = --image ]; then
  shift
  install_packages ovmf
  image/build --output "${FORMATION_TEST_IMAGE:=/var/cache/formation-build/image}"
  export FORMATION_TEST_IMAGE
fi
export FORMATION_TEST_PREFIX=${FORMATION_TEST_PREFIX:-/opt/formation-test}
PREFIX=$FORMATION_TEST_PREFIX install_node
bin=.venv/bin
$bin/ruff check .
$bin/ruff format --check .
$bin/mypy
$bin/lint-imports
export FORMATION_TEST_BASE=${FORMATION_TEST_BASE:-/var/lib/formation/base/debian-13}
$bin/python -m image.guest.build --out "$FORMATION_TEST_BASE"
# Two workers: what boots nodes, and all else beside it.
$bin/pytest -n 2 --no-loadscope-reorder \
  --cov=appliance --cov=blueprints --cov=jobs --cov-report=term "$@"

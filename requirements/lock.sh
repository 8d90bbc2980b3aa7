#!/bin/sh
# Resolves setup.py into the lock files, for every platform and Python the project supports.
set -eu
cd "$(dirname "$0")/.."
for lock in run dev "dev bench" "dev browser"; do
    extras=""
    for name in $lock; do
        [ "$name" = run ] || extras="$extras --extra $name"
    done
    # shellcheck disable=SC2086
    uv pip compile --quiet setup.py requirements/build.in $extras "$@" \
        --universal --no-strip-extras --python-version 3.11 --generate-hashes --no-emit-index-url \
        --custom-compile-command "make lock" --output-file "requirements/${lock##* }.lock"
done
# dbt has an environment of its own: it is what users of the package have, not a part of brex_sync.
uv pip compile --quiet requirements/dbt.in "$@" --universal --python-version 3.11 \
    --generate-hashes --no-emit-index-url --custom-compile-command "make lock" \
    --output-file requirements/dbt.lock

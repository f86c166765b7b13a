#!/bin/sh
# sh alone.sh [OPTION…]: the library's tests, in an empty environment that has only its wheel, what that
# needs, and pip, whose version MLflow logs; the options are pytest's. `python` of the PATH makes the
# environment, and has uv and hatchling.
set -eu
library=$(cd "$(dirname "$0")/.." && pwd -P)
lock=$library/../requirements.lock
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python -m uv build --quiet --no-build-isolation --wheel --out-dir "$folder" "$library"
python -m uv venv --quiet --seed --python "$(command -v python)" "$folder/env"
grep -v '^ *--hash\|^#\|^ *#' "$lock" | sed 's/ *\\$//' >"$folder/constraints.txt"
python -m uv pip install --quiet --python "$folder/env/bin/python" --constraint "$folder/constraints.txt" \
    --group "$library/pyproject.toml:test" "imageproof[train,serve,cluster] @ file://$(echo "$folder"/*.whl)"
# the command `package` builds the wheel anew from the folder of the library, with the files beside it
installed=$("$folder/env/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cp "$library"/*.toml "$library"/*.md "$library"/*.lock "$installed"
mkdir "$folder/library" # without the package: the wheel's is tested
cp -R "$library/pyproject.toml" "$library/README.md" "$library/tests" "$library/testing" "$folder/library"
cd "$folder/library"
PATH=$folder/env/bin:$PATH pytest "$@"

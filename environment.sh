#!/bin/sh
# sh environment.sh [PYTHON]: make .venv with what requirements.lock names, if it is not there.
#
# It is made anew when the lock or a pyproject.toml has changed, when the folder was moved, and when
# PYTHON is of another version. Without PYTHON it keeps its version, or gets the first that is found.
# If something is missing, one line says what, and which command mends it; the exit code is then 4.
set -u
cd "$(dirname "$0")" || exit
VERSIONS="3.11 3.12 3.13"
NEEDED_MB=5000
HERE=$(pwd -P)
STAMP="$HERE $(cat requirements.lock pyproject.toml library/pyproject.toml | cksum)"

fail() {
    echo "error: $*" >&2
    exit 4
}

# The command that installs a package, without the package's name.
install() {
    case $(uname -s) in Darwin) echo "brew install" && return ;; esac
    for manager in apt-get dnf; do
        command -v $manager >/dev/null && echo "$([ "$(id -u)" = 0 ] || echo "sudo ")$manager install" && return
    done
    echo "install"
}

version() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

supported() {
    case " $VERSIONS " in *" $1 "*) [ -n "$1" ] ;; *) false ;; esac
}

how_to_install_python() {
    if command -v uv >/dev/null; then
        echo "uv python install 3.13"
    elif [ "$(uname -s)" = Darwin ]; then
        echo "brew install python@3.13"
    else
        for v in 3.13 3.12 3.11; do # Debian and Ubuntu have one of them, by release
            apt-cache show "python$v-venv" 2>/dev/null | grep -q . && echo "$(install) python$v-venv" && return
        done
        command -v apt-get >/dev/null && echo "$(install) python3-venv" || echo "$(install) python3.13"
    fi
}

# Set `python` to the first of these that is supported and can make environments.
find_python() {
    incomplete=
    for python in "$@"; do
        found=$(version "$python")
        supported "$found" || continue
        "$python" -c 'import ensurepip, venv' 2>/dev/null && return
        incomplete=${incomplete:-$found}
    done
    [ -z "$incomplete" ] || fail "Python $incomplete: has no module venv or ensurepip: $(install) python$incomplete-venv"
    [ $# -gt 1 ] || fail "PYTHON=$1: is ${found:+Python }${found:-no Python}; one of $VERSIONS is needed: make PYTHON=python3.13"
    fail "Python: none of $VERSIONS is on the PATH: $(how_to_install_python)"
}

# Run a command that downloads; show its words only if it fails for another reason than the network.
download() {
    "$@" >.venv/install.log 2>&1 && return
    grep -qiE 'failed to connect|could not resolve|name resolution|dns error|unreachable|connection|timed out|proxy|certificate|versions: none' .venv/install.log && fail \
        "PyPI: cannot be reached (.venv/install.log says why); name a mirror with make PIP_INDEX_URL=https://…, or the certificates of your network with make PIP_CERT=FILE SSL_CERT_FILE=FILE"
    cat .venv/install.log >&2
    fail "packages: not installed, for the reason above"
}

# Take .venv/bin from the PATH: .venv is removed below, and its Python with it.
PATH=$(printf %s "$PATH" | tr : '\n' | grep -vxF "$HERE/.venv/bin" | paste -sd : -)
present=$(version .venv/bin/python)
if [ "$(cat .venv/.done 2>/dev/null)" = "$STAMP" ] && supported "$present"; then
    [ $# -eq 0 ] || [ "$(version "$1")" = "$present" ] && exit
fi

git --version >/dev/null 2>&1 || fail "git: not found: $([ "$(uname -s)" = Darwin ] && echo xcode-select --install || echo "$(install) git")"
git rev-parse --git-dir >/dev/null || fail "git: this folder is no repository, which DVC needs: git init"
if [ $# -gt 0 ]; then
    find_python "$1"
else
    find_python ${present:+"python$present"} python3.11 python3.12 python3.13 python3
fi
rm -rf .venv
free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')
[ "$free" -ge $NEEDED_MB ] || fail "disk: $free MB are free here, the environment needs $NEEDED_MB: see df -h ."

echo "environment: .venv with Python $(version "$python") (once; 1 GB to download, 5 GB of disk)"
"$python" -m venv .venv || fail "Python $(version "$python"): cannot make .venv, for the reason above"
# uv reads neither pip's configuration nor its variables
[ -z "${PIP_INDEX_URL:-}" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}"
export VIRTUAL_ENV="$HERE/.venv" UV_COMPILE_BYTECODE="${UV_COMPILE_BYTECODE:-1}"
sed -n '/^uv==/,/^    # via/p' requirements.lock >.venv/uv.txt
download .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r .venv/uv.txt
# without --python, UV_SYSTEM_PYTHON or UV_PYTHON would name another environment
uv_install=".venv/bin/uv pip install --python .venv/bin/python --quiet"
download $uv_install --require-hashes -r requirements.lock
download $uv_install --no-deps --no-build-isolation --editable library --editable .
echo "$STAMP" >.venv/.done

# Makes a virtual environment with nbfiles in it: `environment FOLDER EXTRA`. Read by notebooks/run and tests/run.
# Plain POSIX sh; a second run only brings the environment up to date. PYTHON=... chooses the Python.

say() { printf '%s: %s\n' "$0" "$*"; }
fail() { say "$*" >&2; exit 1; }

find_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$candidate
            return
        fi
    done
    fail 'no Python 3.11 or newer on the PATH. Install one (Debian: apt install python3; macOS: brew install python) or set PYTHON=/path/to/python3.'
}

# Debian leaves ensurepip, which venv needs, out of its Python.
need_venv() {
    "$python" -c 'import ensurepip, venv' 2>/dev/null && return
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing $package"
        apt-get update -qq </dev/null && apt-get install -y -qq "$package" </dev/null >/dev/null
    else
        fail "this Python cannot make virtual environments. As an administrator: apt install $package"
    fi
}

environment() {
    if ! [ -x "$1/bin/pip" ]; then
        find_python
        need_venv
        say "making $1 with $("$python" --version)"
        "$python" -m venv --clear "$1"
    fi
    say "installing nbfiles[$2] into $1"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check ".[$2]"
}

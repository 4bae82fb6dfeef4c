#!/usr/bin/env bash
# Sets up everything the project needs: system packages where it may, .venv, Python packages.
#
#   scripts/setup.sh          what train.py and evaluate.py need
#   scripts/setup.sh --dev    and what the tests and linters need
#
# Environment:
#   PYTHON=python3.12     the Python to build .venv from (default: the first fitting one)
#   SYSTEM_PACKAGES=no    leave the operating system alone
#   CHESS=no              leave out the GPL-3 chess library
#
# A second run with nothing changed takes a fraction of a second. A run that was cut short is made
# good by the next one.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=.venv
STAMPS=$VENV/setup          # one copy of the requirements for each part that is in place
INSTALLING=$STAMPS/.installing

export PIP_DISABLE_PIP_VERSION_CHECK=1

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$@" >&2; exit 2; }

# After Ctrl-C the mark $INSTALLING stays, and the next run knows that packages may be torn.
trap 'exit 130' INT TERM HUP

read -r OLDEST TOO_NEW < <(sed -n 's/^requires-python = ">=\(.*\),<\(.*\)"$/\1 \2/p' pyproject.toml)

version_of() { "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null; }

fits() {
    "$1" - "$OLDEST" "$TOO_NEW" 2>/dev/null <<'PY'
import sys
oldest, too_new = (tuple(map(int, text.split("."))) for text in sys.argv[1:])
sys.exit(not oldest <= sys.version_info[:2] < too_new)
PY
}

find_python() {
    local name found
    local wanted="The project needs Python >=$OLDEST,<$TOO_NEW."
    if [ -n "${PYTHON:-}" ]; then
        fits "$PYTHON" && return
        found=$(version_of "$PYTHON") || die "PYTHON=$PYTHON cannot be run. $wanted"
        die "PYTHON=$PYTHON is Python $found. $wanted" \
            "Name another, for example: PYTHON=python3.12 make run"
    fi
    for name in python3 python3.13 python3.12 python3.11 python; do
        if fits "$name"; then PYTHON=$name; return; fi
    done
    if found=$(version_of python3); then found="python3 here is $found"
    else found="no python3 was found"; fi
    die "$wanted But $found." \
        "Install one (Debian, Ubuntu: apt-get install python3 python3-venv) and name it:" \
        "PYTHON=python3.12 make run"
}

make_venv() {
    if [ -e "$INSTALLING" ]; then
        say "the last installation was cut short; building $VENV anew"
        rm -rf "$VENV"
    elif [ -e "$VENV" ] && ! { fits "$VENV/bin/python" && "$VENV/bin/python" -c 'import pip' 2>/dev/null; }; then
        say "$VENV is damaged, or of another Python; building it anew"
        rm -rf "$VENV"
    elif [ -e "$VENV" ] && [ -n "${PYTHON:-}" ]; then
        find_python
        if [ "$(version_of "$PYTHON")" != "$(version_of "$VENV/bin/python")" ]; then
            say "$VENV is of Python $(version_of "$VENV/bin/python"); building it anew with $PYTHON"
            rm -rf "$VENV"
        fi
    fi
    if [ ! -e "$VENV" ]; then
        find_python
        say "making $VENV with $PYTHON ($(version_of "$PYTHON"))"
        "$PYTHON" -m venv "$VENV" || {
            rm -rf "$VENV"
            die "$PYTHON cannot make a virtual environment." \
                "On Debian and Ubuntu the module is a package of its own: apt-get install python3-venv"
        }
    fi
    mkdir -p "$STAMPS"
}

# in_place PART TEXT: is PART installed as TEXT asks?  TEXT is also what its stamp holds.
in_place() { [ -f "$STAMPS/$1" ] && [ "$(cat "$STAMPS/$1")" = "$2" ]; }

pip_install() {
    local quiet=(--quiet)
    [ -t 1 ] && quiet=()   # on a terminal pip draws a progress bar
    touch "$INSTALLING"
    local status=0
    "$VENV/bin/python" -m pip install ${quiet[@]+"${quiet[@]}"} "$@" || status=$?
    # pip that ended by itself has left no torn package, whether it succeeded or not.
    [ "$status" -lt 128 ] && rm -f "$INSTALLING"
    return "$status"
}

# install PART TEXT PIP-ARGUMENTS...
install() {
    local part=$1 text=$2
    shift 2
    in_place "$part" "$text" && return
    say "installing $part"
    pip_install "$@" || return
    printf '%s\n' "$text" > "$STAMPS/$part"
}

make_venv

torch=$(sed -n 's/^\(torch==[^ #]*\).*/\1/p' requirements.txt)
failed="pip failed, see above. Once that is put right, run it again: it goes on where it stopped."

if ! in_place torch "$torch"; then
    say "torch comes first and is the largest part. Training needs no GPU; to make pip take the" \
        "smaller CPU build, set PIP_EXTRA_INDEX_URL to PyTorch's CPU index (see its install page)."
fi
install torch "$torch" "$torch" || die "$failed"
install requirements "$(cat requirements.txt)" -r requirements.txt || die "$failed"

if [ "${CHESS:-yes}" = no ]; then
    say "chess left out, as asked: the game-tree search task is not available"
elif ! in_place chess "$(cat requirements-chess.txt)"; then
    say "the optional chess library is GPL-3 (the project itself is MIT); CHESS=no leaves it out"
    install chess "$(cat requirements-chess.txt)" -r requirements-chess.txt ||
        say "chess could not be installed: the game-tree search task is not available"
fi

if [ "${1:-}" = --dev ]; then
    install dev "$(cat requirements.txt requirements-dev.txt)" -r requirements-dev.txt ||
        die "$failed"
fi

[ "${SYSTEM_PACKAGES:-yes}" = no ] || scripts/system_packages.sh

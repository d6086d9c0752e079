#!/usr/bin/env bash
# Makes the virtual environment .venv with a Python that this project supports.
#
#   launch/make_venv.sh                      the first of python3.11, 3.12, 3.10 that can
#   PYTHON=/opt/py312/bin/python launch/make_venv.sh   that one
#
# An environment that already works is kept; one left half-made by an interrupted call is completed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly VENV=.venv

# Prints what keeps a Python from being used; prints nothing when it will do.
# A name on the PATH is no proof: pyenv's shims exist for versions that do not run, and Debian's
# python3 lacks ensurepip until python3-venv is installed.
fault() {
  "$1" - 2>/dev/null <<'PY' || echo "does not run"
import sys
if not (3, 10) <= sys.version_info[:2] <= (3, 12):
    print("is Python %d.%d" % sys.version_info[:2])
else:
    try:
        import ensurepip, venv
    except ImportError as error:
        print("lacks %s (Debian/Ubuntu: apt-get install python3-venv)" % error.name)
PY
}

if [ -x "$VENV/bin/python" ] && "$VENV/bin/python" --version >/dev/null 2>&1; then
  why=$(fault "$VENV/bin/python")
  if [ -n "$why" ]; then
    echo "make_venv: the Python in $VENV $why; 3.10 to 3.12 will do. Remove $VENV, run again." >&2
    exit 1
  fi
  "$VENV/bin/python" -m pip --version >/dev/null 2>&1 || "$VENV/bin/python" -m ensurepip
  exit 0
fi

candidates=(python3.11 python3.12 python3.10 python3 python)
if [ -n "${PYTHON:-}" ]; then
  candidates=("$PYTHON")
fi
tried=()
for candidate in "${candidates[@]}"; do
  if ! command -v "$candidate" >/dev/null; then
    tried+=("$candidate: not found")
    continue
  fi
  why=$(fault "$candidate")
  if [ -z "$why" ]; then
    echo "Making $VENV with $(command -v "$candidate") ($("$candidate" --version))"
    exec "$candidate" -m venv --clear "$VENV"
  fi
  tried+=("$candidate: $why")
done

{
  echo "make_venv: no Python 3.10, 3.11 or 3.12 that can make a virtual environment."
  printf '  %s\n' "${tried[@]}"
  echo "Install one (Debian/Ubuntu: apt-get install python3.11 python3.11-venv; or pyenv install"
  echo "3.11) or name one: make setup PYTHON=/path/to/python3.11"
} >&2
exit 1

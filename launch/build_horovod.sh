#!/usr/bin/env bash
# Builds Horovod against the TensorFlow installed for PYTHON and installs it there.
#
#   launch/build_horovod.sh                       CPU, Gloo (no MPI needed)
#   HOROVOD_GPU_OPERATIONS=NCCL launch/build_horovod.sh   GPU, NCCL (set HOROVOD_NCCL_HOME if NCCL
#                                                 is not in a standard place); not measured here
#
# Environment: PYTHON (default .venv/bin/python), CXX (default g++), HOROVOD_WHEEL_CACHE (default
# ~/.cache/recommender-zoo), JOBS (default: one for each processor).
# The wheel is cached by Horovod, TensorFlow and Python version and by kind, so that the second
# call only installs. How to tell that it works: the last line printed is "Horovod ... works".
set -euo pipefail

readonly VERSION=0.28.1
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}
CACHE=${HOROVOD_WHEEL_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/recommender-zoo}
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

fail() { printf 'build_horovod: %s\n' "$1" >&2; exit 1; }

case "${HOROVOD_GPU_OPERATIONS:-}" in
  "") KIND=cpu CONTROLLER=gloo ;;
  NCCL) KIND=nccl CONTROLLER=nccl ;;
  *) fail "HOROVOD_GPU_OPERATIONS must be NCCL or not set. Received: $HOROVOD_GPU_OPERATIONS." ;;
esac

command -v "$PYTHON" >/dev/null || fail "no Python at '$PYTHON'; run 'make setup' or set PYTHON=..."
PYTHON=$(cd "$(dirname "$(command -v "$PYTHON")")" && pwd)/$(basename "$PYTHON")
KEY=$("$PYTHON" - 2>/dev/null <<'PY'
import sys
from importlib.metadata import version
print(f"tf{version('tensorflow')}-py{sys.version_info[0]}{sys.version_info[1]}")
PY
) || fail "TensorFlow is not installed for '$PYTHON'; run 'make setup' first."
STORE=$CACHE/horovod-$VERSION-$KEY-$KIND-$(uname -m)

works() {
  TF_USE_LEGACY_KERAS=1 TF_CPP_MIN_LOG_LEVEL=3 "$PYTHON" -c \
    "import horovod.tensorflow as hvd; hvd.init(); assert hvd.${CONTROLLER}_built()" \
    2>"$WORK/import_error"
}

# The stamp ties the installed Horovod to the TensorFlow it was built for: a wheel built for
# another TensorFlow imports, then crashes inside its first collective.
STAMP=$("$PYTHON" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/horovod-built-for
if [ "$(cat "$STAMP" 2>/dev/null)" = "$KEY-$KIND" ] && works; then
  echo "Horovod $VERSION for $KEY ($KIND) is already installed and works"
  exit 0
fi

check_tools() {
  local compiler
  read -r compiler _ <<<"${CXX:-g++}" # CXX may hold options, or ccache before the compiler
  command -v "$compiler" >/dev/null || fail "no C++ compiler ('$compiler').
  Debian/Ubuntu: apt-get install g++    Fedora: dnf install gcc-c++    or set CXX=/path/to/compiler
  Training on one device needs no Horovod: 'make setup-local' leaves it out."
  command -v make >/dev/null || fail "no make.
  Debian/Ubuntu: apt-get install make    Fedora: dnf install make"
  if [ "$KIND" = nccl ]; then
    command -v nvcc >/dev/null || fail "HOROVOD_GPU_OPERATIONS=NCCL needs CUDA's nvcc on the PATH."
  fi
}

fetch() {
  "$PYTHON" -m pip install --quiet 'setuptools<81' wheel 'cmake<4' packaging cloudpickle psutil pyyaml
  "$PYTHON" -m pip download --quiet --no-deps --no-binary :all: --no-build-isolation \
    --dest "$WORK" "horovod==$VERSION"
  tar -xzf "$WORK/horovod-$VERSION.tar.gz" -C "$WORK"
  # This file wants XLA headers that TensorFlow's wheel does not ship (horovod/horovod#4039).
  sed -i.bak '/xla_mpi_ops.cc/d' "$WORK/horovod-$VERSION/horovod/tensorflow/CMakeLists.txt"
}

compile() {
  # The first PATH entry holds the cmake just installed. MAKEFLAGS replaces the caller's, whose
  # job server does not reach this far.
  env HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1 \
    HOROVOD_WITHOUT_MPI=1 HOROVOD_WITH_GLOO=1 TF_USE_LEGACY_KERAS=1 \
    MAKEFLAGS="-j${JOBS:-$(nproc)}" PATH="$(dirname "$PYTHON"):$PATH" \
    "$PYTHON" -m pip wheel "$WORK/horovod-$VERSION" --verbose --no-deps --no-build-isolation \
    --wheel-dir "$WORK/wheel"
}

build() {
  check_tools
  echo "Building Horovod $VERSION for $KEY ($KIND), once; under 5 minutes on 2 cores"
  fetch
  if ! compile >"$WORK/build.log" 2>&1; then
    tail -n 40 "$WORK/build.log" >&2
    cp "$WORK/build.log" "$CACHE/build_failed.log"
    fail "the build failed; whole log: $CACHE/build_failed.log"
  fi
  # A killed copy must not look like a cached wheel: the folder appears whole or not at all.
  rm -rf "$STORE" "$STORE.partial"
  mkdir "$STORE.partial"
  cp "$WORK"/wheel/horovod-*.whl "$STORE.partial/"
  mv "$STORE.partial" "$STORE"
}

mkdir -p "$CACHE"
if [ ! -d "$STORE" ]; then
  build
fi
"$PYTHON" -m pip install --quiet --no-deps --force-reinstall "$STORE"/horovod-*.whl
"$PYTHON" -m pip install --quiet cloudpickle psutil pyyaml packaging
if ! works; then
  tail -n 5 "$WORK/import_error" >&2
  fail "the wheel was installed but does not work; delete $STORE and run again."
fi
printf '%s' "$KEY-$KIND" >"$STAMP"
echo "Horovod $VERSION for $KEY ($KIND) works"

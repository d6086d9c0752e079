#!/usr/bin/env bash
# Trains on several ranks of this machine.
#
#   launch/local.sh RANKS [flags of trainers.run]
#   launch/local.sh 2 --model=ncf --data_dir=DATA --model_dir=RUN
#   launch/local.sh 3 -m trainers.verify_distributed           another module than trainers.run
#
# A rank gets a GPU where there are any, else its share of the processors. Environment:
#   PYTHON           default: .venv/bin/python
#   LOG_DIR          each rank's output; default: a new folder in /tmp
#   STALL_WARNING    seconds after which a rank that others wait for is named (15)
#   STALL_SHUTDOWN   seconds after which that ends the run (120; 0: never)
#   TIMELINE         file for Horovod's timeline, for chrome://tracing (docs/scaling.md)
# How to tell that it works: the progress lines, on rank 0 only, come as on one rank; TensorBoard
# shows ranks/0, ranks/1, ...; launch/local.sh 2 -m trainers.verify_distributed ends with "all agree".
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}
if [[ ! ${1:-} =~ ^[1-9][0-9]*$ ]]; then
  echo "launch/local.sh: the number of ranks comes first. Received: '${1:-}'. See the top of this file." >&2
  exit 2
fi
RANKS=$1
shift
export TF_USE_LEGACY_KERAS=1 TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
SHARE=$(($(nproc) / RANKS))
# Without this each rank would start a thread for every processor, and they would wait for each other.
export TF_NUM_INTRAOP_THREADS="${TF_NUM_INTRAOP_THREADS:-$((SHARE > 0 ? SHARE : 1))}"
exec "$PYTHON" "$ROOT/launch/ranks.py" -np "$RANKS" -- "$@"

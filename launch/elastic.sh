#!/usr/bin/env bash
# Trains on hosts that come and go: a rank that dies is left out or replaced, and training goes on.
#
#   launch/elastic.sh DISCOVERY MIN MAX [flags of trainers.run]
#   launch/elastic.sh ./hosts_now.sh 2 8 --model=dlrm --data_dir=/shared/DATA --model_dir=/shared/RUN
#
# DISCOVERY is a program that prints the hosts that there are now, a line each: HOST:SLOTS. It is
# asked every second. Fewer than MIN ranks wait for more; more than MAX are never started. A host
# whose rank died is not used again unless COOLDOWN="MIN_SECONDS MAX_SECONDS" is set.
#
# What is lost: the steps since the newest checkpoint, which are taken again; so set
# --set=trainer.checkpoint_steps or checkpoint_minutes. The epoch goes on from there on as many ranks
# as there are, each of its rows seen once (docs/scaling.md). Environment: as launch/ssh.sh.
# Set NETWORK_INTERFACE (lo on one host): else Horovod waits for two hosts, to find what they share.
# How to tell that it works: kill -9 a rank; the others say "Going on from step ...".
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}
if [[ $# -lt 3 || ! -x $1 || ! $2 =~ ^[1-9][0-9]*$ || ! $3 =~ ^[1-9][0-9]*$ ]]; then
  echo "launch/elastic.sh: a program that prints hosts, and the least and most ranks come first." \
    "Received: '$*'. See the top of this file." >&2
  exit 2
fi
DISCOVERY=$(realpath "$1") MIN=$2 MAX=$3
shift 3
if [[ -z ${NETWORK_INTERFACE:-} ]]; then
  echo "launch/elastic.sh: NETWORK_INTERFACE is not set, so Horovod looks for one that two hosts share, and" \
    "waits until there are two. With one host: NETWORK_INTERFACE=lo." >&2
fi
export TF_USE_LEGACY_KERAS=1 TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
cd "$ROOT"
read -ra COOL <<<"${COOLDOWN:-}"
exec "$PYTHON" "$ROOT/launch/ranks.py" -np "$MIN" --min-np "$MIN" --max-np "$MAX" \
  --host-discovery-script "$DISCOVERY" ${COOL[0]:+--blacklist-cooldown-range "${COOL[@]}"} -- "$@"

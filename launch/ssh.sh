#!/usr/bin/env bash
# Trains on several hosts, which are reached by ssh from the first.
#
#   launch/ssh.sh HOSTFILE [flags of trainers.run]
#   launch/ssh.sh hosts.txt --model=dlrm --data_dir=/shared/DATA --model_dir=/shared/RUN
#
# HOSTFILE holds a line a host: its name and how many ranks it takes, such as one for each GPU.
#   node1 slots=8
#   node2 slots=8
# Needed: on every host this folder with its .venv at the same path; ssh from this host to each
# without a password; --data_dir and --model_dir on storage that all hosts see; on each host its own
# name (`hostname`) must not mean 127.0.0.1 in /etc/hosts, for Gloo listens where it points. Environment:
#   NETWORK_INTERFACE  interface that connects the hosts, such as eth1 or ib0; by default Horovod
#                      looks for one that all of them have
#   SSH_PORT, SSH_IDENTITY_FILE
#   and those of launch/local.sh. Set TF_NUM_INTRAOP_THREADS to processors / ranks of a host.
# How to tell that it works: NETWORK_INTERFACE=... launch/ssh.sh hosts.txt -m
# trainers.verify_distributed ends with "all agree"; a host that cannot be reached is named within a minute.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}
HOSTS=${1:-}
if [[ ! -f $HOSTS ]]; then
  echo "launch/ssh.sh: a file of hosts comes first. Received: '$HOSTS'. See the top of this file." >&2
  exit 2
fi
shift
BAD=$(grep -vnE '^[[:space:]]*(#.*)?$|^[^[:space:]]+[[:space:]]+slots=[1-9][0-9]*[[:space:]]*$' "$HOSTS" | head -n 1 || true)
if [[ -n $BAD ]]; then
  echo "launch/ssh.sh: a line of hosts reads 'HOST slots=N'. Received: '${BAD#*:}', line ${BAD%%:*} of $HOSTS." >&2
  exit 2
fi
RANKS=$(awk -F= '/^[^#]/ {sum += $2} END {print sum}' "$HOSTS")
export TF_USE_LEGACY_KERAS=1 TF_CPP_MIN_LOG_LEVEL="${TF_CPP_MIN_LOG_LEVEL:-2}"
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
cd "$ROOT" # where ranks are started on every host
exec "$PYTHON" "$ROOT/launch/ranks.py" -np "$RANKS" --hostfile "$HOSTS" -- "$@"

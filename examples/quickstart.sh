#!/usr/bin/env bash
# From synthetic ratings to recommendations over HTTP: each command is shown before it runs.
# Everything lands in quickstart/; run it again to start afresh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export TF_USE_LEGACY_KERAS=1 TF_CPP_MIN_LOG_LEVEL=3
PATH="$PWD/.venv/bin:$PATH"

show() {
  printf '\n\033[1m$ %s\033[0m\n' "$*"
  "$@"
}

rm -rf quickstart
mkdir quickstart
port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

show python -m data.prepare --dataset=synthetic --out=quickstart/data
show python -m trainers.run --model=ncf --recipe=quickstart --data_dir=quickstart/data \
  --model_dir=quickstart/run | tee quickstart/scores.txt
show python -m serving.export --model_dir=quickstart/run --export_dir=quickstart/export

printf '\n\033[1m$ %s\033[0m\n' "python -m serving.local_server --port=0 --rest_api_port=$port \
--model_name=ncf --model_base_path=quickstart/export &"
python -m serving.local_server --port=0 --rest_api_port="$port" --model_name=ncf \
  --model_base_path=quickstart/export &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true' EXIT
url=http://127.0.0.1:$port
for _ in $(seq 120); do
  kill -0 "$server" || { echo "the server ended; see above" >&2; exit 1; }
  python - "$url/v1/models/ncf" <<'PY' && break
import sys, urllib.request
try:
    urllib.request.urlopen(sys.argv[1], timeout=1)
except OSError:
    sys.exit(1)
PY
  sleep 0.5
done

# 17, 20 and 2999 are users of the synthetic world; 1 is a stranger.
show python -m serving.client --url="$url" --model_name=ncf --users=17,20,2999,1 --k=5
printf '\nOn held-out interactions of all users:\n'
tail -n 5 quickstart/scores.txt
printf '\nLook at the training: .venv/bin/tensorboard --logdir=quickstart/run\n'

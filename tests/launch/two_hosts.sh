#!/usr/bin/env bash
# Trains on two hosts that are joined by a wire, cuts the wire, and goes on: by real ssh, between two
# network namespaces of this machine, each with its own address and processes of its own.
#
#   sudo tests/launch/two_hosts.sh [EPOCHS]        about three minutes
#
# Needed: root, iproute2 and openssh-server (Debian: apt-get install iproute2 openssh-server), and
# `make setup`. Leaves nothing behind: namespaces, keys and runs go when it ends.
# How to tell that it works: the last line is "Two hosts: all as it should be".
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
PYTHON=${PYTHON:-$ROOT/.venv/bin/python}
EPOCHS=${1:-12}
WORK=$(mktemp -d)
A=zoo-a B=zoo-b WIRE=zoo0 ADDRESS_A=10.99.7.1 ADDRESS_B=10.99.7.2

fail() { echo "two_hosts: $1" >&2; exit 1; }
clean() {
  for namespace in $A $B; do
    ip netns pids $namespace 2>/dev/null | xargs -r kill -9 || true
    ip netns delete $namespace 2>/dev/null || true
    rm -rf "/etc/netns/$namespace"
  done
  ssh-keygen -R $ADDRESS_B >/dev/null 2>&1 || true
  rm -rf "$WORK"
}
[[ $(id -u) = 0 ]] || fail "root makes the network namespaces; run it by sudo."
for tool in ip ssh-keygen /usr/sbin/sshd; do
  command -v $tool >/dev/null || fail "no $tool: apt-get install iproute2 openssh-server"
done
trap clean EXIT

join_hosts() {
  ip netns add $A
  ip netns add $B
  ip link add $WIRE netns $A type veth peer name $WIRE netns $B
  ip -n $A address add $ADDRESS_A/24 dev $WIRE
  ip -n $B address add $ADDRESS_B/24 dev $WIRE
  for namespace in $A $B; do
    ip -n $namespace link set lo up
    ip -n $namespace link set $WIRE up
    mkdir -p "/etc/netns/$namespace" # where the name of this machine means the address on the wire
  done
  printf '127.0.0.1 localhost\n%s %s\n' $ADDRESS_A "$(hostname)" >/etc/netns/$A/hosts
  printf '127.0.0.1 localhost\n%s %s\n' $ADDRESS_B "$(hostname)" >/etc/netns/$B/hosts
}

start_sshd() {
  ssh-keygen -q -t ed25519 -N '' -f "$WORK/key"
  ssh-keygen -q -t ed25519 -N '' -f "$WORK/host_key"
  cp "$WORK/key.pub" "$WORK/authorized_keys"
  mkdir -p /run/sshd
  ip netns exec $B /usr/sbin/sshd -f /dev/null -o "HostKey=$WORK/host_key" \
    -o "AuthorizedKeysFile=$WORK/authorized_keys" -o PermitRootLogin=prohibit-password \
    -o StrictModes=no -o "PidFile=$WORK/sshd.pid" -o "ListenAddress=$ADDRESS_B"
}

train() { # RUN: trains on both hosts, its output in RUN.log
  NETWORK_INTERFACE=$WIRE SSH_IDENTITY_FILE=$WORK/key GLOO_TIMEOUT=10 STALL_WARNING=5 \
    ip netns exec $A "$ROOT/launch/ssh.sh" "$WORK/hosts.txt" --model=ncf --recipe=tiny \
    "--data_dir=$WORK/data" "--model_dir=$1" "--epochs=$EPOCHS" --set=trainer.patience=0 \
    --set=trainer.placement=sharded --set=trainer.checkpoint_steps=7 \
    --set=trainer.batch_size=256 --set=trainer.steps_per_call=1 >>"$1.log" 2>&1
}

ranks() { { ip netns pids $A; ip netns pids $B; } | while read -r pid; do
  tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q 'python.*-m trainers.run' && echo "$pid"
done || true; }

metric() { "$PYTHON" -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[1]))["metrics"]))' "$1/metrics.json"; }

join_hosts
start_sshd
printf '%s slots=1\n' $ADDRESS_A $ADDRESS_B >"$WORK/hosts.txt"
cd "$ROOT"
"$PYTHON" -m data.prepare --dataset=synthetic --synthetic_users=1000 --synthetic_items=300 \
  --synthetic_ratings=40000 "--out=$WORK/data" >"$WORK/prepare.log" 2>&1 || fail "$(cat "$WORK/prepare.log")"

echo "1. An undisturbed run on $ADDRESS_A and, by ssh, $ADDRESS_B"
train "$WORK/whole" || fail "$(tail -n 20 "$WORK/whole.log")"
grep -m 1 '1/2 of its rows' "$WORK/whole.log"

echo "2. The same, and the wire is cut in the middle of an epoch"
train "$WORK/cut" &
LAUNCHER=$!
until [[ $(ls "$WORK/cut/checkpoints" 2>/dev/null | wc -l) -ge 2 ]]; do
  kill -0 $LAUNCHER 2>/dev/null || fail "$(tail -n 20 "$WORK/cut.log")"
  sleep 0.2
done
ip -n $A link set $WIRE down
CUT=$SECONDS
if wait $LAUNCHER; then fail "the run ended well though the wire was cut."; fi
while [[ -n $(ranks) ]]; do
  ((SECONDS - CUT < 60)) || fail "processes go on 60 s after the cut: $(ranks)"
  sleep 0.5
done
echo "   all processes ended $((SECONDS - CUT)) s after the cut; the last that was said:"
tail -n 6 "$WORK/cut.log" | sed 's/^/   /'
grep -q 'cannot be reached any more' "$WORK/cut.log" || fail "nobody said what happened."

echo "3. The wire is whole again, and the same command goes on"
ip -n $A link set $WIRE up
train "$WORK/cut" || fail "$(tail -n 20 "$WORK/cut.log")"
grep -m 1 'Going on from step' "$WORK/cut.log"

[[ $(metric "$WORK/whole") = $(metric "$WORK/cut") ]] || fail "other metrics than undisturbed:
$(metric "$WORK/whole")
$(metric "$WORK/cut")"
echo "   metrics of both runs: $(metric "$WORK/cut" | cut -c1-120)..."
echo "Two hosts: all as it should be"

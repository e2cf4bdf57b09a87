#!/usr/bin/env bash
# End what start.sh started, by the process numbers it left; the packages stay installed.
set -euo pipefail

state=${SYMMCD_SLURM_STATE:-/var/tmp/symmcd-slurm}
[ -d "$state" ] || exit 0
# no job outlives its queue
if timeout 10 scancel --user=root 2>/dev/null; then
    for _ in $(seq 50); do [ -n "$(timeout 10 squeue --noheader 2>/dev/null)" ] || break; sleep 0.2; done
fi
pids=()
for file in "$state"/slurmctld.pid "$state"/slurmd.node1.pid "$state"/slurmd.node2.pid; do
    [ -e "$file" ] && pids+=("$(cat "$file")")
done
if [ -e "$state/munged.ours" ] && [ -e /run/munge/munged.pid ]; then pids+=("$(cat /run/munge/munged.pid)"); fi
[ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null || true
for pid in "${pids[@]}"; do
    for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
done
rm -rf "$state"
rm -f /etc/slurm/slurm.conf /etc/slurm/gres.conf

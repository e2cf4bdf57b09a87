#!/usr/bin/env bash
# A real SLURM on this one machine, for `make test-slurm`: Debian's slurm-wlm and munge on the loopback address, one
# controller and two nodes of one core and one pretended GPU.  Root on Debian only; stop.sh ends it.
set -euo pipefail

state=${SYMMCD_SLURM_STATE:-/var/tmp/symmcd-slurm}
configuration=/etc/slurm/slurm.conf # where `srun` inside a job looks, too
mark="# made by symmcd's tests/slurm/start.sh"

fail() { echo "start.sh: $*" >&2; exit 2; }

[ "$(id -u)" = 0 ] || fail "needs root, to install slurm-wlm and write $configuration"
[ -e /etc/debian_version ] || fail "needs Debian, for its packages slurm-wlm and munge"
if [ -e $configuration ] && ! grep -qF "$mark" $configuration; then
    fail "$configuration is not ours: this machine belongs to a cluster"
fi

bash "$(dirname "$0")/stop.sh"

# apt-get, which waits up to ten minutes for another one to end: for the lists it knows no waiting of its own
apt() {
    local log until=$((SECONDS + 600))
    log=$(mktemp)
    until LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 "$@" >"$log" 2>&1; do
        if ! grep -qE "Could not get lock|Unable to (lock|acquire)" "$log" || [ $SECONDS -ge $until ]; then
            cat "$log" >&2
            fail "\`apt-get $*\` failed"
        fi
        sleep 2
    done
    rm "$log"
}

missing=0
for program in slurmctld slurmd munged; do command -v $program >/dev/null || missing=1; done
if [ $missing = 1 ]; then
    echo "start.sh: installing slurm-wlm and munge"
    apt update
    apt install --yes --no-install-recommends slurm-wlm munge
fi

mkdir -p "$state" /etc/slurm
host=$(hostname --short)
cat >$configuration <<CONF
$mark
ClusterName=symmcd
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
# a job that lost its node is queued again after as many seconds, not 120
AuthInfo=cred_expire=10
# seconds between SIGTERM and SIGKILL at the time limit
KillWait=5
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
# a node that is taken down stays down until it is resumed
ReturnToService=1
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
# what ran where can be asked for an hour
MinJobAge=3600
SchedulerParameters=sched_interval=5
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
# cores and memory as written here, whatever this machine has
SlurmdParameters=config_overrides
StateSaveLocation=$state/controller
SlurmctldPidFile=$state/slurmctld.pid
SlurmctldLogFile=$state/slurmctld.log
SlurmctldPort=16817
SlurmdSpoolDir=$state/%n
SlurmdPidFile=$state/slurmd.%n.pid
SlurmdLogFile=$state/slurmd.%n.log
GresTypes=gpu
NodeName=node1 NodeHostname=$host NodeAddr=127.0.0.1 Port=17001 CPUs=1 RealMemory=64000 Gres=gpu:1
NodeName=node2 NodeHostname=$host NodeAddr=127.0.0.1 Port=17002 CPUs=1 RealMemory=64000 Gres=gpu:1
PartitionName=main Nodes=node1,node2 Default=YES MaxTime=INFINITE State=UP
CONF
# jobs are given a GPU that is none, to see that they ask for one
echo "NodeName=node[1-2] Name=gpu File=/dev/null" >/etc/slurm/gres.conf

[ -e /etc/munge/munge.key ] || { mungekey --create && chown munge: /etc/munge/munge.key; }
install --directory --owner=munge --group=munge /run/munge /var/lib/munge /var/log/munge
if ! munge --no-input >/dev/null 2>&1; then
    runuser --user munge -- munged
    touch "$state/munged.ours"
fi

mkdir -p "$state/controller" "$state/node1" "$state/node2"
slurmctld
slurmd -N node1
slurmd -N node2

for _ in $(seq 60); do
    if [ "$(sinfo --noheader --Node --states=idle --format=%N 2>/dev/null | sort -u | wc -l)" = 2 ]; then
        sinfo
        exit 0
    fi
    sleep 0.5
done
tail -n 20 "$state"/*.log >&2
bash "$(dirname "$0")/stop.sh"
fail "the nodes did not come up"

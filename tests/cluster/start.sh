#!/usr/bin/env bash
# A Slurm cluster of three nodes on one Debian machine, as root, without systemd, cgroups or a database.
#   SLURM_FOLDER=FOLDER SHARED="FOLDER ..." tests/cluster/start.sh     state and logs: FOLDER. stop.sh ends it.
# Packages: slurm-wlm, munge. All folders lie below /tmp.
# Each node is a slurmd in a mount namespace of its own: it has a private /tmp but for the folders named in SHARED (the
# shared file system), locks of its own, and a /proc/cpuinfo of its own, if there is node-NAME.cpuinfo beside this file.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${SLURM_FOLDER:-/tmp/slurm}
shared=${SHARED:-}
mkdir -p "$folder"/{state,log,run}
# the package's post-installation makes the key; an image without it gets one
[ -s /etc/munge/munge.key ] || dd if=/dev/urandom of=/etc/munge/munge.key bs=1024 count=1 status=none
chown munge: /etc/munge/munge.key
chmod 400 /etc/munge/munge.key
install -d -o munge -g munge -m 755 /run/munge /var/log/munge /var/lib/munge
munge --no-input > /dev/null 2>&1 || runuser -u munge -- /usr/sbin/munged
# Fake GPUs: two character devices that anybody may open (copies of /dev/null).
for number in 0 1; do [ -e "$folder/fakegpu$number" ] || mknod -m 666 "$folder/fakegpu$number" c 1 3; done
# In /etc/slurm, because the executor plugin takes SLURM_CONF out of the environment of its srun.
for name in slurm.conf gres.conf; do
    sed -e "s#@FOLDER@#$folder#g" -e "s#@HOST@#$(hostname -s)#g" "$here/$name" > "/etc/slurm/$name"
done
slurmctld
for node in cpu1 cpu2 gpu1; do
    unshare --mount --propagation private bash -euc '
        node=$1 here=$2 folder=$3; shift 3
        mkdir -p /mnt/node && mount -t tmpfs -o mode=1777 node /mnt/node
        for path in "$folder" "$@"; do
            mkdir -p "/mnt/node/${path#/tmp/}" && mount --bind "$path" "/mnt/node/${path#/tmp/}"
        done
        [ ! -e "$here/node-$node.cpuinfo" ] || mount --bind "$here/node-$node.cpuinfo" /proc/cpuinfo
        mount --rbind /mnt/node /tmp
        # Nodes share no locks, as machines share none.
        for path in /run/lock /var/tmp /dev/shm; do mount -t tmpfs -o mode=1777 node "$path"; done
        exec slurmd -N "$node"' node "$node" "$here" "$folder" $shared
done
for second in $(seq 100); do
    idle=$(sinfo --noheader --Node --format=%t | grep -c idle || true)
    [ "$idle" -lt 3 ] || break
    sleep 0.3
done
sinfo --Node --long
[ "$idle" -ge 3 ] || { echo "only $idle of 3 nodes answer" >&2; exit 1; }

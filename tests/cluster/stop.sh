#!/usr/bin/env bash
# End what start.sh started, by the numbers in its pid files: jobs first, whose processes are no daemon's children.
folder=${SLURM_FOLDER:-/tmp/slurm}
scancel --user root 2> /dev/null
for second in $(seq 50); do
    [ -n "$(squeue --noheader 2> /dev/null)" ] || break
    sleep 0.2
done
for file in "$folder"/run/*.pid; do [ -e "$file" ] && kill "$(cat "$file")" 2> /dev/null; done
rm -f /etc/slurm/slurm.conf /etc/slurm/gres.conf
rmdir /mnt/node 2> /dev/null
exit 0

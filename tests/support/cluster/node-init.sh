#!/bin/bash
# First process of a native node: node-init.sh NAME DATA. Runs in namespaces of its own (net, mount, pid, uts, ipc).
#
# The node gets a /run, /var/lib and /var/log of its own below DATA, so that programs keep their usual paths and nodes
# do not meet; everything mounted here ends with the namespace, whoever kills it and however.
set -euo pipefail
name=$1 data=$2

echo "$name" >/proc/sys/kernel/hostname
mkdir -p "$data"/{cgroup,run,lib,log}
# A fresh sysfs shows this node's interfaces, but hides the cgroups: carry them over.
mount --rbind /sys/fs/cgroup "$data/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$data/cgroup" /sys/fs/cgroup
# It hides what the host has here, too; ip finds that in the list of mounts and takes no other.
mount -t bpf bpf /sys/fs/bpf
umount --recursive --lazy "$data/cgroup"
mount --bind "$data/lib" /var/lib
mount --bind "$data/log" /var/log
mount --bind "$data/run" /run
mkdir -p /run/netns /run/sentinel/bpf
mount -t bpf bpf /run/sentinel/bpf
ip link set lo up
echo up >/run/node-is-up

trap 'exit 0' TERM
while :; do # shells reap whatever orphan falls to them, as a first process must
	sleep 3600 &
	wait -n || true
done

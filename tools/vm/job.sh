# Runs inside the guest, in the host's root with a disposable layer on top; the lane fills in what is in braces.
set -eu
cd /run/vm
mkdir tmp home
mount -t bpf bpf /sys/fs/bpf
mkdir -p /run/sentinel/bpf /run/netns
mount -t bpf bpf /run/sentinel/bpf
mount -t tracefs tracefs /sys/kernel/tracing
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
export HOME=/run/vm/home TMPDIR=/run/vm/tmp LC_ALL=C.UTF-8
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PYTHONDONTWRITEBYTECODE=1 PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
export BCC_KERNEL_SOURCE={headers}
export SENTINEL_VM_KERNEL={kernel} SENTINEL_VM_FEATURES={features}
cd {tree}
{python} -m pytest -c {inside}/pytest.ini --rootdir {tree} --confcutdir {inside} -o junit_family=xunit1 -o pythonpath={tree}/tests --tb short --junitxml /run/vm/result.xml {tests}

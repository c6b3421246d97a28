"""What a guest gets to start with: the modules it needs in an order that loads, in an archive that a kernel unpacks."""

import subprocess

import pytest
from vmlane import guest, initramfs
from vmlane.catalogue import Kernel, LaneError
from vmlane.store import Stored

DEPENDENCIES = """\
kernel/fs/virtiofs.ko: kernel/fs/fuse.ko kernel/virtio.ko
kernel/fs/fuse.ko:
kernel/virtio_ring.ko:
kernel/virtio.ko: kernel/virtio_ring.ko
kernel/other.ko:
kernel/virtio-rng.ko: kernel/virtio.ko
"""


@pytest.fixture
def stored(tmp_path):
    modules = tmp_path / "modules"
    for line in DEPENDENCIES.splitlines():
        module = modules / line.partition(":")[0]
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_bytes(b"\x7fELF")
    (modules / "modules.dep").write_text(DEPENDENCIES)
    return Stored(Kernel("9.9", "", "", "", "", ()), "9.9.9", tmp_path / "vmlinuz", modules)


def test_dependencies_come_first_and_built_in_modules_are_left_out(stored):
    order = initramfs.load_order(stored.modules, ("virtio_pci", "virtiofs", "virtio_rng"))
    names = [path.rsplit("/", 1)[-1] for path in order]
    assert names == ["fuse.ko", "virtio_ring.ko", "virtio.ko", "virtiofs.ko", "virtio-rng.ko"]


def test_the_archive_is_one_that_cpio_reads(stored, tmp_path):
    init = tmp_path / "init"
    init.write_text("#!/bin/busybox sh\n")
    archive = initramfs.build(stored, init, "echo x\n", b"mark")
    listed = subprocess.run(["busybox", "cpio", "-tv"], input=archive, capture_output=True, check=True).stdout.decode()
    assert "-rwxr-xr-x" in next(line for line in listed.splitlines() if line.endswith(" init"))
    assert " modules/order" in listed


def test_a_missing_busybox_names_the_package(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LaneError, match="install busybox-static"):
        initramfs.busybox()


def test_a_busybox_that_needs_libraries_is_refused(monkeypatch, tmp_path):
    (tmp_path / "busybox").write_bytes(b"\x7fELF" + b"\0" * 600 + b"/lib64/ld-linux-x86-64.so.2\0")
    (tmp_path / "busybox").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LaneError, match="static busybox"):
        initramfs.busybox()


def test_a_missing_qemu_names_the_package(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LaneError, match="install qemu-system-x86"):
        guest.preflight()

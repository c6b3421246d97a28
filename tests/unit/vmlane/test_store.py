"""The cache of kernels mends itself: from its package while that is whole, from the mirror otherwise."""

import lzma
import subprocess

import pytest
from vmlane import store
from vmlane.catalogue import Kernel, LaneError

RELEASE = "9.9.9-test"
MODULE = f"tree/lib/modules/{RELEASE}/kernel/some.ko"


@pytest.fixture
def kernel(tmp_path):
    keyring = tmp_path / "keyring.gpg"
    keyring.touch()
    return Kernel("9.9", "test", "linux-image-.*", "http://127.0.0.1:9/none", str(keyring), ())


@pytest.fixture
def mirror(tmp_path):
    """Stands for apt: a package made here, and a count of how often it was asked for."""
    tree = tmp_path / "package"
    for path, content in {
        "DEBIAN/control": b"Package: linux-image-test\nVersion: 1\nArchitecture: amd64\nMaintainer: x\n",
        f"boot/vmlinuz-{RELEASE}": b"kernel",
        f"boot/config-{RELEASE}": b"CONFIG_BPF=y\n",
        f"usr/lib/modules/{RELEASE}/modules.builtin": b"",
        f"usr/lib/modules/{RELEASE}/kernel/some.ko.xz": lzma.compress(b"module"),
    }.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(content)

    class Mirror:
        asked = 0

        def __call__(self, _: Kernel, home):
            self.asked += 1
            package = home / "linux-image-test.deb"
            subprocess.run(["dpkg-deb", "-b", "-Znone", tree, package], check=True, capture_output=True)
            return package

    return Mirror()


@pytest.fixture
def ensure(tmp_path, kernel, mirror):
    def run():
        said: list[str] = []
        return store.ensure(kernel, tmp_path / "kernels", said.append, mirror), "".join(said)

    return run


def test_a_kernel_is_fetched_once_and_its_modules_unpacked(ensure, mirror):
    stored, said = ensure()
    assert "fetching it from test" in said
    assert stored.image.read_bytes() == b"kernel"
    assert (stored.modules / "kernel/some.ko").read_bytes() == b"module"
    assert ensure() == (stored, "")
    assert mirror.asked == 1


@pytest.mark.parametrize("harm", ["changed", "gone", "cut"])
def test_a_damaged_file_is_unpacked_again_without_the_mirror(tmp_path, ensure, mirror, harm):
    ensure()
    module = tmp_path / "kernels/9.9" / MODULE
    if harm == "gone":
        module.unlink()
    else:
        module.write_bytes(b"mod" if harm == "cut" else b"modulE")
    stored, said = ensure()
    assert "damaged" in said
    assert (stored.modules / "kernel/some.ko").read_bytes() == b"module"
    assert mirror.asked == 1


def test_a_damaged_package_is_fetched_again_when_it_is_needed(tmp_path, ensure, mirror):
    ensure()
    home = tmp_path / "kernels/9.9"
    (home / MODULE).unlink()
    (home / "linux-image-test.deb").write_bytes(b"half")
    stored, _ = ensure()
    assert (stored.modules / "kernel/some.ko").read_bytes() == b"module"
    assert mirror.asked == 2


@pytest.mark.parametrize("manifest", ["", "[]", "{", '{"format": 0}'])
def test_a_broken_manifest_is_an_empty_cache(tmp_path, ensure, mirror, manifest):
    ensure()
    (tmp_path / "kernels/9.9/manifest.json").write_text(manifest)
    ensure()
    assert mirror.asked == 2


def test_an_interrupted_unpacking_leaves_nothing_that_counts(tmp_path, ensure, mirror):
    half = tmp_path / "kernels/9.9/unpacking/tree"
    half.mkdir(parents=True)
    (half / "vmlinuz").write_bytes(b"half")
    stored, _ = ensure()
    assert stored.image.read_bytes() == b"kernel"
    assert not half.exists()


def test_a_package_that_cannot_be_unpacked_is_thrown_away(tmp_path, kernel):
    def broken(_: Kernel, home):
        (home / "linux-image-test.deb").write_bytes(b"not a package")
        return home / "linux-image-test.deb"

    with pytest.raises(LaneError, match="run it again to fetch it anew"):
        store.ensure(kernel, tmp_path / "kernels", lambda _: None, broken)
    assert not list((tmp_path / "kernels/9.9").glob("*.deb"))


def test_no_network_is_one_sentence(tmp_path, kernel):
    with pytest.raises(LaneError, match="check the network") as refused:
        store.ensure(kernel, tmp_path / "kernels", lambda _: None)
    assert "\n" not in str(refused.value)


def test_a_missing_keyring_names_the_package_to_install(tmp_path, kernel):
    (tmp_path / "keyring.gpg").unlink()
    with pytest.raises(LaneError, match="install debian-archive-keyring"):
        store.from_apt(kernel, tmp_path)

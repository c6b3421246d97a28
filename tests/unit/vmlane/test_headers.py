"""Headers come in two packages and are one folder, fetched once."""

import subprocess

import pytest
from vmlane import headers
from vmlane.catalogue import Kernel, LaneError

SOURCES = "usr/src/linux-headers-9.9.9"


@pytest.fixture
def kernel(tmp_path):
    return Kernel("9.9", "test", r"linux-image-9\.9\.\d+-cloud-amd64", "http://127.0.0.1:9/none", str(tmp_path), ())


def package(folder, name, files):
    tree = folder / name
    for path in files:
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(path)
    (tree / SOURCES).with_name(f"{SOURCES.rsplit('/', 1)[1]}-{name}").joinpath("scripts").symlink_to("/nowhere")
    (tree / "DEBIAN").mkdir()
    control = f"Package: {name}\nVersion: 1\nArchitecture: amd64\nMaintainer: x\n"
    (tree / "DEBIAN/control").write_text(control)
    made = folder / f"{name}.deb"
    subprocess.run(["dpkg-deb", "-b", "-Znone", tree, made], check=True, capture_output=True)
    return made


def test_both_packages_become_one_folder_and_are_asked_for_once(kernel, tmp_path):
    asked = []

    def fetch(_, home):
        asked.append(home)
        own = package(home, "cloud-amd64", [f"{SOURCES}-cloud-amd64/include/generated/autoconf.h"])
        return [own, package(home, "common", [f"{SOURCES}-common/include/linux/kconfig.h"])]

    for _ in range(2):
        found = headers.ensure(kernel, tmp_path / "kernels", lambda _: None, fetch)
    assert (found / "include/linux/kconfig.h").is_file()
    assert (found / "include/generated/autoconf.h").is_file()
    assert not (found / "scripts").exists(), "only building a kernel needs what they point to"
    assert len(asked) == 1
    assert not list(found.parent.glob("*.deb"))


def test_a_broken_package_is_one_sentence_and_leaves_no_folder(kernel, tmp_path):
    def fetch(_, home):
        (home / "bad.deb").write_text("no package")
        return [home / "bad.deb"]

    with pytest.raises(LaneError, match="run it again"):
        headers.ensure(kernel, tmp_path / "kernels", lambda _: None, fetch)
    assert not (tmp_path / "kernels/9.9.headers/tree").exists()

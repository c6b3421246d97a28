"""A release's parts agree, or `make release-dry` says which does not."""

import base64
import importlib.util
import io
import json
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def release():
    spec = importlib.util.spec_from_file_location("release", ROOT / "tools/release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def archive(path: Path, files: dict[str, bytes], mode: str) -> None:
    with tarfile.open(path, mode) as made:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))


def built(folder: Path, *, wheel="1.2.3", chart="1.2.3", app="1.2.3", image="1.2.3", crd=b"") -> Path:
    with zipfile.ZipFile(folder / "sentinel_buffers-1.2.3-py3-none-any.whl", "w") as made:
        made.writestr("sentinel_buffers-1.2.3.dist-info/METADATA", f"Name: sentinel-buffers\nVersion: {wheel}\n")
    crds = {f"sentinel/crds/{path.name}": path.read_bytes() + crd for path in (ROOT / "crds").glob("*.yaml")}
    about = json.dumps({"version": chart, "appVersion": app}).encode()
    archive(folder / "sentinel-1.2.3.tgz", {"sentinel/Chart.yaml": about, **crds}, "w:gz")
    config = json.dumps({"config": {"Labels": {"org.opencontainers.image.version": image}}}).encode()
    archive(folder / "agent.tar", {"manifest.json": b'[{"Config": "c.json"}]', "c.json": config}, "w")
    (folder / "CHANGES.md").write_text("New\n")
    return folder


def test_parts_that_agree_have_no_fault(release, tmp_path):
    assert list(release.faults(built(tmp_path), "1.2.3")) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"wheel": "1.2.4"}, "the wheel says"),
        ({"chart": "1.2.4"}, "the chart's version is 1.2.4"),
        ({"app": "1.2.4"}, "the chart's appVersion is 1.2.4"),
        ({"image": "1.2.4"}, "agent.tar says"),
        ({"crd": b"# older\n"}, "is not that of crds/"),
    ],
)
def test_each_part_that_does_not_is_named(release, tmp_path, wrong, said):
    found = list(release.faults(built(tmp_path, **wrong), "1.2.3"))
    assert found
    assert all(said in each for each in found)


@pytest.mark.slow
def test_a_dry_release_builds_and_agrees(tmp_path):
    told = tmp_path / "told"
    environment = os.environ | {"GITHUB_OUTPUT": str(told)}
    done = subprocess.run(["tools/release.sh"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    subjects = base64.b64decode(told.read_text().removeprefix("subjects=")).decode()
    assert subjects == (ROOT / "out/release/SHA256SUMS").read_text()
    assert ".whl" in done.stdout
    assert ".tgz" in done.stdout

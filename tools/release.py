"""Whether the parts of a release agree: `tools/release.py FOLDER VERSION`; each that does not is one sentence."""

from __future__ import annotations

import json
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
VERSION_LABEL = "org.opencontainers.image.version"


def faults(folder: Path, version: str) -> Iterator[str]:
    yield from _wheel(folder, version)
    yield from _chart(folder, version)
    for image in sorted(folder.glob("*.tar")):
        found = image_version(image)
        if found != version:
            yield f"{image.name} says {VERSION_LABEL}={found or 'nothing'}, not {version}"
    if not (folder / "CHANGES.md").read_text().strip():
        yield "CHANGES.md is empty: a release without a fragment in changes/ has nothing to tell"


def _wheel(folder: Path, version: str) -> Iterator[str]:
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        yield f"there are {len(wheels)} wheels, not one"
        return
    with zipfile.ZipFile(wheels[0]) as wheel:
        metadata = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        told = next(line for line in wheel.read(metadata).decode().splitlines() if line.startswith("Version: "))
    if told != f"Version: {version}":
        yield f"the wheel says {told!r}, not {version}"


def _chart(folder: Path, version: str) -> Iterator[str]:
    path = folder / f"sentinel-{version}.tgz"
    if not path.exists():
        yield f"there is no chart {path.name}"
        return
    with tarfile.open(path) as chart:
        told = yaml.safe_load(_read(chart, "sentinel/Chart.yaml"))
        for key in ("version", "appVersion"):
            if told[key] != version:
                yield f"the chart's {key} is {told[key]}, not {version}"
        for crd in sorted((ROOT / "crds").glob("*.yaml")):
            if _read(chart, f"sentinel/crds/{crd.name}") != crd.read_bytes():
                yield f"the chart's {crd.name} is not that of crds/: run make crds"


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    held = archive.extractfile(name)
    assert held is not None
    return held.read()


def image_version(path: Path) -> str:
    """Of a docker archive, from the labels of its configuration."""
    with tarfile.open(path) as image:
        manifest = json.loads(_read(image, "manifest.json"))
        config = json.loads(_read(image, manifest[0]["Config"]))
    return str((config.get("config", {}).get("Labels") or {}).get(VERSION_LABEL, ""))


def main() -> int:
    folder, version = sys.argv[1:]
    found = list(faults(Path(folder), version))
    for fault in found:
        sys.stderr.write(f"release: {fault}.\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

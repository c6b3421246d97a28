"""Container images without a registry: a few files, or a root folder, packed as the archive that containerd imports."""

import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from support.cluster.errors import ClusterError
from support.cluster.node import PAUSE_IMAGE

SOURCES = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made of, besides its files."""

    name: str
    entrypoint: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def pack(archive: Path, recipe: Recipe, files: Mapping[str, bytes]) -> Path:
    """Every file (path in the image → content) may be run by all; the same input gives the same bytes."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for path, content in sorted(files.items()):
            _add(tar, path.lstrip("/"), content, mode=0o755)
    return _write(archive, recipe, layer.getvalue())


def pack_root(archive: Path, recipe: Recipe, root: Path) -> Path:
    """A whole root folder or tar, such as mmdebstrap makes."""
    if root.is_file():
        return _write(archive, recipe, root.read_bytes())
    made = subprocess.run(
        ["tar", "-C", root, "--sort=name", "--numeric-owner", "-c", "."], check=True, capture_output=True
    )
    return _write(archive, recipe, made.stdout)


def _write(archive: Path, recipe: Recipe, layer: bytes) -> Path:
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "Entrypoint": list(recipe.entrypoint),
                "Env": [f"{key}={value}" for key, value in recipe.environment.items()],
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [recipe.name], "Layers": ["layer.tar"]}]
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_suffix(f".{os.getpid()}")
    with tarfile.open(unfinished, mode="w") as tar:
        _add(tar, config_name, config)
        _add(tar, "layer.tar", layer)
        _add(tar, "manifest.json", json.dumps(manifest).encode())
    return unfinished.replace(archive)


def _add(tar: tarfile.TarFile, path: str, content: bytes, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(path)
    member.size, member.mode = len(content), mode
    tar.addfile(member, io.BytesIO(content))


def compiled(source: Path, name: str, program: str) -> Path:
    """An image that holds one C program, linked statically; kept in the cache as long as its source stays the same."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sentinel-buffers" / "images"
    digest = hashlib.sha256(source.read_bytes() + name.encode()).hexdigest()[:16]
    archive = cache / f"{program}-{digest}.tar"
    if archive.exists():
        return archive
    cache.mkdir(parents=True, exist_ok=True)
    output = cache / f"{program}.{os.getpid()}"
    command = ["gcc", "-static", "-O2", "-Wall", "-Werror", "-o", str(output), str(source)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise ClusterError(f"{source.name} does not compile (are gcc and libc6-dev installed?): {done.stderr}")
    content = output.read_bytes()
    output.unlink()
    return pack(archive, Recipe(name, [f"/{program}"]), {program: content})


def pause() -> Path:
    return compiled(SOURCES / "pause.c", PAUSE_IMAGE, "pause")


HELLO_IMAGE = "sentinel.test/hello:1"


def hello() -> Path:
    """`/hello serve PORT` and `/hello ask ADDRESS PORT`."""
    return compiled(SOURCES / "hello.c", HELLO_IMAGE, "hello")

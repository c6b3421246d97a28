"""Images are packed the same way each time, and kept in the cache by what they are made of."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from support.cluster import images
from support.cluster.errors import ClusterError

RECIPE = images.Recipe("sentinel.test/thing:1", ["/thing"], {"LEVEL": "3"})


def members(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {one.name: found.read() for one in tar if (found := tar.extractfile(one))}


def test_the_archive_tells_name_command_and_layer(tmp_path: Path) -> None:
    archive = members(images.pack(tmp_path / "thing.tar", RECIPE, {"/bin/thing": b"code"}).read_bytes())
    (manifest,) = json.loads(archive["manifest.json"])
    assert manifest["RepoTags"] == ["sentinel.test/thing:1"]
    config = json.loads(archive[manifest["Config"]])
    assert config["config"] == {"Entrypoint": ["/thing"], "Env": ["LEVEL=3"]}
    assert members(archive[manifest["Layers"][0]]) == {"bin/thing": b"code"}


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    one = images.pack(tmp_path / "one.tar", RECIPE, {"a": b"1", "b": b"2"}).read_bytes()
    assert images.pack(tmp_path / "two.tar", RECIPE, {"b": b"2", "a": b"1"}).read_bytes() == one


def test_a_root_folder_is_packed_whole(tmp_path: Path) -> None:
    (tmp_path / "root" / "etc").mkdir(parents=True)
    (tmp_path / "root" / "etc" / "motd").write_text("hello")
    archive = members(images.pack_root(tmp_path / "root.tar", RECIPE, tmp_path / "root").read_bytes())
    assert members(archive["layer.tar"])["./etc/motd"] == b"hello"


def test_a_program_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = tmp_path / "none.c"
    source.write_text("int main(void) { return 0; }\n")
    archive = images.compiled(source, "sentinel.test/none:1", "none")
    written = archive.stat().st_mtime_ns
    assert images.compiled(source, "sentinel.test/none:1", "none").stat().st_mtime_ns == written
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]


def test_a_program_that_does_not_compile_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = tmp_path / "broken.c"
    source.write_text("int main(void) { return nothing; }\n")
    with pytest.raises(ClusterError, match=r"broken\.c does not compile"):
        images.compiled(source, "sentinel.test/broken:1", "broken")

"""tools/images.sh: where it cannot go on it ends on one sentence, and keeps nothing that does not work."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("buildah") or not shutil.which("mmdebstrap"),
    reason="builds images, which needs root, buildah and mmdebstrap: run tools/setup.sh cluster",
)


class Builder:
    """The script in a tree without Dockerfiles, with a cache folder and an image store of its own."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        self.base = folder / "cache" / "sentinel-buffers" / "images" / "base-bookworm.tar"
        self.store = folder / "storage.conf"
        self.store.write_text(
            f'[storage]\ndriver = "vfs"\ngraphroot = "{folder / "store"}"\nrunroot = "{folder / "run"}"\n'
        )
        (self.tree / "tools").mkdir(parents=True)
        shutil.copy(ROOT / "tools" / "images.sh", self.tree / "tools")

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "XDG_CACHE_HOME": str(self.base.parents[2]),
            "CONTAINERS_STORAGE_CONF": str(self.store),
        }

    def build(self, *names: str, within: tuple[str, ...] = (), **environment: str) -> tuple[int, str]:
        ended = subprocess.run(
            [*within, self.tree / "tools" / "images.sh", *names],
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return ended.returncode, ended.stderr

    def kept(self, what: str) -> str:
        command = ["buildah", what, "--quiet"]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def builder(reachable: Path) -> Builder:
    return Builder(reachable)


def test_who_is_not_root_is_told_so(builder: Builder):
    sentence = "images: Building images needs root: run the same command with sudo.\n"
    assert builder.build(within=AS_NOBODY) == (1, sentence)


def test_an_image_that_is_none_of_ours_is_named(builder: Builder):
    code, said = builder.build("balancer", BASE="localhost/any")
    assert (code, said) == (1, "images: there is no Dockerfile.balancer: name operator or agent.\n")


def test_a_damaged_base_is_removed_and_leaves_nothing_in_the_store(builder: Builder):
    builder.base.parent.mkdir(parents=True)
    builder.base.write_text("garbage")
    code, said = builder.build("operator")
    assert code == 1
    assert said.endswith("was removed: run this again, and it is made anew.\n")
    assert not builder.base.exists()
    assert (builder.kept("images"), builder.kept("containers")) == ("", "")

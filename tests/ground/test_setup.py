"""tools/setup.sh: what it does for a tiny project of its own, and the one sentence it ends on where it cannot go on."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOBODY = 65534
NO_NETWORK = ("unshare", "--net")
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
WITHOUT_BTF = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/kernel/btf && exec "$@"', "sh")

PROJECT = """
[project]
name = "tiny"
version = "1"
requires-python = ">=3.11"
[project.optional-dependencies]
operator = []
agent = []
lb = []
lab = []
dev = []
docs = []
[tool.uv]
package = false
"""
LOCK = """
version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "tiny"
version = "1"
source = { virtual = "." }

[package.metadata]
provides-extras = ["operator", "agent", "lb", "lab", "dev", "docs"]
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="takes rights and the network away, which needs root")


class Checkout:
    """A tree with our set-up and almost no packages, and a cache folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        self.cache = folder / "cache" / "sentinel-buffers"
        (self.tree / "tools").mkdir(parents=True)
        for name in ("setup.sh", "uv.txt"):
            shutil.copy(ROOT / "tools" / name, self.tree / "tools")
        (self.tree / "tools" / "packages.txt").write_text("check bash runs\nnet bash runs\n")
        (self.tree / "pyproject.toml").write_text(PROJECT)
        (self.tree / "uv.lock").write_text(LOCK)

    @property
    def uv(self) -> Path:
        version = (self.tree / "tools" / "uv.txt").read_text().split("uv==")[1].split()[0]
        return self.cache / "uv" / version / "uv"

    @property
    def python(self) -> Path:
        return self.tree / ".venv" / "bin" / "python"

    def set_up(self, *levels: str, within: tuple[str, ...] = (), **environment: str) -> tuple[int, str]:
        ended = subprocess.run(
            [*within, str(self.tree / "tools" / "setup.sh"), *(levels or ("check",))],
            env=os.environ | {"XDG_CACHE_HOME": str(self.cache.parent), "PIP_RETRIES": "0"} | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.stdout == ""
        return ended.returncode, ended.stderr


@pytest.fixture
def checkout(reachable: Path) -> Checkout:
    return Checkout(reachable)


@pytest.fixture
def ready(checkout: Checkout) -> Checkout:
    """Set up once; uv comes from the project's own cache, so that only one test here fetches it."""
    own = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "sentinel-buffers"
    fetched = own / checkout.uv.relative_to(checkout.cache)
    if fetched.exists():
        checkout.uv.parent.mkdir(parents=True)
        shutil.copy(fetched, checkout.uv)
    assert checkout.set_up()[0] == 0
    return checkout


def test_the_second_run_does_nothing_and_says_nothing(ready: Checkout):
    made = ready.python.lstat().st_ctime_ns
    assert ready.set_up() == (0, "")
    assert ready.python.lstat().st_ctime_ns == made


def test_a_changed_lock_is_followed(ready: Checkout):
    lock = ready.tree / "uv.lock"
    lock.write_text(lock.read_text() + "\n")
    assert "as uv.lock says" in ready.set_up()[1]
    assert ready.set_up() == (0, "")


def test_a_set_up_that_was_cut_off_is_done_again(ready: Checkout):
    (ready.tree / ".venv" / ".set-up").unlink()
    assert "as uv.lock says" in ready.set_up()[1]


def test_an_environment_whose_python_is_gone_is_made_again(ready: Checkout):
    ready.python.unlink()
    code, said = ready.set_up()
    assert (code, "making it again" in said) == (0, True)
    assert subprocess.run([ready.python, "-c", ""], check=False).returncode == 0


def test_a_damaged_cache_is_healed(ready: Checkout):
    ready.uv.write_text("garbage")
    (ready.tree / ".venv" / ".set-up").unlink()
    code, said = ready.set_up(PIP_RETRIES="5")
    assert (code, "does not run: fetching it again" in said) == (0, True)
    assert ready.set_up() == (0, "")


def test_nothing_is_written_but_the_environment_and_the_cache(ready: Checkout):
    assert {path.name for path in ready.tree.iterdir()} == {".venv", "pyproject.toml", "tools", "uv.lock"}
    assert {path.name for path in ready.cache.iterdir()} == {"set-up.lock", "uv"}


@needs_root
def test_a_damaged_cache_without_network_ends_on_one_sentence(checkout: Checkout):
    checkout.uv.parent.mkdir(parents=True)
    checkout.uv.write_text("garbage")
    code, said = checkout.set_up(within=NO_NETWORK)
    assert code == 1
    assert "the cached uv does not run" in said
    assert said.splitlines()[-1].endswith("check the network (pip's settings count), then run this again.")
    assert [path.name for path in (checkout.cache / "uv").iterdir()] == [checkout.uv.parent.name]


@needs_root
@pytest.mark.parametrize(
    ("levels", "within", "sentence"),
    [
        pytest.param(("net",), AS_NOBODY, "need root: run the same command with sudo.", id="not root"),
        pytest.param(("net",), WITHOUT_BTF, "This kernel has no BTF (/sys/kernel/btf/vmlinux): boot", id="no BTF"),
        pytest.param(("check",), ("setarch", "linux32"), "only x86_64 is built and tested: use", id="architecture"),
        pytest.param(("check",), NO_NETWORK, "could not be fetched: check the network", id="no network"),
        pytest.param(("chekc",), (), "There is no level 'chekc': use check, net, cluster or vm.", id="unknown level"),
    ],
)
def test_what_it_cannot_do_is_said_in_a_sentence(checkout: Checkout, levels, within, sentence: str):
    code, said = checkout.set_up(*levels, within=within)
    assert code == 1
    assert sentence in said.splitlines()[-1]


@needs_root
def test_a_missing_package_names_itself_to_those_who_may_not_install_it(checkout: Checkout):
    (checkout.tree / "tools" / "packages.txt").write_text("check sn-nowhere|sn-neither is not there\n")
    writable = checkout.cache.parent
    writable.mkdir()
    writable.chmod(0o777)
    code, said = checkout.set_up(within=AS_NOBODY)
    assert (code, said) == (
        1,
        "set-up: Only root can install sn-nowhere or sn-neither: run the same command with sudo.\n",
    )


def test_without_apt_a_missing_compiler_is_named(checkout: Checkout, tmp_path: Path):
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("awk", "bash", "dirname", "flock", "grep", "id", "mkdir", "python3", "uname"):
        (folder / tool).symlink_to(str(shutil.which(tool)))
    code, said = checkout.set_up(PATH=str(folder))
    assert (code, said) == (
        1,
        "set-up: clang is missing and this machine has no apt-get: install clang with its own package manager.\n",
    )


def test_a_cache_folder_that_cannot_be_written_is_named(checkout: Checkout):
    code, said = checkout.set_up(XDG_CACHE_HOME="/proc")
    assert (code, said) == (
        1,
        "set-up: Cannot write to /proc/sentinel-buffers: make it yours, or set XDG_CACHE_HOME to a folder that is.\n",
    )

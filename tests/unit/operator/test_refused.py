"""Every refusal of the operator and of `kubectl sentinel` is reached: a table of them, and the source has no other."""

import ast
import asyncio
import inspect
import pkgutil
import re
import socket
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import sentinel_cli.cluster
import sentinel_operator
from sentinel_api.errors import Invalid
from sentinel_cli.cluster import commands
from sentinel_operator import authority
from sentinel_operator.__main__ import serve_metrics
from sentinel_operator.cluster import connected
from sentinel_operator.decide.services import CLUSTER_ANNOTATION, ServiceKey, Wanted, assigned, claimed_by
from sentinel_operator.externalscaler import CLUSTER, PER_REPLICA, Scaler, asked, served
from sentinel_operator.mirror import Mirror
from sentinel_operator.settings import settings
from sentinel_operator.signer import Signer
from support.worlds import NOW, cluster

POOLS = {"shop/front": ["192.0.2.0/30"], "shop/back": ["198.51.100.0/30"]}
FAULTS = Path(__file__).parents[2] / "cluster/test_operator_faults.py"


def raised(call):
    with pytest.raises(Invalid) as refused:
        call()
    return str(refused.value)


def service(name="a", *ports, **more):
    return Wanted(ServiceKey("shop", name), f"2030-{name}", ports or ((80, "TCP"),), **more)


def answered(*services, pool=("192.0.2.0/32",)):
    """To the last of them."""
    return assigned(pool, services)[services[-1].key].message


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def signing(encoded):
    """What a request for a certificate is denied with."""
    spec = {"request": encoded, "username": "somebody"}
    return raised(lambda: Signer(None, None, Mirror())._granted({"spec": spec}))


def listening(serve):
    with socket.create_server(("0.0.0.0", 0)) as taken:
        return raised(lambda: serve(taken.getsockname()[1]))


async def nothing(_):
    return None


async def idle(_):
    return cluster()


def demanded(find):
    want = asked("shop", {CLUSTER: "front", PER_REPLICA: "1"})
    return raised(lambda: asyncio.run(Scaler(find, lambda: NOW).demand(want)))


class Empty:
    """An API server that has nothing."""

    async def get(self, *_, **__):
        return None

    async def list(self, *_, **__):
        return ()


@pytest.fixture
def empty(monkeypatch):
    @asynccontextmanager
    async def connected():
        yield Empty()

    monkeypatch.setattr(commands, "connected", connected)


@pytest.fixture
def unconfigured(monkeypatch, tmp_path):
    where = "kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"  # read when the library is imported
    monkeypatch.setattr(where, str(tmp_path / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


async def connected_for_real():
    async with connected():
        return


def commanded(command, *arguments):
    return raised(lambda: CliRunner().invoke(command, arguments, catch_exceptions=False))


CASES = {
    "an agent's image": lambda _: raised(lambda: settings({})),
    "a port": lambda _: raised(lambda: settings({"SENTINEL_AGENT_IMAGE": "i", "SENTINEL_METRICS_PORT": "no"})),
    "whether there are zones": lambda _: raised(
        lambda: settings({"SENTINEL_AGENT_IMAGE": "i", "SENTINEL_MESH_ZONES": "yes"})
    ),
    "a port of metrics that is taken": lambda _: listening(serve_metrics),
    "a port of the scaler that is taken": lambda _: listening(lambda port: asyncio.run(served(port, nothing))),
    "KEDA names no cluster": lambda _: raised(lambda: asked("shop", {})),
    "KEDA names no share": lambda _: raised(lambda: asked("shop", {CLUSTER: "front"})),
    "KEDA asks for what is not there": lambda _: demanded(nothing),
    "KEDA asks for what is not forecast": lambda _: demanded(idle),
    "a Secret that is not mounted": lambda at: raised(authority.Authority(at).trust),
    "a certificate that is none": lambda _: raised(lambda: authority._certificate(b"none")),
    "a key that is none": lambda _: raised(lambda: authority._key(b"none")),
    "a key of another kind": lambda _: raised(lambda: authority._key(pem(rsa.generate_private_key(65537, 2048)))),
    "a request that is none": lambda _: raised(lambda: authority.wish(b"none")),
    "a request in no base64": lambda _: signing("?"),
    "a protocol": lambda _: answered(service("a", (80, "SCTP"))),
    "an address outside": lambda _: answered(service(asked_for=("198.51.100.1",))),
    "a port that is taken": lambda _: answered(*(service(each, asked_for=("192.0.2.0",)) for each in "ab")),
    "a full pool": lambda _: answered(service("a"), service("b")),
    "an unknown cluster": lambda _: claimed_by({CLUSTER_ANNOTATION: "x/y"}, POOLS).message,
    "no pool": lambda _: claimed_by({}, {}).message,
    "several pools": lambda _: claimed_by({}, POOLS).message,
    "no cluster": lambda _: raised(lambda: asyncio.run(connected_for_real())),
    "status of none": lambda _: commanded(commands.status, "gone"),
    "explain what": lambda _: commanded(commands.explain, "gone"),
    "explain no cluster": lambda _: commanded(commands.explain, "buffercluster/gone"),
    "explain no node": lambda _: commanded(commands.explain, "node/gone"),
    "drain no node": lambda _: commanded(commands.drain, "gone"),
    "pause of none": lambda _: commanded(commands.pause, "gone"),
    "report of hosts": lambda _: commanded(commands.report, "n1"),
}
BY_TESTS_OF_THEIR_OWN = {  # of requests that must be made up with care: tests/unit/operator/test_authority.py
    "the mesh signs keys of the curve P-256 only: make such a key",
    "the request is not signed by its own key",
    "the subject of the request must be the common name of the node and nothing else",
}
AGAINST_A_SERVER = {"cluster.py", "observe.py"}  # what an API server answers: test_operator_faults.py


@pytest.mark.parametrize("what", CASES)
@pytest.mark.usefixtures("empty", "unconfigured")
def test_it_is_reached_and_tells_what_to_do(what, tmp_path):
    said = CASES[what](tmp_path)
    assert "\n" not in said
    assert len(said.split()) > 5, "one sentence, and a whole one"


@pytest.mark.usefixtures("empty", "unconfigured")
def test_the_table_names_every_refusal_that_the_source_does(tmp_path):
    sentences = [reach(tmp_path) for reach in CASES.values()] + sorted(BY_TESTS_OF_THEIR_OWN)
    faults = FAULTS.read_text()
    missing = []
    for module in modules(sentinel_operator, sentinel_cli.cluster):
        for parts in refusals(module):
            reached = any(re.fullmatch(".*".join(map(re.escape, parts)), each) for each in sentences)
            if Path(module.__file__).name in AGAINST_A_SERVER:
                reached |= all(part.strip() in faults for part in parts)
            missing += [] if reached else [f"{module.__name__}: {parts}"]
    assert not missing


def modules(*packages):
    for package in packages:
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield import_module(found.name)


def refusals(module):
    """The constant parts of each sentence that something is refused with."""
    for call in ast.walk(ast.parse(inspect.getsource(module))):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            continue
        named = {"Claim": "message", "ScaleObject": "refusal"}.get(call.func.id)
        said = [keyword.value for keyword in call.keywords if named and keyword.arg == named]
        said += call.args[-1:] if call.func.id in ("Invalid", "_Refused") else []
        for each in said:
            if isinstance(each, ast.Constant):
                yield (each.value,)
            elif isinstance(each, ast.JoinedStr):
                yield tuple(part.value if isinstance(part, ast.Constant) else "" for part in each.values)

"""The operator behind a network and an API server that fail: it converges, scales once, and never storms."""

import signal
import sys
import time
from collections.abc import Iterator

import pytest
import yaml

from support.cluster import control_plane as planes
from support.faulty_proxy import Asked, Proxy, between
from support.operators import SYSTEM, Bench, prepared, until
from support.scaled import MB, NODES, SPARES, agents_expect, decided_again, empty, front, make_nodes, scaling, taken

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

MOST_REQUESTS_PER_S = 25.0  # a look has about twenty, and a cluster rests a second after each


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, control_plane) -> Iterator[tuple[Bench, Proxy]]:
    folder = tmp_path_factory.mktemp("faults")
    with prepared(folder, planes.BARE) as plane, between(plane.url, str(plane.pki.root)) as proxy:
        token = plane.service_account_token(SYSTEM, "sentinel-operator")
        direct = yaml.safe_load(plane.kubeconfig_for(token, folder / "direct.kubeconfig").read_text())
        direct["clusters"][0]["cluster"] = {"server": proxy.url}
        (folder / "operator.kubeconfig").write_text(yaml.safe_dump(direct))
        bench = Bench(plane, folder, folder / "operator.kubeconfig")
        make_nodes(bench)
        yield bench, proxy
        for process in bench.operators:
            process.kill()
            process.wait()


@pytest.fixture
def faulty(behind: tuple[Bench, Proxy]) -> Iterator[tuple[Bench, Proxy]]:
    bench, proxy = behind
    yield bench, proxy
    proxy.choose = lambda _: ""
    for process in bench.operators:
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    empty(bench)


def scales_once(bench: Bench) -> None:
    """Three nodes expect what four would carry: one spare is taken, and no second one."""
    agents_expect(bench, 90 * MB, *NODES)
    until(bench, "three suffice", lambda: scaling(bench).get("targetNodes") == 3)
    agents_expect(bench, 125 * MB, *NODES)
    until(bench, "a spare is taken", lambda: taken(bench) == [*NODES, SPARES[0]])
    decided_again(bench)
    assert taken(bench) == [*NODES, SPARES[0]]
    assert [(d["fromNodes"], d["toNodes"]) for d in scaling(bench)["decisions"]] == [(3, 4)]


def once_each(fault: str):
    """Every different write fails once."""
    met: set[tuple[str, str]] = set()

    def choose(asked: Asked) -> str:
        known = (asked.method, asked.path)
        if not asked.writes or asked.election or known in met:
            return ""
        met.add(known)
        return fault

    return choose


def test_it_converges_and_scales_once_though_the_answer_to_each_write_is_lost_once(faulty):
    bench, proxy = faulty
    proxy.choose = once_each("cut")
    proxy.seen.clear()
    began = time.monotonic()
    bench.operator("op")
    front(bench, "Auto")
    scales_once(bench)
    took_s = time.monotonic() - began
    asked = sum(proxy.seen[kind] for kind in ("reads", "writes", "watches"))
    sys.stdout.write(f"{60 * asked / took_s:.0f} requests a minute: {dict(proxy.seen)}\n")  # shown by pytest -rP
    assert asked <= MOST_REQUESTS_PER_S * took_s + 100, f"a storm: {dict(proxy.seen)} in {took_s:.0f} s"

"""From the release before to this one and back, under traffic: images, chart and definitions of both.

SENTINEL_FORMER names a checkout of the former release in which `make images` was run: make e2e FORMER=…
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from support import shipped
from support.cluster.provider import Cluster, NodeSpec
from support.front import NODES, PORT, all_run, whole
from support.front_faults import row_of, write
from support.front_fixture import answering, build
from support.http_load import load

FORMER = Path(os.environ.get("SENTINEL_FORMER", ""))
OUT = Path(__file__).resolve().parents[2] / "out/e2e"

pytestmark = [
    pytest.mark.apart,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(not FORMER.name, reason="no former release: set SENTINEL_FORMER to a checkout with its images"),
]


@pytest.fixture(scope="module")
def former_stage(new_cluster: Callable[[Sequence[NodeSpec]], Cluster]) -> Cluster:
    """A front as the former release's chart, definitions and images make it; this release's images lie beside."""
    made = new_cluster(NODES)
    for tag, root in (("former", FORMER), ("dev", shipped.ROOT)):
        images = [root / "out/images" / f"{name}.tar" for name in ("operator", "agent")]
        for image in shipped.build_images() if tag == "dev" else images:
            made.load_image(image)
        for node in made.nodes:
            for image in (shipped.AGENT_IMAGE, shipped.OPERATOR_IMAGE):
                names = (f"{image}:dev", f"{image}:{tag}")
                made.run(node, "ctr", "-n", "k8s.io", "images", "tag", "--force", *names)
    shipped.install(made, chart=FORMER / "deploy/helm/sentinel", operator__replicas="2", image__tag="former")
    build(made)
    return made


def test_the_former_release_becomes_this_one_under_traffic_and_back(former_stage):
    vip = answering(former_stage)
    rows = []
    for tag, root in (("dev", shipped.ROOT), ("former", FORMER)):
        with load(vip, PORT) as asked:
            if root == shipped.ROOT:  # as the page of upgrades says: helm leaves definitions alone
                crds = ("--server-side", "--force-conflicts", "-f", str(root / "crds"))
                former_stage.kubectl("apply", *crds)
            shipped.install(former_stage, chart=root / "deploy/helm/sentinel", operator__replicas="2", image__tag=tag)
            shipped.until(former_stage, f"everybody runs {tag}", lambda tag=tag: all_run(former_stage, tag))
            shipped.until(former_stage, f"everybody works as {tag}", lambda: whole(former_stage, vip))
        rows.append(row_of(f"the release changes to {tag}", asked))
        write(OUT, "former", rows)
    assert [row["why"] for row in rows] == [[], []]

"""Which provider `--cluster` takes, and the sentence that goes with it."""

import pytest

from support.cluster.choice import Choice, choose
from support.cluster.errors import Unavailable


def fine() -> None:
    return None


def refusing(reason: str):
    def check() -> None:
        raise Unavailable(reason)

    return check


def test_the_first_that_can_run_is_taken() -> None:
    checks = {"kind": fine, "native": fine, "existing": fine}
    assert choose("auto", checks) == Choice("kind", "the first that this machine can run")


def test_the_reason_names_what_was_passed_over() -> None:
    checks = {"kind": refusing("docker is missing."), "native": fine, "existing": fine}
    assert choose("auto", checks) == Choice("native", "not kind: docker is missing.")


def test_a_borrowed_cluster_is_never_taken_by_itself() -> None:
    checks = {"kind": refusing("no docker."), "native": refusing("no root."), "existing": fine}
    with pytest.raises(Unavailable, match=r"not kind: no docker\. not native: no root\."):
        choose("auto", checks)


@pytest.mark.parametrize("wanted", ["kind", "native", "existing"])
def test_who_asks_for_one_gets_that_one_or_its_reason(wanted) -> None:
    others = {name: refusing("must not be asked") for name in ("kind", "native", "existing")}
    assert choose(wanted, others | {wanted: fine}) == Choice(wanted, f"--cluster={wanted}")
    with pytest.raises(Unavailable, match="broken today"):
        choose(wanted, others | {wanted: refusing("broken today")})

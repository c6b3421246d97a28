"""Which provider a run uses, and why: `--cluster=auto` takes the first that this machine can run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from support.cluster import existing, kind, native
from support.cluster.errors import Unavailable
from support.cluster.provider import Cluster, Name, NodeSpec

Wanted = Literal["auto", "kind", "native", "existing"]
WANTED: tuple[Wanted, ...] = get_args(Wanted)

CHECKS: Mapping[Name, Callable[[], None]] = {
    "kind": kind.check,
    "native": native.check,
    "existing": existing.check,
}
# Never `existing` by itself: a test run must not walk into whatever cluster a shell happens to point at.
AUTOMATIC: tuple[Name, ...] = ("kind", "native")


@dataclass(frozen=True, slots=True)
class Choice:
    """A provider, and the sentence that a run prints."""

    provider: Name
    why: str

    def start(self, specs: Sequence[NodeSpec]) -> Cluster:
        makers: Mapping[Name, Callable[[Sequence[NodeSpec]], Cluster]] = {
            "kind": kind.KindCluster,
            "native": native.NativeCluster,
            "existing": existing.ExistingCluster,
        }
        return makers[self.provider](specs)


def choose(wanted: Wanted, checks: Mapping[Name, Callable[[], None]] = CHECKS) -> Choice:
    """Raises `Unavailable` with every reason when nothing is left."""
    if wanted != "auto":
        checks[wanted]()
        return Choice(wanted, f"--cluster={wanted}")
    refusals: list[str] = []
    for provider in AUTOMATIC:
        try:
            checks[provider]()
        except Unavailable as refusal:
            refusals.append(f"not {provider}: {refusal}")
        else:
            return Choice(provider, "; ".join(refusals) or "the first that this machine can run")
    raise Unavailable(" ".join(["No cluster can be started here:", *refusals]))

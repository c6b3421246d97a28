"""What a balancer tells its kubelet while it comes up: not alive yet, so that nobody takes it for one that is done."""

from sentinel_api.errors import Transient
from sentinel_lb.__main__ import Balancer
from sentinel_lb.settings import settings


class Nowhere:
    """An API server that is away."""

    def read(self):
        raise Transient("the API server does not answer")


def test_a_balancer_that_has_not_come_up_is_neither_alive_nor_ready():
    pages = Balancer(settings({}), Nowhere())._pages()
    assert pages["/healthz"]().refusal == "it is coming up"
    assert pages["/readyz"]().refusal == "no configuration yet"

"""Five boards, from the whole down to one node, and what runs it."""

from monitoring.dashboards.balancer import BALANCER
from monitoring.dashboards.cluster import CLUSTER
from monitoring.dashboards.forecast import FORECAST
from monitoring.dashboards.node import NODE
from monitoring.dashboards.operator import OPERATOR
from monitoring.dashboards.shown import Dashboard, built

DASHBOARDS = {"cluster": CLUSTER, "node": NODE, "forecast": FORECAST, "balancer": BALANCER, "operator": OPERATOR}


def as_json(shown: Dashboard) -> str:
    return built(shown)

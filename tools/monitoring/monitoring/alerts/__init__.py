"""Every alert: when it stands, what it means, what to do, and the cases that promtool tries it with."""

from monitoring.alerts.edges import BALANCERS, OPERATOR
from monitoring.alerts.nodes import NODES

ALERTS = (*NODES, *BALANCERS, *OPERATOR)

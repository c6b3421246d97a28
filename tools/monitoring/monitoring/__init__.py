"""What people see of Sentinel in Prometheus and Grafana, as code: rules, alerts with their runbook, dashboards."""

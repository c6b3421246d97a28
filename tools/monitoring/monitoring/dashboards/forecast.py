"""Forecast quality: what was said against what came, and whether it is acted on."""

from monitoring.dashboards.cluster import MARKS
from monitoring.dashboards.shown import Dashboard, Row, Shown

AT = 'instance=~"$node"'
JUDGED = f"sum by (instance) (sentinel_forecast_judged{{{AT},outcome"

FORECAST = Dashboard(
    "Forecast quality",
    "sentinel-forecast",
    choices={"node": "label_values(sentinel_forecast_trusted, instance)"},
    marks=MARKS,
    rows=(
        Row(
            "Bursts",
            (
                Shown(
                    "Precision",
                    "Of the alarms of the scored window, how many were followed by a burst.",
                    "percentunit",
                    ((f'{JUDGED}="hits"}}) / {JUDGED}=~"hits|false_alarms"}})', "{{instance}}"),),
                    idle="Empty until there was an alarm.",
                ),
                Shown(
                    "Recall",
                    "Of the bursts of the scored window, how many were foreseen.",
                    "percentunit",
                    ((f'{JUDGED}="hits"}}) / {JUDGED}=~"hits|misses"}})', "{{instance}}"),),
                    idle="Empty until there was a burst.",
                ),
                Shown(
                    "Judged",
                    "Bursts and alarms of the scored window.",
                    "short",
                    ((f"sum by (outcome) (sentinel_forecast_judged{{{AT}}})", "{{outcome}}"),),
                ),
                Shown(
                    "Lead time",
                    "From an alarm to its burst, median of the scored window.",
                    "s",
                    ((f"sentinel_forecast_lead_seconds{{{AT}}}", "{{instance}} {{interface}}"),),
                    idle="Empty until a burst was foreseen.",
                ),
                Shown(
                    "Brier score",
                    "Of the chance of a burst within 10 s; 0 is perfect, 0.25 is a coin.",
                    "short",
                    ((f"sentinel_forecast_brier{{{AT}}}", "{{instance}} {{interface}}"),),
                    idle="Empty until the first forecasts could be judged.",
                ),
            ),
        ),
        Row(
            "Gate",
            (
                Shown(
                    "Acted on",
                    "1 while forecasts of an interface are acted on, 0 while only scored.",
                    "short",
                    ((f"sentinel_forecast_trusted{{{AT}}}", "{{instance}} {{interface}}"),),
                ),
                Shown(
                    "Fallbacks",
                    "1 while the model answers; and answers a second that came from the fallback in its place.",
                    "short",
                    (
                        (f"sentinel_forecast_by_model{{{AT}}}", "{{instance}} {{interface}} by model"),
                        (
                            f"rate(sentinel_forecast_fallbacks_total{{{AT}}}[$__rate_interval])",
                            "{{instance}} fallbacks",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Demand",
            (
                Shown(
                    "Demand that is expected",
                    "By horizon, median.",
                    "Bps",
                    ((f'sentinel_forecast_bytes_per_second{{{AT},quantile="0.5"}}', "{{instance}} in {{horizon}}"),),
                ),
                Shown(
                    "One minute ago against now",
                    "What was said for now, and what came. A line inside the band nine times in ten is calibrated.",
                    "Bps",
                    (
                        (
                            f"sum by (instance) (rate(sentinel_class_bytes_total{{{AT}}}[$__rate_interval]))",
                            "{{instance}} came",
                        ),
                        (
                            f'sentinel_forecast_bytes_per_second{{{AT},horizon="60s",quantile="0.95"}} offset 1m',
                            "{{instance}} 95th said",
                        ),
                    ),
                    idle="The second line begins a minute after the first.",
                ),
            ),
        ),
    ),
)

"""Hypothesis judges what a property says, never how long it took: our machines share their cores."""

from hypothesis import HealthCheck, settings

settings.register_profile("sentinel", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sentinel")

"""Traces and synthetic bursts, what is measured of a forecast, and the simple rules that it has to beat."""

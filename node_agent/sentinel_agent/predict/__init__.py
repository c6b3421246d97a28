"""Samples to forecasts, behind one protocol."""

"""Values to values: no clock, no network, no map."""

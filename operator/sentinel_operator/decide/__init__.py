"""What should be so: values in, values out; no clock, no network, no log."""

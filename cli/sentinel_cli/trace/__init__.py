"""`sentinel trace`: probes into the running kernel, compiled for the question that is asked."""

"""Traffic that can be trusted: sent on a fixed schedule whatever happens, stamped, numbered, counted at both ends."""

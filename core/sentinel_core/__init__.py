"""Pure sums shared by the agent, the lab, the operator and training."""

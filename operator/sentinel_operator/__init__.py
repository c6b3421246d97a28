"""The operator: one resource in, a running predictive cluster out."""

"""Training: data and a typed model to weights, with metrics, checkpoints and standard errors."""

"""Making challenges: training, planting, certifying, sealing, build jobs."""

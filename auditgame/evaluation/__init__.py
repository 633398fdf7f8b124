"""Measuring a model: accuracy, effects of claims, ablation, certificates."""

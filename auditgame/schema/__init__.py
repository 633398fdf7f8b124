"""Records that travel between packages: recipes, claims, diagnoses, scores, certificates. No torch."""

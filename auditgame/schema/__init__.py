"""Records that travel between packages: recipes, claims, diagnoses, scores. No torch."""

"""One file per change of shape, in order; a released one is never edited."""

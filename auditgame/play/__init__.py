"""Playing a challenge: the audit session, the referee and the score."""

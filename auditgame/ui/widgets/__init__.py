"""Input widgets that several forms share."""

"""Played in a real browser, by clicks and keys."""

"""Shared code of flaw families: trigger patterns and words, poisoning, reading rules."""

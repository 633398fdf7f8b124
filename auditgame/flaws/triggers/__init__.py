"""What flaw families share: trigger patterns and words, poisoning, reading rules."""

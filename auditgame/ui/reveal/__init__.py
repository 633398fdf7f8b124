"""What a reveal shows: score, truth, proof."""

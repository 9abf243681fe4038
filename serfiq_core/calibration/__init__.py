"""What a raw score is worth on a scale from 0 to 100."""

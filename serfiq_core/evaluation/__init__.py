"""What a quality score is worth on a recogniser and on photographs of one's own."""

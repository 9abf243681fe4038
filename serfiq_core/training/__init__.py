"""Training: recognisers that answer to dropout."""

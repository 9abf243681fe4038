"""Where on a face its score comes from."""

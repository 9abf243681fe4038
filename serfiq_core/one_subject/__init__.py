"""Several captures of one subject: ranked, fused, and held to be of one person."""

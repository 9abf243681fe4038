"""Whether the scores of a recogniser fall when faces get worse."""

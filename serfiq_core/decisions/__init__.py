"""A capture held against an operator's limits."""

"""Equation (1) and its closed form: how far stochastic embeddings scatter."""

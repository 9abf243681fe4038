"""Measurements: every figure is a ratio from one process on one machine."""

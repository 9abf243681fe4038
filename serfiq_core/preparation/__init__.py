"""Captures are made ready for the recogniser, in this process or in others."""

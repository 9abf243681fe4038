"""Training: fitted to photographs or to embeddings, and never while captures are assessed."""

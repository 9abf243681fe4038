<<<<<<< HEAD
"""What is fitted to photographs or to embeddings; nothing here runs while captures are assessed."""
=======
"""Training: recognisers that answer to dropout."""
>>>>>>> main

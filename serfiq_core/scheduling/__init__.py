"""What is let in, in which batch it is computed, and how long it will take. No faces, no HTTP."""

"""TOML read strictly, with the place of what is wrong in it."""

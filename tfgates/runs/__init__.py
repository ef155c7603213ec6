"""A run: what its flags build, what its folder holds, and what is made of finished ones."""

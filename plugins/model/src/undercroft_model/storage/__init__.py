"""Storage in the model: what is asked for, what is made of it, and how it ends."""

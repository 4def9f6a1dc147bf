"""Resolvers: from what is and what is wanted to the next operation."""

"""The hook tools: one module for each group of them."""

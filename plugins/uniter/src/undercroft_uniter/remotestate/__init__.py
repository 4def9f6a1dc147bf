"""What is wanted of a unit: the model, watched, as one snapshot."""

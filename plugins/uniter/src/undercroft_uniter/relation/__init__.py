"""The relations of a unit: what it has seen in each, and which hook comes next."""

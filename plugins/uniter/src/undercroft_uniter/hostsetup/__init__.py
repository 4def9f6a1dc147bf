"""What charms expect of a Juju installation on their machine, and its undoing."""

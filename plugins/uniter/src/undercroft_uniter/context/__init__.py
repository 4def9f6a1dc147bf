"""What a hook may see and change while it runs."""

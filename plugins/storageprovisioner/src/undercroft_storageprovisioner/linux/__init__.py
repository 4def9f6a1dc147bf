"""What the kernel is asked for: loop devices, mounts, formatting."""

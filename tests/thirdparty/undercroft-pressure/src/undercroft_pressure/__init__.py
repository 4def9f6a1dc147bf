"""How much of the time this machine's work waits for CPU, memory or disks."""

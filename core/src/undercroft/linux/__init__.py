"""What the kernel says about this machine, read without holding up the loop: import the module that you need."""

"""Workers, the tomb that they live by, and the runner that keeps a set of them."""

"""The agent's report, graph and Prometheus metrics over HTTP, and a page to look at them."""

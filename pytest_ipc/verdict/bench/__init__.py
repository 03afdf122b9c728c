"""The benchmark: latency and bandwidth between two processes, and the cost of starting them."""

"""What is seen of the answers and kernels of a session, and the right answers beside it."""

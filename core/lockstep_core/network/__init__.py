"""Where programs listen, what they take from a client, and which cluster they speak to."""

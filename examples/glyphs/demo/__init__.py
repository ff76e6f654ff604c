"""`make demo`: release a real model and its index on a real cluster, watch it, search it."""

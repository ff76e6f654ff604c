"""What kinds of ours beside model, index and release ask for: one module a kind, by its name."""

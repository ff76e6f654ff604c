"""The pods of a release: its children, and how many of them."""

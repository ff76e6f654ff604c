"""One module per stage of a release: what it needs, and what ends it."""

"""What the statuses say: of a release, of a model, of an index."""

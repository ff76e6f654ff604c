"""The statuses: of a release, of a model, of an index."""

"""A real Kubernetes for development and tests, with Docker (kind) or without it."""

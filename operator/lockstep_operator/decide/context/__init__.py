"""The pass in progress: records as this pass leaves them, and what it plans."""

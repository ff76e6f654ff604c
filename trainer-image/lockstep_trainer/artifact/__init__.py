"""From a trained network to the files and the manifest of a model artifact."""

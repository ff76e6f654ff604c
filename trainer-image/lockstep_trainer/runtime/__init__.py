"""What the process runs on: its accelerator, and the signals that it handles."""

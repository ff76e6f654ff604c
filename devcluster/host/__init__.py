"""The backend for a machine without Docker: every program is a process of the host."""

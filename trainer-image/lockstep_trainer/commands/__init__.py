"""What each verb of the command line does; `worker` is the part of `run` that is not process 0."""

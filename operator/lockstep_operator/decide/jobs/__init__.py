"""The status of Jobs and of their pods, and how a Job is taken through its attempts."""

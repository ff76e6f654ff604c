"""What two or more of Lockstep's programs must agree on, and nothing else."""

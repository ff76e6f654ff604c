"""What Jobs and their pods say, and how one is carried through its attempts."""

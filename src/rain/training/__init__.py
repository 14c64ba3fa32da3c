"""Training: losses of the paper, two stages, a loop that resumes exactly."""

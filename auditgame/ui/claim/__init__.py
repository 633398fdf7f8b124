"""The claim form and what a claim does to inputs."""

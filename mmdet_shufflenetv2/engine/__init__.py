"""Training, testing and inference as the tools run them."""

"""Model repositories: entries that Triton serves, made of model files."""

"""Read trained models of other frameworks."""

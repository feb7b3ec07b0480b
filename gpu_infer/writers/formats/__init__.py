"""The formats of label maps, one per module."""

"""MONAI bundles: their configuration, read without running code of it."""

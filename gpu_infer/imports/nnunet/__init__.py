"""Import trained nnU-Net v2 folders."""

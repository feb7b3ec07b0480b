"""Names, colours and medical codes of labels."""

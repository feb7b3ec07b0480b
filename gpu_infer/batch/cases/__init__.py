"""Find the cases of a batch: a folder, a glob, a table, channels in files of their own, DICOM studies."""

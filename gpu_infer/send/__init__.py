"""Send DICOM files to an archive."""

"""Images: how they are drawn, found in files, read and written."""

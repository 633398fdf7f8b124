"""Shared code of image data sets: drawing images, reading and writing image files."""

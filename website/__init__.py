"""The documentation site: generated pages, the build, and the pictures that the pages show."""

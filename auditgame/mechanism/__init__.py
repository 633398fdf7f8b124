"""What tools for texts look through: the stream, its parts, patches, directions, searches."""

"""What tools for language models share: the residual stream, patching, directions, searches."""

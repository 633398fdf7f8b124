"""Pages of single units and of all units of a layer."""

"""The checks of the node: a module each, which declares its REPAIR."""

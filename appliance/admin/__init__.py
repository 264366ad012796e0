"""admin: accounts, set-up, processes, checks of this node."""

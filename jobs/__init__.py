"""What happens by the clock, and the process that runs operations."""

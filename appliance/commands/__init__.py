"""Groups of commands of `form`, one module each; heavy imports stay inside."""

"""What a node does. No web framework here; see docs/architecture.md."""

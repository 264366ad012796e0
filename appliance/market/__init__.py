"""marketplace: agents, versions, deployments, tasks."""

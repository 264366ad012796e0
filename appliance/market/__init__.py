"""marketplace: agents, versions, deployments, tasks."""

from appliance.market.leftovers import sweep
from appliance.market.tasks import trim as trim_tasks

__all__ = ["sweep", "trim_tasks"]

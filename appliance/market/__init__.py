"""marketplace: agents, versions, deployments, tasks."""

from appliance.market.leftovers import sweep
from appliance.market.orders import again
from appliance.market.tasks import trim as trim_tasks

__all__ = ["again", "sweep", "trim_tasks"]

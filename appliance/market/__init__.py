"""marketplace: agents, versions, deployments, tasks."""

from appliance.market.leftovers import sweep
from appliance.market.orders import again
from appliance.market.secrets import in_clear as secrets_in_clear
from appliance.market.tasks import trim as trim_tasks

__all__ = ["again", "secrets_in_clear", "sweep", "trim_tasks"]

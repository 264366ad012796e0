"""marketplace: agents, versions, deployments, tasks."""

from appliance.market.estate import (
    agents_of,
    deploy_again,
    forget_owner,
    must_have_room,
)
from appliance.market.estate import delete as delete_agent
from appliance.market.estate import hand_over as hand_over_agent
from appliance.market.leftovers import sweep
from appliance.market.orders import again
from appliance.market.secrets import in_clear as secrets_in_clear
from appliance.market.tasks import given_by
from appliance.market.tasks import reword as reword_tasks
from appliance.market.tasks import trim as trim_tasks

__all__ = [
    "again",
    "agents_of",
    "delete_agent",
    "deploy_again",
    "forget_owner",
    "given_by",
    "hand_over_agent",
    "must_have_room",
    "reword_tasks",
    "secrets_in_clear",
    "sweep",
    "trim_tasks",
]

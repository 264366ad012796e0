"""The operations of the marketplace, for the registry of operations."""

from appliance.market import lifecycle
from appliance.market.deploy import DEPLOY

KINDS = (DEPLOY, *lifecycle.KINDS)

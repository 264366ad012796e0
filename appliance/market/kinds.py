"""The operations of the marketplace, for the registry of operations."""

from appliance.market import lifecycle, withdraw
from appliance.market.deploy import DEPLOY

KINDS = (DEPLOY, *lifecycle.KINDS, *withdraw.KINDS)

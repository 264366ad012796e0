"""form-state: the node's signed records."""

from appliance.state.client import (
    change,
    changed_marker,
    count,
    find,
    forget,
    open_state,
    own_node,
    put,
    remove,
    select,
)
from appliance.state.records import Record

__all__ = [
    "Record",
    "change",
    "changed_marker",
    "count",
    "find",
    "forget",
    "open_state",
    "own_node",
    "put",
    "remove",
    "select",
]

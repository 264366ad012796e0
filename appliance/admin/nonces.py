"""Nonces of signed requests, so that none is taken twice: rows of node.db, which all
processes of the node share.

A nonce is kept until its signature would be refused for its age. Only nodes that are
trusted get one noted, and each may have `MOST` of them.
"""

from __future__ import annotations

from peewee import CompositeKey, FloatField, IntegrityError, TextField

from appliance import clock, database
from appliance.database import NodeModel
from appliance.problems import Problem

MOST = 20_000


class Nonce(NodeModel):
    node = TextField()
    nonce = TextField()
    until = FloatField()

    class Meta:
        primary_key = CompositeKey("node", "nonce")


def use(node: str, nonce: str, until: float) -> None:
    """Note a nonce as used; raises Problem where it was before."""
    with database.node.atomic("immediate"):
        Nonce.delete().where(Nonce.until < clock.now()).execute()
        if Nonce.select().where(Nonce.node == node).count() >= MOST:
            raise Problem(
                "too-many-requests",
                f"The node {node[:12]} sent {MOST} signed requests in a few minutes; "
                "it must wait.",
                status=429,
                retry_after=60,
            )
        try:
            Nonce.create(node=node, nonce=nonce, until=until)
        except IntegrityError:
            raise Problem(
                "signature-refused",
                "The request's signature is not taken: it was used before.",
                status=401,
            ) from None

"""The support bundle: what somebody who helps needs to know of the node, in one file
without secrets.

`parts` gathers, `redaction` takes secrets out, `bundle` writes; `shelf` keeps those
that formation-jobs makes for the pages, `console` makes one without the node.
"""

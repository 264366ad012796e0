"""Rules about a Formfile as a whole, and defaults that follow from other lines."""

from __future__ import annotations

from dataclasses import replace

from appliance.pack.draft import START, Draft
from appliance.pack.formfile import Copy, Port

EXAMPLES = {
    "NAME": "NAME my-agent",
    "ENTRYPOINT": 'ENTRYPOINT ["python3", "/app/agent.py"]',
}


def finish(draft: Draft) -> None:
    """Note what contradicts, and fill in what is left open."""
    draft.line = None
    _required(draft)
    _ports(draft)
    _users_of_env(draft)
    _secrets(draft)
    _hidden(draft)


def _required(draft: Draft) -> None:
    for name, example in EXAMPLES.items():
        if name not in draft.lines:
            draft.directive = name
            draft.error(START, "required", f"{name} is missing", f"Add {example}.")


def _ports(draft: Draft) -> None:
    """Tasks are answered over TCP; DOMAINS lead there unless they say otherwise."""
    ports: tuple[Port, ...] = draft.get("expose")
    tcp = [port.number for port in ports if port.protocol == "tcp"]
    draft.directive = "EXPOSE"
    if ports and not tcp:
        draft.error(
            draft.places["expose", "first"],
            "tcp",
            "EXPOSE names no TCP port: tasks and the health check need one",
            "Add the port where the agent answers HTTP, such as EXPOSE 8000.",
        )
    elif ports and ports[0].protocol != "tcp":
        draft.warn(
            draft.places["expose", "first"],
            "tcp",
            f"the first port is UDP; tasks are answered at {tcp[0]}",
            f"Write {tcp[0]} first.",
        )
    first = tcp[0] if tcp else 8000
    draft.fields["domains"] = tuple(
        domain if domain.port else replace(domain, port=first)
        for domain in draft.get("domains")
    )


def _users_of_env(draft: Draft) -> None:
    draft.directive = "ENV"
    made = {"root", *(user.username for user in draft.get("users"))}
    for (kind, scope), place in draft.places.items():
        name = scope.removeprefix("user:")
        if kind == "scope" and name != scope and name not in made:
            text = f"no USER line makes {name}; the build fails if nothing else does"
            draft.warn(place, "user", text, f"Add USER username:{name}.")


def _secrets(draft: Draft) -> None:
    draft.directive = "SECRET"
    for name in draft.get("secrets"):
        if ("env", name) in draft.places:
            text = f"{name} is in ENV too; the secret's value wins"
            draft.warn(draft.places["secret", name], "twice", text, "Remove the ENV.")


def _hidden(draft: Draft) -> None:
    draft.directive = "COPY"
    for step in draft.get("steps"):
        for volume in draft.get("volumes"):
            if isinstance(step, Copy) and f"{step.target}/".startswith(volume + "/"):
                text = f"the volume {volume} hides {step.target} in the guest"
                hint = "Copy to another folder; the agent may fill the volume."
                draft.warn(draft.places["copy", step.target], "effect", text, hint)

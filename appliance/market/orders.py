"""What a person hands in to be deployed, checked before it becomes an operation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from appliance import clock, operations, pack, state
from appliance.config import settings
from appliance.problems import Invalid, NotFound, Problem

NO_FORMFILE = (
    "There is no file named Formfile at the top of what was uploaded; "
    "put one there, or type one."
)


@dataclass(frozen=True)
class Order:
    """`upload` lies at `path` as a tar without its Formfile, whose text counts
    where there is one, else `typed`."""

    typed: str | None
    upload: pack.Upload | None = None
    path: Path | None = None
    refresh: bool = False

    @property
    def is_uploaded(self) -> bool:
        """Whether the upload brought the Formfile that counts."""
        return self.upload is not None and self.upload.formfile is not None

    @property
    def text(self) -> str | bytes | None:
        if self.upload is not None and self.upload.formfile is not None:
            return self.upload.formfile
        return self.typed

    def drop(self) -> None:
        """Leave nothing of what was uploaded."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def new_path() -> Path:
    """Where an upload is kept until its deployment took it."""
    return settings().data_dir / "uploads" / clock.new_id()


def invalid(checked: pack.Checked) -> Problem:
    """The problem of a Formfile with errors: the first one as a sentence, all of
    them as members."""
    first = checked.errors[0]
    return Problem(
        "formfile-invalid",
        f"{first.message}; line {first.line}, column {first.column}. {first.hint}",
        status=422,
        title="The Formfile has errors",
        diagnostics=[asdict(item) for item in checked.diagnostics],
    )


def check(order: Order) -> pack.Checked:
    """Of the Formfile that counts; a COPY must find its source in the upload."""
    if order.text is None:
        raise Invalid(NO_FORMFILE if order.upload else "Send a Formfile, or a folder.")
    upload = order.upload or pack.Upload(None)
    return pack.check(order.text, holds=upload.holds)


def submit(order: Order, account: str, owner: str) -> str:
    """Queue the deployment; returns the operation's id. Raises Problem, and then
    nothing of the order is left."""
    try:
        checked = check(order)
        if checked.formfile is None:
            raise invalid(checked)
        return operations.submit(
            "deploy",
            title="Deploying an agent",
            subject=owner,
            params={
                "upload": str(order.path) if order.path else None,
                "formfile": pack.conceal(pack.decoded(order.text or "")),
                "owner_name": owner,
                "agent": f"{owner}/{checked.formfile.name}",
                "refresh": order.refresh,
            },
            account=account,
        )
    except BaseException:
        order.drop()
        raise


def again(owner: str, name: str, version: str, account: str) -> str:
    """Queue the deployment of a registered version, by the image that is there;
    returns the operation's id."""
    wanted = f"{owner}/{name}@{version}"
    if state.find("version", wanted) is None:
        raise NotFound("version-unknown", f"There is no version {wanted}.")
    return operations.submit(
        "deploy",
        title=f"Deploying {owner}/{name} {version}",
        subject=owner,
        params={
            "version": wanted,
            "owner_name": owner,
            "agent": f"{owner}/{name}",
        },
        account=account,
    )

"""What processes are given is kept, and never too little."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.bounds import values
from appliance.config import Settings
from appliance.problems import Invalid
from appliance.provisions import (
    LEAST,
    MOST,
    Limits,
    Provision,
    must_be_enough,
    provide,
    provision,
    provisions,
)
from appliance.supervision import drop_in


def test_what_is_provided_is_kept_by_process(settings: Settings) -> None:
    assert provision(settings, "dns") == Provision()
    provide(settings, "dns", limits=Limits(files=512))
    provide(settings, "dns", enabled=False)
    provide(settings, "web", limits=Limits(cpu_percent=50))
    assert provisions(settings) == {
        "dns": Provision(False, Limits(files=512)),
        "web": Provision(True, Limits(cpu_percent=50)),
    }


def test_less_than_is_used_is_refused_with_the_figure() -> None:
    with pytest.raises(Invalid, match="memory_mib 200: it needs 300"):
        must_be_enough(Limits(memory_mib=200), {"memory_mib": 300})
    with pytest.raises(Invalid, match="files 1: from 256") as refused:
        must_be_enough(Limits(tasks=3, files=1), {})
    assert set(refused.value.members["errors"]) == {"tasks", "files"}


amounts = st.integers(0, MOST * 2)


@given(st.builds(Limits, amounts, amounts, amounts, amounts))
def test_whatever_is_allowed_says_the_same_to_both_keepers(limits: Limits) -> None:
    try:
        must_be_enough(limits, {})
    except Invalid as refused:
        for name in refused.members["errors"]:
            assert not LEAST[name] <= asdict(limits)[name] <= MOST
        return
    written, unit = values(limits), drop_in(limits)
    assert (written["pids.max"] == "max") == ("TasksMax" not in unit)
    assert (written["memory.max"] == "max") == ("MemoryMax" not in unit)
    assert written["cpu.max"].startswith("max") == ("CPUQuota" not in unit)
    assert bool(unit) == (limits != Limits())

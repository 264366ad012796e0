"""Which GPUs a Formfile's wishes get."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.vmm.gpus import Device, Gpu, Wish, choose, fit, missing

MODELS = {
    "RTX": ("NVIDIA", "AD102 [GeForce RTX 4090]"),
    "A100": ("NVIDIA", "GA100 [A100 PCIe 40GB]"),
    "A10": ("NVIDIA", "GA102GL [A10]"),
    "H100": ("NVIDIA", "GH100 [H100 SXM5 80GB]"),
    "AMD": ("AMD", "Navi 31 [Radeon RX 7900 XT/7900 XTX/7900M]"),
    "GAUDI": ("Habana Labs", "Gaudi2 AI Training Accelerator"),
}


def gpu(which: str, number: int = 1, **more: object) -> Gpu:
    maker, model = MODELS[which]
    address = f"0000:{number:02x}:00.0"
    about = {"group": number, "maker": maker, "model": model, **more}
    device = Device(address, 1, 1, 0x030000, **about)  # type: ignore[arg-type]
    return Gpu(device, (f"0000:{number:02x}:00.1",))


@pytest.mark.parametrize(
    ("which", "model"),
    [
        ("RTX", "RTX"),
        ("RTX", "rtx"),
        ("RTX", "RTX 4090"),
        ("RTX", "RTX4090"),
        ("RTX", "rtx-40"),
        ("RTX", "GeForce RTX"),
        ("RTX", "NVIDIA"),
        ("RTX", "NVIDIA GeForce RTX 4090"),
        ("RTX", "AD102"),
        ("RTX", "4090"),
        ("A100", "A100"),
        ("H100", "H100"),
        ("AMD", "Radeon"),
        ("AMD", "RX 7900 XTX"),
        ("AMD", "Radeon RX 7900M"),
        ("AMD", "AMD Radeon RX 7900 XTX"),
        ("GAUDI", "Gaudi2"),
    ],
)
def test_what_a_person_would_write_fits(which: str, model: str) -> None:
    assert fit(model, gpu(which).device)


@pytest.mark.parametrize("model", ["TX", "RTX 5090", "090", "GTX", "AMD", " ", "-"])
def test_what_no_name_begins_with_does_not(model: str) -> None:
    assert fit(model, gpu("RTX").device) == 0


def test_whole_words_go_before_beginnings() -> None:
    found = [gpu("A100", 1), gpu("A10", 2)]
    assert choose([Wish("A10")], found, {}) == (found[1],)
    assert choose([Wish("A10", 2)], found, {}) == tuple(found)


def test_the_machines_own_screen_goes_last() -> None:
    found = [gpu("RTX", 1, screen=True), gpu("RTX", 2)]
    assert choose([Wish("RTX")], found, {}) == (found[1],)


def test_what_another_holds_is_not_given_not_even_in_part() -> None:
    found = [gpu("RTX", 1), gpu("RTX", 2)]
    assert choose([Wish("RTX")], found, {"0000:01:00.1": "bo/x"}) == (found[1],)
    assert choose([Wish("RTX", 2)], found, {"0000:01:00.0": "bo/x"}) == ()


def test_what_is_handed_on_goes_after_what_is_free() -> None:
    found = [gpu("RTX", 1), gpu("RTX", 2)]
    own = ["0000:01:00.0"]
    assert choose([Wish("RTX")], found, {}, own) == (found[1],)
    assert choose([Wish("RTX", 2)], found, {}, own) == tuple(found)


def test_a_modest_wish_leaves_the_only_card_of_a_narrow_one() -> None:
    found = [gpu("RTX", 1), gpu("H100", 2)]
    for wishes in permutations([Wish("NVIDIA"), Wish("RTX")]):
        assert choose(wishes, found, {}) == tuple(found)


def test_a_node_without_any_says_so() -> None:
    assert missing([Wish("RTX")], [], {}) == (
        "No GPU whose name begins with RTX is free on this node; it has none."
    )


def test_what_is_there_is_listed_with_who_uses_it() -> None:
    found = [gpu("RTX", 1), gpu("H100", 2)]
    text = missing([Wish("RTX")], found, {"0000:01:00.0": "ada/summarizer"})
    assert text == (
        "No GPU whose name begins with RTX is free on this node; it has: NVIDIA "
        "AD102 [GeForce RTX 4090] (in use by ada/summarizer), NVIDIA GH100 [H100 "
        "SXM5 80GB]. An instance holds its GPUs until it is deleted."
    )


def test_several_wishes_are_named() -> None:
    text = missing([Wish("RTX", 2), Wish("T4")], [gpu("RTX")], {})
    assert text.startswith("The GPUs asked for (RTX:2, T4:1) are not all free")


def test_a_missing_iommu_is_told_with_its_cure() -> None:
    off = Gpu(gpu("RTX", group=None).device, hindrance="the machine's IOMMU is off")
    assert choose([Wish("RTX")], [off], {}) == ()
    text = missing([Wish("RTX")], [off], {})
    assert "VT-d" in text
    assert "intel_iommu=on" in text
    assert "VT-d" not in missing([Wish("H100")], [off], {})


def test_a_card_without_a_name_is_told_with_its_cure() -> None:
    nameless = gpu("RTX", maker="", model="")
    assert "update-pciids" in missing([Wish("RTX")], [nameless], {})


WISHES = st.lists(
    st.builds(
        Wish,
        st.sampled_from(["RTX", "NVIDIA", "A10", "A100", "Radeon", "H100", "None"]),
        st.integers(1, 8),
    ),
    min_size=1,
    max_size=5,
)
MACHINES = st.lists(st.sampled_from(sorted(MODELS)), max_size=10).map(
    lambda kinds: [gpu(kind, number) for number, kind in enumerate(kinds, 1)]
)


@given(WISHES, MACHINES, st.sets(st.integers(1, 10)), st.sets(st.integers(1, 10)))
def test_wishes_get_what_fits_once_or_nothing(
    wishes: list[Wish], found: list[Gpu], taken: set[int], own: set[int]
) -> None:
    held = {f"0000:{number:02x}:00.1": "bo/x" for number in taken}
    given_ = choose(wishes, found, held, [f"0000:{n:02x}:00.0" for n in own])
    if not given_:
        assert missing(wishes, found, held)
        return
    models = [wish.model for wish in wishes for _ in range(wish.count)]
    assert len(given_) == len(models) == len({g.device.address for g in given_})
    assert not held.keys() & {a for g in given_ for a in g.addresses}
    assert all(any(fit(m, g.device) for m in models) for g in given_)
    assert all(
        sum(fit(m, g.device) > 0 for g in given_) >= models.count(m) for m in models
    )


@given(
    st.lists(st.sampled_from(["RTX", "NVIDIA", "A10", "Radeon"]), max_size=4),
    st.lists(st.sampled_from(["RTX", "A100", "A10", "AMD"]), max_size=4),
)
def test_nothing_is_refused_that_could_be_given(
    models: list[str], kinds: list[str]
) -> None:
    found = [gpu(kind, number) for number, kind in enumerate(kinds, 1)]
    possible = any(
        all(fit(m, g.device) for m, g in zip(models, order, strict=True))
        for order in permutations(found, len(models))
    )
    if models:
        assert bool(choose([Wish(m) for m in models], found, {})) == possible


@given(st.text(), st.text(), st.text())
def test_any_name_is_compared(model: str, maker: str, name: str) -> None:
    device = Device("0000:01:00.0", 1, 1, 0x030000, maker=maker, model=name)
    assert fit(model, device) in (0, 1, 2)

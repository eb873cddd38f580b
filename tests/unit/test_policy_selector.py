"""--policy-selector: what it takes, what it matches, and which operators share a Lease by it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfa_operator.config.policy_selector import PolicySelector

LABELS = [
    {},
    {"team": "a"},
    {"team": "b"},
    {"team": ""},
    {"team": "a", "example.com/tier": "1"},
    {"other": "a"},
]


@pytest.mark.parametrize(
    ("text", "matched"),
    [
        ("team=a", [1, 4]),
        ("team==a", [1, 4]),
        # As the API server has it: also where there is no such label.
        ("team!=a", [0, 2, 3, 5]),
        ("team in (a, b)", [1, 2, 4]),
        ("team notin (a,b)", [0, 3, 5]),
        ("team=", [3]),
        ("team in ()", [3]),
        ("team", [1, 2, 3, 4]),
        ("!team", [0, 5]),
        (" team in (a,b) , example.com/tier = 1 ", [4]),
        ("team=a,team=b", []),
    ],
)
def test_it_matches_what_kubectl_would_list(text: str, matched: list[int]) -> None:
    selector = PolicySelector.parse(text)
    assert [at for at, labels in enumerate(LABELS) if selector.matches(labels)] == matched


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the selector is empty"),
        (" ", "the selector is empty"),
        ("team in (a", "invalid requirement 'team in (a'"),
        ("team in a", "invalid requirement"),
        ("team=a,", "invalid requirement ''"),
        ("team=a b", "invalid requirement 'team=a b'"),
        ("team in (a,-b)", "invalid value '-b' of label team"),
        ("-team", "invalid requirement '-team'"),
        ("Example.com/team", "invalid requirement"),
        ("team>1", "invalid requirement"),
        ("team=a\n", None),
        (f"team={'a' * 64}", "invalid requirement"),
        ("t=a," * 1000, "at most 2000 characters"),
    ],
)
def test_what_is_no_selector_is_refused_in_one_sentence(text: str, problem: str | None) -> None:
    if problem is None:
        assert PolicySelector.parse(text) == PolicySelector.parse("team=a")
        return
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        PolicySelector.parse(text)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    "same",
    [
        ["team=a", "team==a", " team = a ", "team in (a)", "team in (a,a)", "team=a,team=a"],
        ["team in (a,b),!old", "!old,team in (b, a)"],
        ["team!=a", "team notin (a)"],
    ],
    ids=["equals", "order", "differs"],
)
def test_what_says_the_same_has_the_same_lease(same: list[str]) -> None:
    found = {PolicySelector.parse(text) for text in same}
    assert len(found) == 1
    assert len({selector.lease_name for selector in found}) == 1


def test_other_selectors_have_other_leases() -> None:
    texts = ["team=a", "team=b", "team", "!team", "team!=a", "team in (a,b)", "team notin (a,b)", "tier=a", "team="]
    names = [PolicySelector.parse(text).lease_name for text in texts]
    assert len({*names, PolicySelector().lease_name}) == len(texts) + 1


def test_the_names_of_leases_never_change() -> None:
    """An upgrade that changed them would let the old and the new leader act at once, side by side."""
    assert PolicySelector().lease_name == "mfa-operator"
    assert PolicySelector.parse("shard=a").lease_name == "mfa-operator-3d8dfb268d"


requirements = st.sampled_from(["a=1", "a!=2", "b in (1,2)", "b notin (3,1)", "c", "!d", "e="])


@given(st.lists(requirements, min_size=1, max_size=4), st.randoms())
def test_order_does_not_matter(parts: list[str], chance: object) -> None:
    shuffled = list(parts)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]  # random.Random
    assert PolicySelector.parse(",".join(parts)) == PolicySelector.parse(",".join(shuffled))


@given(st.lists(requirements, min_size=1, max_size=4))
def test_what_it_prints_is_what_it_is(parts: list[str]) -> None:
    selector = PolicySelector.parse(",".join(parts))
    assert PolicySelector.parse(str(selector)) == selector


def test_every_requirement_has_to_match() -> None:
    for first, second in itertools.product(["team=a", "team!=b", "team"], ["tier", "!tier"]):
        both = PolicySelector.parse(f"{first},{second}")
        for labels in LABELS:
            apart = [PolicySelector.parse(each).matches(labels) for each in (first, second)]
            assert both.matches(labels) == all(apart)

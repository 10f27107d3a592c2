"""PolicySet to DecisionIndex."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from spyderresp.decision._index import DecisionIndex
from spyderresp.decision._plan import PlanBuilder
from spyderresp.decision._spec import IndexSpec
from spyderresp.policies.policy_set import PolicySet

Defaults = Literal["always", "unless-overridden"]
NotIn = Literal["kubernetes", "documented"]


class Options(NamedTuple):
    """What an index is compiled for, besides the policies."""

    defaults: Defaults = "always"
    not_in: NotIn = "kubernetes"
    audit: bool = False


class Compiled:
    """An index, with what else an explanation needs: the policies, and the place of each attribute."""

    __slots__ = ("attributes", "index", "policy_set")

    def __init__(self, policy_set: PolicySet, index: DecisionIndex, attributes: dict[tuple[str, str], int]) -> None:
        self.policy_set: Final = policy_set
        self.index: Final = index
        self.attributes: Final = attributes


def compile_policies(policies: PolicySet, options: Options) -> Compiled:
    """Compile a policy set into its index."""
    spec = IndexSpec(policies.policies, options.not_in == "kubernetes")
    plan_builder = PlanBuilder(policies.policies, options.defaults, options.audit)
    index = DecisionIndex(spec, policies.digest, plan_builder)
    places = {(spec.scopes[scope], key): place for place, (scope, key, _) in enumerate(spec.attributes)}
    return Compiled(policies, index, places)

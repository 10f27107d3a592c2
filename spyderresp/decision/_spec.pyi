from typing import final

from spyderresp.policies.policy_set import Policy

@final
class IndexSpec:
    """Policies as numbers, for the index to be made of; an index takes them over.

    Args:
        policies: all of a policy set, the disabled ones among them.
        absent_is_outside: whether NotIn holds where the key is absent.
    """

    def __new__(cls, policies: tuple[Policy, ...], absent_is_outside: bool) -> IndexSpec: ...
    @property
    def scopes(self) -> tuple[str, ...]: ...
    @property
    def attributes(self) -> tuple[tuple[int, str, int], ...]:
        """Scope (its place among the scopes), key and kind, of all that a predicate names."""

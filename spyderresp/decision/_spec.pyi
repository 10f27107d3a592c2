from typing import final

from spyderresp.policies.policy_set import Policy

@final
class IndexSpec:
    def __new__(cls, policies: tuple[Policy, ...], absent_is_outside: bool) -> IndexSpec: ...
    @property
    def scopes(self) -> tuple[str, ...]: ...
    @property
    def attributes(self) -> tuple[tuple[int, str, int], ...]: ...

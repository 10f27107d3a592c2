from typing import final

from spyderresp.policy import Entry, Policy

@final
class Arranger:
    """Builds plan shapes for one policy set and its options.

    Made from the enabled policies, in order, each with its enabled entries in order.
    """

    def __new__(
        cls, policies: tuple[tuple[Policy, tuple[Entry, ...]], ...], defaults: str, audit: bool
    ) -> Arranger: ...

from typing import final

from spyderresp.policy import Policy

DISPOSITIONS: tuple[str, ...]

@final
class Arranger:
    """Builds plan shapes for one policy set and its options.

    Made from all its policies, the disabled ones among them.
    """

    def __new__(cls, policies: tuple[Policy, ...], defaults: str, audit: bool) -> Arranger: ...

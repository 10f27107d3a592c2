from spyderresp._native.policy import Policy

def digest(policies: tuple[Policy, ...]) -> str:
    """Return ``sha256:`` and 64 hexadecimal digits over the policies' meaning and order."""

"""A proof for one policy set, that its index means what its policies say."""

from spyderresp.certify.proof import Statement, certify

__all__ = ["Statement", "certify"]

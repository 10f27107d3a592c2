"""The configuration of ``spyderresp run``."""

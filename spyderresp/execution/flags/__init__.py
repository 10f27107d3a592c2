"""Flag records, and the event fields that may leave this host in them. docs/FLAGS.md describes both."""

from __future__ import annotations

from spyderresp.execution.flags.disclosure import Disclosure, allowed
from spyderresp.execution.flags.envelopes import ENVELOPES, Envelope, enveloped
from spyderresp.execution.flags.flag_record import flag_record, flag_schema

__all__ = ["ENVELOPES", "Disclosure", "Envelope", "allowed", "enveloped", "flag_record", "flag_schema"]

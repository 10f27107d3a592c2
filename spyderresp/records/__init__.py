"""What leaves: the allow-list of event fields, and the records of flags. docs/FLAGS.md describes both."""

from __future__ import annotations

from spyderresp.records.disclosure import Disclosure, allowed
from spyderresp.records.envelopes import ENVELOPES, Envelope, enveloped
from spyderresp.records.flags import flag_record, flag_schema

__all__ = ["ENVELOPES", "Disclosure", "Envelope", "allowed", "enveloped", "flag_record", "flag_schema"]

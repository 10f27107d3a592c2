"""Seeded workloads: policy sets, and the events that they decide."""

from __future__ import annotations

from workloads.model import Workload, decoder
from workloads.oracle import assert_answers
from workloads.synthetic import synthetic
from workloads.vendor import vendor
from workloads.worst import WORST, pathological

__all__ = ["WORST", "Workload", "assert_answers", "decoder", "pathological", "synthetic", "vendor"]

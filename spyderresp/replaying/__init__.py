"""What policies would have done with recorded events: totals, targets, timelines, breakers. Nothing is carried out."""

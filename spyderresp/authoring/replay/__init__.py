"""What policies would have done with recorded events. Counting needs the extra ``arrow``; a report does not."""

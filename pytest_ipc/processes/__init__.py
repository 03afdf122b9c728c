"""Child processes: how they start, what they report, how they are observed, and how they end."""

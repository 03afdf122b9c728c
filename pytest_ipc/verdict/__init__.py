"""From a test's outcome to a clause's verdict, and from verdicts to what people read."""

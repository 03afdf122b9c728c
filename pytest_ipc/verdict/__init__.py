"""From the outcome of a test to the verdict on a clause, and from verdicts to reports."""

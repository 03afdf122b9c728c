"""From outcomes to verdicts, and what is shown of them."""

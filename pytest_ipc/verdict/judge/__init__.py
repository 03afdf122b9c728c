"""From a test's outcome to a clause's verdict, with the reason in words."""

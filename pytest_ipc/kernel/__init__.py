"""The kernel as the manual pages name it: one module a family of pages, typed calls, structures, constants.

Nothing here knows of pytest, retries a call or remembers an object. A call that fails raises OSError with the errno that the
kernel gave; a value that does not fit its C type raises OverflowError before anything is called.
"""

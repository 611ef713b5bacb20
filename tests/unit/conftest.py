"""`make fuzz` runs the property tests at length."""

from hypothesis import settings

settings.register_profile("fuzz", max_examples=20_000, deadline=None)

"""How the property tests run: no deadline, for no test may depend on a machine's speed.

`make fuzz` runs them at length.
"""

from hypothesis import HealthCheck, settings

settings.register_profile("unit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fuzz", settings.get_profile("unit"), max_examples=20_000)
settings.load_profile("unit")

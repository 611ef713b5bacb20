"""What a build is, as far as it can be known without building: no engine, no network, no clock.

    text -> dockerfile.parse -> stages.plan_of -> evaluate.step_of -> cache_key

The client asks this for what would be rebuilt, the engine for what to do.
"""

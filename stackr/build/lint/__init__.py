"""What is amiss in a Dockerfile that builds all the same, by the names of Docker's build checks."""

from stackr.build.lint.check import check, violations
from stackr.build.lint.subject import Finding, Surroundings

__all__ = ["Finding", "Surroundings", "check", "violations"]

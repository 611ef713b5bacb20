"""`python -m stackr` is `stackr`."""

from stackr.warm.client import main

main()

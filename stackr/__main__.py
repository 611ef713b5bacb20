"""`python -m stackr` is `stackr`."""

from stackr.cli.main import main

main()

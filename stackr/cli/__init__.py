"""The command line.

Its process imports, loads, and ends. By Python's default of 700 new objects the garbage collector
would look through all of that a hundred times, for nothing; so it is told before the first import.
"""

import gc

_OBJECTS_BETWEEN_COLLECTIONS = 100_000

gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)

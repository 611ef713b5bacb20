"""Writes down what an engine's daemon answers, where `STACKR_TEST_RECORD` names a folder for it.

Python imports this at its start, as the tests put its folder on the path; every process but the
daemon's is left as it is, and the daemon's until it has the API's server, which its launcher has
not. Who reads the records is `tests/suites/recorded_answers.py`.
"""

import os
import sys

_FOLDER = os.environ.get("STACKR_TEST_RECORD", "")
_DAEMON = "stackr.runtime.engine.daemon"
_SERVED_BY = "stackr.runtime.engine.api.http"

if _FOLDER and _DAEMON in sys.orig_argv:
    import importlib.abc
    import importlib.machinery
    import importlib.util
    from collections.abc import Sequence
    from types import ModuleType

    class _OnceImported(importlib.abc.MetaPathFinder):
        def find_spec(
            self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
        ) -> importlib.machinery.ModuleSpec | None:
            if name != _SERVED_BY:
                return None
            sys.meta_path.remove(self)
            spec = importlib.util.find_spec(name)
            assert spec is not None
            loader = spec.loader
            assert loader is not None
            execute = loader.exec_module

            def executed(module: ModuleType) -> None:
                execute(module)
                import answer_recorder

                answer_recorder.record_into(module, _FOLDER)

            loader.exec_module = executed  # type: ignore[method-assign]
            return spec

    sys.meta_path.insert(0, _OnceImported())

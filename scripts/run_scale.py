"""What `scripts/test-scale` runs: thousands of each kind, on an engine of its own."""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "suites"))

import busybox_image
import leak_census
import loopback_registry
from engine_calls import Calls
from engine_request import raw_request
from engine_scale import KINDS, STEPS, Scale

from stackr.runtime.engine import control
from stackr.runtime.engine.config import EngineConfig

_TELL = partial(print, flush=True)
_POOLS = {"default-address-pools": [{"base": "10.0.0.0/8", "size": 22}]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help=f"of {', '.join(KINDS)}; default: all of them")
    parser.add_argument("--count", type=int, default=STEPS[-1])
    parser.add_argument("--nofile", type=int, default=1024, help="soft limit of the daemon's start")
    parser.add_argument("--hard", type=int, help="its hard limit, else this process's")
    parser.add_argument("--default-pools", action="store_true", help="of addresses")
    options = parser.parse_args()
    if unknown := [kind for kind in options.kinds if kind not in KINDS]:
        parser.error(f"{unknown[0]}: no such kind")
    steps = (*(step for step in STEPS if step < options.count), options.count)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def start(config: EngineConfig) -> None:
        limits = f"--nofile={options.nofile}:{options.hard or most}"
        environ = {
            **os.environ,
            "STACKR_DATA_ROOT": str(config.data_root),
            "STACKR_EXEC_ROOT": str(config.exec_root),
            "STACKR_ENGINE_CONFIG": str(config.file),
            "STACKR_WARM": "0",
        }
        command = ["prlimit", limits, sys.executable, "-m", "stackr", "engine", "start"]
        subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)

    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="stackr-scale-") as scratch:
        folder = Path(scratch)
        file = folder / "engine.json"
        file.write_text(json.dumps({} if options.default_pools else _POOLS))
        with loopback_registry.serve(folder) as registry:
            image = f"{registry}/test/busybox:latest"
            loopback_registry.push(busybox_image.busybox_image(), image, folder)
            config = EngineConfig.at(folder / "data", folder / "run", file=file)
            start(config)
            try:
                raw_request(config.socket, "POST", f"/images/create?fromImage={image}", None, "")
                for name in options.kinds or KINDS:
                    _TELL(f"== {name}")
                    kind = KINDS[name](Calls(config.socket), image)
                    asyncio.run(Scale(config, kind, steps, _TELL, start).run())
            finally:
                control.stop(config, timeout_s=600)
            leak_census.assert_nothing_left(config, frozenset())


main()

"""What `scripts/test-load` runs: the load, on an engine and a registry of its own."""

import asyncio
import resource
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "suites"))

import busybox_image
import leak_census
import loopback_registry
from engine_load import FULL, Load
from engine_request import raw_request

from stackr.runtime.engine import control
from stackr.runtime.engine.config import EngineConfig
from stackr.runtime.engine.launch import ensure_running
from stackr.runtime.engine.lock import holder


def main(containers: int) -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="stackr-load-") as name:
        folder = Path(name)
        with loopback_registry.serve(folder) as registry:
            image = f"{registry}/test/busybox:latest"
            loopback_registry.push(busybox_image.busybox_image(), image, folder)
            config = EngineConfig.at(folder / "data", folder / "run")
            ensure_running(config)
            try:
                raw_request(config.socket, "POST", f"/images/create?fromImage={image}", None, "")
                pid = holder(config.data_root)
                assert pid is not None
                size = replace(FULL, containers=containers)
                asyncio.run(Load(config.socket, pid, image, size, print).run())
            finally:
                control.stop(config, timeout_s=60)
            leak_census.assert_nothing_left(config, frozenset())


main(int(sys.argv[1]) if len(sys.argv) > 1 else FULL.containers)

"""What the plans for all engines that take documents share: see `stackr.runtime.workloads`."""

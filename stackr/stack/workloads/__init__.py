"""What is done with a stack on an engine that runs replicas itself: see `runtime.workloads`."""

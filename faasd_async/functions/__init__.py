"""What is deployed while the daemon runs: kept on disk, and merged with what its file says."""

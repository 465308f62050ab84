"""Functions that are local processes, in the modes of OpenFaaS' of-watchdog."""

"""OpenFaaS' own form of a queued call: the JSON that its gateway and its queue-worker exchange."""

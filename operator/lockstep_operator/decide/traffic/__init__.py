"""Who answers requests: the entry point, the steps of a canary, the routers."""

"""The planner: what to order, build, lease and run, under dated rules and many futures."""

"""What `fac check` does beside finding: settings, policy, ignores. Pure; only `fac.cli` prints or exits."""

"""The operator's page: what the policy sees, and one click to change its mind."""

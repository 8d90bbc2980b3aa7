"""Tables as they are declared: their DDL, history, versions and roles."""

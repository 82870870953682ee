"""`fac sweep`: settings of each rule are searched for on validation data, and the best are compared on test data."""
